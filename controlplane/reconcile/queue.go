package reconcile

import (
	"context"
	"strings"
	"sync"
)

// reason is why a network wants a look; several may come together.
type reason uint8

const (
	started reason = 1 << iota // the daemon has started
	changed                    // resources have changed
	drifted                    // somebody else has changed the kernel's state
	audited                    // it is time to compare with the kernel
	retried                    // the last attempt failed
)

// String names the reasons, for logs.
func (r reason) String() string {
	var out []string
	for i, name := range []string{"start", "change", "drift", "audit", "retry"} {
		if r&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, "+")
}

// urgent says that somebody waits for the outcome.
func (r reason) urgent() bool { return r&(changed|drifted) != 0 }

// queue holds the networks that want a look. A network is in it once, however
// often it is added, and is not handed out while it is being worked on.
type queue struct {
	mu      sync.Mutex
	more    *sync.Cond
	items   map[string]*item
	urgent  []string // handed out first
	routine []string
}

type item struct {
	queued bool   // waiting to be handed out
	active bool   // handed out and not done
	why    reason // since it was handed out last
}

func newQueue() *queue {
	q := &queue{items: make(map[string]*item)}
	q.more = sync.NewCond(&q.mu)
	return q
}

// add asks for a look at a network. It never blocks.
func (q *queue) add(id string, why reason) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[id]
	if it == nil {
		it = &item{}
		q.items[id] = it
	}
	promoted := why.urgent() && !it.why.urgent()
	it.why |= why
	if !it.active && (!it.queued || promoted) {
		q.push(id, it)
	}
}

// push enqueues. A network that is promoted stays in the routine queue too;
// take passes over it there.
func (q *queue) push(id string, it *item) {
	it.queued = true
	if it.why.urgent() {
		q.urgent = append(q.urgent, id)
	} else {
		q.routine = append(q.routine, id)
	}
	q.more.Signal()
}

// take waits for a network and hands it out; ok is false once ctx has ended.
// The caller returns it with done.
func (q *queue) take(ctx context.Context) (id string, why reason, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.more.Broadcast()
	})
	defer stop()
	for ctx.Err() == nil {
		id, ok := q.pop()
		if !ok {
			q.more.Wait()
			continue
		}
		it := q.items[id]
		if it == nil || !it.queued {
			continue // promoted, and handed out since
		}
		why := it.why
		*it = item{active: true}
		return id, why, true
	}
	return "", 0, false
}

func (q *queue) pop() (string, bool) {
	for _, list := range []*[]string{&q.urgent, &q.routine} {
		if len(*list) > 0 {
			id := (*list)[0]
			*list = (*list)[1:]
			return id, true
		}
	}
	return "", false
}

// done takes a network back. If it was added in the meantime, it is handed out
// again.
func (q *queue) done(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[id]
	it.active = false
	if it.why == 0 {
		delete(q.items, id)
		return
	}
	q.push(id, it)
}
