package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// TestSNAT: hosts of a VSwitch reach the Internet as the entry's elastic IP.
func TestSNAT(t *testing.T) { onAndOff(t, testSNAT) }

func testSNAT(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	h := n.host(t, 0, "172.16.1.10")
	other := n.host(t, 1, "172.16.2.10")
	n.gateway(t)
	ip := n.gatewayIP(t)

	if err := h.tryEcho("tcp", g.internet.echo(t, "tcp"), time.Second/2); err == nil {
		t.Error("a host without an SNAT entry reached the Internet")
	}
	entry := n.snat(t, "SourceVSwitchId", n.switches[0], ip)
	for _, proto := range []string{"tcp", "udp"} {
		if got := h.seenAs(t, proto, g.internet.echo(t, proto)); got.Addr() != ip {
			t.Errorf("%s: seen as %s, not %s", proto, got, ip)
		}
	}
	if rtt := h.ping(t, g.internet.addr); rtt <= 0 {
		t.Error("ICMP echo through the gateway was not answered")
	}
	if err := other.tryEcho("udp", g.internet.echo(t, "udp"), time.Second/2); err == nil {
		t.Error("a host of another VSwitch used the entry")
	}

	// A /32 entry beside it, for the other VSwitch's host.
	second := n.gatewayIP(t)
	n.snat(t, "SourceCIDR", "172.16.2.10/32", second)
	if got := other.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != second {
		t.Errorf("/32 entry: seen as %s, not %s", got, second)
	}

	// Another address for the first entry: new connections use it.
	third := n.gatewayIP(t)
	n.call(t, "ModifySnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", entry, "SnatIp", third.String())
	n.settled(t)
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != third {
		t.Errorf("after ModifySnatEntry: seen as %s, not %s", got, third)
	}
	n.call(t, "DeleteSnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", entry)
}

// TestSNATPool: a host is given one address of the pool and keeps it, whatever
// the destination (RFC 4787 REQ-2), and the pool's addresses are all used.
func TestSNATPool(t *testing.T) { onAndOff(t, testSNATPool) }

