package session

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/dataplane"
)

// How often it is said that connections are refused, while that goes on: at once,
// after a minute, then after twice as long each time.
const (
	sayAgainFirst = time.Minute
	sayAgainMost  = time.Hour
)

// sayMost is how many hosts or entries the log names.
const sayMost = 5

// refusedFor is what connections are refused for: a reason, and of which NAT gateway
// they would have been; or, for want of a port, the elastic IP.
type refusedFor struct {
	reason  string
	gateway string // empty: of none, or of one that is gone
	elastic netip.Addr
}

// refusedCounts are how many were refused.
type refusedCounts map[refusedFor]uint64

func (c refusedCounts) sum() (n uint64) {
	for _, v := range c {
		n += v
	}
	return n
}

// refusals reads how many connections were refused.
func (n *Network) refusals() (refusedCounts, error) {
	out := refusedCounts{}
	n.mu.Lock()
	known := slices.Clone(n.known)
	n.mu.Unlock()
	by, err := n.gatewayRefusals()
	if err != nil {
		return nil, err
	}
	for number := range known {
		k := &known[number]
		for i, r := range refusals {
			// What an earlier owner of the number was refused is said already.
			out[refusedFor{reason: r.reason, gateway: idOf(k)}] += by[number][i] - k.Refused[i]
		}
	}
	noPort, err := n.refusedPorts()
	for _, p := range noPort {
		out[refusedFor{reason: dataplane.RefusedPorts, elastic: p.External}] += p.Count
	}
	return out, err
}

// lastRefusals are what was read last, so that it is read again only after something was
// refused.
type lastRefusals struct {
	stats  [len(refusals)]uint64
	noPort uint64
	counts refusedCounts
}

// read reads how many connections were refused.
func (l *lastRefusals) read(n *Network) (refusedCounts, error) {
	stats, err := n.readStats()
	if err != nil {
		return nil, err
	}
	now := lastRefusals{}
	for i, r := range refusals {
		now.stats[i] = stats[r.stat]
	}
	var counted bool
	now.noPort, counted = n.refusedPortsNow()
	if counted && l.counts != nil && now.stats == l.stats && now.noPort == l.noPort {
		return l.counts, nil
	}
	if now.counts, err = n.refusals(); err != nil {
		return nil, err
	}
	*l = now
	return l.counts, nil
}

// shortage is that of which connections are refused.
type shortage struct {
	known   uint64 // refused, as of the last tick
	said    uint64 // refused, when it was last said
	next    time.Time
	pause   time.Duration
	waiting bool // for the comparison that says who has the sessions
}

// shortages are those of a network.
type shortages struct {
	mu sync.Mutex
	of map[refusedFor]*shortage
}

// begin takes in what was counted before, by an earlier process, which has said
// so.
func (s *shortages) begin(counts refusedCounts) {
	s.hear(time.Time{}, counts)
	for _, a := range s.of {
		a.said, a.waiting = a.known, false
	}
}

// hear takes in what was counted, and reports whether something is to be said
// of it.
func (s *shortages) hear(now time.Time, counts refusedCounts) (say bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[refusedFor]*shortage{}
	}
	for what, count := range counts {
		a := s.of[what]
		if a == nil {
			a = &shortage{pause: sayAgainFirst}
			s.of[what] = a
		}
		if count == a.known {
			continue
		}
		if now.After(a.next.Add(a.pause)) {
			a.pause = sayAgainFirst // it was over for a while
		}
		a.known = count
		if what.reason == dataplane.RefusedUnknown && count-a.said < sayUnknown {
			continue
		}
		if !now.Before(a.next) {
			a.waiting, say = true, true
		}
	}
	return say
}

// due returns what is to be said now: how many connections were refused since
// it was last said.
func (s *shortages) due(now time.Time) refusedCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := refusedCounts{}
	for what, a := range s.of {
		if !a.waiting {
			continue
		}
		out[what] = a.known - a.said
		a.waiting, a.said, a.next = false, a.known, now.Add(a.pause)
		a.pause = min(2*a.pause, sayAgainMost)
	}
	return out
}

