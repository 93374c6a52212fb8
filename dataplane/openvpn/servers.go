package openvpn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Options are Servers'.
type Options struct {
	Dir     string               // run directory, absolute; each server has a subdirectory of that of its network
	LogDir  string               // of what is kept beyond a reboot: servers' logs, and the sessions that have ended; absolute; empty: Dir
	Logger  *slog.Logger         // nil: the default one
	Program string               // openvpn; empty: it is looked for
	Now     func() time.Time     // what certificates' ends are compared with; nil: time.Now
	Changed func(network string) // called when a server, or a client, of a network has come or gone; must not block, or call the Servers; may be nil
}

// Servers run the OpenVPNs of all networks. Their methods may be called from several
// goroutines.
type Servers struct {
	options Options
	log     *slog.Logger
	group   string // that OpenVPN runs as
	ended   *sessionFile
	now     func() time.Time

	retryFirst, retryMost, hungAfter time.Duration // the constants, but in tests
	rawFull                          int64         // likewise

	mu       sync.Mutex
	networks map[string]*network
	closed   bool
	asked    os.FileInfo // the program whose version is known
	unusable error       // what is wrong with it
}

// network is the servers of one.
type network struct {
	name    string
	turn    sync.Mutex         // held by who changes which there are, before Servers.mu
	servers map[string]*server // by id; under Servers.mu
}

// New returns Servers, which start and adopt nothing by themselves.
func New(o Options) (*Servers, error) {
	if o.LogDir == "" {
		o.LogDir = o.Dir
	}
	for name, dir := range map[string]string{"run": o.Dir, "log": o.LogDir} {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("%s directory of SSL-VPN servers %q: must be an absolute path", name, dir)
		}
	}
	m := &Servers{options: o, log: o.Logger, networks: map[string]*network{}, retryFirst: retryFirst, retryMost: retryMost, hungAfter: hungAfter, rawFull: rawFull, now: o.Now}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.now == nil {
		m.now = time.Now
	}
	m.group = "nogroup"
	if u, err := user.Lookup(unprivileged); err == nil {
		if g, err := user.LookupGroupId(u.Gid); err == nil {
			m.group = g.Name
		}
	}
	m.ended = newSessionFile(filepath.Join(o.LogDir, sessionsFile))
	return m, nil
}

// changed tells that something has.
func (m *Servers) changed(network string) {
	if m.options.Changed != nil {
		m.options.Changed(network)
	}
}

// dir returns a network's directory, whose name is short, as the path of a socket must be.
func (m *Servers) dir(network string) string {
	return filepath.Join(m.options.Dir, dataplane.LinkName(network))
}

func (m *Servers) logDir(network string) string {
	return filepath.Join(m.options.LogDir, dataplane.LinkName(network))
}

// network returns what is known of a network, with its turn taken.
func (m *Servers) network(name string) (*network, error) {
	if name == "" || filepath.Base(name) != name {
		return nil, fmt.Errorf("SSL-VPN servers of network %q: not a name", name)
	}
	m.mu.Lock()
	n := m.networks[name]
	if n == nil {
		n = &network{name: name, servers: map[string]*server{}}
		m.networks[name] = n
	}
	closed := m.closed
	m.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("SSL-VPN servers of network %s: closed", name)
	}
	n.turn.Lock()
	return n, nil
}

// wanted is a server with where it listens.
type wanted struct {
	at     netip.Addr
	server dataplane.SSLServer
}