func testSNATPool(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
	n.gateway(t)
	// A quick machine opens more connections in a second than a Small one may.
	n.call(t, "ModifyNatGatewaySpec", "NatGatewayId", n.nat, "Spec", "Large")
	n.settled(t)
	var pool []netip.Addr
	for range 3 {
		pool = append(pool, n.gatewayIP(t))
	}
	h := n.host(t, 0, "10.1.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], pool...)

	var servers []netip.AddrPort
	for range 30 {
		servers = append(servers, g.internet.listen(t, "udp"))
	}
	// By 24 hosts, one pool of 3,000 has an address that none is given: the hash decides.
	const hosts = 44
	used := make(map[netip.Addr]int)
	for i := range hosts {
		src := netip.AddrFrom4([4]byte{10, 1, 1, byte(20 + i)})
		h.addAddr(t, src)
		first := h.seenFrom(t, src, "udp", servers[0]).Addr()
		used[first]++
		if i >= 24 {
			continue
		}
		for _, s := range servers[1:] {
			if got := h.seenFrom(t, src, "udp", s).Addr(); got != first {
				t.Fatalf("%s was seen as %s, then as %s", src, first, got)
			}
		}
	}
	for _, a := range pool {
		if used[a] == 0 {
			t.Errorf("no host of %d was given %s (%v)", hosts, a, used)
		}
	}
	if len(used) != len(pool) {
		t.Errorf("hosts were seen as %v, the pool is %v", used, pool)
	}
}

// TestDNAT: TCP, UDP and Any entries, from outside, with the client's own
// address seen inside.
func TestDNAT(t *testing.T) { onAndOff(t, testDNAT) }

func testDNAT(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	web, any := n.gatewayIP(t), n.gatewayIP(t)
	h := n.host(t, 0, "172.16.1.10")
	all := n.host(t, 0, "172.16.1.11")
	n.dnat(t, web, "8080", "TCP", "172.16.1.10", "80")
	n.dnat(t, web, "8080", "UDP", "172.16.1.10", "5353")
	n.dnat(t, any, "Any", "Any", "172.16.1.11", "Any")

	h.serve(t, "tcp", "0.0.0.0:80")
	h.serve(t, "udp", "0.0.0.0:5353")
	all.serve(t, "tcp", "0.0.0.0:9000")
	all.serve(t, "udp", "0.0.0.0:9001")
	for _, c := range []struct {
		proto string
		to    netip.AddrPort
	}{
		{"tcp", netip.AddrPortFrom(web, 8080)},
		{"udp", netip.AddrPortFrom(web, 8080)},
		{"tcp", netip.AddrPortFrom(any, 9000)},
		{"udp", netip.AddrPortFrom(any, 9001)},
	} {
		if got := g.internet.seenAs(t, c.proto, c.to); got.Addr() != g.internet.addr {
			t.Errorf("%s %s: the server saw %s, not %s", c.proto, c.to, got, g.internet.addr)
		}
	}
	if rtt := g.internet.ping(t, any); rtt <= 0 {
		t.Error("an Any entry does not forward ICMP echo")
	}

	// Silence where no entry matches (RFC 5382 REQ-4): no RST, no ICMP.
	for _, proto := range []string{"tcp", "udp"} {
		err := g.internet.tryEcho(proto, netip.AddrPortFrom(web, 4444), time.Second/2)
		if err == nil {
			t.Fatalf("%s: an answer from a port that is not forwarded", proto)
		}
		if !isTimeout(err) {
			t.Errorf("%s to a port that is not forwarded: %v, not silence", proto, err)
		}
	}
}

// TestModifyForwardEntry: a changed entry forwards by its new values at once,
// and by its old ones no more.
func TestModifyForwardEntry(t *testing.T) { onAndOff(t, testModifyForwardEntry) }

func testModifyForwardEntry(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	ip := n.gatewayIP(t)
	a, b := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11")
	a.serveAs(t, "tcp", "0.0.0.0:80", "a")
	b.serveAs(t, "tcp", "0.0.0.0:80", "b")
	entry := n.dnat(t, ip, "80", "TCP", "172.16.1.10", "80")
	if got := g.internet.ask(t, "tcp", netip.AddrPortFrom(ip, 80)); got != "a" {
		t.Fatalf("answered by %q", got)
	}
	n.call(t, "ModifyForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", entry, "InternalIp", "172.16.1.11", "ExternalPort", "81")
	n.settled(t)
	if got := g.internet.ask(t, "tcp", netip.AddrPortFrom(ip, 81)); got != "b" {
		t.Errorf("after the change answered by %q", got)
	}
	if err := g.internet.tryEcho("tcp", netip.AddrPortFrom(ip, 80), time.Second/2); err == nil {
		t.Error("the old port still forwards")
	}
}

// TestElasticIP: an elastic IP bound to an instance works both ways, wins over
// SNAT, and bars DNAT entries to the instance.
func TestElasticIP(t *testing.T) { onAndOff(t, testElasticIP) }

func testElasticIP(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	plain := n.host(t, 0, "172.16.1.11")

	// Without any NAT gateway first.
	id, own := n.eip(t)
	n.bind(t, id, "EcsInstance", h.instance)
	h.serve(t, "tcp", "0.0.0.0:22")
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != own {
		t.Errorf("seen as %s, not %s", got, own)
	}
	if got := g.internet.seenAs(t, "tcp", netip.AddrPortFrom(own, 22)); got.Addr() != g.internet.addr {
		t.Errorf("the instance saw %s", got)
	}
	if rtt := g.internet.ping(t, own); rtt <= 0 {
		t.Error("an elastic IP does not pass ICMP echo")
	}

	// With a NAT gateway and an SNAT entry for the whole VSwitch.
	n.gateway(t)
	shared := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], shared)
	if got := h.seenAs(t, "udp", g.internet.echo(t, "udp")); got.Addr() != own {
		t.Errorf("with SNAT beside it: seen as %s, not %s", got, own)
	}
	if got := plain.seenAs(t, "udp", g.internet.echo(t, "udp")); got.Addr() != shared {
		t.Errorf("the host without its own address: seen as %s, not %s", got, shared)
	}
	if code := n.refused(t, "CreateForwardEntry", "ForwardTableId", n.forwardTable, "ExternalIp", n.gatewayIP(t).String(), "ExternalPort", "80", "IpProtocol", "TCP", "InternalIp", "172.16.1.10", "InternalPort", "80"); code != "Forbindden" {
		t.Errorf("DNAT to an instance with an elastic IP: %q", code)
	}

	// Unbound, the SNAT entry takes over, and the address is silent.
	n.call(t, "UnassociateEipAddress", "AllocationId", id, "InstanceType", "EcsInstance", "InstanceId", h.instance)
	n.settled(t)
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != shared {
		t.Errorf("after unbinding: seen as %s, not %s", got, shared)
	}
	if err := g.internet.tryEcho("tcp", netip.AddrPortFrom(own, 22), time.Second/2); err == nil {
		t.Error("the unbound address still answers")
	}
}

