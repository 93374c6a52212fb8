package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// Tunnel is the state of a VPN connection's tunnel, or of a router interface's link.
type Tunnel struct {
	Link    string         // that leads into it; empty while there is none
	Up      bool           // packets get through, as far as is known
	Learned []netip.Prefix // destinations that the peer has told of (BGP)
	Held    []netip.Prefix // destinations that it had told of when its session was lost
}

// Tunnels are the tunnels of a network by connection id, and, as far as routes are
// concerned the same, its router interfaces by their ids.
type Tunnels map[string]Tunnel

// Priorities of the rules of a VPN gateway.
const (
	outerPackets = 510  // what the VPN gateway sends from its own address: IKE and ESP
	outerNowhere = 511  // likewise, while the public side is not there
	fromHomes    = 512  // what charons send that have a home: IKE and ESP
	homesNowhere = 513  // likewise
	toHomes      = 514  // what they are sent
	homesGone    = 515  // likewise
	tunnelToNext = 1095 // what comes out of one tunnel and may go into another
	firstPolicy  = 1100 // the most specific destination
	policySlots  = 33   // for sources of a destination's length, the most specific first
	ownPackets   = 2200 // what else the gateway itself sends, to what is behind tunnels
	ownDefault   = 2235 // likewise, where everything is
)

// vpnRoute is a route of a VPN gateway, or of a peer of it.
type vpnRoute struct {
	dataplane.VPNRoute
	gateway string // id
}

// throughTunnels adds the routes of a network's VPN gateways and returns its rules.
//
// Of routes with the same prefixes one is used: an active one that works, else a
// standby one that works, else the active one, so that its packets wake the
// tunnel or get lost in it rather than leave by another way.
func throughTunnels(s *routes, n *dataplane.Network, vpc []vpcTable, tunnels Tunnels) []Rule {
	if len(n.VPNGateways) == 0 {
		s.rest(vpc, nil, tunnels) // of a gateway that is not there
		return nil
	}
	var rules []Rule
	for i := range n.VPNGateways {
		a := n.VPNGateways[i].Address
		own := selector(netip.PrefixFrom(a, a.BitLen()))
		rules = append(rules,
			Rule{Priority: outerPackets, Source: own, From: loopback, Table: PublicTable},
			Rule{Priority: outerNowhere, Source: own, From: loopback, Table: NowhereTable})
	}
	rules = append(rules, []Rule{
		{Priority: fromHomes, Source: dataplane.VPNHomes, Table: PublicTable},
		{Priority: homesNowhere, Source: dataplane.VPNHomes, Table: NowhereTable},
		{Priority: toHomes, Destination: dataplane.VPNHomes, Table: unix.RT_TABLE_MAIN},
		{Priority: homesGone, Destination: dataplane.VPNHomes, Table: NowhereTable},
		{Priority: ownPackets, From: loopback, Table: OwnTable},
	}...)
	s.add(Route{Table: NowhereTable, Destination: everything})
	tables, _ := tablesOf(n.VPNGateways) // Routing has told
	all := allRoutes(n.VPNGateways, tunnels)
	used, ofEach := chosen(all, tunnels, false), chosen(all, tunnels, true)
	toAll := false
	for i := range used {
		r := &used[i]
		if r.Source.IsValid() {
			rules = append(rules, policy(r, tables[r.Connection]))
		} else {
			s.published(vpc, r, into(tunnels, r.Connection))
		}
		if r.Destination.Bits() > 0 {
			s.through(OwnTable, r.Destination, into(tunnels, r.Connection), sourceFor(n, r.Connection))
		} else if !toAll {
			toAll = true
			rules = append(rules, Rule{Priority: ownDefault, From: loopback, Table: tables[r.Connection]})
		}
	}
	for _, r := range heldRoutes(n.VPNGateways, used, tunnels) {
		hops := longest(used, "", r.Destination, tunnels)
		s.published(vpc, &r, hops)
		s.through(OwnTable, r.Destination, hops, netip.Addr{})
	}
	// An entry leads to one gateway, also to what another one's route is used for elsewhere.
	for i := range ofEach {
		if r := &ofEach[i]; !r.Source.IsValid() {
			r.Published = false
			s.inEntries(vpc, r, into(tunnels, r.Connection))
		}
	}
	s.rest(vpc, ofEach, tunnels)
	s.exclusive(vpc, n)
	links := map[string]bool{}
	for _, c := range n.AllConnections() {
		if table := tables[c.ID]; table != NowhereTable {
			s.through(table, everything, into(tunnels, c.ID), sourceFor(n, c.ID))
		}
		if c.BGP != nil {
			s.through(unix.RT_TABLE_MAIN, c.BGP.Tunnel, nil, netip.Addr{}) // the address on the link makes the route
		}
		if link := tunnels[c.ID].Link; link != "" && !links[link] {
			links[link] = true
			rules = append(rules, Rule{Priority: tunnelToNext, From: link, Table: TunnelTable})
		}
	}
	for _, server := range n.AllSSL() {
		s.through(unix.RT_TABLE_MAIN, server.Pool, nil, netip.Addr{}) // likewise
		rules = append(rules, Rule{Priority: tunnelToNext, From: server.Link(), Table: TunnelTable})
	}
	return rules
}

