package route

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"sluice/dataplane"
)

// Tunnel is the state of a VPN connection's tunnel.
type Tunnel struct {
	Link    string         // that leads into it; empty while there is none
	Up      bool           // packets get through, as far as is known
	Learned []netip.Prefix // destinations that the peer has told of (BGP)
}

// Tunnels are the tunnels of a network by connection id.
type Tunnels map[string]Tunnel

// Where policy routes stand among the rules.
const (
	firstPolicy  = 1100 // the most specific destination
	policySlots  = 25   // for sources of a destination's length, the most specific first
	tunnelToNext = 1095 // what comes out of one tunnel and may go into another
)

// throughTunnels returns the routes and rules of a network's VPN gateway.
//
// Of routes with the same prefixes one is used: an active one that works, else a
// standby one that works, else the active one, so that its packets wake the
// tunnel or get lost in it rather than leave by another way.
func throughTunnels(n *dataplane.Network, tunnels Tunnels) ([]Route, []Rule) {
	if n.VPN == nil {
		return nil, nil
	}
	var routes []Route
	var rules []Rule
	used := chosen(allRoutes(n.VPN, tunnels), tunnels)
	for _, r := range used {
		if r.Source.IsValid() {
			rules = append(rules, Rule{
				Priority: firstPolicy + (32-r.Destination.Bits())*policySlots + min(32-r.Source.Bits(), policySlots-1),
				Source:   r.Source.Masked(), Destination: r.Destination.Masked(), Table: ConnectionTable(r.Connection),
			})
			continue
		}
		routes = append(routes, Route{Table: TunnelTable, Destination: r.Destination.Masked(), Hops: into(tunnels, r.Connection)})
		if leadsHosts(n, &r) {
			routes = append(routes, Route{Table: VPCTable, Destination: r.Destination.Masked(), Hops: into(tunnels, r.Connection)})
		}
	}
	routes = append(routes, rest(n, used, tunnels)...)
	links := map[string]bool{}
	for i := range n.VPN.Connections {
		id := n.VPN.Connections[i].ID
		routes = append(routes, Route{Table: ConnectionTable(id), Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Hops: into(tunnels, id)})
		if link := tunnels[id].Link; link != "" && !links[link] {
			links[link] = true
			rules = append(rules, Rule{Priority: tunnelToNext, From: link, Table: TunnelTable})
		}
	}
	return routes, rules
}

// byVPNGateway reports whether an entry of the VPC's route table leaves to the VPN
// gateway what it leads to.
func byVPNGateway(r *dataplane.Route) bool {
	return slices.ContainsFunc(r.NextHops, func(h dataplane.NextHop) bool { return h.VPN })
}

// leadsHosts reports whether a destination route of the VPN gateway is one of the
// VPC's route table, too: if it is published, or lies in an entry that leads to the
// gateway. An entry for the very same destination comes first.
func leadsHosts(n *dataplane.Network, r *dataplane.VPNRoute) bool {
	nearest := -1
	for i := range n.Routes {
		if d := n.Routes[i].Destination.Masked(); contains(d, r.Destination) && (nearest < 0 || d.Bits() > n.Routes[nearest].Destination.Bits()) {
			nearest = i
		}
	}
	if nearest < 0 {
		return r.Published
	}
	e := &n.Routes[nearest]
	return e.Destination.Masked() != r.Destination.Masked() && (r.Published || byVPNGateway(e))
}

// rest returns the routes of the entries that lead to the VPN gateway, for what no
// longer route of the gateway is for: into the tunnel of the longest one that
// contains the entry's block, else nowhere.
func rest(n *dataplane.Network, used []dataplane.VPNRoute, tunnels Tunnels) []Route {
	var out []Route
	for i := range n.Routes {
		if !byVPNGateway(&n.Routes[i]) {
			continue
		}
		r := Route{Table: VPCTable, Destination: n.Routes[i].Destination.Masked()}
		longest := -1
		for k := range used {
			if d := used[k].Destination; !used[k].Source.IsValid() && contains(d, r.Destination) && d.Bits() > longest {
				longest, r.Hops = d.Bits(), into(tunnels, used[k].Connection)
			}
		}
		if len(r.Hops) > 0 || r.Destination.Bits() > 0 {
			out = append(out, r)
		}
	}
	return out
}

// contains reports whether all of p lies in block.
func contains(block, p netip.Prefix) bool {
	return block.Bits() <= p.Bits() && block.Contains(p.Addr())
}

// allRoutes are those that are asked for and those that peers have told of. A
// learned one gives way to one that is asked for.
func allRoutes(v *dataplane.VPNGateway, tunnels Tunnels) []dataplane.VPNRoute {
	all := slices.Clone(v.Routes)
	for i := range v.Connections {
		id := v.Connections[i].ID
		for _, p := range tunnels[id].Learned {
			same := func(r dataplane.VPNRoute) bool { return !r.Source.IsValid() && r.Destination.Masked() == p.Masked() }
			if !slices.ContainsFunc(v.Routes, same) {
				all = append(all, dataplane.VPNRoute{Destination: p, Connection: id, Published: v.Propagate})
			}
		}
	}
	return all
}

// chosen returns one route for each pair of prefixes, in the order of the first
// of its kind.
func chosen(all []dataplane.VPNRoute, tunnels Tunnels) []dataplane.VPNRoute {
	type pair struct{ source, destination netip.Prefix }
	at := map[pair]int{}
	var out []dataplane.VPNRoute
	rank := func(r *dataplane.VPNRoute) int {
		switch up := tunnels[r.Connection].Up; {
		case up && !r.Standby:
			return 0
		case up:
			return 1
		case !r.Standby:
			return 2
		}
		return 3
	}
	for i := range all {
		r := &all[i]
		k := pair{r.Source.Masked(), r.Destination.Masked()}
		j, ok := at[k]
		switch {
		case !ok:
			at[k] = len(out)
			out = append(out, *r)
		case rank(r) < rank(&out[j]):
			published := out[j].Published
			out[j] = *r
			out[j].Published = r.Published || published
		default:
			out[j].Published = r.Published || out[j].Published
		}
	}
	return out
}

// into is the hop into a connection's tunnel; none, so that the destination is
// unreachable, while there is no link.
func into(tunnels Tunnels, connection string) []Hop {
	link := tunnels[connection].Link
	if link == "" {
		return nil
	}
	return []Hop{{Link: link, Weight: 1}}
}

// ConnectionTable returns the number of the routing table that leads into the
// tunnel of a connection.
func ConnectionTable(id string) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return connectionTables | int(h.Sum32()&(connectionTables-1))
}
