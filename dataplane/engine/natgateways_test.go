package engine

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
)

// withSecondGateway gives the network a gateway ngw-b, by which the hosts of vsw-b go, and
// through which the outside calls port 81 of 10.0.1.5.
func withSecondGateway(n *dataplane.Network) {
	addr := netip.MustParseAddr
	own, other := addr("203.0.113.12"), addr("203.0.113.13")
	n.Elastic = append(n.Elastic, own, other)
	n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix("10.0.2.0/24"), Pool: []netip.Addr{own}})
	n.NATGateways = append(n.NATGateways, dataplane.NATGateway{ID: "ngw-b", Elastic: []netip.Addr{own, other}})
	n.DNAT = sorted.Of(append(n.DNAT.Slice(), dataplane.DNAT{External: other, Protocol: 6, ExternalPort: 81, Internal: addr("10.0.1.5"), InternalPort: 8080})...)
}

// gatewayCounts is what was counted of a gateway, without volumes.
type gatewayCounts struct {
	SNAT, DNAT dataplane.Sessions
	Refused    uint64
	Hosts      string
}

func countsOf(t *dataplane.Traffic) map[string]gatewayCounts {
	out := map[string]gatewayCounts{}
	for _, g := range t.Gateways {
		c := gatewayCounts{SNAT: g.Sessions[0], DNAT: g.Sessions[1]}
		for _, r := range g.Refused {
			c.Refused += r.Count
		}
		for _, a := range t.Addresses {
			if a.Gateway == g.ID {
				c.Hosts += fmt.Sprintf("%s ", a.Address)
			}
		}
		out[g.ID] = c
	}
	return out
}

// checkSums checks that the network's volumes are those of its gateways, and that those
// of a gateway are its hosts'.
func checkSums(t *testing.T, traffic *dataplane.Traffic) {
	t.Helper()
	var out, in dataplane.Volume
	for _, g := range traffic.Gateways {
		var hostsOut, hostsIn dataplane.Volume
		for _, a := range traffic.Addresses {
			if a.Gateway == g.ID {
				hostsOut = dataplane.Volume{Bytes: hostsOut.Bytes + a.Outbound.Bytes, Packets: hostsOut.Packets + a.Outbound.Packets}
				hostsIn = dataplane.Volume{Bytes: hostsIn.Bytes + a.Inbound.Bytes, Packets: hostsIn.Packets + a.Inbound.Packets}
			}
		}
		if g.Outbound != hostsOut || g.Inbound != hostsIn {
			t.Errorf("gateway %q has %+v and %+v, its hosts %+v and %+v", g.ID, g.Outbound, g.Inbound, hostsOut, hostsIn)
		}
		out = dataplane.Volume{Bytes: out.Bytes + g.Outbound.Bytes, Packets: out.Packets + g.Outbound.Packets}
		in = dataplane.Volume{Bytes: in.Bytes + g.Inbound.Bytes, Packets: in.Packets + g.Inbound.Packets}
	}
	if traffic.Outbound != out || traffic.Inbound != in {
		t.Errorf("the network has %+v and %+v, its gateways %+v and %+v", traffic.Outbound, traffic.Inbound, out, in)
	}
}