// saying is what the log says of a reason.
var saying = map[string]string{
	dataplane.RefusedConnections: "connections are refused: as many are open as the gateway's specification allows",
	dataplane.RefusedRate:        "connections are refused: more begin in a second than the gateway's specification allows",
	dataplane.RefusedMemory:      "connections are refused: there is no memory for their sessions",
	dataplane.RefusedEntry:       "connections from outside are refused: as many are open of the entry as may be",
	dataplane.RefusedElasticIP:   "connections from outside are refused: as many are open of the elastic IP as may be",
	dataplane.RefusedHost:        "connections are refused: the host has opened as many through its elastic IP as it may",
	dataplane.RefusedTable:       "connections are refused: conntrack's table has no room for more of their kind",
	dataplane.RefusedSource:      "packets are dropped: hosts send from addresses that are not theirs",
	dataplane.RefusedUnknown:     "packets are dropped: nobody answers for the addresses that they come from",
	dataplane.RefusedShare:       "connections are refused: a host has as many open as it may have of its gateway's",
	dataplane.RefusedShareRate:   "connections are refused: a host opens more in a second than it may of its gateway's",
	dataplane.RefusedPorts:       "new connections find no port of the elastic IP free",
}

// sayShortages logs what connections are refused for, and whose sessions take the
// places, as of the comparison just made.
func (w *watch) sayShortages(now time.Time) {
	for what, refused := range w.shortages.due(now) {
		attrs := []any{"network", w.n.id, "reason", what.reason, "refused", refused}
		if what.gateway != "" {
			attrs = append(attrs, "gateway", what.gateway)
		}
		switch what.reason {
		case dataplane.RefusedPorts:
			attrs = append(attrs, "elastic_ip", what.elastic, "most_sessions", w.topHosts(what.elastic))
		case dataplane.RefusedEntry:
			attrs = append(attrs, "most_refused", w.topBounds(ofEntry))
		case dataplane.RefusedElasticIP:
			attrs = append(attrs, "most_refused", w.topBounds(ofElasticIP))
		case dataplane.RefusedHost:
			attrs = append(attrs, "most_refused", w.topBounds(ofHost))
		case dataplane.RefusedSource, dataplane.RefusedUnknown:
			attrs = append(attrs, "sources", w.sources.newest(what.reason == dataplane.RefusedUnknown, now))
		}
		w.n.s.opt.Logger.Warn(saying[what.reason], attrs...)
	}
}

func (w *watch) topHosts(external netip.Addr) string {
	hosts, sessions := w.n.ports.top(external, sayMost)
	top := make([]string, len(hosts))
	for i := range hosts {
		top[i] = fmt.Sprintf("%s %d", hosts[i], sessions[i])
	}
	return strings.Join(top, ", ")
}

// topBounds names the counters at which most was refused.
func (w *watch) topBounds(of uint8) string {
	type refusedAt struct {
		key   boundKey
		count uint64
	}
	var list []refusedAt
	err := every(w.n.maps["bounds"], func(k boundKey, b bound) {
		if k.Of == of && b.Refused > 0 {
			list = append(list, refusedAt{k, b.Refused})
		}
	})
	if err != nil {
		return err.Error()
	}
	slices.SortFunc(list, func(a, b refusedAt) int {
		return cmp.Or(cmp.Compare(b.count, a.count), address(a.key.Addr).Compare(address(b.key.Addr)), cmp.Compare(order16(a.key.Port), order16(b.key.Port)))
	})
	var top []string
	for _, r := range list[:min(sayMost, len(list))] {
		name := address(r.key.Addr).String()
		if r.key.Port != 0 {
			name = fmt.Sprintf("%s:%d/%d", name, order16(r.key.Port), r.key.Proto)
		}
		top = append(top, fmt.Sprintf("%s %d", name, r.count))
	}
	return strings.Join(top, ", ")
}
