package compile

import (
	"cmp"
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// routes are the VPC's route entries, by destination. A next hop that is
// not there (any more) is left out, and with its last one the entry.
func (j *job) routes() error {
	v, n := j.v, j.network
	var out []dataplane.Route
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
			return cmp.Or(a.Via.Compare(b.Via), cmp.Compare(a.Weight, b.Weight))
		})
		r.NextHops = slices.CompactFunc(r.NextHops, func(a, b dataplane.NextHop) bool { return a.Via == b.Via })
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b dataplane.Route) int { return a.Destination.Compare(b.Destination) })
	n.Routes = slices.CompactFunc(out, func(a, b dataplane.Route) bool { return a.Destination == b.Destination })
	return nil
}

func nextHop(v *state.View, n *dataplane.Network, h resource.NextHop) (dataplane.NextHop, bool) {
	switch h.Type {
	case resource.NextHopNATGateway:
		g, ok := v.NATGateways.Get(h.ID)
		return dataplane.NextHop{Uplink: true}, ok && g.VPC == n.ID && n.Uplink != nil
	case resource.NextHopVPNGateway:
		return dataplane.NextHop{VPN: true}, n.VPN != nil && n.VPN.ID == h.ID
	case resource.NextHopHost, resource.NextHopVirtualIP:
		i, ok := v.Instances.Get(h.ID)
		if !ok || i.VPC != n.ID || !onLink(n, i) {
			return dataplane.NextHop{}, false
		}
		return dataplane.NextHop{Via: i.PrivateIP, Weight: h.Weight}, true
	}
	return dataplane.NextHop{}, false
}

// onLink says whether the instance's address is in one of the switches: the
// kernel refuses a next hop that it can't reach directly.
func onLink(n *dataplane.Network, i *resource.Instance) bool {
	h := hosts{switches: n.Switches}
	return h.contains(i.PrivateIP)
}
