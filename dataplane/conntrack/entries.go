package conntrack

import (
	"net/netip"
	"slices"

	"sluice/dataplane"
)

// entries are what translates in a network, indexed.
type entries struct {
	elastic map[netip.Addr]bool
	ports   map[portKey]netip.AddrPort
	whole   map[netip.Addr][]netip.Addr // external → internal, of Any entries and mappings
	mapped  map[netip.Addr]netip.Addr   // internal → external
	// snat has the pool of each source; lengths are the prefix lengths among
	// them. Sources do not overlap, so that a host is in one at the most, and
	// looking for each length costs less than a tree.
	snat    map[netip.Prefix][]netip.Addr
	lengths []int
}

type portKey struct {
	external netip.AddrPort
	protocol uint8
}

func newEntries(n *dataplane.Network) *entries {
	e := &entries{
		elastic: make(map[netip.Addr]bool, len(n.Elastic)), ports: make(map[portKey]netip.AddrPort, n.DNAT.Len()),
		whole: map[netip.Addr][]netip.Addr{}, mapped: make(map[netip.Addr]netip.Addr, len(n.Mappings)),
		snat: make(map[netip.Prefix][]netip.Addr, len(n.SNAT)),
	}
	for _, a := range n.Elastic {
		e.elastic[a] = true
	}
	for _, m := range n.Mappings {
		e.whole[m.External] = append(e.whole[m.External], m.Internal)
		e.mapped[m.Internal] = m.External
	}
	for d := range n.DNAT.All() {
		if d.Protocol == 0 {
			e.whole[d.External] = append(e.whole[d.External], d.Internal)
			continue
		}
		e.ports[portKey{netip.AddrPortFrom(d.External, d.ExternalPort), d.Protocol}] = netip.AddrPortFrom(d.Internal, d.InternalPort)
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
	if hasPorts(protocol) {
		if at, ok := e.ports[portKey{to, protocol}]; ok {
			return at, true
		}
	}
	if all := e.whole[to.Addr()]; len(all) > 0 {
		return netip.AddrPortFrom(all[0], to.Port()), true
	}
	return to, false
}

// leadsTo reports whether some entry leads packets for to, an elastic IP, to at:
// an entry that comes before it for new connections ends none of its own.
func (e *entries) leadsTo(protocol uint8, to, at netip.AddrPort) bool {
	if !e.elastic[to.Addr()] {
		return false
	}
	if hasPorts(protocol) && e.ports[portKey{to, protocol}] == at {
		return true
	}
	return at.Port() == to.Port() && slices.Contains(e.whole[to.Addr()], at.Addr())
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
