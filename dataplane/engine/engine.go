package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/egressfilter"
	"sluice/dataplane/garp"
	"sluice/dataplane/ipsec"
	"sluice/dataplane/netns"
	"sluice/dataplane/openvpn"
	"sluice/dataplane/securitygroup"
	"sluice/dataplane/session"
	"sluice/dataplane/shape"
)

// DefaultDebounce is how long events of somebody else's changes are collected
// before they are looked at.
const DefaultDebounce = 200 * time.Millisecond

// Config is what an Engine works with.
type Config struct {
	// RunDir keeps the marks of ownership, for example /run/sluice. It should
	// not outlive a reboot, as the kernel's state does not.
	RunDir string
	Logger *slog.Logger
	// Namespace is the named network namespace with the devices and bridges
	// that a Network names without a namespace; empty is the process's own.
	Namespace string
	// Clock times the repetition of announcements; nil is the real time.
	Clock garp.Clock
	// Debounce is 0 for DefaultDebounce.
	Debounce time.Duration
	// Sessions says how sessions are counted, limited and sped up.
	Sessions session.Options
	// VPN says how VPN gateways run charon; its Dir, Logger and Changed are set
	// by the engine.
	VPN ipsec.Options
	// SSL says how SSL-VPN servers run OpenVPN; its Dir and Logger are set by the engine.
	SSL openvpn.Options
	// LineDevices are the devices of leased lines, in the daemon's namespace: they are watched.
	LineDevices []string
	// WithoutSessions leaves all of that out: only nftables translates, and
	// the limits of NAT gateways and Network.Shortcut have no effect.
	WithoutSessions bool
}

// Engine holds the networks of one machine. Its methods may be called from
// several goroutines; those of one network wait for each other.
type Engine struct {
	cfg       Config
	log       *slog.Logger
	self      *netns.Namespace
	marks     *os.Root             // marksDir
	noMarks   sync.Map             // names in it that were told of
	filter    *egressfilter.Filter // nil where the kernel cannot run it
	sessions  *session.Sessions    // nil where the kernel cannot have them, or they are left out
	vpn       vpn
	groups    *securitygroup.Filters
	shaper    *shape.Shaper
	lines     *lines
	announcer *garp.Announcer
	events    *events

	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	networks map[string]*network
	closed   bool
}

// ErrClosed is returned by the methods of an Engine after Close.
var ErrClosed = errors.New("the dataplane engine is closed")

type realClock struct{}

func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// New returns an Engine. It makes RunDir, and touches no network. It tries
// once whether the kernel can run the egress filter: one that cannot is logged and
// worked with, since translation by nftables does not depend on it.
func New(cfg Config) (*Engine, error) {
	if cfg.RunDir == "" {
		return nil, errors.New("start dataplane: RunDir is empty; it must name a directory for the marks of ownership")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = realClock{}
	}
	if cfg.Debounce == 0 {
		cfg.Debounce = DefaultDebounce
	}
	marks, err := openMarks(cfg.RunDir)
	if err != nil {
		return nil, fmt.Errorf("start dataplane: %w", err)
	}
	self, err := netns.Open(cfg.Namespace)
	if err != nil {
		return nil, fmt.Errorf("start dataplane: %w", errors.Join(err, marks.Close()))
	}
	e := &Engine{
		cfg: cfg, log: cfg.Logger, self: self, marks: marks, networks: map[string]*network{},
		announcer: garp.New(cfg.Clock, cfg.Logger),
	}
	if e.shaper, err = shape.New(filepath.Join(cfg.RunDir, "bandwidths"), self); err != nil {
		return nil, fmt.Errorf("start dataplane: read where bandwidths are held: %w", errors.Join(err, self.Close(), marks.Close()))
	}
	if e.filter, err = egressfilter.New(); err != nil {
		e.log.Warn("no egress filter on uplinks: should the nftables ruleset be flushed, private sources and resets leave until it is put back", "error", err)
		e.filter = nil
	}
	if err := e.openGroups(); err != nil {
		return nil, fmt.Errorf("start dataplane: %w", errors.Join(err, self.Close(), marks.Close()))
	}
	if !cfg.WithoutSessions {
		if cfg.Sessions.Logger == nil {
			cfg.Sessions.Logger = cfg.Logger
		}
		if e.sessions, err = session.New(cfg.Sessions); err != nil {
			e.log.Warn("no limits, no traffic counters and no shortcut: nftables alone translates", "error", err)
			e.sessions = nil
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.events = newEvents(ctx, &e.done)
	if err := e.openLines(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("start dataplane: read which networks are on leased lines: %w", errors.Join(err, self.Close(), marks.Close()))
	}
	e.openVPN()
	e.done.Go(func() {
		if err := netns.Watch(ctx, e.nameChanged); err != nil {
			e.log.Warn("deleted names of network namespaces are only found by audits", "error", err)
		}
	})
	return e, nil
}

// Changed delivers the ids of networks in which somebody else has changed
// something that matters. The next Apply puts it right. An id is delivered
// once, however many changes there were before it was received.
func (e *Engine) Changed() <-chan string { return e.events.out }

// Invalidate makes the next Apply of a network compare everything with the
// kernel. It does not wait for an Apply under way.
func (e *Engine) Invalidate(id string) {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n != nil {
		n.stale.Or(staleAll)
	}
}

// Close ends the watching and the announcements and waits for what is under
// way. The kernel stays as it is and goes on forwarding.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	networks := e.networks
	e.networks = nil
	e.mu.Unlock()

	e.stop()
	e.announcer.Close()
	for _, n := range networks {
		n.mu.Lock()
		n.close()
		n.mu.Unlock()
	}
	e.closeVPN()
	e.done.Wait()
	e.shaper.Close()
	if e.sessions != nil {
		e.sessions.Close()
	}
	return errors.Join(e.self.Close(), e.marks.Close(), e.lines.marks.Close())
}

// lock returns the record of a network, locked. It is made where there is none.
func (e *Engine) lock(id string) (*network, error) {
	for {
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			return nil, ErrClosed
		}
		n := e.networks[id]
		if n == nil {
			n = &network{id: id}
			e.networks[id] = n
		}
		e.mu.Unlock()
		n.mu.Lock()
		if !n.over {
			return n, nil
		}
		// It was removed, or the engine closed, while this waited.
		n.mu.Unlock()
	}
}

// nameChanged hears of names under /run/netns that came or went.
func (e *Engine) nameChanged(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, n := range e.networks {
		if name == "" || name == dataplane.Namespace(id) {
			e.enqueue(n, staleName)
		}
	}
}
