package session

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sluice/dataplane"
)

// How often it is said that an elastic IP has no port left, while that goes on:
// at once, after a minute, then after twice as long each time.
const (
	sayAgainFirst = time.Minute
	sayAgainMost  = time.Hour
)

// sayHosts is how many hosts the log names.
const sayHosts = 5

// shortage is that of one elastic IP.
type shortage struct {
	known   uint64 // refused, as of the last tick
	said    uint64 // refused, when it was last said
	next    time.Time
	pause   time.Duration
	waiting bool // for the comparison that says who has the sessions
}

// shortages are those of a network, by elastic IP.
type shortages struct {
	mu sync.Mutex
	of map[netip.Addr]*shortage
}

// begin takes in what was counted before, by an earlier process, which has said
// so.
func (s *shortages) begin(list []dataplane.NoPort) {
	s.hear(time.Time{}, list)
	for _, a := range s.of {
		a.said, a.waiting = a.known, false
	}
}

// hear takes in what was counted, and reports whether something is to be said
// of it.
func (s *shortages) hear(now time.Time, list []dataplane.NoPort) (say bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[netip.Addr]uint64{}
	for _, p := range list {
		counts[p.External] += p.Count
	}
	if s.of == nil {
		s.of = map[netip.Addr]*shortage{}
	}
	for external, count := range counts {
		a := s.of[external]
		if a == nil {
			a = &shortage{pause: sayAgainFirst}
			s.of[external] = a
		}
		if count == a.known {
			continue
		}
		if now.After(a.next.Add(a.pause)) {
			a.pause = sayAgainFirst // it was over for a while
		}
		a.known = count
		if !now.Before(a.next) {
			a.waiting, say = true, true
		}
	}
	return say
}

// due returns what is to be said now: how many connections were refused since
// it was last said, by elastic IP.
func (s *shortages) due(now time.Time) map[netip.Addr]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[netip.Addr]uint64{}
	for external, a := range s.of {
		if !a.waiting {
			continue
		}
		out[external] = a.known - a.said
		a.waiting, a.said, a.next = false, a.known, now.Add(a.pause)
		a.pause = min(2*a.pause, sayAgainMost)
	}
	return out
}

// sayShortages logs which elastic IPs have no port left, and whose sessions take
// them, as of the comparison just made.
func (w *watch) sayShortages(now time.Time) {
	for external, refused := range w.shortages.due(now) {
		hosts, sessions := w.n.ports.top(external, sayHosts)
		top := make([]string, len(hosts))
		for i := range hosts {
			top[i] = fmt.Sprintf("%s %d", hosts[i], sessions[i])
		}
		w.n.s.opt.Logger.Warn("new connections find no port of the elastic IP free", "network", w.n.id,
			"elastic_ip", external, "refused", refused, "most_sessions", strings.Join(top, ", "))
	}
}
