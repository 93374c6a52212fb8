package conntrack

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// Flow is one connection as conntrack has it: what its first packet said, and
// where answers come from and go to. Ports are 0 for protocols without.
type Flow struct {
	Protocol               uint8
	Source, Destination    netip.AddrPort // of the first packet, before translation
	Answerer, AnswerReturn netip.AddrPort // source and destination of answers, before they are translated back
}

func (f *Flow) destinationTranslated() bool { return f.Answerer != f.Destination }

func (f *Flow) sourceTranslated() bool { return f.AnswerReturn.Addr() != f.Source.Addr() }

// Support is what stands behind translations: the entries of one Network,
// indexed.
type Support struct {
	elastic map[netip.Addr]bool
	ports   map[portKey]netip.AddrPort
	whole   map[netip.Addr][]netip.Addr // external → internal, of Any entries and mappings
	mapped  map[netip.Addr][]netip.Addr // internal → external
	// snat has the pool of each source; lengths are the prefix lengths among
	// them. Sources do not overlap, so that a host is in one at the most, and
	// looking for each length costs less than a tree.
	snat    map[netip.Prefix]map[netip.Addr]bool
	lengths []int
}

type portKey struct {
	external netip.AddrPort
	protocol uint8
}

// NewSupport indexes the entries of n.
func NewSupport(n *dataplane.Network) *Support {
	s := &Support{
		elastic: make(map[netip.Addr]bool, len(n.Elastic)), ports: make(map[portKey]netip.AddrPort, len(n.DNAT)),
		whole: map[netip.Addr][]netip.Addr{}, mapped: map[netip.Addr][]netip.Addr{},
		snat: make(map[netip.Prefix]map[netip.Addr]bool, len(n.SNAT)),
	}
	for _, a := range n.Elastic {
		s.elastic[a] = true
	}
	for _, m := range n.Mappings {
		s.whole[m.External] = append(s.whole[m.External], m.Internal)
		s.mapped[m.Internal] = append(s.mapped[m.Internal], m.External)
	}
	for i := range n.DNAT {
		d := &n.DNAT[i]
		if d.Protocol == 0 {
			s.whole[d.External] = append(s.whole[d.External], d.Internal)
			continue
		}
		s.ports[portKey{netip.AddrPortFrom(d.External, d.ExternalPort), d.Protocol}] = netip.AddrPortFrom(d.Internal, d.InternalPort)
	}
	for i := range n.SNAT {
		e := &n.SNAT[i]
		pool := make(map[netip.Addr]bool, len(e.Pool))
		for _, a := range e.Pool {
			pool[a] = true
		}
		s.snat[e.Source.Masked()] = pool
		if !slices.Contains(s.lengths, e.Source.Bits()) {
			s.lengths = append(s.lengths, e.Source.Bits())
		}
	}
	return s
}

// Supports reports whether an entry stands behind each translation of the
// flow. A flow without translation needs none.
func (s *Support) Supports(f *Flow) bool {
	if f.destinationTranslated() && !s.destination(f) {
		return false
	}
	return !f.sourceTranslated() || s.source(f)
}

func (s *Support) destination(f *Flow) bool {
	if !s.elastic[f.Destination.Addr()] {
		return false
	}
	if hasPorts(f.Protocol) && s.ports[portKey{f.Destination, f.Protocol}] == f.Answerer {
		return true
	}
	if f.Answerer.Port() != f.Destination.Port() {
		return false
	}
	for _, internal := range s.whole[f.Destination.Addr()] {
		if internal == f.Answerer.Addr() {
			return true
		}
	}
	return false
}

func (s *Support) source(f *Flow) bool {
	external := f.AnswerReturn.Addr()
	if !s.elastic[external] {
		return false
	}
	// A host of the network that called an elastic IP of it and has no external
	// address of its own is seen from the one that it called.
	if f.destinationTranslated() && external == f.Destination.Addr() {
		return true
	}
	for _, a := range s.mapped[f.Source.Addr()] {
		if a == external {
			return true
		}
	}
	for _, bits := range s.lengths {
		if source, err := f.Source.Addr().Prefix(bits); err == nil && s.snat[source][external] {
			return true
		}
	}
	return false
}

func hasPorts(protocol uint8) bool {
	return protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_UDP
}

// Withdrawn reports whether want lacks something that have translates by, so
// that there may be connections to end. Both are sorted as dataplane.Network
// says.
func Withdrawn(have, want *dataplane.Network) bool {
	return lacks(have.Elastic, want.Elastic, netip.Addr.Compare, same[netip.Addr]) ||
		lacks(have.Mappings, want.Mappings, compareMappings, same[dataplane.Mapping]) ||
		lacks(have.DNAT, want.DNAT, compareDNAT, same[dataplane.DNAT]) ||
		lacks(have.SNAT, want.SNAT, compareSNAT, func(a, b dataplane.SNAT) bool {
			return !lacks(a.Pool, b.Pool, netip.Addr.Compare, same[netip.Addr])
		})
}

// lacks reports whether an element of have is not in want, or kept says that
// what is there in its place does not keep what it stood for.
func lacks[T any](have, want []T, compare func(a, b T) int, kept func(a, b T) bool) bool {
	for _, h := range have {
		for len(want) > 0 && compare(want[0], h) < 0 {
			want = want[1:]
		}
		if len(want) == 0 || compare(want[0], h) != 0 || !kept(h, want[0]) {
			return true
		}
	}
	return false
}

func same[T comparable](a, b T) bool { return a == b }

func compareMappings(a, b dataplane.Mapping) int { return a.External.Compare(b.External) }

func compareDNAT(a, b dataplane.DNAT) int {
	if c := a.External.Compare(b.External); c != 0 {
		return c
	}
	if a.Protocol != b.Protocol {
		return int(a.Protocol) - int(b.Protocol)
	}
	return int(a.ExternalPort) - int(b.ExternalPort)
}

func compareSNAT(a, b dataplane.SNAT) int { return a.Source.Compare(b.Source) }