// TestHairpin: a host reaches another, and itself, by the gateway's DNAT
// address, and is seen from an external address (RFC 4787 REQ-9).
func TestHairpin(t *testing.T) { onAndOff(t, testHairpin) }

func testHairpin(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	n.gateway(t)
	dnat, snat := n.gatewayIP(t), n.gatewayIP(t)
	server, near, far := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11"), n.host(t, 1, "172.16.2.10")
	server.serve(t, "tcp", "0.0.0.0:80")
	server.serve(t, "udp", "0.0.0.0:53")
	n.dnat(t, dnat, "80", "TCP", "172.16.1.10", "80")
	n.dnat(t, dnat, "53", "UDP", "172.16.1.10", "53")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)
	for _, c := range []struct {
		name string
		from *host
		want netip.Addr
	}{
		{"the same VSwitch, with an SNAT entry", near, snat},
		{"itself", server, snat},
		{"another VSwitch, without one", far, dnat},
	} {
		if got := c.from.seenAs(t, "tcp", netip.AddrPortFrom(dnat, 80)); got.Addr() != c.want {
			t.Errorf("tcp from %s: seen as %s, not %s", c.name, got, c.want)
		}
		if got := c.from.seenAs(t, "udp", netip.AddrPortFrom(dnat, 53)); got.Addr() != c.want {
			t.Errorf("udp from %s: seen as %s, not %s", c.name, got, c.want)
		}
	}
}

// TestICMPErrors: errors about translated packets reach the socket that sent
// them, both ways (RFC 4787 REQ-12, RFC 5508 REQ-4 and 5).
func TestICMPErrors(t *testing.T) { onAndOff(t, testICMPErrors) }

