package monitor

import (
	"net/netip"
	"slices"
	"sort"
)

// ranking is the order of rows in an answer. It is total: the counts before
// rounding decide, and the address where they are the same.
type ranking struct {
	Order
	ascending bool
}

// place is where a row stands in a ranking.
type place struct {
	figure  uint64
	address netip.Addr
}

func (k ranking) place(r Row) place { return place{k.figure(r), r.Address} }

// figure returns the count that the order goes by.
func (o Order) figure(r Row) uint64 {
	switch o {
	case ByOpen:
		return r.Open
	case ByOpened:
		return r.Opened
	case ByOutboundBytes:
		return r.Outbound.Bytes
	case ByInboundBytes:
		return r.Inbound.Bytes
	case ByOutboundPackets:
		return r.Outbound.Packets
	case ByInboundPackets:
		return r.Inbound.Packets
	}
	return 0
}

func (k ranking) less(a, b place) bool {
	if a.figure != b.figure {
		return (a.figure < b.figure) == k.ascending
	}
	return a.address.Less(b.address)
}

// after says whether a row comes behind a place.
func (k ranking) after(r Row, p place) bool { return k.less(p, k.place(r)) }

// insert puts a row where it belongs among the first ones, of which at most n
// are wanted.
func (k ranking) insert(first []Row, r Row, n int) []Row {
	at := k.place(r)
	if len(first) == n && !k.less(at, k.place(first[n-1])) {
		return first
	}
	i := sort.Search(len(first), func(i int) bool { return k.less(at, k.place(first[i])) })
	first = slices.Insert(first, i, r)
	return first[:min(len(first), n)]
}
