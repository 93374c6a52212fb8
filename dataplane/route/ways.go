package route

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// Ways says which way a packet takes by the routes and rules of a network, as
// the kernel does (fib_rules_lookup, fib_table_lookup): the first rule that is
// for the packet and whose table has a route for it, there the longest prefix, and
// of one prefix the lowest metric.
type Ways struct {
	routes []Route
	rules  []Rule // by priority
	tables map[int]*table
}

// table is the routes of one table: by prefix, and the lengths that there are,
// the longest first. There are few, so that looking for each costs less than a
// tree.
type table struct {
	routes  map[netip.Prefix]*Route
	lengths []int
}

// Packet is what of a packet decides its way.
type Packet struct {
	Source, Destination netip.Addr // the destination after its translation
	Mark                uint32
	From                string // link that it comes in by
}

// NewWays returns the ways of network n while its tunnels are in this state. A
// next hop that lies in no VSwitch is left out, as Routing does.
func NewWays(n *dataplane.Network, tunnels Tunnels) *Ways {
	routes, rules, _ := Routing(n, tunnels)
	return newWays(append(append(ofAddresses(n), ofTunnels(n, tunnels)...), routes...), rules)
}

func newWays(routes []Route, rules []Rule) *Ways {
	w := &Ways{routes: routes, rules: rules, tables: map[int]*table{}}
	slices.SortStableFunc(w.rules, func(a, b Rule) int { return a.Priority - b.Priority })
	for i := range w.routes {
		r := &w.routes[i]
		t := w.tables[r.Table]
		if t == nil {
			t = &table{routes: map[netip.Prefix]*Route{}}
			w.tables[r.Table] = t
		}
		t.add(r)
	}
	return w
}

func (t *table) add(r *Route) {
	if other, ok := t.routes[r.Destination]; ok && other.Metric <= r.Metric {
		return
	}
	t.routes[r.Destination] = r
	if at, ok := slices.BinarySearchFunc(t.lengths, r.Destination.Bits(), func(have, want int) int { return want - have }); !ok {
		t.lengths = slices.Insert(t.lengths, at, r.Destination.Bits())
	}
}

func (t *table) find(a netip.Addr) *Route {
	if t == nil {
		return nil
	}
	for _, bits := range t.lengths {
		if p, err := a.Prefix(bits); err == nil {
			if r := t.routes[p]; r != nil {
				return r
			}
		}
	}
	return nil
}

// ofTunnels returns the routes that the kernel makes of the addresses of tunnels'
// ends, and of those that router interfaces have for health checks.
func ofTunnels(n *dataplane.Network, tunnels Tunnels) []Route {
	var out []Route
	for _, c := range n.AllConnections() {
		link := tunnels[c.ID].Link
		if c.BGP == nil || link == "" {
			continue
		}
		hops := []Hop{{Link: link, Weight: 1}}
		out = append(out,
			Route{Table: unix.RT_TABLE_LOCAL, Destination: netip.PrefixFrom(c.BGP.LocalIP, c.BGP.LocalIP.BitLen()), Hops: hops, Local: true, Source: c.BGP.LocalIP},
			Route{Table: unix.RT_TABLE_MAIN, Destination: c.BGP.Tunnel.Masked(), Hops: hops, Source: c.BGP.LocalIP})
	}
	for i := range n.RouterInterfaces {
		r := &n.RouterInterfaces[i]
		if t := tunnels[r.ID]; r.Check != nil && t.Link != "" {
			a := r.Check.Source
			out = append(out, Route{Table: unix.RT_TABLE_LOCAL, Destination: netip.PrefixFrom(a, a.BitLen()), Hops: []Hop{{Link: t.Link, Weight: 1}}, Local: true, Source: a})
		}
	}
	return out
}

// Find returns the route that a packet takes: one of the gateway's own
// addresses (Local), one without hops where the destination is unreachable by an
// entry, or nil where nothing leads there.
func (w *Ways) Find(p Packet) *Route {
	from := 0 // the least priority that counts
	for i := range w.rules {
		rule := &w.rules[i]
		if rule.Priority < from || !rule.matches(p) {
			continue
		}
		if rule.Goto != 0 {
			from = rule.Goto
			continue
		}
		r := w.tables[rule.Table].find(p.Destination)
		if r == nil || rule.ExceptDefaults && r.Destination.Bits() == 0 && len(r.Hops) > 0 {
			continue
		}
		return r
	}
	return nil
}

func (r *Rule) matches(p Packet) bool {
	return (!r.Source.IsValid() || r.Source.Contains(p.Source)) &&
		(!r.Destination.IsValid() || r.Destination.Contains(p.Destination)) &&
		(r.Mark == 0 || r.Mark == p.Mark) && (r.From == "" || r.From == p.From)
}

// Local reports whether an address is one of the gateway itself.
func (w *Ways) Local(a netip.Addr) bool {
	return a.IsLoopback() || w.tables[unix.RT_TABLE_LOCAL].find(a) != nil
}

// Equal reports whether all packets take the same ways.
func (w *Ways) Equal(o *Ways) bool {
	return slices.Equal(w.rules, o.rules) &&
		slices.EqualFunc(w.routes, o.routes, func(a, b Route) bool { return a.same(&b) })
}