func testICMPErrors(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	snat, dnat := n.gatewayIP(t), n.gatewayIP(t)
	h := n.host(t, 0, "172.16.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)
	n.dnat(t, dnat, "53", "UDP", "172.16.1.10", "53")
	if err := h.tryEcho("udp", netip.AddrPortFrom(g.internet.addr, 9), 5*time.Second); !isErrno(err, syscall.ECONNREFUSED) {
		t.Errorf("port unreachable from outside reached the host as %v", err)
	}
	if err := g.internet.tryEcho("udp", netip.AddrPortFrom(dnat, 53), 5*time.Second); !isErrno(err, syscall.ECONNREFUSED) {
		t.Errorf("port unreachable from inside reached the outside as %v", err)
	}
	// Packet too big (RFC 1191): the far host's link is narrower than the path's
	// other links; its router's error has to reach the sender.
	if mtu := h.pathMTU(t, g.internet.behind(t).listen(t, "udp"), linkMTU); mtu != narrowMTU {
		t.Errorf("the host learned a path MTU of %d, not %d", mtu, narrowMTU)
	}
}

// TestNarrowVSwitch: the gateway itself tells a sender outside that a packet
// is too big for the VSwitch, also in a VPC that has no NAT gateway.
func TestNarrowVSwitch(t *testing.T) { onAndOff(t, testNarrowVSwitch) }

func testNarrowVSwitch(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	h.serve(t, "udp", "0.0.0.0:53")
	id, ip := n.eip(t)
	n.bind(t, id, "EcsInstance", h.instance)
	n.in(t, func() error {
		link, err := netlink.LinkByName(n.switches[0])
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, narrowMTU-100)
	})
	for _, client := range []*endpoint{g.internet, g.internet.behind(t)} {
		if mtu := client.pathMTU(t, netip.AddrPortFrom(ip, 53), linkMTU); mtu != narrowMTU-100 {
			t.Errorf("%s learned a path MTU of %d, not %d", client.addr, mtu, narrowMTU-100)
		}
	}
}

// TestOverlappingVPCs: two VPCs with the same addresses work side by side.
func TestOverlappingVPCs(t *testing.T) { onAndOff(t, testOverlappingVPCs) }

func testOverlappingVPCs(t *testing.T, g *gateway) {
	var seen []netip.Addr
	for i := range 2 {
		n := g.newNetwork(t, "192.168.0.0/16", "192.168.1.0/24")
		n.gateway(t)
		out, in := n.gatewayIP(t), n.gatewayIP(t)
		h := n.host(t, 0, "192.168.1.10")
		n.snat(t, "SourceVSwitchId", n.switches[0], out)
		n.dnat(t, in, "80", "TCP", "192.168.1.10", "80")
		h.serveAs(t, "tcp", "0.0.0.0:80", fmt.Sprint("vpc ", i))
		if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != out {
			t.Errorf("VPC %d: seen as %s, not %s", i, got, out)
		}
		if got := g.internet.ask(t, "tcp", netip.AddrPortFrom(in, 80)); got != fmt.Sprint("vpc ", i) {
			t.Errorf("VPC %d: answered by %q", i, got)
		}
		// From one VPC to the other, over the public side.
		for _, other := range seen {
			if got := h.ask(t, "tcp", netip.AddrPortFrom(other, 80)); got != "vpc 0" {
				t.Errorf("VPC %d reached %q at %s", i, got, other)
			}
		}
		seen = append(seen, in)
	}
}

// TestRouteToInstance: a custom entry leads through an instance that forwards.
func TestRouteToInstance(t *testing.T) { onAndOff(t, testRouteToInstance) }

func testRouteToInstance(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	router, h := n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.10")
	behind := netip.MustParseAddr("192.168.50.1")
	router.addAddr(t, behind) // a network that the instance leads to
	router.serve(t, "tcp", net.JoinHostPort(behind.String(), "80"))
	n.call(t, "CreateRouteEntry", "RouteTableId", n.routeTable, "DestinationCidrBlock", "192.168.50.0/24", "NextHopType", "Instance", "NextHopId", router.instance)
	n.settled(t)
	if got := h.seenAs(t, "tcp", netip.AddrPortFrom(behind, 80)); got.Addr() != h.addr {
		t.Errorf("seen as %s, not %s", got, h.addr)
	}
	n.call(t, "DeleteRouteEntry", "RouteTableId", n.routeTable, "DestinationCidrBlock", "192.168.50.0/24", "NextHopId", router.instance)
	n.settled(t)
	if err := h.tryEcho("tcp", netip.AddrPortFrom(behind, 80), time.Second/2); err == nil {
		t.Error("the deleted route still leads there")
	}
}

// TestRepliesByTheWayTheyCame: the reply of a connection that came in by an
// elastic IP leaves by it, although the route table leads the client's network
// elsewhere.
func TestRepliesByTheWayTheyCame(t *testing.T) { onAndOff(t, testRepliesByTheWayTheyCame) }