// policy is the rule of a policy route.
func policy(r *vpnRoute, table int) Rule {
	return Rule{
		Priority: firstPolicy + (32-r.Destination.Bits())*policySlots + 32 - r.Source.Bits(),
		Source:   selector(r.Source), Destination: selector(r.Destination), Table: table,
	}
}

// through adds a route into a tunnel, which need not be there, and what holds its
// packets when it is not.
//
// A default route of the VPC has none of that: it would hide the ways out that
// come after the table's other routes, and nothing comes after itself.
func (s *routes) through(table int, destination netip.Prefix, hops []Hop, source netip.Addr) {
	if !isVPCTable(table) || destination.Bits() > 0 {
		s.add(Route{Table: table, Destination: destination, Metric: HoldMetric})
	}
	if len(hops) > 0 {
		s.add(Route{Table: table, Destination: destination, Hops: slices.Clone(hops), Source: source})
	}
}

// published adds a destination route for other tunnels, and for the hosts of the
// VPC where it is for them.
func (s *routes) published(vpc []vpcTable, r *vpnRoute, hops []Hop) {
	s.through(TunnelTable, r.Destination, hops, netip.Addr{})
	s.inEntries(vpc, r, hops)
}

// inEntries adds a destination route to the route tables in which it leads hosts.
func (s *routes) inEntries(vpc []vpcTable, r *vpnRoute, hops []Hop) {
	for i := range vpc {
		if leadsHosts(&vpc[i], r) {
			s.through(vpc[i].number, r.Destination, hops, netip.Addr{})
		}
	}
}

// exclusive holds what is for a remote subnet of an exclusive connection, in every route table,
// unless a policy route has taken it or the table has a route of its own for that subnet or a
// part of it: else a packet that no pair is for would leave by a default route, translated and
// in clear.
func (s *routes) exclusive(vpc []vpcTable, n *dataplane.Network) {
	for _, c := range n.AllConnections() {
		if !c.Exclusive {
			continue
		}
		for _, r := range c.Policies.Remotes() {
			if r.Bits() == 0 {
				continue // it would hide all other ways out
			}
			s.through(TunnelTable, r, nil, netip.Addr{})
			for i := range vpc {
				s.through(vpc[i].number, r, nil, netip.Addr{})
			}
		}
	}
}

// sourceFor returns the address that the gateway's own packets through a connection
// have, unless they say another: one that the peer knows, of a VSwitch among the local
// subnets. It is invalid if there is none.
func sourceFor(n *dataplane.Network, connection string) netip.Addr {
	for _, c := range n.AllConnections() {
		for k := range n.Switches {
			gateway := n.Switches[k].Gateway
			if c.ID == connection && slices.ContainsFunc(c.Policies, func(p dataplane.VPNPolicy) bool { return p.Local.Contains(gateway) }) {
				return gateway
			}
		}
	}
	return netip.Addr{}
}

// byVPNGateway returns the id of the VPN gateway to which an entry of a route table
// leaves what it leads to; empty if there is none.
func byVPNGateway(r *dataplane.Route) string {
	for i := range r.NextHops {
		if g := r.NextHops[i].VPN; g != "" {
			return g
		}
	}
	return ""
}

// leadsHosts reports whether a destination route of the VPN gateway is one of a
// route table of the VPC, too: if that is the main one, and the route is published, or
// if it lies in an entry that leads to the gateway. An entry for the very same
// destination comes first.
func leadsHosts(t *vpcTable, r *vpnRoute) bool {
	nearest, published := -1, r.Published && t.isMain()
	for i := range t.entries {
		if d := t.entries[i].Destination.Masked(); contains(d, r.Destination) && (nearest < 0 || d.Bits() > t.entries[nearest].Destination.Bits()) {
			nearest = i
		}
	}
	if nearest < 0 {
		return published
	}
	e := &t.entries[nearest]
	return e.Destination.Masked() != r.Destination.Masked() && (published || byVPNGateway(e) == r.gateway)
}

