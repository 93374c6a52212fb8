package health

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/net/icmp"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Patience is how long a probe waits for its answer at most.
const Patience = 5 * time.Second

// leastWait is how long it waits at least, if the interval is not shorter: no
// tunnel on Earth is to count as lost because it is long.
const leastWait = 500 * time.Millisecond

// Options are how Checks work.
type Options struct {
	Logger *slog.Logger
	// Changed is called some time after a verdict on a connection of a network
	// has changed, and for one network by one goroutine. nil for nobody.
	Changed func(network string)
}

// Checks are the health checks of networks: of tunnels, by the ids of their connections, and
// of what is behind router interfaces, by theirs. Its methods may be called from
// several goroutines.
type Checks struct {
	opt Options

	applying sync.Mutex // taken before mu
	mu       sync.Mutex
	networks map[string]*network
}

// network is the checks of one.
type network struct {
	ns     *netns.Namespace  // its own
	checks map[string]*check // by connection
	tell   chan struct{}     // a verdict has changed; holds one
	end    chan struct{}     // closed when there are no checks any more
}

// New returns Checks without any.
func New(opt Options) *Checks {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Changed == nil {
		opt.Changed = func(string) {}
	}
	return &Checks{opt: opt, networks: map[string]*network{}}
}

// Apply makes a network's namespace have these checks, by connection, and no
// others. Those that stay as they are keep their verdict; new and changed ones
// begin without. ns may be closed afterwards.
func (c *Checks) Apply(ctx context.Context, ns *netns.Namespace, id string, want map[string]dataplane.VPNHealth) error {
	for connection, w := range want {
		if !w.Source.Is4() || !w.Destination.Is4() || w.Interval <= 0 || w.Retries < 1 {
			return fmt.Errorf("health check of %s, from %s to %s every %s with %d retries: must be IPv4 addresses, a positive interval, 1 or more retries",
				connection, w.Source, w.Destination, w.Interval, w.Retries)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.applying.Lock()
	defer c.applying.Unlock()
	n := c.of(id)
	if n != nil && (len(want) == 0 || !n.ns.Same(ns)) {
		c.remove(id, n)
		n = nil
	}
	if len(want) == 0 {
		return nil
	}
	if n == nil {
		again, err := ns.Again()
		if err != nil {
			return err
		}
		n = &network{ns: again, checks: map[string]*check{}, tell: make(chan struct{}, 1), end: make(chan struct{})}
		c.mu.Lock()
		c.networks[id] = n
		c.mu.Unlock()
		go c.gossip(id, n)
	}
	for connection, k := range n.checks {
		if w, ok := want[connection]; !ok || w != k.want {
			k.stop()
			c.mu.Lock()
			delete(n.checks, connection)
			c.mu.Unlock()
		}
	}
	for connection, w := range want {
		if n.checks[connection] != nil {
			continue
		}
		k, err := c.start(n, id, connection, w)
		if err != nil {
			return fmt.Errorf("health check of %s: %w", connection, err)
		}
		c.mu.Lock()
		n.checks[connection] = k
		c.mu.Unlock()
	}
	return nil
}

// start opens a check's socket and begins to probe.
func (c *Checks) start(n *network, id, connection string, want dataplane.VPNHealth) (*check, error) {
	k := &check{want: want, link: dataplane.LinkName(connection), ns: n.ns, tell: n.tell, done: make(chan struct{}),
		log: c.opt.Logger.With("network", id, "connection", connection)}
	err := n.ns.Do(func() (err error) {
		k.conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open raw socket (needs CAP_NET_RAW): %w", err)
	}
	if err := k.prepare(); err != nil {
		k.conn.Close()
		return nil, err
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	go k.run()
	return k, nil
}

// gossip calls Changed. No check waits for that, so that whoever is called may be
// waiting for a check to end.
func (c *Checks) gossip(id string, n *network) {
	for {
		select {
		case <-n.tell:
			c.opt.Changed(id)
		case <-n.end:
			return
		}
	}
}

func (c *Checks) of(id string) *network {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.networks[id]
}

// remove ends all checks of a network.
func (c *Checks) remove(id string, n *network) {
	c.mu.Lock()
	delete(c.networks, id)
	c.mu.Unlock()
	for _, k := range n.checks {
		k.stop()
	}
	close(n.end)
	n.ns.Close()
}

// Status returns how the checks of a network stand, by connection.
func (c *Checks) Status(id string) map[string]Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]Result{}
	if n := c.networks[id]; n != nil {
		for connection, k := range n.checks {
			out[connection] = k.result()
		}
	}
	return out
}

// Close ends all checks. Apply may start others.
func (c *Checks) Close() {
	c.applying.Lock()
	defer c.applying.Unlock()
	c.mu.Lock()
	networks := make(map[string]*network, len(c.networks))
	for id, n := range c.networks {
		networks[id] = n
	}
	c.mu.Unlock()
	for id, n := range networks {
		c.remove(id, n)
	}
}