func testRepliesByTheWayTheyCame(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	ip := n.gatewayIP(t)
	h, router, own := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11"), n.host(t, 0, "172.16.1.12")
	h.serve(t, "tcp", "0.0.0.0:80")
	own.serve(t, "tcp", "0.0.0.0:80")
	n.dnat(t, ip, "80", "TCP", "172.16.1.10", "80")
	id, eip := n.eip(t)
	n.bind(t, id, "EcsInstance", own.instance)
	n.call(t, "CreateRouteEntry", "RouteTableId", n.routeTable, "DestinationCidrBlock", "203.0.113.0/24", "NextHopType", "Instance", "NextHopId", router.instance)
	t.Cleanup(func() {
		n.call(t, "DeleteRouteEntry", "RouteTableId", n.routeTable, "DestinationCidrBlock", "203.0.113.0/24", "NextHopId", router.instance)
	})
	n.settled(t)
	// The route is followed by what begins inside. (No elastic IP is that low.)
	there := netip.MustParseAddr("203.0.113.5")
	router.addAddr(t, there)
	router.serve(t, "tcp", "203.0.113.5:80")
	if got := h.seenAs(t, "tcp", netip.AddrPortFrom(there, 80)); got.Addr() != h.addr {
		t.Errorf("the route leads elsewhere: seen as %s, not %s", got, h.addr)
	}
	for _, to := range []netip.Addr{ip, eip} {
		if got := g.internet.seenAs(t, "tcp", netip.AddrPortFrom(to, 80)); got.Addr() != g.internet.addr {
			t.Errorf("%s: seen as %s", to, got)
		}
	}
}

// TestFragments: datagrams larger than the MTU pass both ways (RFC 4787
// REQ-14).
func TestFragments(t *testing.T) { onAndOff(t, testFragments) }

func testFragments(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	snat, dnat := n.gatewayIP(t), n.gatewayIP(t)
	h := n.host(t, 0, "172.16.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)
	n.dnat(t, dnat, "53", "UDP", "172.16.1.10", "53")
	h.serve(t, "udp", "0.0.0.0:53")
	long := strings.Repeat("x", 6000)
	for name, c := range map[string]struct {
		from *endpoint
		to   netip.AddrPort
	}{
		"SNAT": {&h.endpoint, g.internet.echo(t, "udp")},
		"DNAT": {g.internet, netip.AddrPortFrom(dnat, 53)},
	} {
		conn, err := c.from.dial("udp", netip.Addr{}, c.to, answerTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := exchange(conn, long, answerTimeout); err != nil {
			t.Errorf("%s: a datagram of %d bytes: %v", name, len(long), err)
		}
		conn.Close()
	}
}

// TestTimeouts: connections are remembered as long as the RFCs ask.
func TestTimeouts(t *testing.T) { onAndOff(t, testTimeouts) }

func testTimeouts(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	for name, want := range map[string]string{
		"udp_timeout":                "300",  // RFC 4787 REQ-5
		"udp_timeout_stream":         "300",  //
		"tcp_timeout_established":    "7440", // RFC 5382 REQ-5: 2 h 4 min
		"tcp_timeout_unacknowledged": "7440", //
		"tcp_timeout_max_retrans":    "7440", //
		"tcp_timeout_syn_sent":       "240",  // RFC 5382 REQ-5: 4 min
		"tcp_timeout_fin_wait":       "240",  //
		"tcp_timeout_close":          "240",  // RFC 7857 section 2.2
		"icmp_timeout":               "60",   // RFC 5508 REQ-2
	} {
		n.in(t, func() error {
			got, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_" + name)
			if err == nil && strings.TrimSpace(string(got)) != want {
				t.Errorf("%s is %s, not %s", name, strings.TrimSpace(string(got)), want)
			}
			return err
		})
	}
}
