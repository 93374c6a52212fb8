package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestPortRange: of an entry for several ports each leads to the one in its place, of its
// protocol, and the ports beside them to nothing; and they go with the entry.
func TestPortRange(t *testing.T) { onAndOff(t, testPortRange) }

func testPortRange(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	ip := n.gatewayIP(t)
	h := n.host(t, 0, "172.16.1.10")
	const first, firstInside, ports = 10000, 7000, 5
	for i := range ports {
		for _, proto := range []string{"tcp", "udp"} {
			h.serveAs(t, proto, fmt.Sprintf("0.0.0.0:%d", firstInside+i), fmt.Sprintf("%s-%d", proto, i))
		}
	}
	outside := fmt.Sprintf("%d/%d", first, first+ports-1)
	inside := fmt.Sprintf("%d/%d", firstInside, firstInside+ports-1)
	entry := n.dnat(t, ip, outside, "TCP", "172.16.1.10", inside)
	n.dnat(t, ip, outside, "UDP", "172.16.1.10", inside)
	to := func(i int) netip.AddrPort { return netip.AddrPortFrom(ip, uint16(first+i)) }
	for i := range ports {
		for _, proto := range []string{"tcp", "udp"} {
			if got, want := g.internet.ask(t, proto, to(i)), fmt.Sprintf("%s-%d", proto, i); got != want {
				t.Errorf("port %s is answered by %s, not %s", to(i), got, want)
			}
			if got, want := h.ask(t, proto, to(i)), fmt.Sprintf("%s-%d", proto, i); got != want { // hairpin
				t.Errorf("from inside, port %s is answered by %s, not %s", to(i), got, want)
			}
		}
	}
	for _, i := range []int{-1, ports} {
		if err := g.internet.tryEcho("tcp", to(i), time.Second/2); err == nil {
			t.Errorf("port %s, beside the range, is answered", to(i))
		}
	}

	// A long connection, which takes the shortcut, ends with its port of the range.
	f := g.internet.flow(t, to(ports-1))
	f.more(t, 20)
	n.call(t, "ModifyForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", entry,
		"ExternalPort", fmt.Sprintf("%d/%d", first, first+1), "InternalPort", fmt.Sprintf("%d/%d", firstInside+1, firstInside+2))
	n.settled(t)
	f.stopped(t)
	for i := range ports {
		if i < 2 {
			if got, want := g.internet.ask(t, "tcp", to(i)), fmt.Sprintf("tcp-%d", i+1); got != want {
				t.Errorf("after the change, port %s is answered by %s, not %s", to(i), got, want)
			}
			continue
		}
		if err := g.internet.tryEcho("tcp", to(i), time.Second/4); err == nil {
			t.Errorf("after the change, port %s is answered", to(i))
		}
	}
}

// TestSharedPorts: an address that a DNAT entry shares serves SNAT, too. Hosts go out by
// it, also from the port that is forwarded, and who calls that reaches the server.
func TestSharedPorts(t *testing.T) { onAndOff(t, testSharedPorts) }

func testSharedPorts(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	ip := n.gatewayIP(t)
	server, h := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11")
	server.serveAs(t, "tcp", "0.0.0.0:80", "server")
	server.serveAs(t, "udp", "0.0.0.0:80", "server")
	n.snat(t, "SourceVSwitchId", n.switches[0], ip)
	for _, proto := range []string{"TCP", "UDP"} {
		entry := n.call(t, "CreateForwardEntry", "ForwardTableId", n.forwardTable, "ExternalIp", ip.String(), "ExternalPort", "8080",
			"IpProtocol", proto, "InternalIp", "172.16.1.10", "InternalPort", "80", "PortBreak", "true")["ForwardEntryId"].(string)
		t.Cleanup(func() { n.call(t, "DeleteForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", entry) })
		n.settled(t)
	}
	called := netip.AddrPortFrom(ip, 8080)
	for _, proto := range []string{"tcp", "udp"} {
		for range 3 {
			if got := h.seenAs(t, proto, g.internet.echo(t, proto)); got.Addr() != ip {
				t.Errorf("%s: a host is seen as %s, not %s", proto, got, ip)
			}
			if got := g.internet.ask(t, proto, called); got != "server" {
				t.Errorf("%s: %s is answered by %s", proto, called, got)
			}
			if got := h.ask(t, proto, called); got != "server" {
				t.Errorf("%s from inside: %s is answered by %s", proto, called, got)
			}
		}
	}
}

// TestAffinity: whatever EipAffinity says, a host keeps its address of the pool, over
// protocols and destinations, and shows the flag as it was given.
func TestAffinity(t *testing.T) { onAndOff(t, testAffinity) }

func testAffinity(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
	n.gateway(t)
	pool := n.gatewayIP(t).String() + "," + n.gatewayIP(t).String() + "," + n.gatewayIP(t).String()
	h := n.host(t, 0, "10.1.1.10")
	entry := n.call(t, "CreateSnatEntry", "SnatTableId", n.snatTable, "SourceVSwitchId", n.switches[0], "SnatIp", pool, "EipAffinity", "1")["SnatEntryId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteSnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", entry) })
	n.settled(t)
	kept := netip.Addr{}
	for _, affinity := range []string{"1", "0"} {
		n.call(t, "ModifySnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", entry, "EipAffinity", affinity)
		n.settled(t)
		for range 12 {
			for _, proto := range []string{"tcp", "udp"} {
				got := h.seenAs(t, proto, g.internet.echo(t, proto)).Addr()
				if !kept.IsValid() {
					kept = got
				}
				if got != kept {
					t.Errorf("affinity %s: seen as %s, then as %s", affinity, kept, got)
				}
			}
		}
	}
}

// TestEchoReply: elastic IPs of a NAT gateway answer pings from the outside if it is to,
// also a ping that goes on; to anything else they are silent. What a DNAT entry forwards
// is its host's to answer.
func TestEchoReply(t *testing.T) { onAndOff(t, testEchoReply) }

func testEchoReply(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	ip, forwarded := n.gatewayIP(t), n.gatewayIP(t)
	n.host(t, 0, "172.16.1.10")
	n.dnat(t, forwarded, "Any", "Any", "172.16.1.10", "Any")
	p := g.internet.pinger(t, ip, 4711)
	silent := func(when string) {
		t.Helper()
		if err := p.once(); err == nil {
			t.Errorf("%s: %s answers pings", when, ip)
		}
	}
	silent("as it was made")
	for range 2 {
		n.call(t, "ModifyNatGatewayAttribute", "NatGatewayId", n.nat, "IcmpReplyEnabled", "true")
		n.settled(t)
		p.answered(t)
		g.internet.ping(t, forwarded)
		if err := g.internet.tryEcho("udp", netip.AddrPortFrom(ip, 4444), time.Second/4); err == nil || !isTimeout(err) {
			t.Errorf("a port that nothing forwards: %v", err)
		}
		n.call(t, "ModifyNatGatewayAttribute", "NatGatewayId", n.nat, "IcmpReplyEnabled", "false")
		n.settled(t)
		silent("turned off")
	}
}
