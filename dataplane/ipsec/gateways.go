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

	"golang.org/x/sync/errgroup"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// ErrUnsupported is what an error wraps where this machine cannot carry IPsec; its
// text says what is lacking.
var ErrUnsupported = errors.New("IPsec is not available")

// socketLimit is how long the path of a Unix socket may be (unix(7)).
const socketLimit = 107

// Options are Gateways'.
type Options struct {
	Dir     string               // run directory; each gateway has a subdirectory, named by its network
	Logger  *slog.Logger         // nil: the default one
	Path    dataplane.VPNPath    // empty: what this machine can do, the kernel's ESP first
	Charon  string               // charon's program; empty: it is looked for
	Changed func(network string) // called when a network's links or their being up have changed; must not block, or call the Gateways; may be nil
}

// Gateways run the charons of all networks. Their methods may be called from several
// goroutines.
type Gateways struct {
	options Options
	log     *slog.Logger
	path    dataplane.VPNPath
	program string
	waits   waits

	retryFirst, retryMost time.Duration // the constants, but in tests

	mu       sync.Mutex
	gateways map[string]*gateway // by directory
	led      map[string]leading  // what was led where, by network
	closed   bool

	able *abilities
}

// New returns Gateways, which start and adopt nothing by themselves. The error wraps
// ErrUnsupported where this machine cannot carry IPsec.
func New(o Options) (*Gateways, error) {
	m := &Gateways{options: o, log: o.Logger, path: o.Path, program: o.Charon, waits: usualWaits, gateways: map[string]*gateway{}, led: map[string]leading{}, retryFirst: retryFirst, retryMost: retryMost}
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
	m.able = newAbilities(m)
	return m, nil
}

// Path returns how tunnels are carried.
func (m *Gateways) Path() dataplane.VPNPath { return m.path }

