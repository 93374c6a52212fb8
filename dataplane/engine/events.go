package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/dataplane/link"
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

// suspect has a part of a network looked at after the debounce time. More
// events in that time are looked at together; events that never end do not put
// it off. A change of nftables is a single event and waits a tenth of the
// time: without the table nothing crosses the uplink, and within the network the
// gateway's own stack answers for elastic IPs and resets connections that speak.
func (e *Engine) suspect(n *network, part uint32) {
	n.suspectMu.Lock()
	defer n.suspectMu.Unlock()
	wait, urgent := e.cfg.Debounce, part&doubtRules != 0 && n.suspected&doubtRules == 0
	if urgent {
		wait /= 10
	}
	switch {
	case n.suspected == 0:
		n.timer = time.AfterFunc(wait, func() { e.look(n) })
	case urgent && n.timer.Stop():
		n.timer.Reset(wait)
	}
	n.suspected |= part
}

// look reports a network if what was suspected is other than remembered. Our
// own changes cause events, too, and end here.
func (e *Engine) look(n *network) {
	n.suspectMu.Lock()
	parts := n.suspected
	n.suspected = 0
	n.suspectMu.Unlock()

	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over || n.ns == nil || n.applied == nil {
		return // the next Apply reads everything
	}
	differs := e.differing(n, parts)
	// What is in doubt already was reported, and the Apply for it is yet to come.
	if n.doubt.Or(differs)&differs != differs {
		e.events.add(n.id)
	}
}

// differing returns those parts that are other than remembered, or that cannot
// be read.
func (e *Engine) differing(n *network, parts uint32) uint32 {
	ctx := context.Background()
	var differs uint32
	if parts&doubtName != 0 && !n.ns.Bound() {
		differs |= doubtName
	}
	if parts&doubtRules != 0 {
		have, err := n.table.Read(ctx)
		if err != nil || n.rules == nil || !have.Equal(n.rules) {
			differs |= doubtRules
		}
	}
	if parts&doubtLinks != 0 && e.topologyDiffers(ctx, n) {
		// A link that was made again has sysctls of its own.
		differs |= doubtLinks | doubtSysctls
	}
	if parts&doubtLinks != 0 && e.tunnelsDiffer(n) {
		differs |= doubtTunnels
	}
	return differs
}

func (e *Engine) topologyDiffers(ctx context.Context, n *network) bool {
	links := link.New(n.ns, e.self)
	state, err := links.Read(ctx, n.applied)
	if err != nil || !links.Plan(state, n.applied).Empty() {
		return true
	}
	if p := e.planGuard(n.ns, state, n.applied); !p.Empty() || p.Err != nil {
		return true
	}
	if p := e.planSessions(n, state, n.applied); !p.Empty() || p.Err != nil {
		return true
	}
	names, err := linkNames(n.ns)
	if err != nil {
		return true
	}
	routes, err := route.Read(ctx, n.ns, names)
	return err != nil || !route.Plan(n.ns, routes, n.applied, n.tunnels).Empty()
}
