package metrics

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
)

// halfLife is how long it takes until a byte counts half for the ranking. So
// the order is that of the last minutes, however many scrape and how often; an
// address that falls silent keeps its series for a while.
const halfLife = 5 * time.Minute

// ranking remembers how much traffic each address of a network had lately.
type ranking struct {
	epoch  uint64
	at     time.Time
	scores map[host]score
}

// host is a private address, as far as it goes by a gateway.
type host struct {
	address netip.Addr
	gateway string
}

func hostOf(a dataplane.AddressTraffic) host { return host{a.Address, a.Gateway} }

type score struct {
	total  uint64  // bytes, both ways
	recent float64 // bytes, the older the less

	refusedTotal  uint64
	refusedRecent float64 // sessions, likewise
}

// update takes a reading into account. Of the first one of an epoch nobody
// knows when its bytes were sent, so they are not recent.
func (r *ranking) update(now time.Time, t *dataplane.Traffic) {
	first := r.scores == nil || r.epoch != t.Epoch
	fade := math.Exp2(-max(0, now.Sub(r.at).Seconds()) / halfLife.Seconds())
	next := make(map[host]score, len(t.Addresses))
	for _, a := range t.Addresses {
		s := score{total: a.Outbound.Bytes + a.Inbound.Bytes, refusedTotal: a.NoPort + a.Share}
		if !first {
			was := r.scores[hostOf(a)]
			s.recent = was.recent * fade
			if s.total > was.total {
				s.recent += float64(s.total - was.total)
			}
			s.refusedRecent = was.refusedRecent * fade
			if s.refusedTotal > was.refusedTotal {
				s.refusedRecent += float64(s.refusedTotal - was.refusedTotal)
			}
			// Two scrapes may overtake each other.
			s.total, s.refusedTotal = max(s.total, was.total), max(s.refusedTotal, was.refusedTotal)
		}
		next[hostOf(a)] = s
	}
	r.epoch, r.scores = t.Epoch, next
	if now.After(r.at) {
		r.at = now
	}
}

// top returns the n addresses with the most traffic lately, the n with the most
// sessions open, and the n with the most refused lately: who fills the line need
// not be who fills the table, nor who suffers by it. Where there is nothing
// recent, or as much, the totals decide, then the addresses.
func (r *ranking) top(t *dataplane.Traffic, n int) []dataplane.AddressTraffic {
	byAddress := func(a, b dataplane.AddressTraffic) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Gateway, b.Gateway))
	}
	list := slices.Clone(t.Addresses)
	slices.SortFunc(list, func(a, b dataplane.AddressTraffic) int {
		x, y := r.scores[hostOf(a)], r.scores[hostOf(b)]
		return cmp.Or(cmp.Compare(y.recent, x.recent), cmp.Compare(y.total, x.total), byAddress(a, b))
	})
	top := slices.Clone(list[:min(n, len(list))])
	slices.SortStableFunc(list, func(a, b dataplane.AddressTraffic) int { return cmp.Compare(b.Open, a.Open) })
	for _, a := range list[:min(n, len(list))] {
		if a.Open > 0 {
			top = append(top, a)
		}
	}
	slices.SortStableFunc(list, func(a, b dataplane.AddressTraffic) int {
		return cmp.Compare(r.scores[hostOf(b)].refusedRecent, r.scores[hostOf(a)].refusedRecent)
	})
	for _, a := range list[:min(n, len(list))] {
		if r.scores[hostOf(a)].refusedRecent > 0 {
			top = append(top, a)
		}
	}
	slices.SortFunc(top, byAddress)
	return slices.CompactFunc(top, func(a, b dataplane.AddressTraffic) bool { return hostOf(a) == hostOf(b) })
}

// topEntries returns the n entries with the most sessions open, and the n to which
// the most were refused, in their order.
func topEntries(list []dataplane.EntryTraffic, n int) []dataplane.EntryTraffic {
	byName := func(a, b dataplane.EntryTraffic) int {
		return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	}
	var top []dataplane.EntryTraffic
	for _, of := range []func(dataplane.EntryTraffic) uint64{
		func(e dataplane.EntryTraffic) uint64 { return e.Open },
		func(e dataplane.EntryTraffic) uint64 { return e.Refused },
	} {
		sorted := slices.DeleteFunc(slices.Clone(list), func(e dataplane.EntryTraffic) bool { return of(e) == 0 })
		slices.SortFunc(sorted, func(a, b dataplane.EntryTraffic) int { return cmp.Or(cmp.Compare(of(b), of(a)), byName(a, b)) })
		top = append(top, sorted[:min(n, len(sorted))]...)
	}
	slices.SortFunc(top, byName)
	return slices.CompactFunc(top, func(a, b dataplane.EntryTraffic) bool { return byName(a, b) == 0 })
}
