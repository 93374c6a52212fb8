package engine

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// lost sums up what the kernel says of a namespace's table: entries that it
// removed for want of room, and packets that it dropped because it could not.
func lost(t testing.TB, c *conntrack.Conn) (early, dropped uint32) {
	t.Helper()
	stats, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		early += s.EarlyDrop
		dropped += s.Drop - s.InsertFailed // those that failed to be inserted had an entry
	}
	return early, dropped
}

// held counts the entries of a namespace, whatever they are.
func held(t testing.TB, ns *netns.Namespace) int {
	t.Helper()
	var text []byte
	err := ns.Do(func() (err error) {
		text, err = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever makes entries in conntrack's table, none is pushed out: a flood by each
// way ends at its share of a small table, what is refused is counted, the hosts
// inside keep what they have open, and can open as much as the specification says.
func TestFloods(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	const most, spec, flood = 4096, 1000, 12_000
	outside := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i%100)}), uint16(1024+i/100))
	}
	addr := netip.MustParseAddr
	host := func(last byte, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, last}), uint16(port))
	}
	for _, c := range []struct {
		name   string
		reason string // for which it is counted
		send   func(c *crowd, i int)
	}{
		{"from outside by one DNAT entry, TCP", dataplane.RefusedEntry, func(c *crowd, i int) {
			c.outside.send(t, unix.IPPROTO_TCP, outside(i), netip.AddrPortFrom(addr("203.0.113.11"), 80), flagSYN)
		}},
		{"from outside by one DNAT entry, TCP in the middle", dataplane.RefusedEntry, func(c *crowd, i int) {
			c.outside.send(t, unix.IPPROTO_TCP, outside(i), netip.AddrPortFrom(addr("203.0.113.11"), 80), flagACK)
		}},
		{"from outside by one DNAT entry, UDP", dataplane.RefusedEntry, func(c *crowd, i int) {
			c.outside.send(t, unix.IPPROTO_UDP, outside(i), netip.AddrPortFrom(addr("203.0.113.11"), 53), 0)
		}},
		{"from outside by many DNAT entries", dataplane.RefusedElasticIP, func(c *crowd, i int) {
			c.outside.send(t, unix.IPPROTO_UDP, outside(i), netip.AddrPortFrom(addr("203.0.113.11"), uint16(1000+i%50)), 0)
		}},
		{"from outside to an elastic IP's host", dataplane.RefusedEntry, func(c *crowd, i int) {
			c.outside.send(t, unix.IPPROTO_UDP, outside(i), netip.AddrPortFrom(addr("203.0.113.12"), uint16(2000+i%50)), 0)
		}},
		{"from outside to an elastic IP's host, ICMP", dataplane.RefusedEntry, func(c *crowd, i int) {
			c.outside.send(t, unix.IPPROTO_ICMP, outside(i), netip.AddrPortFrom(addr("203.0.113.12"), 0), 0)
		}},
		{"from an elastic IP's host", dataplane.RefusedHost, func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_UDP, host(8, 1024+i), netip.AddrPortFrom(addr("203.0.113.100"), 53), 0)
		}},
		{"from a host with an SNAT entry", dataplane.RefusedConnections, func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_UDP, host(20, 1024+i), netip.AddrPortFrom(addr("203.0.113.100"), 53), 0)
		}},
		{"from a host to another's elastic IP", dataplane.RefusedEntry, func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_UDP, host(20, 1024+i), netip.AddrPortFrom(addr("203.0.113.11"), 53), 0)
		}},
		{"from a host to another VSwitch, UDP", dataplane.RefusedTable, func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_UDP, host(byte(30+i%20), 1024+i/20), netip.AddrPortFrom(addr("10.0.2.7"), 53), 0)
		}},
		{"from a host to another VSwitch, ICMP", "", func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_ICMP, host(byte(30+i%20), 1024+i/20), netip.AddrPortFrom(addr("10.0.2.7"), 0), 0)
		}},
		{"from a host to the gateway", "", func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_ICMP, host(byte(30+i%20), 1024+i/20), netip.AddrPortFrom(addr("10.0.1.253"), 0), 0)
		}},
		{"from a host by a host of the VPC as next hop", dataplane.RefusedTable, func(c *crowd, i int) {
			c.inside.send(t, unix.IPPROTO_TCP, host(byte(30+i%20), 1024+i/20), netip.AddrPortFrom(addr("192.0.2.1"), 80), flagSYN)
		}},
		{"from sources of a neighbour that nobody has", dataplane.RefusedTable, func(c *crowd, i int) {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}), 1024)
			c.inside.send(t, unix.IPPROTO_UDP, from, netip.AddrPortFrom(addr("10.0.2.7"), 53), 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newCrowdWith(t, session.Options{Sessions: most}, func(n *dataplane.Network) {
				limit(n, dataplane.Limits{Connections: spec})
				n.Elastic = append(n.Elastic, addr("203.0.113.12"))
				n.Mappings = []dataplane.Mapping{{External: addr("203.0.113.12"), Internal: addr("10.0.1.8")}}
				n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 17, ExternalPort: 53, Internal: addr("10.0.1.5"), InternalPort: 53})
				for port := range 50 {
					n.DNAT = n.DNAT.With(dataplane.DNAT{
						External: addr("203.0.113.11"), Protocol: 17, ExternalPort: uint16(1000 + port), Internal: addr("10.0.1.5"), InternalPort: uint16(1000 + port),
					})
				}
				n.Routes = append(n.Routes, dataplane.Route{
					Destination: netip.MustParsePrefix("192.0.2.0/24"), NextHops: []dataplane.NextHop{{Via: addr("10.0.2.5")}},
				})
			})
			nstest.Listen(t, g.public, 9000)
			kept := []net.Conn{nstest.MustDial(t, g.client, "tcp4", "203.0.113.1:9000"), nstest.MustDial(t, g.client, "udp4", "203.0.113.1:9000")}
			answered := func() {
				t.Helper()
				for _, k := range kept {
					nstest.Eventually(t, func() error { _, err := nstest.Ask(k); return err })
				}
			}
			answered()
			room := int(traffic(t, g.e, g.n.ID).Table.Most)
			if room == 0 || room >= most {
				t.Fatalf("there is room for %d entries of %d", room, most)
			}
			before := dropsOf(t, g)
			for i := range flood {
				c.send(g, i)
				if i%1000 == 0 {
					if n := held(t, g.ns); n > most {
						t.Fatalf("after %d packets conntrack has %d entries of %d", i, n, most)
					}
				}
			}
			if n := held(t, g.ns); n > most {
				t.Errorf("conntrack has %d entries of %d", n, most)
			}
			if early, dropped := lost(t, g.c); early > 0 || dropped > 0 {
				t.Errorf("the kernel removed %d entries early, and dropped %d packets for want of room", early, dropped)
			}
			got := traffic(t, g.e, g.n.ID)
			if c.reason != "" && refused(got, c.reason) == 0 {
				t.Errorf("nothing is refused for %s: %+v", c.reason, got.Refused)
			}
			if c.reason == "" && dropsOf(t, g) == before {
				t.Errorf("nothing is counted as dropped: %+v", got.Refused)
			}
			// Each packet was let in and is open, or was refused and counted.
			var sum uint64
			for _, r := range got.Refused {
				sum += r.Count
			}
			if all := sum + uint64(dropsOf(t, g)-before) + uint64(held(t, g.ns)); all < flood || all > flood+50 {
				t.Errorf("of %d packets %d are refused, %d dropped, and %d entries are there", flood, sum, dropsOf(t, g)-before, held(t, g.ns))
			}
			answered()
			if c.reason == dataplane.RefusedConnections {
				return
			}
			// The specification still holds.
			now, _ := open(traffic(t, g.e, g.n.ID), dataplane.SessionSNAT)
			for i := range spec - int(now) {
				g.inside.send(t, unix.IPPROTO_UDP, host(20, 20_000+i), netip.AddrPortFrom(addr("203.0.113.100"), 443), 0)
			}
			if now, _ := open(traffic(t, g.e, g.n.ID), dataplane.SessionSNAT); now != spec {
				t.Errorf("%d SNAT connections are open, the specification allows %d: %+v", now, spec, traffic(t, g.e, g.n.ID).Refused)
			}
			if early, dropped := lost(t, g.c); early > 0 || dropped > 0 {
				t.Errorf("the kernel removed %d entries early, and dropped %d packets for want of room", early, dropped)
			}
			nstest.Eventually(t, func() error {
				if c.reason != "" && !strings.Contains(g.log.String(), "reason="+c.reason) {
					return fmt.Errorf("the log does not say that something is refused for %s", c.reason)
				}
				return nil
			})
		})
	}
}

// dropsOf reads how many packets nftables dropped since there was no room.
func dropsOf(t testing.TB, c *crowd) uint64 {
	t.Helper()
	n := c.e.networks[c.n.ID]
	n.mu.Lock()
	defer n.mu.Unlock()
	counters, err := n.table.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return counters["crowded"].Packets
}