// rest adds the routes of the entries that lead to a VPN gateway, for what no
// longer route of the gateway is for: into the tunnel of the longest one that
// contains the entry's block, else nowhere.
func (s *routes) rest(vpc []vpcTable, used []vpnRoute, tunnels Tunnels) {
	for i := range vpc {
		for k := range vpc[i].entries {
			if r := &vpc[i].entries[k]; byVPNGateway(r) != "" {
				s.through(vpc[i].number, r.Destination, longest(used, byVPNGateway(r), r.Destination.Masked(), tunnels), netip.Addr{})
			}
		}
	}
}

// longest is the hop of the longest destination route of a gateway, or of any if that is
// empty, that contains a block; none where there is no such route, or no tunnel.
func longest(used []vpnRoute, gateway string, block netip.Prefix, tunnels Tunnels) []Hop {
	bits, hops := -1, []Hop(nil)
	for i := range used {
		if d := used[i].Destination; !used[i].Source.IsValid() && contains(d, block) && d.Bits() > bits && (gateway == "" || used[i].gateway == gateway) {
			bits, hops = d.Bits(), into(tunnels, used[i].Connection)
		}
	}
	return hops
}

// heldRoutes are those for destinations that peers had told of when their sessions
// were lost, and that no route in use is for. What is meant for them is held, so that
// it does not leave by the VPC's default route, or goes into the tunnel of a route that
// contains them. It ends when the peer is back and does not tell of them.
func heldRoutes(gateways []dataplane.VPNGateway, used []vpnRoute, tunnels Tunnels) []vpnRoute {
	known := map[netip.Prefix]bool{}
	for i := range used {
		if !used[i].Source.IsValid() {
			known[used[i].Destination.Masked()] = true
		}
	}
	var out []vpnRoute
	for v, c := range dataplane.AllConnections(gateways) {
		for _, p := range tunnels[c.ID].Held {
			if p = p.Masked(); !known[p] {
				known[p] = true
				out = append(out, vpnRoute{dataplane.VPNRoute{Destination: p, Connection: c.ID, Published: v.Propagate}, v.ID})
			}
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
func allRoutes(gateways []dataplane.VPNGateway, tunnels Tunnels) (all []vpnRoute) {
	asked := map[netip.Prefix]bool{}
	for i := range gateways {
		for _, r := range gateways[i].Routes {
			all = append(all, vpnRoute{r, gateways[i].ID})
			if !r.Source.IsValid() {
				asked[r.Destination.Masked()] = true
			}
		}
	}
	for v, c := range dataplane.AllConnections(gateways) {
		for _, p := range tunnels[c.ID].Learned {
			if !asked[p.Masked()] {
				all = append(all, vpnRoute{dataplane.VPNRoute{Destination: p, Connection: c.ID, Published: v.Propagate}, v.ID})
			}
		}
	}
	return all
}

// chosen returns one route for each pair of prefixes, of each gateway or of all, in the
// order of the first of its kind.
func chosen(all []vpnRoute, tunnels Tunnels, ofEach bool) []vpnRoute {
	type pair struct {
		source, destination netip.Prefix
		gateway             string
	}
	at := map[pair]int{}
	var out []vpnRoute
	rank := func(r *vpnRoute) int {
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
		k := pair{source: r.Source.Masked(), destination: r.Destination.Masked()}
		if ofEach {
			k.gateway = r.gateway
		}
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

// tablesOf returns the routing table of each connection of the gateways. Of two with the
// same number, which hardly ever are, the second leads nowhere: in the table of the
// other its packets would take the other's tunnel.
func tablesOf(gateways []dataplane.VPNGateway) (map[string]int, error) {
	out, owner := map[string]int{}, map[int]string{}
	var errs []error
	for _, c := range dataplane.AllConnections(gateways) {
		id := c.ID
		table := ConnectionTable(id)
		if other, taken := owner[table]; taken {
			errs = append(errs, fmt.Errorf("policy routes into %s lead nowhere: its routing table would be that of %s, %d; make the connection anew, which gives it another id", id, other, table))
			table = NowhereTable
		} else {
			owner[table] = id
		}
		out[id] = table
	}
	for i := range gateways {
		for _, r := range gateways[i].Routes { // also of what is no connection
			if out[r.Connection] == 0 {
				out[r.Connection] = NowhereTable
			}
		}
	}
	return out, errors.Join(errs...)
}

// ConnectionTable returns the number of the routing table that leads into the
// tunnel of a connection.
func ConnectionTable(id string) int { return connectionTables | hashed(id)&(connectionTables-1) }
