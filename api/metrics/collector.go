package metrics

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"sluice/dataplane"
)

// Prometheus gives up after 10 s unless it is told otherwise: by then the
// networks that could be read have to be on their way.
const (
	patience = 5 * time.Second // for reading all networks
	parallel = 4               // networks that are read at once
)

// Traffic reads counters.
type Traffic interface {
	// Traffic returns what was counted of a network; nil if it is not counted.
	Traffic(ctx context.Context, network string) (*dataplane.Traffic, error)
}

// Machine reads what a network does without traffic, and what all share.
type Machine interface {
	// Repairs returns how often something was put right in a network that somebody
	// else had changed.
	Repairs(network string) dataplane.Repairs
	// Claims returns how many frames of a network were dropped because their sender used
	// an address that is not its own, by reason.
	Claims(network string) dataplane.ClaimCounts
	// GroupDrops returns how many packets security groups of a network have dropped, by
	// reason; nil where it has none.
	GroupDrops(network string) map[string]uint64
	// Neighbours returns how full the machine's table of neighbours is. The error is
	// one of fs.ErrNotExist where that cannot be known.
	Neighbours() (dataplane.Neighbours, error)
	// Bandwidths returns what was counted of the bandwidths of elastic IPs.
	Bandwidths(ctx context.Context) ([]dataplane.BandwidthTraffic, error)
}

// collector reads everything at the scrape. It implements
// prometheus.Collector.
type collector struct {
	networks Networks
	traffic  Traffic
	tunnels  Tunnels
	machine  Machine
	top      int
	now      func() time.Time
	log      *slog.Logger
	series   *allSeries
	vpn      *vpnSeries
	ssl      *sslSeries

	mu   sync.Mutex
	kept map[string]*kept // VPC id → what is kept of it between two scrapes
}

// kept is what is kept of a network between two scrapes.
type kept struct {
	ranking  ranking
	failures uint64
	failing  bool // the last reading failed, and the log has it
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, s := range slices.Concat(c.series.list(), c.vpn.list(), c.ssl.list()) {
		out <- s.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	networks := c.networks.Networks()
	number := map[Stage]int{}
	for _, n := range networks {
		number[n.Stage]++
		for _, g := range n.Gateways {
			// A name is a client's choice, and Prometheus takes UTF-8 alone.
			c.series.info.send(out, 1, g.ID, n.VPC, g.Account, g.Region, strings.ToValidUTF8(g.Name, "\uFFFD"), g.Spec)
		}
	}
	for _, s := range stages() {
		c.series.networks.send(out, float64(number[s]), string(s))
	}
	c.neighbours(out)
	c.bandwidths(out)
	c.forgetOthers(networks)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(parallel)
	for _, n := range networks {
		c.series.repaired(out, n, c.machine.Repairs(n.VPC))
		c.series.claimed(out, n, c.machine.Claims(n.VPC))
		c.series.barred(out, n, c.machine.GroupDrops(n.VPC))
		all.Go(func() error {
			t, err := c.traffic.Traffic(ctx, n.VPC)
			c.network(out, n, t, err)
			if len(n.Connections) > 0 {
				c.connections(ctx, out, n)
			}
			if len(n.SSLServers) > 0 {
				c.sslServers(ctx, out, n)
			}
			return nil
		})
	}
	_ = all.Wait() // no network's failure is that of the scrape
}

// neighbours sends how full the machine's table of neighbours is.
func (c *collector) neighbours(out chan<- prometheus.Metric) {
	n, err := c.machine.Neighbours()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Debug("the table of neighbours cannot be read for /metrics", "error", err)
		}
		return
	}
	c.series.neighbours.send(out, float64(n.Entries))
	c.series.neighboursMost.send(out, float64(n.Most))
	c.series.neighboursFull.send(out, float64(n.Overflows))
}

// bandwidths sends what was counted of the bandwidths of elastic IPs.
func (c *collector) bandwidths(out chan<- prometheus.Metric) {
	all, err := c.machine.Bandwidths(context.Background())
	if err != nil {
		c.log.Debug("not all bandwidths of elastic IPs can be read for /metrics", "error", err)
	}
	for i := range all {
		b := &all[i]
		for direction, n := range map[string]dataplane.BandwidthCount{outbound: b.Outbound, inbound: b.Inbound} {
			if n.Limit == 0 {
				continue
			}
			c.series.bandwidthLimit.send(out, float64(n.Limit)*1e6/8, b.ID, direction)
			c.series.bandwidthBytes.send(out, float64(n.Bytes), b.ID, direction)
			c.series.bandwidthPackets.send(out, float64(n.Packets), b.ID, direction)
			c.series.bandwidthDropped.send(out, float64(n.Dropped), b.ID, direction)
		}
	}
}

// network sends what is known of one network.
func (c *collector) network(out chan<- prometheus.Metric, n Network, t *dataplane.Traffic, err error) {
	c.mu.Lock()
	k := c.kept[n.VPC]
	if k == nil { // removed by a scrape that began later
		k = &kept{}
	}
	if err != nil {
		k.failures++
		if !k.failing {
			c.log.Warn("counters cannot be read for /metrics; further failures are counted only", "vpc", n.VPC, "error", err)
		}
	}
	k.failing = err != nil
	failures := k.failures
	var top []dataplane.AddressTraffic
	if t != nil && c.top > 0 {
		k.ranking.update(c.now(), t)
		top = k.ranking.top(t, c.top)
	}
	c.mu.Unlock()

	if t != nil {
		c.series.traffic(out, n, t, top, c.top)
	}
	if t != nil || failures > 0 {
		c.series.failures.send(out, float64(failures), n.gateway(), n.VPC)
	}
}

// connections sends what is known of the VPN connections of a network.
func (c *collector) connections(ctx context.Context, out chan<- prometheus.Metric, n Network) {
	states, err := c.tunnels.VPN(ctx, n.VPC)
	if err != nil {
		c.log.Debug("VPN connections cannot be read for /metrics", "vpc", n.VPC, "error", err)
	}
	c.vpn.send(out, n, states)
}

// forgetOthers makes the records of new networks and drops those of networks
// that are gone.
func (c *collector) forgetOthers(networks []Network) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[string]*kept, len(networks))
	for _, n := range networks {
		if next[n.VPC] = c.kept[n.VPC]; next[n.VPC] == nil {
			next[n.VPC] = &kept{}
		}
	}
	c.kept = next
}
