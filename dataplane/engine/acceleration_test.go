package engine

import (
	"net/netip"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/sorted"
)

const acceleratedAt = "203.0.113.20"

// accelerate returns a network that has an elastic IP of its own, which calls the host of a
// VPC, and has the VPC ask for its end, too.
func (s *site) accelerate(t testing.TB, v *vpc) *vpc {
	t.Helper()
	n := s.network(t)
	host := netip.MustParseAddr(v.at())
	external := netip.MustParseAddr(acceleratedAt)
	n.Prefix, n.Switches, n.SNAT, n.NATGateways, n.DNAT = netip.PrefixFrom(host, 32), nil, nil, nil, sorted.Set[dataplane.DNAT]{}
	n.Elastic, n.Mappings = []netip.Addr{external}, []dataplane.Mapping{{External: external, Internal: host}}
	n.Shortcut = v.Shortcut
	n.RouterInterfaces = []dataplane.RouterInterface{{ID: n.ID + "-out", Peer: n.ID + "-in", Network: v.ID}}
	n.Routes = []dataplane.Route{{Destination: v.Switches[0].Prefix, NextHops: []dataplane.NextHop{{Interface: n.ID + "-out"}}}}
	v.renew()
	v.RouterInterfaces = append(v.RouterInterfaces, dataplane.RouterInterface{ID: n.ID + "-in", Peer: n.ID + "-out", Network: n.ID, Public: true})
	return &vpc{Network: n}
}

// A host that the outside calls by another network's elastic IP sees who calls, and its
// answers go back by that network, though its own leads to the outside as well.
func TestPublicInterface(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, shortcut bool) {
		s := newSite(t)
		e := s.engine(t)
		v := s.vpc(t, e, 2, shortcut)
		n := v.renew()
		n.Uplink = &dataplane.Uplink{Mode: dataplane.UplinkBridge, Device: "pub0", Prefix: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("203.0.113.1")}
		own := netip.MustParseAddr("203.0.113.10")
		n.Elastic, n.SNAT = []netip.Addr{own}, []dataplane.SNAT{{Source: n.Prefix, Pool: []netip.Addr{own}}}
		n.NATGateways = []dataplane.NATGateway{{ID: "ngw-a", Elastic: n.Elastic}}
		n.Routes = []dataplane.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}}
		mustApply(t, e, n)
		nstest.Listen(t, v.host, 9)
		nstest.Listen(t, s.public, 9)
		g := s.accelerate(t, v)
		mustApply(t, e, g.Network)
		mustApply(t, e, v.Network)
		nstest.Eventually(t, func() error {
			followChanges(t, e, v, g)
			_, err := nstest.Seen(s.public, "tcp4", acceleratedAt+":9")
			return err
		})
		for _, network := range []string{"tcp4", "udp4"} {
			if seen, err := nstest.Seen(s.public, network, acceleratedAt+":9"); err != nil || seen != "203.0.113.1" {
				t.Errorf("%s: the host sees %q, %v", network, seen, err)
			}
			if seen, err := nstest.Seen(v.host, network, "203.0.113.1:9"); err != nil || seen != "203.0.113.10" {
				t.Errorf("%s: what the host begins is seen from %q, %v", network, seen, err)
			}
		}
		other := nstest.NewMeter(t, s.public, dataplane.LinkName(v.ID), false)
		before, _ := other.Read()
		nstest.Stream(t, s.public, acceleratedAt+":8080", 1<<20)
		nstest.Datagrams(t, s.public, acceleratedAt+":8080", 100, 1400)
		nstest.Ping(t, s.public, acceleratedAt, 56, 1400)
		if after, _ := other.Read(); after-before > 1000 { // ARP
			t.Errorf("%d bytes left by the VPC's own way", after-before)
		}

		// It goes, and so do open connections.
		open := nstest.MustDial(t, s.public, "tcp4", acceleratedAt+":9")
		if _, err := nstest.AskWithin(open, nstest.Deadline); err != nil {
			t.Fatal(err)
		}
		v.renew().RouterInterfaces = nil
		mustApply(t, e, v.Network)
		g.renew().RouterInterfaces = nil
		mustApply(t, e, g.Network)
		if said, err := nstest.Ask(open); err == nil {
			t.Errorf("an open connection is still answered, with %q", said)
		}
	})
}
