package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// How often things are looked after.
const (
	tick           = time.Second      // limits, and sessions that conntrack never had
	heartbeatEvery = 3                // ticks: well within patience, that somebody is there
	quietTicks     = 3                // that the limits of a network without a session are left alone
	compareEvery   = 30 * time.Second // the whole table with conntrack's
	eventPause     = 10 * time.Millisecond
)

// eventBuffer takes the events of a flush of some hundred thousand connections.
const eventBuffer = 64 << 20

// watch looks after the sessions of a network in the background.
type watch struct {
	n          *Network
	stop       context.CancelFunc
	done       sync.WaitGroup
	compareNow chan struct{} // has room for one: compare as soon as may be

	shortages shortages
	sources   sourceReports

	// As of the last tick, which alone knows them.
	quiet        int  // ticks since the limits were looked at, of a network without a session
	idle         bool // there is no session
	refusals     lastRefusals
	lastRefused  uint64
	giveUpAgain  time.Time // when connections that were never answered may be given up again
	reclaimAgain time.Time // when closed connections may be removed again for want of room
	lastPending  bool
}

func newWatch(n *Network) *watch {
	ctx, stop := context.WithCancel(n.s.ctx)
	w := &watch{n: n, stop: stop, compareNow: make(chan struct{}, 1)}
	if known, err := n.refusals(); err == nil {
		w.shortages.begin(known)
	}
	w.done.Go(func() { w.listen(ctx) })
	w.done.Go(func() { w.listenToNeighbours(ctx) })
	w.done.Go(func() { w.hearOfSources(ctx) })
	w.done.Go(func() { w.supervise(ctx) })
	w.done.Go(func() { w.compare(ctx) })
	return w
}

func (w *watch) close() {
	w.stop()
	w.done.Wait()
}

// requestCompare has the tables compared.
func (w *watch) requestCompare() {
	select {
	case w.compareNow <- struct{}{}:
	default:
	}
}

// listen removes the sessions of connections that are gone, until ctx ends.
func (w *watch) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		// Events were lost, or the socket failed. The next one begins with a
		// comparison.
		if !errors.Is(err, unix.ENOBUFS) {
			w.n.s.opt.Logger.Warn("events of conntrack failed; sessions are compared with its table", "network", w.n.id, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(tick):
			}
		}
	}
}

func (w *watch) listenOnce(ctx context.Context) error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(w.n.ns.Handle())})
	if err != nil {
		return err
	}
	_ = c.SetReadBuffer(eventBuffer) // less without the privilege
	if err := c.JoinGroup(unix.NFNLGRP_CONNTRACK_DESTROY); err != nil {
		return errors.Join(err, c.Close())
	}
	w.requestCompare() // what happened before now is not known
	ctx, stop := context.WithCancel(ctx)
	over := make(chan entry, 4*entriesAtOnce)
	failed := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() { failed <- receive(ctx, c, &w.n.ended, over) })
	defer func() {
		stop()
		c.Close()
		reader.Wait()
	}()

	batch := make([]entry, 0, 8*entriesAtOnce)
	pause := time.NewTimer(eventPause)
	pause.Stop()
	flush := func() {
		if err := w.n.syncSessions(batch); err != nil {
			w.n.s.opt.Logger.Warn("sessions that are over stay for now", "network", w.n.id, "error", err)
			w.requestCompare()
		}
		batch = batch[:0]
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			flush()
			return err
		case <-pause.C:
			flush()
		case e := <-over:
			if batch = append(batch, e); len(batch) == 1 {
				pause.Reset(eventPause)
			} else if len(batch) == cap(batch) {
				pause.Stop()
				flush()
			}
		}
	}
}

