package e2e

import (
	"net/netip"
	"testing"
	"time"
)

// TestSpecChangeUnderTraffic: a new specification drops no packet.
func TestSpecChangeUnderTraffic(t *testing.T) { onAndOff(t, testSpecChangeUnderTraffic) }

func testSpecChangeUnderTraffic(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	h := n.host(t, 0, "172.16.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	f := h.flow(t, g.internet.echo(t, "udp"))
	for _, spec := range []string{"Middle", "Large", "Small"} {
		n.call(t, "ModifyNatGatewaySpec", "NatGatewayId", n.nat, "Spec", spec)
		n.settled(t)
		f.more(t, 50)
	}
	f.lost(t, 0)
	n.shortened(t, 200)
}

// TestUnrelatedChangesUnderTraffic: entries that come and go beside an open
// connection don't touch it.
func TestUnrelatedChangesUnderTraffic(t *testing.T) { onAndOff(t, testUnrelatedChangesUnderTraffic) }

func testUnrelatedChangesUnderTraffic(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	n.gateway(t)
	h := n.host(t, 0, "172.16.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	other := n.gatewayIP(t)
	in, out := h.flow(t, g.internet.echo(t, "udp")), h.flow(t, g.internet.echo(t, "tcp"))
	for range 10 {
		dnat := n.dnat(t, other, "80", "TCP", "172.16.1.77", "80")
		in.more(t, 5)
		n.call(t, "DeleteForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", dnat)
		out.more(t, 5)
	}
	spare := n.gatewayIP(t)
	snat := n.snat(t, "SourceVSwitchId", n.switches[1], spare)
	n.call(t, "DeleteSnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", snat)
	n.settled(t)
	in.more(t, 20)
	out.more(t, 20)
	in.lost(t, 0)
	out.lost(t, 0)
	n.shortened(t, 150)
}

// TestDeletionUnderTraffic: what is deleted stops, open connections included,
// and what leaves meanwhile never has a private source (see the watch on the
// public side, which runs through all tests).
func TestDeletionUnderTraffic(t *testing.T) { onAndOff(t, testDeletionUnderTraffic) }

func testDeletionUnderTraffic(t *testing.T, g *gateway) {
	t.Run("SNAT entry", func(t *testing.T) {
		n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
		n.gateway(t)
		h := n.host(t, 0, "172.16.1.10")
		entry := n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
		f := h.flow(t, g.internet.echo(t, "udp"))
		f.more(t, 20)
		f.lost(t, 0)
		n.shortened(t, 30)
		n.call(t, "DeleteSnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", entry)
		n.settled(t)
		f.stopped(t)
	})
	t.Run("DNAT entry", func(t *testing.T) {
		n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
		n.gateway(t)
		ip := n.gatewayIP(t)
		h := n.host(t, 0, "172.16.1.10")
		h.serve(t, "udp", "0.0.0.0:53")
		entry := n.dnat(t, ip, "53", "UDP", "172.16.1.10", "53")
		f := g.internet.flow(t, netip.AddrPortFrom(ip, 53))
		f.more(t, 20)
		f.lost(t, 0)
		n.shortened(t, 30)
		n.call(t, "DeleteForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", entry)
		n.settled(t)
		f.stopped(t)
	})
	t.Run("elastic IP", func(t *testing.T) {
		n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
		h := n.host(t, 0, "172.16.1.10")
		id, ip := n.eip(t)
		n.bind(t, id, "EcsInstance", h.instance)
		h.serve(t, "udp", "0.0.0.0:53")
		in, out := g.internet.flow(t, netip.AddrPortFrom(ip, 53)), h.flow(t, g.internet.echo(t, "udp"))
		in.more(t, 20)
		out.more(t, 20)
		n.shortened(t, 60)
		n.call(t, "UnassociateEipAddress", "AllocationId", id, "InstanceType", "EcsInstance", "InstanceId", h.instance)
		n.settled(t)
		in.stopped(t)
		out.stopped(t)
	})
	t.Run("NAT gateway by force", func(t *testing.T) {
		n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
		n.gateway(t)
		h := n.host(t, 0, "172.16.1.10")
		n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
		f := h.flow(t, g.internet.echo(t, "udp"))
		f.more(t, 20)
		n.shortened(t, 30)
		n.call(t, "DeleteNatGateway", "NatGatewayId", n.nat, "Force", "true")
		n.settled(t)
		f.stopped(t)
	})
}

// TestRestartUnderTraffic: the daemon is killed and started again; no packet
// of an open connection is lost, meanwhile and after.
func TestRestartUnderTraffic(t *testing.T) { onAndOff(t, testRestartUnderTraffic) }

func testRestartUnderTraffic(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	snat, dnat := n.gatewayIP(t), n.gatewayIP(t)
	h, own := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)
	n.dnat(t, dnat, "53", "UDP", "172.16.1.10", "53")
	id, eip := n.eip(t)
	n.bind(t, id, "EcsInstance", own.instance)
	h.serve(t, "udp", "0.0.0.0:53")
	own.serve(t, "tcp", "0.0.0.0:80")

	flows := []*flow{
		h.flow(t, g.internet.echo(t, "udp")),
		h.flow(t, g.internet.echo(t, "tcp")),
		g.internet.flow(t, netip.AddrPortFrom(dnat, 53)),
		g.internet.flow(t, netip.AddrPortFrom(eip, 80)),
	}
	stop := background(t, func() {
		for _, f := range flows {
			f.more(t, 1)
		}
	})
	g.killDaemon(t)
	for _, f := range flows {
		f.more(t, 20) // while it is dead
	}
	g.startDaemon(t)
	n.settled(t)
	stop()
	for _, f := range flows {
		f.more(t, 20)
		f.lost(t, 0)
	}
	n.shortened(t, 100)
	// It is the same gateway as before: new connections work, and are changed by calls.
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != snat {
		t.Errorf("after the restart: seen as %s, not %s", got, snat)
	}
	h.serve(t, "udp", "0.0.0.0:54")
	n.dnat(t, dnat, "54", "UDP", "172.16.1.10", "54")
	if got := g.internet.seenAs(t, "udp", netip.AddrPortFrom(dnat, 54)); got.Addr() != g.internet.addr {
		t.Errorf("an entry made after the restart: the server saw %s", got)
	}
}

// TestSelfHealing: what somebody else breaks in the namespace is put right.
func TestSelfHealing(t *testing.T) { onAndOff(t, testSelfHealing) }

func testSelfHealing(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	snat, dnat := n.gatewayIP(t), n.gatewayIP(t)
	h := n.host(t, 0, "172.16.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)
	n.dnat(t, dnat, "80", "TCP", "172.16.1.10", "80")
	h.serve(t, "tcp", "0.0.0.0:80")
	works := func() string {
		if got, err := h.trySeenAs("tcp", g.internet.echo(t, "tcp"), time.Second/4); err != nil {
			return err.Error()
		} else if got.Addr() != snat {
			return "seen as " + got.String()
		}
		return errorText(g.internet.tryEcho("tcp", netip.AddrPortFrom(dnat, 80), time.Second/4))
	}
	eventually(t, "before anything is broken", works)
	for _, damage := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"nft flush ruleset", n.flushRuleset},
		{"deleted elastic IP", func(t *testing.T) { n.deleteAddress(t, "public", snat) }},
		{"deleted gateway address of the VSwitch", func(t *testing.T) { n.deleteAddress(t, n.switches[0], netip.MustParseAddr("172.16.1.253")) }},
		{"deleted default route", n.deleteDefaultRoutes},
		{"deleted routing rules", n.deleteRules},
		{"uplink down", func(t *testing.T) { n.linkDown(t, "public") }},
		{"deleted uplink", func(t *testing.T) { n.deleteLink(t, "public") }},
		{"deleted VSwitch", func(t *testing.T) { n.deleteLink(t, n.switches[0]) }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			damage.do(t)
			eventually(t, "after "+damage.name, works)
		})
	}
	g.logged(t, n.vpc, "repaired")
}

// TestDeletedNamespace: even the whole namespace comes back, with everything
// in it but the hosts' plugs, which were not the gateway's.
func TestDeletedNamespace(t *testing.T) { onAndOff(t, testDeletedNamespace) }

func testDeletedNamespace(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	n.deleteNamespace(t)
	eventually(t, "namespace", func() string {
		if err := n.hasTable(); err != nil {
			return err.Error()
		}
		return ""
	})
}
