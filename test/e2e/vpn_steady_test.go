package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// TestVPNSteady: what has nothing to do with a tunnel costs it no packet, and what
// changes nothing of what was negotiated leaves its SAs alone.
func TestVPNSteady(t *testing.T) {
	t.Parallel()
	onAndOff(t, testVPNSteady)
}

func testVPNSteady(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "100")
	s := n.site(t, "y", "192.168.77.1")
	for _, a := range []string{"192.168.78.1", "192.168.79.1"} { // charon there wants one in each of its networks
		s.own(t, netip.MustParseAddr(a))
	}
	w := modern("172.16.1.0/24,172.16.2.0/24", "192.168.77.0/24,192.168.78.0/24")
	there := w
	there.remote += ",192.168.79.0/24"
	s.answer(t, address, there)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern)
	n.status(t, c, "ipsec_sa_established")
	far := s.open(t, "tcp", "-")
	h.reaches(t, far)
	sas := s.spis(t)
	end := h.pings(t, s.open(t, "udp", "-"))

	// Another connection to the same peer, which comes, is changed, and goes.
	other := modern("172.16.1.0/24", "192.168.79.0/24")
	second := n.connect(t, id, s, other, ikeModern, ipsecModern)
	n.status(t, second, "ipsec_sa_established")
	n.call(t, "ModifyVpnConnectionAttribute", "VpnConnectionId", second, "EffectImmediately", "true", "IkeConfig", `{"IkeLifetime":3600}`)
	n.settled(t)
	n.status(t, second, "ipsec_sa_established")
	n.call(t, "DeleteVpnConnection", "VpnConnectionId", second)
	n.settled(t)
	// An elastic IP of the host's own, and a NAT gateway for all.
	eip, own := n.eip(t)
	n.bind(t, eip, "EcsInstance", h.instance)
	if seen := h.seenAs(t, "udp", g.internet.echo(t, "udp")); seen.Addr() != own {
		t.Errorf("the Internet sees %s, not %s", seen, own)
	}
	h.reaches(t, far)
	n.call(t, "UnassociateEipAddress", "AllocationId", eip, "InstanceType", "EcsInstance", "InstanceId", h.instance)
	n.settled(t)
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	h.reaches(t, far)
	// Names, and the order of what is a set.
	for _, change := range [][]string{
		{"Name", "another-name"},
		{"LocalSubnet", "172.16.2.0/24,172.16.1.0/24"},
		{"RemoteSubnet", "192.168.78.0/24,192.168.77.0/24"},
		{"IkeConfig", fmt.Sprintf(`{"Psk":%q}`, w.psk)},
	} {
		n.call(t, "ModifyVpnConnectionAttribute", append([]string{"VpnConnectionId", c, "EffectImmediately", "true"}, change...)...)
		n.settled(t)
		h.reaches(t, far)
	}
	n.call(t, "ModifyCustomerGatewayAttribute", "CustomerGatewayId", s.customer, "Name", "another-name")
	n.call(t, "ModifyVpnGatewayAttribute", "VpnGatewayId", id, "Name", "another-name")
	n.settled(t)
	h.reaches(t, far)

	if sent, lost := end(); lost > 0 || sent < 50 {
		t.Errorf("%d of %d packets were lost", lost, sent)
	}
	eventually(t, "the second connection's end at the site", func() string {
		if now := s.spis(t); now != sas {
			return fmt.Sprintf("the SPIs were %s, and are %s", sas, now)
		}
		return ""
	})
	sizes(t, h, s)
}

// spis returns the SPIs of the site's CHILD_SAs, in and out.
func (s *site) spis(t *testing.T) string {
	t.Helper()
	said, err := s.peer.Swanctl(t.Context(), "--list-sas")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(said) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "in" || f[0] == "out") {
			all = append(all, f[0]+" "+f[1])
		}
	}
	return strings.Join(all, " ")
}

// sizes sends packets of every size both ways: what may be fragmented arrives, what
// may not and does not fit is answered by the tunnel's MTU, and TCP finds its own
// way.
func sizes(t *testing.T, h *host, s *site) {
	t.Helper()
	site := &endpoint{g: s.g, namespace: s.namespace, addr: s.lan}
	for _, way := range []struct {
		name     string
		from, to *endpoint
	}{{"to the site", &h.endpoint, site}, {"from the site", site, &h.endpoint}} {
		at := func(proto string) netip.AddrPort { return way.to.serve(t, proto, way.to.addr.String()+":0") }
		to := at("udp")
		for _, size := range []int{1300, 1399, 1400, 1401, 1472, 1500, 1501, 2800, 2801, 6000, 9000} {
			c, err := way.from.dial("udp", way.from.addr, to, answerTimeout)
			if err != nil {
				t.Fatal(err)
			}
			discover(t, c, unix.IP_PMTUDISC_DONT)
			if _, _, err := exchange(c, strings.Repeat("x", size-28-1), answerTimeout); err != nil {
				t.Errorf("%s, a packet of %d bytes that may be fragmented: %v", way.name, size, err)
			}
			discover(t, c, unix.IP_PMTUDISC_DO)
			eventually(t, fmt.Sprintf("%s, a packet of %d bytes that may not be fragmented", way.name, size), func() string {
				_, _, err := exchange(c, strings.Repeat("x", size-28-1), time.Second)
				switch fits := size <= dataplane.VPNMTU; {
				case fits:
					return errorText(err)
				case !errors.Is(err, syscall.EMSGSIZE):
					return fmt.Sprintf("the sender was not told: %v", err)
				}
				return ""
			})
			c.Close()
		}
		bulk(t, way.from, at("tcp"))
	}
}

func discover(t *testing.T, c net.Conn, how int) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, how)
	})
	if err := errors.Join(err, inner); err != nil {
		t.Fatal(err)
	}
}

// bulk sends some 2 MB to a service, and reads as much from it.
func bulk(t *testing.T, from *endpoint, to netip.AddrPort) {
	t.Helper()
	const lines, length = 200, 10_000
	c, err := from.dial("tcp", from.addr, to, answerTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	line := strings.Repeat("x", length)
	sent := make(chan error, 1)
	go func() {
		for range lines {
			if _, err := fmt.Fprintln(c, line); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	heard := bufio.NewScanner(c)
	n := 0
	for n < lines && heard.Scan() {
		if !strings.HasSuffix(heard.Text(), " "+line) {
			t.Fatalf("line %d is not what was sent", n)
		}
		n++
	}
	if err := errors.Join(heard.Err(), <-sent); err != nil || n != lines {
		t.Errorf("%d of %d lines from %s to %s: %v", n, lines, from.addr, to, err)
	}
}
