package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// The number of hops that an entry with a list has.
const hopsMin, hopsMax = 2, 4

// unroutable are destinations that no packet is forwarded to: "this network",
// loopback, addresses of the link, multicast and the reserved rest (RFC 6890).
var unroutable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

// Unroutable returns them.
func Unroutable() []netip.Prefix { return slices.Clone(unroutable) }

// checkDestination refuses what no route of a client's may have, and what is reached
// directly.
func checkDestination(v *state.View, vpc *resource.VPC, p netip.Prefix) error {
	if err := Routable(p); err != nil {
		return err
	}
	return NotDirect(v, vpc.ID, p)
}

// NotDirect refuses a destination that equals, or lies in, the block of one of a VPC's
// VSwitches or the pool of the clients of an SSL-VPN server: what is there is reached
// directly, so that no packet would ever take the route. A destination that contains one is
// accepted, as 0.0.0.0/0 is an example of the documents: the block has the longer prefix.
// Reason: RouteDestination.
func NotDirect(v *state.View, vpc string, p netip.Prefix) error {
	for x := range v.VSwitches.By(state.ByVPC, vpc).All() {
		if within(p, x.CIDR) {
			return fault.Explained(fault.RouteDestination, "%s lies in %s of VSwitch %s, which no route leads away from", p, x.CIDR, x.ID)
		}
	}
	for x := range v.SSLServers.By(state.ByVPC, vpc).All() {
		if within(p, x.Pool) {
			return fault.Explained(fault.RouteDestination, "%s lies in %s, the addresses of the clients of SSL-VPN server %s, which no route leads away from", p, x.Pool, x.ID)
		}
	}
	return nil
}

// LedInto says which route of a VPC leads into a block, whole or a part of it, if one does:
// a custom entry, or a VPN gateway's. Where the block is reached directly, no packet would
// take that any more.
func LedInto(v *state.View, vpc string, block netip.Prefix) (what string, found bool) {
	for e := range v.RouteEntries.By(state.ByVPC, vpc).All() {
		if within(e.Destination, block) {
			return fmt.Sprintf("a route entry, %s", e.Destination), true
		}
	}
	for r := range v.VPNRoutes.By(state.ByVPC, vpc).All() {
		if within(r.Destination, block) {
			return fmt.Sprintf("a route of VPN gateway %s, %s", r.Gateway, r.Destination), true
		}
	}
	return "", false
}

// Routable refuses destinations that no route of a client's may have, whatever
// it leads to. Reason: RouteDestination.
func Routable(p netip.Prefix) error {
	if within(p, CarrierGrade) {
		return fault.Explained(fault.RouteDestination, "%s lies in %s, which is for the cloud's own services", p, CarrierGrade)
	}
	for _, n := range unroutable {
		if within(p, n) {
			return fault.Explained(fault.RouteDestination, "%s lies in %s, where nothing can be routed", p, n)
		}
	}
	return nil
}

// isDerived says whether p is the destination of an entry of a table that is not stored.
func isDerived(v *state.View, vpc *resource.VPC, table string, p netip.Prefix) bool {
	if p == CarrierGrade {
		return true
	}
	for x := range v.VSwitches.By(state.ByVPC, vpc.ID).All() {
		if x.CIDR == p {
			return true
		}
	}
	return table == vpc.RouteTable && isPublished(v, vpc.ID, p)
}

// isPublished says whether a VPN gateway has published a route for p.
func isPublished(v *state.View, vpc string, p netip.Prefix) bool {
	return v.VPNRoutes.By(state.ByPublished, state.PublishedKey(vpc, p)).Len() > 0
}

// nextHops returns the next hops of a new entry.
//
// Reasons: ParameterNotApplicable, NextHopListSize, NextHopRouterInterface,
// NextHopOpposite, NextHopListed, NextHopBothNull, NextHopMissing, and those of
// nextHop.
func nextHops(v *state.View, vpc *resource.VPC, in NewRouteEntry) ([]resource.NextHop, error) {
	if len(in.NextHops) > 0 {
		if in.NextHopType != "" || in.NextHopID != "" {
			return nil, fault.New(fault.ParameterNotApplicable, "name one next hop or a list of them, not both")
		}
		hops := slices.Clone(in.NextHops)
		for i := range hops {
			hops[i].Type = resource.NextHopRouterInterface
		}
		return hops, hopList(v, vpc, in.NextHops)
	}
	if in.NextHopID == "" {
		if in.NextHopType == "" {
			return nil, fault.New(fault.NextHopBothNull, "name a next hop or a list of them")
		}
		return nil, fault.New(fault.NextHopMissing, "name the next hop of type %s", in.NextHopType)
	}
	h := resource.NextHop{Type: cmp.Or(in.NextHopType, resource.NextHopHost), ID: in.NextHopID}
	return []resource.NextHop{h}, nextHop(v, vpc, h)
}