// Two gateways of one network: each holds its own limit, and what is sent and received
// counts with the one by which it goes, whichever path it takes; also with a daemon that
// has just been started, and when one of them goes away.
func TestTwoNATGateways(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		s := newSite(t)
		n := s.network(t)
		n.Shortcut = on
		withSecondGateway(n)
		limit(n, dataplane.Limits{Connections: 2})
		e := s.engine(t)
		mustApply(t, e, n)
		space := dataplane.Namespace(n.ID)
		a := nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
		b := nstest.Host(t, space, "vsw-b", "10.0.2.6/24", "10.0.2.253")
		nstest.Listen(t, a, 8080)
		nstest.Listen(t, s.public, 9000)
		nstest.Ping(t, a, "10.0.1.253", 1)
		nstest.Ping(t, b, "10.0.2.253", 1)
		// Whoever is dialled is known to the gateway before.
		nstest.Ping(t, inNetwork(t, n.ID), "203.0.113.1", 1)
		talk := func(c net.Conn, times int) {
			t.Helper()
			for range times {
				nstest.Eventually(t, func() error { _, err := nstest.Ask(c); return err })
			}
		}
		var conns []net.Conn
		for _, from := range []*netns.Namespace{a, a, b, b, b} {
			c := nstest.MustDial(t, from, "tcp4", "203.0.113.1:9000")
			talk(c, 20)
			conns = append(conns, c)
		}
		inbound := nstest.MustDial(t, s.public, "tcp4", "203.0.113.13:81")
		talk(inbound, 20)
		first := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80")
		talk(first, 20)

		// The first is full, the second is not.
		if c, err := nstest.Dial(a, "tcp4", "203.0.113.1:9000"); err == nil {
			c.Close()
			t.Error("a connection beyond the limit of its gateway was let in")
		}
		talk(nstest.MustDial(t, b, "tcp4", "203.0.113.1:9000"), 1)
		want := map[string]gatewayCounts{
			"":      {SNAT: dataplane.Sessions{Kind: dataplane.SessionSNAT}, DNAT: dataplane.Sessions{Kind: dataplane.SessionDNAT}},
			"ngw-a": {SNAT: dataplane.Sessions{Kind: dataplane.SessionSNAT, Open: 2, Opened: 2}, DNAT: dataplane.Sessions{Kind: dataplane.SessionDNAT, Open: 1, Opened: 1}, Hosts: "10.0.1.5 "},
			"ngw-b": {SNAT: dataplane.Sessions{Kind: dataplane.SessionSNAT, Open: 4, Opened: 4}, DNAT: dataplane.Sessions{Kind: dataplane.SessionDNAT, Open: 1, Opened: 1}, Hosts: "10.0.1.5 10.0.2.6 "},
		}
		check := func() {
			t.Helper()
			got := countsOf(traffic(t, e, n.ID))
			if refused := got["ngw-a"]; refused.Refused == 0 {
				t.Errorf("nothing was refused: %+v", got)
			} else {
				refused.Refused = 0 // a SYN is sent again
				got["ngw-a"] = refused
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("gateways (-want +got):\n%s", d)
			}
			checkSums(t, traffic(t, e, n.ID))
		}
		check()
		before := traffic(t, e, n.ID)

		// What goes on counts with the gateway by which it began, also with the next daemon.
		e.Close()
		e = s.engine(t)
		mustApply(t, e, n)
		talk(inbound, 10)
		check()
		after := traffic(t, e, n.ID)
		if before.Gateways[1].Inbound != after.Gateways[1].Inbound || before.Gateways[2].Inbound == after.Gateways[2].Inbound {
			t.Errorf("before %+v\nafter %+v", before.Gateways, after.Gateways)
		}

		// Without the first the second goes on, and the network's counters with it.
		less := *n
		less.Revision++
		less.Elastic, less.NATGateways = n.Elastic[2:], n.NATGateways[1:]
		less.SNAT, less.DNAT = n.SNAT[1:], sorted.Of(n.DNAT.Slice()[1:]...)
		mustApply(t, e, &less)
		for _, c := range conns[2:] {
			talk(c, 1)
		}
		talk(inbound, 1)
		got := traffic(t, e, n.ID)
		if c := countsOf(got); len(c) != 2 || c["ngw-b"] != want["ngw-b"] {
			t.Errorf("without the first: %+v", c)
		}
		if got.Outbound.Bytes <= after.Outbound.Bytes || got.Sessions[0].Opened != 6 {
			t.Errorf("the network's counters went back: %+v, before %+v", got, after)
		}
		nstest.Eventually(t, func() error {
			if got := traffic(t, e, n.ID); got.Sessions[0].Open != 4 {
				return fmt.Errorf("%d SNAT sessions are open of a gateway that is gone", got.Sessions[0].Open-4)
			}
			return nil
		})
	})
}