// Apply makes a network's charons hold what want says: they are adopted or started, are
// given what differs, and lose what is gone; without a gateway they end, and their traces
// are removed. ns is the network's namespace, which stays the caller's, and which forwards
// packets; without a gateway it may be nil, where the namespace is gone.
//
// Apply returns when charons hold the connections, not when they are established.
// An error names each connection that could not be loaded; the others are.
func (m *Gateways) Apply(ctx context.Context, ns *netns.Namespace, network string, want []dataplane.VPNGateway) error {
	if network == "" || filepath.Base(network) != network {
		return fmt.Errorf("VPN gateways of network %q: not a name", network)
	}
	if len(want) == 0 {
		return m.remove(ns, network)
	}
	name := "VPN gateway " + want[0].ID
	for i := 1; i < len(want); i++ {
		name += ", " + want[i].ID
	}
	sites, gone, err := m.divide(network, want)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.dismiss(network, gone)
	for _, slot := range gone {
		if err := m.removeSite(network, slot); err != nil {
			return fmt.Errorf("%s: remove what is left of a site: %w", name, err)
		}
	}
	if err := errors.Join(m.noteSites(network, sites), m.lead(ns, network, want, sites)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var all errgroup.Group
	all.SetLimit(startsAtOnce)
	errs := make([]error, len(sites))
	for i := range sites {
		all.Go(func() error {
			errs[i] = m.applySite(ctx, ns, network, &sites[i])
			return nil
		})
	}
	_ = all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// startsAtOnce is how many charons are started, or adopted, at the same time.
const startsAtOnce = 4

func (m *Gateways) applySite(ctx context.Context, ns *netns.Namespace, network string, s *site) error {
	g, err := m.gateway(ns, network, s)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want, g.locals = s.want, s.locals
	g.states.set(&g.want)
	if g.stopped {
		return errors.New("removed meanwhile")
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
	return err
}

// gateway returns that of a network's site in a namespace, and makes it if need be.
func (m *Gateways) gateway(ns *netns.Namespace, network string, s *site) (*gateway, error) {
	dir := m.siteDir(network, s.slot)
	if socket := filepath.Join(dir, socketFile); len(socket) > socketLimit {
		return nil, fmt.Errorf("VPN gateway of network %s: path %s is too long for a socket, which may have %d bytes", network, socket, socketLimit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("VPN gateways: closed")
	}
	if g := m.gateways[dir]; g != nil {
		if g.ns.Same(ns) && g.ends == s.ends {
			return g, nil
		}
		// The namespace has been made anew; so is charon then.
		g.stop()
		delete(m.gateways, dir)
	}
	own, err := ns.Again()
	if err != nil {
		return nil, err
	}
	g := &gateway{m: m, network: network, slot: s.slot, ends: s.ends, dir: dir, wake: make(chan struct{}, 1), mu: make(mutex, 1), ns: own}
	g.states.partial = m.waits.partial
	m.gateways[dir] = g
	return g, nil
}

// remove ends a network's charons and removes what is left of them. The directory
// of the first goes last, so that after a crash the rest is found again.
func (m *Gateways) remove(ns *netns.Namespace, network string) error {
	m.mu.Lock()
	delete(m.led, network)
	m.mu.Unlock()
	known := len(m.of(network)) > 0
	slots, err := m.slots(network)
	if err != nil {
		return fmt.Errorf("remove VPN gateway of network %s: %w", network, err)
	}
	if len(slots) == 0 {
		return nil
	}
	if ns != nil { // else nothing gets out any more
		m.dismiss(network, slices.Collect(maps.Keys(slots)))
	}
	var errs []error
	for slot := range slots {
		if slot > 0 {
			errs = append(errs, m.removeSite(network, slot))
		}
	}
	// Not before: its goroutine would put back what is swept.
	errs = append(errs, m.endSite(network, 0))
	if ns != nil {
		errs = append(errs, sweep(ns))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove VPN gateway of network %s: %w", network, err)
	}
	if err := os.RemoveAll(m.siteDir(network, 0)); err != nil {
		return fmt.Errorf("remove VPN gateway of network %s: %w", network, err)
	}
	m.log.Info("removed a network's VPN gateway", "network", network)
	if known && m.options.Changed != nil {
		m.options.Changed(network)
	}
	return nil
}

// Status returns the live state of a network's connections, by connection id. The
// fields that are not IPsec's (Failed, Checked, BGP) are zero. Counters begin at
// zero with the Gateways, besides those of the SAs that it has adopted. What an SA
// carries between charon's last look at it and its end, a moment at each rekeying,
// is not counted.
func (m *Gateways) Status(network string) map[string]dataplane.VPNStatus {
	var out map[string]dataplane.VPNStatus
	for _, g := range m.of(network) {
		g.refresh()
		if out == nil {
			out = map[string]dataplane.VPNStatus{}
		}
		maps.Copy(out, g.states.status())
	}
	for id, s := range out {
		s.Path = m.path
		out[id] = s
	}
	return out
}

// Link returns the name of the link that is a connection's tunnel, empty while
// there is none, and whether packets pass. On the libipsec path the link is that
// of all connections with one address, and comes and goes with their charon.
func (m *Gateways) Link(network, connection string) (name string, up bool) {
	for _, g := range m.of(network) {
		if name, up := g.states.tunnel(connection); name != "" {
			return name, up
		}
	}
	return "", false
}

// Links returns the names of the links that lead into a network's tunnels when Apply has
// made them, ascending.
func (m *Gateways) Links(network string, want []dataplane.VPNGateway) ([]string, error) {
	sites, _, err := m.divide(network, want)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range sites {
		if m.path == dataplane.VPNByLibipsec {
			names = append(names, dataplane.TUNLink(sites[i].slot))
			continue
		}
		for k := range sites[i].want.Connections {
			names = append(names, sites[i].want.Connections[k].Link())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Abilities returns what this machine can carry, as far as it is known. It waits for
// some seconds at most, and only while nothing is known yet.
func (m *Gateways) Abilities(ctx context.Context) *dataplane.VPNAbilities { return m.able.get(ctx) }

// Close ends the watching. The charons work on, for the next Gateways to adopt.
func (m *Gateways) Close() {
	m.mu.Lock()
	m.closed = true
	gateways := slices.Collect(maps.Values(m.gateways))
	clear(m.gateways)
	m.mu.Unlock()
	for _, g := range gateways {
		g.stop()
	}
	m.able.close()
}
