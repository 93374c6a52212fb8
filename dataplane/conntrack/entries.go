package conntrack

import (
	"net/netip"
	"slices"

	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// entries are what translates in a network, indexed.
type entries struct {
	elastic map[netip.Addr]bool
	dnat    sorted.Set[dataplane.DNAT]
	inside  map[netip.Addr]netip.Addr // external → internal, of mappings
	mapped  map[netip.Addr]netip.Addr // and back
	// snat has the pool of each source; lengths are the prefix lengths among
	// them. Sources do not overlap, so that a host is in one at the most, and
	// looking for each length costs less than a tree.
	snat    map[netip.Prefix][]netip.Addr
	lengths []int
}

func newEntries(n *dataplane.Network) *entries {
	e := &entries{
		elastic: make(map[netip.Addr]bool, len(n.Elastic)), dnat: n.DNAT,
		inside: make(map[netip.Addr]netip.Addr, len(n.Mappings)), mapped: make(map[netip.Addr]netip.Addr, len(n.Mappings)),
		snat: make(map[netip.Prefix][]netip.Addr, len(n.SNAT)),
	}
	for _, a := range n.Elastic {
		e.elastic[a] = true
	}
	for _, m := range n.Mappings {
		e.inside[m.External] = m.Internal
		e.mapped[m.Internal] = m.External
	}
	for i := range n.SNAT {
		s := &n.SNAT[i]
		e.snat[s.Source.Masked()] = s.Pool
		if !slices.Contains(e.lengths, s.Source.Bits()) {
			e.lengths = append(e.lengths, s.Source.Bits())
		}
	}
	return e
}

// inward returns where a packet to an address leads: by the entry for its port,
// else by that for the whole address.
func (e *entries) inward(protocol uint8, to netip.AddrPort) (netip.AddrPort, bool) {
	if at, ok := e.port(protocol, to); ok {
		return at, true
	}
	if a, ok := e.whole(to.Addr()); ok {
		return netip.AddrPortFrom(a, to.Port()), true
	}
	return to, false
}

// port returns where the entry for a port leads.
func (e *entries) port(protocol uint8, to netip.AddrPort) (at netip.AddrPort, ok bool) {
	if !hasPorts(protocol) {
		return at, false
	}
	d, ok := e.dnat.Get(dataplane.DNAT{External: to.Addr(), Protocol: protocol, ExternalPort: to.Port()})
	return netip.AddrPortFrom(d.Internal, d.InternalPort), ok
}

// whole returns where a whole address leads, by a mapping or an entry. There is one at
// most (nft.RulesetOf).
func (e *entries) whole(to netip.Addr) (netip.Addr, bool) {
	if a, ok := e.inside[to]; ok {
		return a, true
	}
	d, ok := e.dnat.Get(dataplane.DNAT{External: to})
	return d.Internal, ok
}

// leadsTo reports whether some entry leads packets for to, an elastic IP, to at:
// an entry that comes before it for new connections ends none of its own.
func (e *entries) leadsTo(protocol uint8, to, at netip.AddrPort) bool {
	if !e.elastic[to.Addr()] {
		return false
	}
	if led, ok := e.port(protocol, to); ok && led == at {
		return true
	}
	a, ok := e.whole(to.Addr())
	return ok && at == netip.AddrPortFrom(a, to.Port())
}

// outward returns the addresses that a host may be seen from outside: its own
// elastic IP, else the pool of the SNAT entry that it is in, else none.
func (e *entries) outward(host netip.Addr) []netip.Addr {
	if a, ok := e.mapped[host]; ok {
		return []netip.Addr{a}
	}
	for _, bits := range e.lengths {
		if source, err := host.Prefix(bits); err == nil {
			if pool, ok := e.snat[source]; ok {
				return pool
			}
		}
	}
	return nil
}