// Apply makes a network have the SSL-VPN servers of these VPN gateways, and no others:
// OpenVPNs are adopted or started, given what differs, and started anew where that needs
// it; those that are gone are ended, and their traces removed. ns is the network's
// namespace, which stays the caller's; each VPN gateway's Address is in it, and so is each
// server's TUN device. Without a server it may be nil.
//
// Apply returns when they listen, and who is connected and may not be is thrown out. An
// error names each server that does not; the others do, and what has failed is tried
// again.
func (m *Servers) Apply(ctx context.Context, ns *netns.Namespace, name string, want []dataplane.VPNGateway) error {
	n, err := m.network(name)
	if err != nil {
		return err
	}
	defer n.turn.Unlock()
	all := map[string]wanted{}
	var errs []error
	for i := range want {
		for _, s := range want[i].SSL {
			// Of one that cannot be made what there is stays as it is.
			all[s.ID] = wanted{want[i].Address, s}
		}
	}
	errs = append(errs, m.endOthers(n, all))
	if len(all) == 0 {
		m.forget(n)
		return errors.Join(errs...)
	}
	ids := slices.Sorted(maps.Keys(all))
	results := make([]error, len(ids))
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for i, id := range ids {
		w := all[id]
		if err := m.fits(name, &w); err != nil {
			results[i] = fmt.Errorf("SSL-VPN server %s: %w", id, err)
			continue
		}
		s := m.get(n, id)
		if s != nil && !s.ns.Same(ns) {
			s.stop() // the namespace has been made anew; so is OpenVPN then
			s = nil
		}
		if s == nil {
			if s, err = m.newServer(ns, name, id); err != nil {
				results[i] = err
				continue
			}
			m.put(n, s)
		}
		group.Go(func() error {
			if err := s.apply(ctx, w); err != nil {
				results[i] = fmt.Errorf("SSL-VPN server %s: %w", id, err)
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(append(errs, results...)...)
}

// startsAtOnce is how many OpenVPNs are started, or adopted, at the same time.
const startsAtOnce = 4

// fits says what keeps a server from being run.
func (m *Servers) fits(network string, w *wanted) error {
	if !w.at.Is4() {
		return fmt.Errorf("address %s: must be an IPv4 one", w.at)
	}
	if socket := filepath.Join(m.dir(network), w.server.Link(), socketFile); len(socket) > socketLimit {
		return fmt.Errorf("path %s is too long for a socket, which may have %d bytes", socket, socketLimit)
	}
	return check(&w.server)
}

// endOthers ends the servers of a network that are not wanted, whoever has started them.
func (m *Servers) endOthers(n *network, want map[string]wanted) error {
	keep := map[string]bool{}
	for id := range want {
		keep[dataplane.LinkName(id)] = true
	}
	entries, err := os.ReadDir(m.dir(n.name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !keep[e.Name()] {
			errs = append(errs, m.end(n, e.Name()))
		}
	}
	return errors.Join(errs...)
}

// end ends a server that has this link, and removes what is left of it. Its directory
// goes last, so that after a crash the rest is found again.
func (m *Servers) end(n *network, link string) error {
	for _, s := range m.of(n.name) {
		if s.link == link {
			s.stop()
			m.drop(n, s)
		}
	}
	dir := filepath.Join(m.dir(n.name), link)
	if err := endAll(dir); err != nil {
		return err
	}
	m.finish(n.name, dir)
	if err := os.RemoveAll(filepath.Join(m.logDir(n.name), link)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	m.log.Info("removed an SSL-VPN server", "network", n.name, "link", link)
	m.changed(n.name)
	return nil
}

// forget removes what is left of a network without servers.
func (m *Servers) forget(n *network) {
	_ = os.Remove(m.dir(n.name)) // where it is empty
	_ = os.Remove(m.logDir(n.name))
}

// Remove ends a network's servers, also such that other Servers have left behind, and
// removes their traces.
func (m *Servers) Remove(network string) error {
	return m.Apply(context.Background(), nil, network, nil)
}

// of returns a network's servers.
func (m *Servers) of(name string) []*server {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.networks[name]
	if n == nil {
		return nil
	}
	return slices.Collect(maps.Values(n.servers))
}

func (m *Servers) get(n *network, id string) *server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return n.servers[id]
}

func (m *Servers) put(n *network, s *server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n.servers[s.id] = s
}

func (m *Servers) drop(n *network, s *server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(n.servers, s.id)
}

// server returns a network's server with an id.
func (m *Servers) server(network, id string) (*server, error) {
	for _, s := range m.of(network) {
		if s.id == id {
			return s, nil
		}
	}
	return nil, fmt.Errorf("SSL-VPN server %s: network %s has none", id, network)
}

// Status returns the live state of a network's servers, by id.
func (m *Servers) Status(network string) map[string]dataplane.SSLStatus {
	out := map[string]dataplane.SSLStatus{}
	for _, s := range m.of(network) {
		s.refresh()
		out[s.id] = s.status()
	}
	return out
}

// Log returns what a server's OpenVPN has logged from one time until another, both
// included, in that order.
func (m *Servers) Log(network, id string, from, to time.Time) ([]dataplane.SSLLine, error) {
	s, err := m.server(network, id)
	if err != nil {
		return nil, err
	}
	s.refresh()
	return s.journal.lines(from, to)
}

// Disconnect ends the session of a client, if it has one. It may log in again.
func (m *Servers) Disconnect(ctx context.Context, network, id, certificate string) error {
	s, err := m.server(network, id)
	if err != nil {
		return err
	}
	return s.disconnect(ctx, certificate)
}

// Close ends the watching. The OpenVPNs work on, for the next Servers to adopt.
func (m *Servers) Close() {
	m.mu.Lock()
	m.closed = true
	networks := slices.Collect(maps.Values(m.networks))
	m.mu.Unlock()
	for _, n := range networks {
		n.turn.Lock()
		for _, s := range m.of(n.name) {
			s.stop()
			m.drop(n, s)
		}
		n.turn.Unlock()
	}
	m.ended.close()
}