// hopList refuses a list of next hops that are not router interfaces of the VPC which lead
// to border routers.
func hopList(v *state.View, vpc *resource.VPC, hops []resource.NextHop) error {
	if len(hops) < hopsMin || len(hops) > hopsMax {
		return fault.New(fault.NextHopListSize, "%d next hops; a list has %d to %d", len(hops), hopsMin, hopsMax)
	}
	seen := make(map[string]bool)
	for _, h := range hops {
		if seen[h.ID] {
			return fault.New(fault.NextHopRouterInterface, "next hop %s is listed twice", h.ID)
		}
		seen[h.ID] = true
	}
	for _, h := range hops {
		if i, ok := v.Instances.Get(h.ID); ok && i.VPC == vpc.ID || h.Type != "" && h.Type != resource.NextHopRouterInterface {
			return fault.New(fault.NextHopOpposite, "next hop %s is no router interface to a VBR", h.ID)
		}
	}
	for _, h := range hops {
		r, ok := v.RouterInterfaces.Get(h.ID)
		if !ok || r.VPC != vpc.ID {
			return fault.New(fault.NextHopListed, "router interface %q in VPC %s", h.ID, vpc.ID)
		}
		if r.Opposite.RouterKind != resource.BorderRouter {
			return fault.New(fault.NextHopOpposite, "router interface %s leads to a VPC's router, not to a VBR", h.ID)
		}
	}
	return nil
}

// nextHop refuses a next hop that is not there, not in the VPC, or not in a
// state to forward.
//
// Reasons: InstanceNotFound, InstanceStatus, HaVipNotFound, NextHopNotFound.
func nextHop(v *state.View, vpc *resource.VPC, h resource.NextHop) error {
	switch h.Type {
	case resource.NextHopHost:
		i, ok := v.Instances.Get(h.ID)
		if !ok || i.VPC != vpc.ID || i.Type != resource.Host {
			return fault.New(fault.InstanceNotFound, "instance %q in VPC %s", h.ID, vpc.ID)
		}
		if !i.Usable() {
			return fault.New(fault.InstanceStatus, "instance %s is %s, not Running or Stopped", i.ID, i.State)
		}
	case resource.NextHopVirtualIP:
		if x, ok := v.HaVips.Get(h.ID); !ok || x.VPC != vpc.ID {
			return fault.New(fault.HaVipNotFound, "HaVip %q in VPC %s", h.ID, vpc.ID)
		}
	case resource.NextHopNATGateway:
		if g, ok := v.NATGateways.Get(h.ID); !ok || g.VPC != vpc.ID {
			return fault.New(fault.NextHopNotFound, "NAT gateway %q in VPC %s", h.ID, vpc.ID)
		}
	case resource.NextHopVPNGateway:
		if g, ok := v.VPNGateways.Get(h.ID); !ok || g.VPC != vpc.ID {
			return fault.New(fault.NextHopNotFound, "VPN gateway %q in VPC %s", h.ID, vpc.ID)
		}
	case resource.NextHopRouterInterface:
		if r, ok := v.RouterInterfaces.Get(h.ID); !ok || r.VPC != vpc.ID {
			return fault.New(fault.NextHopNotFound, "router interface %q in VPC %s", h.ID, vpc.ID)
		}
	default: // tunnels: there is no such thing
		return fault.New(fault.NextHopNotFound, "%s %q", h.Type, h.ID)
	}
	return nil
}

// sameHops compares two sets of next hops by id.
func sameHops(a, b []resource.NextHop) bool {
	return slices.Equal(hopIDs(a), hopIDs(b))
}

func hopIDs(hops []resource.NextHop) []string {
	ids := make([]string, 0, len(hops))
	for _, h := range hops {
		ids = append(ids, h.ID)
	}
	slices.Sort(ids)
	return ids
}

// oneNATGateway refuses an entry that leads to another NAT gateway than one of its table
// does already: a VSwitch goes out by one. The entry may be there in an older form.
func oneNATGateway(v *state.View, e *resource.RouteEntry) error {
	for _, h := range e.NextHops {
		if h.Type != resource.NextHopNATGateway {
			continue
		}
		for other := range v.RouteEntries.By(state.ByTable, e.Table).All() {
			for _, to := range other.NextHops {
				if other.ID != e.ID && to.Type == resource.NextHopNATGateway && to.ID != h.ID {
					return fault.New(fault.RouteOtherNATGateway, "route table %s leads to NAT gateway %s by its entry for %s", e.Table, to.ID, other.Destination)
				}
			}
		}
	}
	return nil
}