// receive reads events until the connection is closed or fails, and counts them in ended.
func receive(ctx context.Context, c *netlink.Conn, ended *atomic.Uint64, over chan<- entry) error {
	for {
		messages, err := c.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			var event conntrack.Event
			if err := event.Unmarshal(m); err != nil || event.Flow == nil {
				continue // a kind of message that a later kernel has
			}
			ended.Add(1)
			e, ok := entryOf(event.Flow)
			if !ok {
				continue
			}
			e.Status, e.Ended = 0, 1
			select {
			case over <- e:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// supervise looks after the limits each second, and has the programs know that somebody
// is there, until ctx ends.
func (w *watch) supervise(ctx context.Context) {
	var packets map[int]uint64 // as of the last look for busy links
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-w.n.s.beat.wait():
			w.report(ctx, w.tick(i%heartbeatEvery == 0))
		}
		if i%lookForBusyEvery == 0 {
			var err error
			packets, err = w.n.hasten(packets, w.idle)
			w.report(ctx, err)
		}
	}
}

// compare compares the tables when there is doubt, and now and then, until ctx
// ends. That takes seconds where there are a million sessions, and nothing else
// waits for it. What is done meanwhile does no harm: before it makes or removes a
// session, the program sync_sessions asks conntrack itself; what conntrack cannot be
// asked for (ICMP) is put right by the next packet, or the next comparison.
func (w *watch) compare(ctx context.Context) {
	again := time.NewTimer(compareEvery)
	defer again.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-sweep.C:
			w.report(ctx, errors.Join(w.n.sweepSlots(now), w.n.sweepFlows()))
		case <-again.C:
			w.look(ctx, w.n.Look, again)
		case <-w.compareNow:
			w.look(ctx, w.n.Compare, again)
		}
	}
}

// look compares the tables, says what there is to say, and has it done again.
func (w *watch) look(ctx context.Context, compare func(context.Context) error, again *time.Timer) {
	began := time.Now()
	w.report(ctx, errors.Join(compare(ctx), w.n.dropBounds()))
	w.sayShortages(time.Now())
	// A large table is compared less often: at most a twentieth of the time.
	again.Reset(max(compareEvery, 20*time.Since(began)))
}

// report logs what went wrong, unless it did because ctx has ended.
func (w *watch) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		w.n.s.opt.Logger.Warn("sessions could not be looked after; it is tried again", "network", w.n.id, "error", err)
	}
}

// tick does what a limit that is reached asks for, makes room for volumes, and, with
// heartbeat, tells the programs that somebody looks after the sessions.
func (w *watch) tick(heartbeat bool) error {
	if heartbeat {
		if err := w.n.syncSessions(nil); err != nil {
			return err
		}
	}
	g, err := w.n.state()
	if err != nil {
		return err
	}
	err = w.n.addChunksFor(g.Slots)
	w.idle = held(g) == 0 && g.Pending == 0
	if w.idle && w.quiet < quietTicks {
		w.quiet, w.lastPending = w.quiet+1, false
		return err // with no session there is little that a limit could ask for
	}
	w.quiet = 0
	return errors.Join(err, w.enforceLimits(g))
}

// enforceLimits does what a limit that is reached asks for.
func (w *watch) enforceLimits(g *bpf.GatewayGatewayState) error {
	counts, err := w.refusals.read(w.n)
	if err != nil {
		return err
	}
	crowded, err := w.n.lookAtTable(g)
	if err != nil {
		return err
	}
	refused := counts.sum()
	if err := w.giveUpUnanswered(held(g)); err != nil {
		return err
	}
	switch {
	case crowded:
		if err := w.reclaim(); err != nil {
			return err
		}
	case refused != w.lastRefused:
		// The kernel removes connections that have timed out when it comes to
		// it, which may take a minute.
		if err := w.n.expire(); err != nil {
			return err
		}
	}
	w.lastRefused = refused
	if w.shortages.hear(time.Now(), counts) {
		w.requestCompare()
	}
	// Packets on their way between our programs and conntrack are not meant.
	pending := g.Pending > 0
	if pending && w.lastPending {
		if err := w.n.dropPending(); err != nil {
			return err
		}
	}
	w.lastPending = pending
	return nil
}
