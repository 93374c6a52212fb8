// Package events gives the watchers of a store its commits, from memory: for stores
// that no database does it for.
package events

import (
	"context"
	"errors"
	"sync"

	"sluice/controlplane/store"
)

// Kept is how many of the newest events a watch may begin with, where nothing else
// is asked for.
const Kept = 4096

// Log is a chain of the newest commits. Watchers walk along it at their own
// pace: what a slow one has not seen yet stays in memory for it alone, and
// nobody waits for anybody.
type Log struct {
	keep   int
	mu     sync.Mutex
	recent []*link // the newest, oldest first; never empty
}

// link is a place between two events.
type link struct {
	revision int64         // of the event before it
	ready    chan struct{} // closed when event and next are set
	event    store.Event
	next     *link
}

// New returns the log of a store that is at a revision. A watch may begin with any of
// the newest keep events.
func New(revision int64, keep int) *Log {
	return &Log{keep: keep, recent: []*link{{revision: revision, ready: make(chan struct{})}}}
}

// Add appends an event. Its revision is one higher than that of the last.
func (e *Log) Add(event store.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := e.recent[len(e.recent)-1]
	last.event = event
	last.next = &link{revision: event.Revision, ready: make(chan struct{})}
	close(last.ready)
	e.recent = append(e.recent, last.next)
	if len(e.recent) > 2*e.keep {
		e.recent = append([]*link(nil), e.recent[len(e.recent)-e.keep:]...)
	}
}

// Watch delivers every event after a revision, in order, until ctx ends or closed is
// closed. Errors: store.ErrCompacted, store.ErrClosed.
func (e *Log) Watch(ctx context.Context, from int64, closed <-chan struct{}) (<-chan store.Event, error) {
	select {
	case <-closed:
		return nil, store.ErrClosed
	default:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	first, last := e.recent[0].revision, e.recent[len(e.recent)-1].revision
	switch {
	case from < first:
		return nil, store.ErrCompacted
	case from > last:
		return nil, errors.New("watch: that revision is still to come")
	}
	at := e.recent[from-first]
	out := make(chan store.Event)
	go func() {
		defer close(out)
		for {
			select {
			case <-at.ready:
			case <-ctx.Done():
				return
			case <-closed:
				return
			}
			select {
			case out <- at.event:
				at = at.next
			case <-ctx.Done():
				return
			case <-closed:
				return
			}
		}
	}()
	return out, nil
}
