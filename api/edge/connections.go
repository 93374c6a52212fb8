package edge

import (
	"log/slog"
	"sync"
	"time"
)

// Places says how many connections a site keeps.
type Places struct {
	Total int // at once; 0 sets no limit, whatever stands below
	// PerSource is how many strangers' connections may come from one source, an IPv4
	// address or an IPv6 /64; 0: a quarter of Total.
	PerSource int
	// Reserved is how many of Total strangers can't have; 0: a quarter of Total.
	Reserved int
}

// How long a connection is kept of which nothing is heard, once there are half as many
// as there are places, and for how long one is safe from another of the same source.
const (
	strangerPatience = 5 * time.Second  // from the start of the connection to a valid signature
	knownPatience    = 15 * time.Second // since the last answer
	leastPatience    = time.Second
)

// Connections decides which connections a site keeps when there are more than it has
// places for. A connection is a stranger's until a request on it had a valid signature,
// and is never closed while a request with one is carried out. Otherwise room for a
// newcomer is made by closing another: of the source that has most, the one that has
// waited longest. So however many come from elsewhere, a source that has few finds a
// place at once, and who calls with an access key keeps it.
//
// It is safe for concurrent use.
type Connections struct {
	places Places
	now    func() time.Time
	log    *slog.Logger

	mu        sync.Mutex
	strangers pool
	known     pool // between two calls
	calling   int
	turned    map[string]uint64 // why connections were closed or refused → how many
	unsaid    int               // of these, since the log had a line
	said      time.Time
}

// Why a connection is closed, or refused.
const (
	turnedShare = "share" // its source had its share
	turnedIdle  = "idle"  // nothing was heard of it while there were many
	turnedFull  = "full"  // there was no other place
)

// NewConnections returns what keeps to places.
func NewConnections(p Places, log *slog.Logger) *Connections {
	if p.PerSource == 0 {
		p.PerSource = max(p.Total/4, 1)
	}
	if p.Reserved == 0 {
		p.Reserved = p.Total / 4
	}
	return &Connections{places: p, now: time.Now, log: log, turned: make(map[string]uint64)}
}

// Open returns how many connections there are: strangers', those of clients that have
// shown a valid signature and wait, and those with a call under way.
func (a *Connections) Open() (strangers, known, calling int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.strangers.len(), a.known.len(), a.calling
}

// Turned returns how many connections were closed or refused to make room, by why:
// "share", "idle" or "full".
func (a *Connections) Turned() map[string]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return map[string]uint64{turnedShare: a.turned[turnedShare], turnedIdle: a.turned[turnedIdle], turnedFull: a.turned[turnedFull]}
}

func (a *Connections) open() int { return a.strangers.len() + a.known.len() + a.calling }

// pressed says whether there are so many that nobody may be idle for long.
func (a *Connections) pressed() bool {
	return a.places.Total > 0 && 2*a.open() >= a.places.Total
}

// admit gives a newcomer a place, if it gets one, and returns the connections that are
// to be closed for it.
func (a *Connections) admit(c *conn) (closing []*conn, admitted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.say(c)
	c.since = a.now()
	if a.places.Total == 0 {
		a.strangers.add(c)
		return nil, true
	}
	turn := func(victim *conn, why string) {
		victim.in.remove(victim)
		victim.gone = true
		a.count(why)
		closing = append(closing, victim)
	}
	if a.pressed() {
		for v := a.strangers.oldest(); v != nil && c.since.Sub(v.since) >= strangerPatience; v = a.strangers.oldest() {
			turn(v, turnedIdle)
		}
		for v := a.known.oldest(); v != nil && c.since.Sub(v.since) >= knownPatience; v = a.known.oldest() {
			turn(v, turnedIdle)
		}
	}
	if a.strangers.of(c.source) >= a.places.PerSource {
		v := a.strangers.oldestOf(c.source)
		if c.since.Sub(v.since) < leastPatience {
			a.count(turnedShare)
			return closing, false
		}
		turn(v, turnedShare)
	}
	for a.open() >= a.places.Total || a.strangers.len() >= max(a.places.Total-a.places.Reserved, 1) {
		v := a.victim(c)
		if v == nil {
			a.count(turnedFull)
			return closing, false
		}
		turn(v, turnedFull)
	}
	a.strangers.add(c)
	return closing, true
}

// victim returns the connection whose place a newcomer gets; nil if it gets none.
func (a *Connections) victim(c *conn) *conn {
	// Of clients that are known, only where strangers have next to nothing: the newcomer
	// may be a client, too.
	if a.strangers.len() < max(a.places.Total/8, 1) {
		if v := a.known.oldestOfLargest(); v != nil && c.since.Sub(v.since) >= leastPatience {
			return v
		}
	}
	v := a.strangers.oldestOfLargest()
	if v == nil {
		return nil
	}
	// Whoever calls again and again pushes out his own others, and not at any pace.
	if a.strangers.of(c.source) >= a.strangers.of(v.source) && c.since.Sub(v.since) < leastPatience {
		return nil
	}
	return v
}

// vouch notes that a request with a valid signature has come: the connection is not
// closed until release.
func (a *Connections) vouch(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.gone || c.calling {
		return
	}
	c.in.remove(c)
	c.vouched, c.calling = true, true
	a.calling++
}

// release notes that the request has been answered.
func (a *Connections) release(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !c.calling {
		return
	}
	c.calling = false
	a.calling--
	if !c.gone {
		c.since = a.now()
		a.known.add(c)
	}
}

// leave gives the place of a connection back that has been closed.
func (a *Connections) leave(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.gone = true
	if c.in != nil {
		c.in.remove(c)
	}
}

func (a *Connections) count(why string) {
	a.turned[why]++
	a.unsaid++
}

// say writes a line when connections have been turned away for a newcomer, at most one
// a minute.
func (a *Connections) say(c *conn) {
	if a.unsaid == 0 || c.since.Sub(a.said) < time.Minute {
		return
	}
	v := a.strangers.oldestOfLargest()
	if v == nil {
		v = c
	}
	a.log.Warn("connections of the API are closed to make room", "closed", a.unsaid, "strangers", a.strangers.len(), "known", a.known.len(), "calling", a.calling,
		"most from", v.source, "of these", a.strangers.of(v.source))
	a.unsaid, a.said = 0, c.since
}
