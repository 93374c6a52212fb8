package ipsec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

// ErrUnsupported is what an error wraps where this machine cannot carry IPsec; its
// text says what is lacking.
var ErrUnsupported = errors.New("IPsec is not available")

// socketLimit is how long the path of a Unix socket may be (unix(7)).
const socketLimit = 107

// Options are a Manager's.
type Options struct {
	Dir     string               // run directory; each gateway has a subdirectory, named by its network
	Logger  *slog.Logger         // nil: the default one
	Path    dataplane.VPNPath    // empty: what this machine can do, the kernel's ESP first
	Charon  string               // charon's program; empty: it is looked for
	Changed func(network string) // called when a network's links or their being up have changed; must not block, or call the Manager; may be nil
}

// Manager runs the charons of all networks. Its methods may be called from several
// goroutines.
type Manager struct {
	options Options
	log     *slog.Logger
	path    dataplane.VPNPath
	program string

	retryFirst, retryMost time.Duration // the constants, but in tests

	mu       sync.Mutex
	gateways map[string]*gateway // by network
	closed   bool

	able      sync.Mutex // of what follows
	abilities abilities  // nil: not asked yet
	refusals  map[dataplane.Proposal]error
}

// New returns a Manager. It starts and adopts nothing by itself. The error wraps
// ErrUnsupported where this machine cannot carry IPsec.
func New(o Options) (*Manager, error) {
	m := &Manager{options: o, log: o.Logger, path: o.Path, program: o.Charon, gateways: map[string]*gateway{}, refusals: map[dataplane.Proposal]error{}, retryFirst: retryFirst, retryMost: retryMost}
	if m.log == nil {
		m.log = slog.Default()
	}
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("run directory of VPN gateways %q: must be an absolute path", o.Dir)
	}
	var err error
	if m.program == "" {
		if m.program, err = findCharon(); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(m.program); err != nil {
		return nil, fmt.Errorf("%w: charon: %w", ErrUnsupported, err)
	}
	if m.path == "" {
		if m.path, err = choosePath(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Path returns how tunnels are carried.
func (m *Manager) Path() dataplane.VPNPath { return m.path }

// Apply makes a network's charon hold what want says: it is adopted or started, is
// given what differs, and loses what is gone; nil ends it and removes its traces.
// ns is the network's namespace, which stays the caller's; with a nil want it may
// be nil, where the namespace is gone.
//
// Apply returns when charon holds the connections, not when they are established.
// An error names each connection that could not be loaded; the others are.
func (m *Manager) Apply(ctx context.Context, ns *netns.Namespace, network string, want *dataplane.VPNGateway) error {
	if network == "" || filepath.Base(network) != network {
		return fmt.Errorf("VPN gateway of network %q: not a name", network)
	}
	if want == nil {
		return m.remove(ns, network)
	}
	g, err := m.gateway(ns, network)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want = *want
	g.want.Connections = slices.Clone(want.Connections)
	g.states.set(g.want.Connections)
	if g.stopped {
		return fmt.Errorf("VPN gateway %s: removed meanwhile", want.ID)
	}
	err = g.sync(ctx)
	g.observe()
	if g.cancel == nil {
		running, cancel := context.WithCancel(context.Background())
		g.cancel, g.done = cancel, make(chan struct{})
		if err := g.watch(running); err != nil {
			g.m.log.Warn("links of tunnels that go are noticed late", "network", network, "error", err)
		}
		go g.run(running)
	}
	g.nudge()
	if err != nil {
		return fmt.Errorf("VPN gateway %s: %w", want.ID, err)
	}
	return nil
}

// gateway returns that of a network in a namespace, and makes it if need be.
func (m *Manager) gateway(ns *netns.Namespace, network string) (*gateway, error) {
	dir := filepath.Join(m.options.Dir, network)
	if socket := filepath.Join(dir, socketFile); len(socket) > socketLimit {
		return nil, fmt.Errorf("VPN gateway of network %s: path %s is too long for a socket, which may have %d bytes", network, socket, socketLimit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("VPN gateways: closed")
	}
	if g := m.gateways[network]; g != nil {
		if g.ns.Same(ns) {
			return g, nil
		}
		// The namespace has been made anew; so is charon then.
		g.stop()
		delete(m.gateways, network)
	}
	own, err := ns.Again()
	if err != nil {
		return nil, err
	}
	g := &gateway{m: m, network: network, dir: dir, wake: make(chan struct{}, 1), mu: make(mutex, 1), ns: own}
	m.gateways[network] = g
	return g, nil
}

// remove ends a network's charon and removes what is left of it. The directory
// goes last, so that after a crash the rest is found again.
func (m *Manager) remove(ns *netns.Namespace, network string) error {
	m.mu.Lock()
	g := m.gateways[network]
	delete(m.gateways, network)
	m.mu.Unlock()
	if g != nil {
		g.stop()
	}
	dir := filepath.Join(m.options.Dir, network)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	pids, err := find(dir)
	if err != nil {
		return fmt.Errorf("remove VPN gateway of network %s: %w", network, err)
	}
	var errs []error
	for _, pid := range pids {
		errs = append(errs, process.End(pid))
	}
	if ns != nil {
		errs = append(errs, sweep(ns))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove VPN gateway of network %s: %w", network, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	m.log.Info("removed a network's VPN gateway", "network", network)
	if g != nil && m.options.Changed != nil {
		m.options.Changed(network)
	}
	return nil
}

// Status returns the live state of a network's connections, by connection id. The
// fields that are not IPsec's (Failed, Checked, BGP) are zero. Counters begin at
// zero with the Manager, besides those of the SAs that it has adopted. What an SA
// carries between charon's last look at it and its end, a moment at each rekeying,
// is not counted.
func (m *Manager) Status(network string) map[string]dataplane.VPNStatus {
	g := m.known(network)
	if g == nil {
		return nil
	}
	g.refresh()
	all := g.states.status()
	for id, s := range all {
		s.Path = m.path
		all[id] = s
	}
	return all
}

// Link returns the name of the link that is a connection's tunnel, empty while
// there is none, and whether packets pass. On the libipsec path the link is that
// of all connections of the network, and comes and goes with charon.
func (m *Manager) Link(network, connection string) (name string, up bool) {
	g := m.known(network)
	if g == nil {
		return "", false
	}
	return g.states.tunnel(connection)
}

func (m *Manager) known(network string) *gateway {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gateways[network]
}

// Refuses says why a connection cannot be carried on this machine: an algorithm, or
// a version of IKE, that its strongSwan, or the kernel, does not have. It is nil if it can be. The
// first call asks a charon that is started for it, which takes a moment.
func (m *Manager) Refuses(c *dataplane.VPNConnection) error {
	m.able.Lock()
	defer m.able.Unlock()
	if m.abilities == nil {
		a, err := readAbilities(context.Background(), m.program, m.options.Dir, m.path)
		if err != nil {
			m.log.Error("cannot tell which algorithms there are", "error", err)
			return nil // charon says so itself when it is given the connection
		}
		m.abilities = a
	}
	if !m.abilities[kindVersion][fmt.Sprint(c.IKE.Version)] {
		return fmt.Errorf("this machine's strongSwan has no IKEv%d: choose the other version, or a strongSwan built with it (from 6.1 on --enable-ikev1)", c.IKE.Version)
	}
	if err := m.abilities.refuses(c.IKE.Proposal, "IKE"); err != nil {
		return err
	}
	if c.IKE.Proposal.Group == 0 {
		return errors.New("IKE: needs a Diffie-Hellman group")
	}
	if err := m.abilities.refuses(c.ESP.Proposal, "ESP"); err != nil {
		return err
	}
	if m.path != dataplane.VPNByXFRM {
		return nil
	}
	p := c.ESP.Proposal
	p.Group = 0
	err, asked := m.refusals[p]
	if !asked {
		err = kernelRefuses(p)
		m.refusals[p] = err
	}
	return err
}

// Close ends the watching. The charons work on, for the next Manager to adopt.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	gateways := slices.Collect(maps.Values(m.gateways))
	clear(m.gateways)
	m.mu.Unlock()
	for _, g := range gateways {
		g.stop()
	}
}
