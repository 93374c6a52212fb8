package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/dataplane/plan"
	"sluice/dataplane/route"
)

// events hands out ids of networks, each once until it is received.
type events struct {
	out chan string

	mu      sync.Mutex
	waiting []string
	more    chan struct{} // has room for one
}

func newEvents(ctx context.Context, done *sync.WaitGroup) *events {
	v := &events{out: make(chan string), more: make(chan struct{}, 1)}
	done.Go(func() { v.deliver(ctx) })
	return v
}

func (v *events) deliver(ctx context.Context) {
	for {
		id, ok := v.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-v.more:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case v.out <- id:
			v.forget(id)
		case <-v.more: // the first may have been forgotten
		}
	}
}

func (v *events) next() (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.waiting) == 0 {
		return "", false
	}
	return v.waiting[0], true
}

func (v *events) add(id string) {
	v.mu.Lock()
	if !slices.Contains(v.waiting, id) {
		v.waiting = append(v.waiting, id)
	}
	v.mu.Unlock()
	v.wake()
}

// forget takes an id out, because it was delivered or the network is gone.
func (v *events) forget(id string) {
	v.mu.Lock()
	v.waiting = slices.DeleteFunc(v.waiting, func(w string) bool { return w == id })
	v.mu.Unlock()
	v.wake()
}

func (v *events) wake() {
	select {
	case v.more <- struct{}{}:
	default:
	}
}

// enqueue has a part of a network looked at after the debounce time. More
// events in that time are looked at together; events that never end do not put
// it off. A change of nftables is a single event and waits a tenth of the
// time: without the table nothing crosses the uplink, and within the network the
// gateway's own stack answers for elastic IPs and resets connections that speak.
func (e *Engine) enqueue(n *network, part uint32) {
	n.pendingMu.Lock()
	defer n.pendingMu.Unlock()
	wait, urgent := e.cfg.Debounce, part&staleRules != 0 && n.pending&staleRules == 0
	if urgent {
		wait /= 10
	}
	switch {
	case n.pending == 0:
		n.timer = time.AfterFunc(wait, func() { e.look(n) })
	case urgent && n.timer.Stop():
		n.timer.Reset(wait)
	}
	n.pending |= part
}

// look reports a network if what events were about is other than remembered. Our
// own changes cause events, too, and end here. What has been repaired again and again
// is looked at once more after a while, and then repaired.
func (e *Engine) look(n *network) {
	n.pendingMu.Lock()
	parts := n.pending
	n.pending = 0
	n.pendingMu.Unlock()

	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over || n.ns == nil || n.applied == nil {
		return // the next Apply reads everything
	}
	differs, whats := e.differing(n, parts)
	if differs == 0 {
		return
	}
	if pause := n.repairs.pause(whats, time.Now()); pause > 0 {
		e.lookLater(n, pause)
		return
	}
	// What is stale already was reported, and the Apply for it is yet to come.
	if n.stale.Or(differs)&differs != differs {
		e.events.add(n.id)
	}
}

// lookLater looks at everything that makes events after a while. What events were about
// before is looked at as ever.
func (e *Engine) lookLater(n *network, wait time.Duration) {
	n.pendingMu.Lock()
	defer n.pendingMu.Unlock()
	if n.later != nil {
		n.later.Stop()
	}
	n.later = time.AfterFunc(wait, func() { e.enqueue(n, staleName|staleLinks|staleRules) })
}

// differing returns those parts that are other than remembered, or that cannot
// be read, and what would have to be done.
func (e *Engine) differing(n *network, parts uint32) (differs uint32, whats []string) {
	ctx := context.Background()
	if parts&staleName != 0 && !n.ns.Bound() {
		differs |= staleName
		whats = append(whats, nameAgain(n))
	}
	if parts&staleRules != 0 {
		have, err := n.table.Read(ctx)
		switch {
		case err != nil || n.rules == nil:
			differs |= staleRules
			whats = append(whats, unread)
		case !have.Equal(n.rules):
			differs |= staleRules
			whats = append(whats, describeRules(n.rules, have))
		}
		if todo := e.heldDiffers(n); len(todo) > 0 {
			differs |= staleRules
			whats = append(whats, todo...)
		}
		if parts&staleLinks == 0 {
			if todo := e.groupsDiffer(n); len(todo) > 0 {
				differs |= staleRules
				whats = append(whats, todo...)
			}
		}
		if e.vpn.ipsec != nil && e.vpn.ipsec.Misled(n.ns, n.id) {
			differs |= staleTunnels
			whats = append(whats, "lead IKE and ESP to charons")
		}
	}
	if parts&staleLinks != 0 {
		if todo := e.topologyDiffers(ctx, n); len(todo) > 0 {
			// A link that was made again has sysctls of its own.
			differs |= staleLinks | staleSysctls
			whats = append(whats, todo...)
		}
		if todo := e.groupsDiffer(n); len(todo) > 0 {
			differs |= staleLinks
			whats = append(whats, todo...)
		}
		if n.dhcp.failed.Load() {
			differs |= staleLinks
			whats = append(whats, "answer DHCP again")
		}
		if todo := e.bandwidthsDiffer(n); len(todo) > 0 {
			differs |= staleBandwidths
			whats = append(whats, todo...)
		}
		if todo := e.tunnelsDiffer(n); len(todo) > 0 {
			differs |= staleTunnels
			whats = append(whats, todo...)
		}
	}
	return differs, whats
}

// unread stands for what cannot be read, and so is no repair.
const unread = "read it again"

func (e *Engine) topologyDiffers(ctx context.Context, n *network) []string {
	links := e.linksOf(n)
	state, err := links.Read(ctx, n.applied)
	if err != nil {
		return []string{unread}
	}
	whats := links.Plan(state, n.applied).Whats()
	for _, p := range []*plan.Plan{e.planFilter(n.ns, state, n.applied), e.planSessions(n, state, n.applied, n.tunnelsIn(state))} {
		whats = append(whats, p.Whats()...)
		if p.Err != nil {
			whats = append(whats, unread)
		}
	}
	names, err := linkNames(n.ns)
	if err != nil {
		return append(whats, unread)
	}
	routes, err := route.Read(ctx, n.ns, names)
	if err != nil {
		return append(whats, unread)
	}
	return append(whats, route.Plan(n.ns, routes, n.applied, n.tunnels).Whats()...)
}
