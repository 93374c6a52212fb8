package compile

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// routes are the entries of the VPC's route tables: of its own one, and of those that a
// VSwitch is bound to. A next hop that is not there (any more) is left out, and with its
// last one the entry; but not a router interface: what it leads to may not be reached by
// another entry while it is not connected.
func (j *job) routes() error {
	v, n := j.v, j.network
	entries, bound := map[string][]dataplane.Route{}, map[string][]string{}
	for sw := range v.VSwitches.By(state.ByVPC, n.ID).All() {
		if t := sw.RouteTable; t != "" && t != j.vpc.RouteTable {
			bound[t] = append(bound[t], sw.ID)
		}
	}
	for e := range v.RouteEntries.By(state.ByVPC, n.ID).All() {
		r := dataplane.Route{Destination: e.Destination}
		for _, h := range e.NextHops {
			if hop, ok := nextHop(v, n, h); ok {
				r.NextHops = append(r.NextHops, hop)
			}
		}
		if len(r.NextHops) == 0 {
			continue
		}
		slices.SortFunc(r.NextHops, func(a, b dataplane.NextHop) int {
			return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Via.Compare(b.Via), cmp.Compare(a.Weight, b.Weight))
		})
		r.NextHops = slices.CompactFunc(r.NextHops, func(a, b dataplane.NextHop) bool { return a.Interface == b.Interface && a.Via == b.Via })
		entries[e.Table] = append(entries[e.Table], r)
	}
	n.Routes, n.Tables = byDestination(entries[j.vpc.RouteTable]), nil
	for _, id := range slices.Sorted(maps.Keys(bound)) {
		slices.Sort(bound[id])
		n.Tables = append(n.Tables, dataplane.RouteTable{ID: id, Switches: bound[id], Routes: byDestination(entries[id])})
	}
	return nil
}

// byDestination sorts routes; of those to one destination the first counts.
func byDestination(list []dataplane.Route) []dataplane.Route {
	slices.SortStableFunc(list, func(a, b dataplane.Route) int { return a.Destination.Compare(b.Destination) })
	return slices.CompactFunc(list, func(a, b dataplane.Route) bool { return a.Destination == b.Destination })
}

func nextHop(v *state.View, n *dataplane.Network, h resource.NextHop) (dataplane.NextHop, bool) {
	switch h.Type {
	case resource.NextHopNATGateway:
		g, ok := v.NATGateways.Get(h.ID)
		return dataplane.NextHop{Uplink: true}, ok && g.VPC == n.ID && n.Uplink != nil
	case resource.NextHopVPNGateway:
		return dataplane.NextHop{VPN: h.ID}, slices.ContainsFunc(n.VPNGateways, func(g dataplane.VPNGateway) bool { return g.ID == h.ID })
	case resource.NextHopRouterInterface:
		return dataplane.NextHop{Interface: h.ID, Weight: h.Weight}, true
	case resource.NextHopHost:
		i, ok := v.Instances.Get(h.ID)
		if !ok || i.VPC != n.ID || !onLink(n, i.PrivateIP) {
			return dataplane.NextHop{}, false
		}
		return dataplane.NextHop{Via: i.PrivateIP, Weight: h.Weight}, true
	case resource.NextHopVirtualIP:
		x, ok := v.HaVips.Get(h.ID)
		if !ok || x.VPC != n.ID || !onLink(n, x.PrivateIP) {
			return dataplane.NextHop{}, false
		}
		return dataplane.NextHop{Via: x.PrivateIP, Weight: h.Weight}, true
	}
	return dataplane.NextHop{}, false
}

// onLink says whether an address is in one of the switches: the kernel refuses a next hop
// that it can't reach directly.
func onLink(n *dataplane.Network, a netip.Addr) bool {
	h := hosts{switches: n.Switches}
	return h.contains(a)
}
