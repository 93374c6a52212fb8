package dhcp

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var settings = &Settings{
	Gateway: netip.MustParseAddr("10.0.1.1"), Prefix: netip.MustParsePrefix("10.0.1.0/24"), MTU: 1450,
	DNS: []netip.Addr{netip.MustParseAddr("10.0.0.53"), netip.MustParseAddr("8.8.8.8")}, Domain: "office.example",
	Leases: map[string]netip.Addr{
		"02:00:00:00:00:05": netip.MustParseAddr("10.0.1.5"),
		"02:00:00:00:00:06": netip.MustParseAddr("10.0.9.6"), // of another VSwitch
	},
}

func message(t *testing.T, mac string, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(hw), dhcpv4.WithMessageType(kind)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func from(server string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(server)))
}

func wanting(address string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(address)))
}

// TestAnswer goes through the states of a client (RFC 2131 section 4.3), and through who is
// not to be answered.
func TestAnswer(t *testing.T) {
	const host, stranger = "02:00:00:00:00:05", "02:00:00:00:00:99"
	broadcast := func(m *dhcpv4.DHCPv4) { m.SetBroadcast() }
	relayed := func(m *dhcpv4.DHCPv4) { m.GatewayIPAddr = net.IPv4(10, 0, 2, 1) }
	at := func(a string) dhcpv4.Modifier { return func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = net.ParseIP(a) } }
	for _, c := range []struct {
		name string
		m    *dhcpv4.DHCPv4
		want string // type, address, where to; empty: no answer
	}{
		{"discover", message(t, host, dhcpv4.MessageTypeDiscover), "OFFER 10.0.1.5 to 02:00:00:00:00:05 10.0.1.5"},
		{"discover by one who hears broadcasts alone", message(t, host, dhcpv4.MessageTypeDiscover, broadcast), "OFFER 10.0.1.5 to ff:ff:ff:ff:ff:ff 255.255.255.255"},
		{"discover by a stranger", message(t, stranger, dhcpv4.MessageTypeDiscover), ""},
		{"discover by a host of another VSwitch", message(t, "02:00:00:00:00:06", dhcpv4.MessageTypeDiscover), ""},
		{"discover by way of a relay", message(t, host, dhcpv4.MessageTypeDiscover, relayed), ""},
		{"request", message(t, host, dhcpv4.MessageTypeRequest, from("10.0.1.1"), wanting("10.0.1.5")), "ACK 10.0.1.5 to 02:00:00:00:00:05 10.0.1.5"},
		{"request of another server", message(t, host, dhcpv4.MessageTypeRequest, from("10.0.1.2"), wanting("10.0.1.5")), ""},
		{"request of another address", message(t, host, dhcpv4.MessageTypeRequest, from("10.0.1.1"), wanting("10.0.1.7")), "NAK 0.0.0.0 to ff:ff:ff:ff:ff:ff 255.255.255.255"},
		{"after a reboot", message(t, host, dhcpv4.MessageTypeRequest, wanting("10.0.1.5")), "ACK 10.0.1.5 to 02:00:00:00:00:05 10.0.1.5"},
		{"after a reboot in another network", message(t, host, dhcpv4.MessageTypeRequest, wanting("192.168.1.5")), "NAK 0.0.0.0 to ff:ff:ff:ff:ff:ff 255.255.255.255"},
		{"renewing", message(t, host, dhcpv4.MessageTypeRequest, at("10.0.1.5")), "ACK 10.0.1.5 to 02:00:00:00:00:05 10.0.1.5"},
		{"renewing what has moved", message(t, host, dhcpv4.MessageTypeRequest, at("10.0.1.9")), "NAK 0.0.0.0 to ff:ff:ff:ff:ff:ff 255.255.255.255"},
		{"request of nothing", message(t, host, dhcpv4.MessageTypeRequest), "NAK 0.0.0.0 to ff:ff:ff:ff:ff:ff 255.255.255.255"},
		{"inform", message(t, host, dhcpv4.MessageTypeInform, at("10.0.1.5")), "ACK 0.0.0.0 to 02:00:00:00:00:05 10.0.1.5"},
		{"release", message(t, host, dhcpv4.MessageTypeRelease, from("10.0.1.1"), at("10.0.1.5")), ""},
		{"decline", message(t, host, dhcpv4.MessageTypeDecline, from("10.0.1.1"), wanting("10.0.1.5")), ""},
		{"an answer", message(t, host, dhcpv4.MessageTypeOffer, func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootReply }), ""},
	} {
		out, got := settings.answer(c.m), ""
		if out != nil {
			mac, ip := destination(c.m, out)
			got = fmt.Sprintf("%s %s to %s %s", out.MessageType(), out.YourIPAddr, mac, ip)
			if out.TransactionID != c.m.TransactionID || !out.ServerIdentifier().Equal(settings.Gateway.AsSlice()) {
				t.Errorf("%s: answered %s", c.name, out.Summary())
			}
			told := out.Router() != nil
			if told != (out.MessageType() != dhcpv4.MessageTypeNak) {
				t.Errorf("%s: answered %s", c.name, out.Summary())
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	out := settings.answer(message(t, host, dhcpv4.MessageTypeDiscover))
	mtu, _ := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, out.Options)
	if fmt.Sprint(out.SubnetMask(), out.Router(), out.DNS(), out.DomainName(), out.IPAddressLeaseTime(0), mtu) !=
		fmt.Sprint(net.CIDRMask(24, 32), []net.IP{{10, 0, 1, 1}}, []net.IP{{10, 0, 0, 53}, {8, 8, 8, 8}}, "office.example", time.Hour, 1450) {
		t.Errorf("a host is told %s", out.Summary())
	}
}

// TestHostile: no bytes make it fail, or answer to somebody other than who asked.
func TestHostile(t *testing.T) {
	good := message(t, "02:00:00:00:00:05", dhcpv4.MessageTypeRequest, wanting("10.0.1.5")).ToBytes()
	answered := 0
	for range 20_000 {
		b := append([]byte(nil), good...)
		for range 1 + rand.IntN(6) {
			b[rand.IntN(len(b))] = byte(rand.Uint32())
		}
		m, err := dhcpv4.FromBytes(b[:rand.IntN(len(b)+1)])
		if err != nil {
			continue
		}
		out := settings.answer(m)
		if out == nil {
			continue
		}
		answered++
		if mac, _ := destination(m, out); out.MessageType() != dhcpv4.MessageTypeNak && mac.String() != "02:00:00:00:00:05" && mac.String() != "ff:ff:ff:ff:ff:ff" {
			t.Fatalf("answered to %s: %s", mac, out.Summary())
		}
	}
	if answered == 0 {
		t.Error("nothing was answered")
	}
}
