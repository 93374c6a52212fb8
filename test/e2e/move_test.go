package e2e

import (
	"net/netip"
	"testing"
	"time"
)

// TestTargetMovesUnderTraffic: what a DNAT entry leads to is changed while one and
// the same flow is at work. The new host answers it, and the old one never again.
func TestTargetMovesUnderTraffic(t *testing.T) { onAndOff(t, testTargetMovesUnderTraffic) }

func testTargetMovesUnderTraffic(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	ip := n.gatewayIP(t)
	for name, a := range map[string]string{"a": "172.16.1.10", "b": "172.16.1.11"} {
		h := n.host(t, 0, a)
		h.serveAs(t, "udp", "0.0.0.0:53", name)
		h.serveAs(t, "udp", "0.0.0.0:54", name+", port 54")
	}
	entry := n.dnat(t, ip, "53", "UDP", "172.16.1.10", "53")
	seen := g.internet.asks(t, netip.AddrPortFrom(ip, 53))
	seen.become(t, "a")
	for _, to := range []struct{ name, host, port string }{
		{"b", "172.16.1.11", "53"},
		{"b, port 54", "172.16.1.11", "54"},
		{"a", "172.16.1.10", "53"},
	} {
		before := seen.turns()
		n.call(t, "ModifyForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", entry, "InternalIp", to.host, "InternalPort", to.port)
		n.settled(t)
		seen.become(t, to.name)
		seen.keep(t, 5)
		if turns := seen.turns() - before; turns != 1 {
			t.Errorf("who answers has changed %d times: %s", turns, seen)
		}
	}
	n.shortened(t, 20)
}

// TestElasticIPMovesUnderTraffic: an elastic IP goes from one instance to another
// one of its VPC, to one of another VPC, and back, while a flow from outside and
// one from each instance are at work. It belongs to one instance at a time.
func TestElasticIPMovesUnderTraffic(t *testing.T) { onAndOff(t, testElasticIPMovesUnderTraffic) }

func testElasticIPMovesUnderTraffic(t *testing.T, g *gateway) {
	n, m := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24"), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	type owner struct {
		*host
		n    *network
		name string
	}
	owners := []owner{{n.host(t, 0, "172.16.1.10"), n, "first"}, {n.host(t, 0, "172.16.1.11"), n, "second"}, {m.host(t, 0, "172.16.1.10"), m, "in another VPC"}}
	echo := g.internet.echo(t, "udp")
	for _, o := range owners {
		o.serveAs(t, "udp", "0.0.0.0:53", o.name)
	}
	id, ip := n.eip(t)
	bind := func(o owner) {
		t.Helper()
		o.n.call(t, "AssociateEipAddress", "AllocationId", id, "InstanceType", "EcsInstance", "InstanceId", o.instance)
		o.n.settled(t)
	}
	unbind := func(o owner) {
		t.Helper()
		o.n.call(t, "UnassociateEipAddress", "AllocationId", id, "InstanceType", "EcsInstance", "InstanceId", o.instance)
		o.n.settled(t)
	}
	now := owners[0]
	bind(now)
	t.Cleanup(func() { unbind(now) })
	seen := g.internet.asks(t, netip.AddrPortFrom(ip, 53))
	seen.become(t, now.name)
	for _, next := range []owner{owners[1], owners[2], owners[0], owners[2]} {
		out := now.flow(t, echo)
		out.more(t, 10)
		out.lost(t, 0)
		now.n.shortened(t, 10)
		before := seen.turns()
		unbind(now)
		old := now
		now = next
		bind(now)
		seen.become(t, now.name)
		seen.keep(t, 5)
		if turns := seen.turns() - before; turns != 1 {
			t.Errorf("who answers has changed %d times: %s", turns, seen)
		}
		out.stopped(t)
		if at := now.seenAs(t, "udp", echo); at.Addr() != ip {
			t.Errorf("the instance that has the address is seen as %s", at)
		}
		if err := old.tryEcho("udp", echo, time.Second/4); err == nil {
			t.Error("the instance that had the address reaches the outside")
		}
	}
}
