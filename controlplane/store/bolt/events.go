package bolt

import (
	"context"
	"errors"
	"sync"

	"sluice/controlplane/store"
)

// kept is how many of the newest events a watch may begin with.
const kept = 4096

// events is a chain of the newest commits. Watchers walk along it at their own
// pace: what a slow one has not seen yet stays in memory for it alone, and
// nobody waits for anybody.
type events struct {
	mu     sync.Mutex
	recent []*link // the newest, oldest first; never empty
	closed chan struct{}
}

// link is a place between two events.
type link struct {
	revision int64         // of the event before it
	ready    chan struct{} // closed when event and next are set
	event    store.Event
	next     *link
}

func newEvents(revision int64) *events {
	return &events{recent: []*link{{revision: revision, ready: make(chan struct{})}}, closed: make(chan struct{})}
}

// add appends an event. Its revision is one higher than that of the last.
func (e *events) add(event store.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := e.recent[len(e.recent)-1]
	last.event = event
	last.next = &link{revision: event.Revision, ready: make(chan struct{})}
	close(last.ready)
	e.recent = append(e.recent, last.next)
	if len(e.recent) > 2*kept {
		e.recent = append([]*link(nil), e.recent[len(e.recent)-kept:]...)
	}
}

func (e *events) watch(ctx context.Context, from int64) (<-chan store.Event, error) {
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
			case <-e.closed:
				return
			}
			select {
			case out <- at.event:
				at = at.next
			case <-ctx.Done():
				return
			case <-e.closed:
				return
			}
		}
	}()
	return out, nil
}

func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
}
