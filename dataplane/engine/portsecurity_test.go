package engine

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// port sends and receives whole frames at a link.
type port struct {
	fd, index int
	mac       net.HardwareAddr
}

func tap(t testing.TB, ns *netns.Namespace, name string) *port {
	t.Helper()
	attrs := nstest.Link(t, ns, name).Attrs()
	w := &port{index: attrs.Index, mac: attrs.HardwareAddr}
	err := ns.Do(func() (err error) {
		all := int(uint16(unix.ETH_P_ALL)>>8 | uint16(unix.ETH_P_ALL)<<8)
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return errors.Join(unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: w.index}),
			unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

func (w *port) send(t testing.TB, frame []byte) {
	t.Helper()
	if err := unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index}); err != nil {
		t.Fatal(err)
	}
}

// until returns what comes before a frame that contains mark.
func (w *port) until(t testing.TB, mark []byte) (frames [][]byte) {
	t.Helper()
	buffer := make([]byte, 2000)
	for {
		n, from, err := unix.Recvfrom(w.fd, buffer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatalf("waiting for a frame: %v", err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if bytes.Contains(buffer[:n], mark) {
			return frames
		}
		frames = append(frames, slices.Clone(buffer[:n]))
	}
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func hardware(text string) net.HardwareAddr {
	mac, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return mac
}

// arp is an ARP message in a frame: op 1 asks, 2 answers.
func arp(to, from net.HardwareAddr, op byte, sender net.HardwareAddr, address, target string) []byte {
	return slices.Concat(to, from, []byte{8, 6}, []byte{0, 1, 8, 0, 6, 4, 0, op}, sender, netip.MustParseAddr(address).AsSlice(),
		make([]byte, 6), netip.MustParseAddr(target).AsSlice(), make([]byte, 18))
}

// datagram is an IPv4 packet with a payload in a frame.
func datagram(to, from net.HardwareAddr, source, destination, payload string) []byte {
	h := slices.Concat([]byte{0x45, 0, 0, byte(20 + len(payload)), 0, 1, 0, 0, 64, 253, 0, 0},
		netip.MustParseAddr(source).AsSlice(), netip.MustParseAddr(destination).AsSlice())
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(h[i])<<8 | uint32(h[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	h[10], h[11] = ^byte(sum>>8), ^byte(sum)
	return slices.Concat(to, from, []byte{8, 0}, h, []byte(payload))
}

// tagged puts an 802.1Q tag without a VLAN into a frame: hosts take it off.
func tagged(frame []byte) []byte {
	return slices.Concat(frame[:12], []byte{0x81, 0, 0xe0, 0}, frame[12:])
}

// serviceTagged does so with one of 802.1ad.
func serviceTagged(frame []byte) []byte {
	return slices.Concat(frame[:12], []byte{0x88, 0xa8, 0, 0}, frame[12:])
}

// snapped puts a frame's protocol into LLC/SNAP (RFC 1042).
func snapped(frame []byte) []byte {
	length := len(frame) - 14 + 8
	return slices.Concat(frame[:12], []byte{byte(length >> 8), byte(length), 0xaa, 0xaa, 3, 0, 0, 0}, frame[12:])
}

// icmp6 is a message of ICMPv6 to all hosts, behind so many headers of extension.
func icmp6(from net.HardwareAddr, kind byte, headers int) []byte {
	m := slices.Concat([]byte{kind, 0, 0, 0, 64, 0, 7, 8}, make([]byte, 8), []byte{1, 1}, from)
	next := byte(unix.IPPROTO_ICMPV6)
	for range headers {
		m = slices.Concat([]byte{next, 0, 1, 4, 0, 0, 0, 0}, m) // options for the destination, all padding
		next = unix.IPPROTO_DSTOPTS
	}
	source, all := netip.MustParseAddr("fe80::66").AsSlice(), netip.MustParseAddr("ff02::1").AsSlice()
	return slices.Concat(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, from, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(m)), next, 255}, source, all, m)
}

// audit has a network looked at, which waits for whatever is done with it just then.
func audit(t testing.TB, e *Engine, id string) {
	t.Helper()
	nstest.Eventually(t, func() error {
		if _, seen := e.Audit(t.Context(), id, false); !seen {
			return errors.New("the network is busy")
		}
		return nil
	})
}

// Of whatever is sent by a port of a VSwitch that is a bridge, what claims a gateway's
// address or a bound one of another reaches nobody, and all else does; without port
// security everything does.
func TestAddressesAreHeldInABridge(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	mustApply(t, e, n)
	name := dataplane.Namespace(n.ID)
	victim := nstest.Host(t, name, "vsw-a", "10.0.1.10/24", "10.0.1.253")
	other := nstest.Host(t, name, "vsw-a", "10.0.1.11/24", "10.0.1.253")
	attacker := nstest.Host(t, name, "vsw-a", "10.0.1.66/24", "10.0.1.253")
	middle := nstest.Host(t, name, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	link := func(ns *netns.Namespace) string {
		links, err := ns.Netlink().LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Type() == "veth" {
				return l.Attrs().Name
			}
		}
		t.Fatal("a host without a link")
		return ""
	}
	v, o, a, m := tap(t, victim, link(victim)), tap(t, other, link(other)), tap(t, attacker, link(attacker)), tap(t, middle, link(middle))

	for _, on := range []bool{false, true} {
		held := *n
		held.PortSecurity = on
		held.Bindings = []dataplane.Binding{{Address: netip.MustParseAddr("10.0.1.5"), MAC: m.mac.String()},
			{Address: netip.MustParseAddr("10.0.1.10"), MAC: v.mac.String()}, {Address: netip.MustParseAddr("10.0.1.11"), MAC: o.mac.String()},
			{Address: netip.MustParseAddr("10.0.2.5"), MAC: "02:00:00:00:02:05"}}
		mustApply(t, e, &held)
		if o := mustApply(t, e, &held); o.Changes != 0 {
			t.Fatalf("a second time: %d changes", o.Changes)
		}
		for i, frame := range []struct {
			what  string
			by    *port
			bytes []byte
			held  bool
		}{
			{"the gateway's address in an answer", a, arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10"), true},
			{"to all", a, arp(broadcast, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.253"), true},
			{"in a question", a, arp(broadcast, a.mac, 1, a.mac, "10.0.1.253", "10.0.1.10"), true},
			{"by a bound host", o, arp(broadcast, o.mac, 1, o.mac, "10.0.1.253", "10.0.1.10"), true},
			{"with a tag of priority", a, tagged(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10")), true},
			{"another VSwitch's gateway", a, arp(v.mac, a.mac, 2, a.mac, "10.0.2.253", "10.0.1.10"), true},
			{"another's address", a, arp(v.mac, a.mac, 2, a.mac, "10.0.1.11", "10.0.1.10"), true},
			{"another's address, tagged", a, tagged(arp(v.mac, a.mac, 2, a.mac, "10.0.1.11", "10.0.1.10")), true},
			{"the victim's own address", a, arp(v.mac, a.mac, 2, a.mac, "10.0.1.10", "10.0.1.10"), true},
			{"another's address with the other's Ethernet address inside", a, arp(v.mac, a.mac, 2, o.mac, "10.0.1.11", "10.0.1.10"), true},
			{"a host that is elsewhere", a, arp(v.mac, a.mac, 2, a.mac, "10.0.2.5", "10.0.1.10"), true},
			{"a packet from the gateway", a, datagram(v.mac, a.mac, "10.0.1.253", "10.0.1.10", "as if"), true},
			{"a tagged packet from the gateway", a, tagged(datagram(v.mac, a.mac, "10.0.1.253", "10.0.1.10", "as if")), true},
			{"a packet from another", a, datagram(v.mac, a.mac, "10.0.1.11", "10.0.1.10", "as if"), true},
			{"the gateway's address behind two tags", a, tagged(tagged(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10"))), true},
			{"behind three", a, tagged(tagged(tagged(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10")))), true},
			{"behind two of different kinds", a, tagged(serviceTagged(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10"))), true},
			{"the other way round", a, serviceTagged(tagged(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10"))), true},
			{"a packet from another behind two tags", a, tagged(tagged(datagram(v.mac, a.mac, "10.0.1.11", "10.0.1.10", "as if"))), true},
			{"ARP in LLC/SNAP", a, snapped(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10")), true},
			{"the same, tagged", a, tagged(snapped(arp(v.mac, a.mac, 2, a.mac, "10.0.1.253", "10.0.1.10"))), true},
			{"a router of IPv6", a, icmp6(a.mac, 134, 0), true},
			{"behind headers of extension", a, icmp6(a.mac, 134, 2), true},
			{"tagged", a, tagged(icmp6(a.mac, 134, 0)), true},
			{"a redirect of IPv6", a, icmp6(a.mac, 137, 0), true},
			{"IPv4 in LLC/SNAP", a, snapped(datagram(v.mac, a.mac, "10.0.1.11", "10.0.1.10", "as if")), true},

			{"its own address", o, arp(broadcast, o.mac, 1, o.mac, "10.0.1.11", "10.0.1.10"), false},
			{"a packet of its own", o, datagram(v.mac, o.mac, "10.0.1.11", "10.0.1.10", "well"), false},
			{"an address that nobody is bound to", a, arp(broadcast, a.mac, 2, a.mac, "10.0.1.100", "10.0.1.100"), false},
			{"a packet from such an address", a, datagram(v.mac, a.mac, "10.0.1.100", "10.0.1.10", "well"), false},
			{"whether somebody has an address", a, arp(broadcast, a.mac, 1, a.mac, "0.0.0.0", "10.0.1.11"), false},
			{"a packet of its own, tagged", o, tagged(datagram(v.mac, o.mac, "10.0.1.11", "10.0.1.10", "well")), false},
			{"what is not ARP or IPv4 in LLC/SNAP", a, slices.Concat(v.mac, a.mac, []byte{0, 50, 0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0xb5}, make([]byte, 42)), false},
			{"IPv6 between hosts", a, icmp6(a.mac, 128, 0), false},
			{"a host that looks for a router", a, icmp6(a.mac, 133, 0), false},
			{"a router that is a next hop", m, icmp6(m.mac, 134, 0), false},
			{"a packet that a next hop forwards", m, datagram(v.mac, m.mac, "10.0.1.11", "10.0.1.10", "well"), false},
		} {
			frame.by.send(t, frame.bytes)
			mark := fmt.Appendf(nil, "mark %t %d.", on, i)
			frame.by.send(t, datagram(v.mac, frame.by.mac, "10.0.1.99", "10.0.1.10", string(mark)))
			body := frame.bytes[12:]
			if bytes.HasPrefix(body, []byte{0x81, 0}) || bytes.HasPrefix(body, []byte{0x88, 0xa8}) {
				body = body[4:]
			}
			came := slices.ContainsFunc(v.until(t, mark), func(f []byte) bool { return bytes.Contains(f, body) })
			if want := !on || !frame.held; came != want {
				t.Errorf("port security %t, %s: received is %t, want %t", on, frame.what, came, want)
			}
		}
	}
	audit(t, e, n.ID)
	audit(t, e, n.ID) // what was told of is not told of again
	counts := e.Claims(n.ID)
	if counts["gateway"] != 8 || counts["address"] != 5 || counts["source"] != 1 || counts["hidden"] != 8 || counts["router"] != 4 {
		t.Errorf("counted: %v", counts)
	}
	for _, want := range []string{"address=10.0.1.253 host=" + a.mac.String() + ` belongs_to="the gateway of vsw-a"`, "address=10.0.1.11 host=" + a.mac.String() + " belongs_to=" + o.mac.String(),
		`hide whom they are from; they are dropped" network=` + n.ID + " host=" + a.mac.String(), `a router of IPv6; its messages are dropped" network=` + n.ID + " host=" + a.mac.String()} {
		if got := strings.Count(s.log.String(), want); got != 1 {
			t.Errorf("%d lines of the log have %s", got, want)
		}
	}
}

// A link that is no bridge tells the gateway alone what comes by it: there, too, nobody
// takes another's address, whatever became of the link.
func TestAddressesAreHeldAtLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	far := nstest.New(t)
	nstest.Veth(t, s.public, "eth-d", far, "eth-d")
	nstest.Veth(t, s.public, "under0", far, "under0")
	nstest.Address(t, s.public, "under0", "192.0.2.1/24")
	nstest.Address(t, far, "under0", "192.0.2.2/24")
	vxlan := &netlink.Vxlan{LinkAttrs: netlink.NewLinkAttrs(), VxlanId: 42, Port: 4789, Learning: true,
		VtepDevIndex: nstest.Link(t, far, "under0").Attrs().Index, Group: netip.MustParseAddr("192.0.2.1").AsSlice()}
	vxlan.Name = "vx0"
	if err := far.Netlink().LinkAdd(vxlan); err != nil {
		t.Fatal(err)
	}
	nstest.Up(t, far, "vx0")
	nstest.Up(t, far, "eth-d")
	n := s.network(t)
	n.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "eth-d"}
	n.Switches[1].Attachment = dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: "under0", VNI: 42,
		Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")}
	n.PortSecurity = true
	n.Bindings = []dataplane.Binding{{Address: netip.MustParseAddr("10.0.1.20"), MAC: "02:00:00:00:01:20"}, {Address: netip.MustParseAddr("10.0.2.20"), MAC: "02:00:00:00:02:20"}}
	mustApply(t, e, n)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Fatalf("a second time: %d changes", o.Changes)
	}
	ns := inNetwork(t, n.ID)
	ends := map[string]*port{"vsw-a": tap(t, far, "eth-d"), "vsw-b": tap(t, far, "vx0")}
	step := 0
	// known returns whom the gateway believes to have an address, after it was claimed.
	known := func(sw *dataplane.Switch, last string, by net.HardwareAddr) string {
		t.Helper()
		w, address := ends[sw.ID], sw.Prefix.Addr().Next().String()
		address = strings.TrimSuffix(address, ".1") + last
		w.send(t, arp(broadcast, by, 1, by, address, sw.Gateway.String()))
		// An answer to somebody else tells that it was taken in.
		step++
		mark := net.HardwareAddr{2, 0, 0, 1, 0, byte(step)}
		w.send(t, arp(broadcast, mark, 1, mark, strings.TrimSuffix(sw.Prefix.Addr().Next().String(), ".1")+".77", sw.Gateway.String()))
		w.until(t, mark)
		list, err := ns.Netlink().NeighList(nstest.Link(t, ns, sw.ID).Attrs().Index, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.IP.String() == address {
				return x.HardwareAddr.String()
			}
		}
		return ""
	}
	attacker := hardware("02:00:00:00:00:66")
	check := func() {
		t.Helper()
		for i := range n.Switches {
			sw := &n.Switches[i]
			owner := hardware(n.Bindings[i].MAC)
			if got := known(sw, ".20", attacker); got == attacker.String() {
				t.Errorf("%s: the attacker took an address", sw.ID)
			}
			if got := known(sw, ".20", owner); got != owner.String() {
				t.Errorf("%s: the owner's address is %q's", sw.ID, got)
			}
			if got := known(sw, ".20", attacker); got != owner.String() {
				t.Errorf("%s: the owner's address is %q's after an attack", sw.ID, got)
			}
			if got := known(sw, ".30", attacker); got != attacker.String() {
				t.Errorf("%s: an address that is nobody's is %q's", sw.ID, got)
			}
		}
	}
	check()
	// The link is another one.
	nstest.Command(t, ns, "ip", "link", "del", "vsw-b")
	e.Invalidate(n.ID)
	mustApply(t, e, n)
	check()
	audit(t, e, n.ID)
	if counts := e.Claims(n.ID); counts["address"] < 4 {
		t.Errorf("counted: %v", counts)
	}
	n2 := *n
	n2.PortSecurity = false
	mustApply(t, e, &n2)
	if got := known(&n.Switches[0], ".20", attacker); got != attacker.String() {
		t.Errorf("without port security the address is %q's", got)
	}
	if text := nstest.Command(t, ns, "nft", "list", "tables"); strings.Contains(text, "netdev") {
		t.Errorf("a table is left: %s", text)
	}
}

// Whatever somebody else does to the tables of port security is put right.
func TestPortSecurityIsRepaired(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.PortSecurity = true
	n.Bindings = []dataplane.Binding{{Address: netip.MustParseAddr("10.0.1.10"), MAC: "02:00:00:00:01:10"}}
	mustApply(t, e, n)
	reconcile(t, e, n)
	ns := inNetwork(t, n.ID)
	whole := nstest.Command(t, ns, "nft", "list", "table", "bridge", "sluice")
	for _, damage := range []string{
		"delete table bridge sluice",
		"flush table bridge sluice",
		"flush chain bridge sluice check",
		"add rule bridge sluice check accept",
		"insert rule bridge sluice prerouting accept",
		"flush set bridge sluice gateways",
		"add element bridge sluice bound { 10.0.1.66 }",
		"delete element bridge sluice pairs { 10.0.1.10 . 02:00:00:00:01:10 }",
		"add chain bridge sluice theirs",
		"add table netdev sluice",
		"flush ruleset",
	} {
		nstest.Command(t, ns, "nft", damage)
		nstest.Eventually(t, func() error {
			got, err := nstest.TryCommand(ns, "nft", "list", "table", "bridge", "sluice")
			if err != nil {
				return err
			}
			if got != whole {
				return fmt.Errorf("after %q:\n%s", damage, got)
			}
			if tables, err := nstest.TryCommand(ns, "nft", "list", "tables"); err != nil || strings.Contains(tables, "netdev") {
				return fmt.Errorf("after %q: %s %w", damage, tables, err)
			}
			return nil
		})
	}
}
