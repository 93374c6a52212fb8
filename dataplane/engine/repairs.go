package engine

import (
	"sync"
	"time"

	"sluice/dataplane"
)

// Repairs of one thing that follow one another closely are told and made at ever
// longer intervals: something keeps changing it, which a daemon that answers at once
// can only help to fill the log and to keep the network in between.
const (
	repairsAtOnce = 3                      // of one thing, before the first pause
	firstPause    = 250 * time.Millisecond // after the last repair; then twice as long each time
	longestPause  = 5 * time.Second
	repairsForget = 5 * time.Minute // without a repair, until the next one is a first one again
)

// repairs is what has been repaired in a network, by what had to be done.
type repairs struct {
	mu    sync.Mutex
	by    map[string]*repeated
	count dataplane.Repairs
}

type repeated struct {
	times       int
	first, last time.Time
}

// note takes a repair in. It returns whether it is worth a line in the log, how often
// it has been made, and in which time.
func (r *repairs) note(what string, now time.Time) (tell bool, times int, within time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	if r.by == nil {
		r.by = map[string]*repeated{}
	}
	one := r.by[what]
	if one == nil {
		one = &repeated{first: now}
		r.by[what] = one
	}
	one.times++
	one.last = now
	if one.times <= repairsAtOnce {
		r.count.First++
	} else {
		r.count.Again++
	}
	power := one.times&(one.times-1) == 0
	return one.times <= repairsAtOnce || power, one.times, now.Sub(one.first)
}

// counted returns how many there were.
func (r *repairs) counted() dataplane.Repairs {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Repairs returns how often something was put right in a network that somebody else
// had changed, since the Engine began to look after it.
func (e *Engine) Repairs(id string) dataplane.Repairs {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return dataplane.Repairs{}
	}
	return n.repairs.counted()
}

// pause returns how long repairs can wait: none if one of them is not repeated.
func (r *repairs) pause(whats []string, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	wait := longestPause
	for _, what := range whats {
		one := r.by[what]
		if one == nil || one.times < repairsAtOnce {
			return 0
		}
		pause := min(firstPause<<min(one.times-repairsAtOnce, 10), longestPause)
		wait = min(wait, max(0, one.last.Add(pause).Sub(now)))
	}
	if len(whats) == 0 {
		return 0
	}
	return wait
}

func (r *repairs) forget(now time.Time) {
	for what, one := range r.by {
		if now.Sub(one.last) > repairsForget {
			delete(r.by, what)
		}
	}
}
