package reconcile

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"sluice/controlplane/compile"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Dataplane is what carries networks out. Different networks are handed to it
// at the same time, one network never twice.
type Dataplane interface {
	// Apply makes the kernel match n, and says what it took. It is idempotent.
	Apply(ctx context.Context, n *dataplane.Network) (dataplane.Observed, error)
	// Remove takes away everything of a network; what is absent is removed
	// already.
	Remove(ctx context.Context, id string) error
	// Networks returns the networks that carry our mark, from this process or
	// from an earlier one.
	Networks() ([]string, error)
	// Changed delivers networks of which somebody else has changed something in
	// the kernel. The next Apply of such a network mends it, without Invalidate.
	Changed() <-chan string
	// Invalidate makes the next Apply of a network compare with the kernel
	// itself, and not with what is remembered of it.
	Invalidate(id string)
	// Audit looks whether a network in the kernel is other than remembered, where
	// that costs little, and reports whether it may be: the next Apply then mends
	// it. With full, that compares everything. seen says that it has looked.
	Audit(ctx context.Context, id string, full bool) (differs, seen bool)
}

// Options are the reconciler's figures; zero values mean the defaults.
type Options struct {
	Audit    time.Duration  // between two audits of a network, ±10 %; default 30 s, negative: none
	Full     time.Duration  // between two audits of a network that compare everything; default 10 min
	Parallel int            // networks worked on at the same time; default four for each processor: they mostly wait for one another in the kernel
	Random   func() float64 // from [0, 1), for the spread of the audit; default math/rand
	Open     compile.Opener // decrypts the secrets of resources; needed where there are any
}

// The waits between attempts at a network that fails: exponential, with
// jitter, without end.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Reconciler is the task that keeps the dataplane following.
type Reconciler struct {
	db       *state.DB
	dp       Dataplane
	settings *settings.Settings
	log      *slog.Logger
	now      func() time.Time
	opt      Options
	queue    *queue
	ready    chan struct{}

	audited chan struct{} // has room for one: a look that an audit has asked for is done

	mu       sync.Mutex
	networks map[string]*network
	first    map[string]bool // networks whose first attempt is outstanding
	listed   bool            // what an earlier process left has been asked for once
	closed   bool            // ready is closed
}

// network is what the reconciler remembers of a network between looks.
type network struct {
	present  bool // the dataplane has, or may have, something of it
	compiler *compile.Compiler
	attempts int // that have failed, since the last that did not
	since    time.Time
	backoff  *backoff.ExponentialBackOff
	retry    *time.Timer
}

// New returns a reconciler and registers it with db: before the first
// db.Update. db has been loaded, so that what it doesn't hold isn't wanted.
func New(db *state.DB, dp Dataplane, set *settings.Settings, log *slog.Logger, now func() time.Time, opt Options) *Reconciler {
	if opt.Audit == 0 {
		opt.Audit = 30 * time.Second
	}
	if opt.Full == 0 {
		opt.Full = 10 * time.Minute
	}
	if opt.Parallel <= 0 {
		opt.Parallel = 4 * runtime.GOMAXPROCS(0)
	}
	if opt.Random == nil {
		opt.Random = rand.Float64
	}
	r := &Reconciler{
		db: db, dp: dp, settings: set, log: log, now: now, opt: opt,
		queue:    newQueue(),
		ready:    make(chan struct{}),
		audited:  make(chan struct{}, 1),
		networks: make(map[string]*network),
		first:    make(map[string]bool),
	}
	db.Listen(func(c state.Commit) {
		for _, id := range c.Networks {
			r.queue.add(id, changed)
		}
	})
	return r
}

// String names the task.
func (r *Reconciler) String() string { return "reconcile" }

// Ready is closed when every network that was there at the start has had its
// first attempt, whether it worked or not.
func (r *Reconciler) Ready() <-chan struct{} { return r.ready }

// Run works until ctx ends, and returns nil then. It runs once.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.stopRetries()
	r.mu.Lock()
	for n := range r.db.View().Networks() {
		r.first[n.Network()] = true
	}
	for id := range r.first {
		r.queue.add(id, started)
	}
	r.mu.Unlock()

	var tasks errgroup.Group
	tasks.Go(func() error { r.adopt(ctx); return nil })
	tasks.Go(func() error { r.watch(ctx); return nil })
	if r.opt.Audit > 0 {
		tasks.Go(func() error { r.audit(ctx); return nil })
	}
	for range r.opt.Parallel {
		tasks.Go(func() error { r.work(ctx); return nil })
	}
	return tasks.Wait()
}

func (r *Reconciler) work(ctx context.Context) {
	for {
		id, why, ok := r.queue.take(ctx)
		if !ok {
			return
		}
		r.look(ctx, id, why)
		r.queue.done(id)
		r.attempted(id)
		if why&audited != 0 {
			select {
			case r.audited <- struct{}{}:
			default:
			}
		}
	}
}

// adopt asks for what an earlier process left. What of it is wanted is in the
// queue already; the rest is queued, and goes because nothing is found whose it is.
func (r *Reconciler) adopt(ctx context.Context) {
	wait := newBackOff()
	for failing := false; ; failing = true {
		ids, err := r.dp.Networks()
		r.mu.Lock()
		if err == nil {
			for _, id := range ids {
				r.network(id).present = true
				if _, wanted := r.db.View().Network(id); wanted {
					continue
				}
				if !r.closed {
					r.first[id] = true
				}
				r.queue.add(id, started)
			}
		}
		r.listed = true
		r.mu.Unlock()
		r.attempted("")
		if err == nil {
			return
		}
		if !failing {
			r.log.Error("the networks of an earlier process can't be listed; trying again until they can", "error", err)
		}
		if !pause(ctx, wait.NextBackOff()) {
			return
		}
	}
}

// attempted notes that a network has had its first attempt.
func (r *Reconciler) attempted(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	delete(r.first, id)
	if r.listed && len(r.first) == 0 {
		r.closed = true
		close(r.ready)
	}
}

// watch follows what others do to the kernel.
func (r *Reconciler) watch(ctx context.Context) {
	events := r.dp.Changed()
	for {
		select {
		case id, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			r.queue.add(id, drifted)
		case <-ctx.Done():
			return
		}
	}
}

// pause waits, and says whether it was for the whole time.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = firstRetry
	b.MaxInterval = lastRetry
	b.Multiplier = 2
	b.Reset()
	return b
}
