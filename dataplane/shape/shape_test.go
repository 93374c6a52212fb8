package shape_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
	"sluice/dataplane/shape"
)

const port = ":5001"

// rate is what TCP brought through, in Mbit/s of payload. However busy the
// machine is, that cannot be more than the limit for all that passed, and what
// may pass at once.
func rate(t *testing.T, mbit, bytes int, took time.Duration) float64 {
	t.Helper()
	perSecond := float64(mbit) * 1e6 / 8
	if most := perSecond*took.Seconds() + max(perSecond/100, 16<<10); float64(bytes) > most {
		t.Errorf("%d bytes passed in %s, at %d Mbit/s at most %.0f may", bytes, took, mbit, most)
	}
	return float64(bytes) * 8 / 1e6 / took.Seconds()
}

// It has the machine to itself; those after it run beside one another.
func TestGoodput(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	for _, kind := range []string{"tun", "veth"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t, kind, "ipsec0")
			rates := []int{10, 50}
			if kind == "veth" {
				rates = []int{5, 200} // more than is carried from one TUN device to another here
			}
			for _, mbit := range rates {
				l.apply(t, l.links, mbit)
				for _, way := range []struct {
					name, address string
					from, to      *netns.Namespace
				}{
					{"out", "10.1.0.2" + port, l.host, l.peers[0]},
					{"in", "10.0.0.2" + port, l.peers[0], l.host},
				} {
					var got float64
					for range 4 {
						bytes, took, err := send(way.from, way.to, way.address, 2*time.Second)
						if err != nil {
							t.Fatal(err)
						}
						if got = max(got, rate(t, mbit, bytes, took)); got >= 0.95*float64(mbit) {
							break
						}
					}
					t.Logf("%s at %d Mbit/s: %.2f Mbit/s", way.name, mbit, got)
					// 95 % and more, but for others who use the machine.
					if got < 0.85*float64(mbit) {
						t.Errorf("%s at %d Mbit/s: TCP makes %.2f Mbit/s of it", way.name, mbit, got)
					}
				}
			}
			nstest.Ping(t, l.host, "10.1.0.2", 8, 1300)
			nstest.Ping(t, l.peers[0], "10.0.0.2", 8, 1300, 4000) // fragments, too
		})
	}
}

// Two tunnels have one bandwidth together.
func TestLinksShare(t *testing.T) {
	t.Parallel()
	const mbit = 20
	for _, kind := range []string{"tun", "veth"} {
		for _, in := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, inbound %v", kind, in), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, kind, "vco-a", "vco-b")
				l.apply(t, l.links, mbit)
				var g sync.WaitGroup
				var bytes [2]int
				var errs [2]error
				start := time.Now()
				for i, peer := range l.peers {
					g.Go(func() {
						from, to, address := l.host, peer, fmt.Sprintf("10.%d.0.2%s", i+1, port)
						if in {
							from, to, address = peer, l.host, fmt.Sprintf("10.0.0.2:%d", 6000+i)
						}
						bytes[i], _, errs[i] = send(from, to, address, 2*time.Second)
					})
				}
				g.Wait()
				took := time.Since(start)
				if err := errors.Join(errs[:]...); err != nil {
					t.Fatal(err)
				}
				got := rate(t, mbit, bytes[0]+bytes[1], took)
				t.Logf("%d and %d bytes in %s: %.2f Mbit/s", bytes[0], bytes[1], took, got)
				if got < mbit/2 {
					t.Errorf("both make %.2f Mbit/s of %d", got, mbit)
				}
			})
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	l := newLab(t, "tun", "vco-a", "vco-b")
	before := l.shown(t)
	check := func(name string, links []string, mbit int, want ...string) {
		t.Helper()
		if got := l.apply(t, links, mbit); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		for i := range l.peers {
			nstest.Ping(t, l.host, fmt.Sprintf("10.%d.0.2", i+1), 100)
		}
	}
	damage := func(args ...string) { nstest.Command(t, l.gw, args[0], args[1:]...) }
	check("nothing wanted", l.links, 0)
	check("no links", nil, 5)
	check("one link", l.links[:1], 5,
		"make link vpn-in", "hold vpn-in to 5 Mbit/s", "set link vpn-in up", "lead vco-a through vpn-in",
		"make link vpn-out", "hold vpn-out to 5 Mbit/s", "set link vpn-out up", "lead vco-a through vpn-out")
	check("another link", l.links, 5, "lead vco-b through vpn-in", "lead vco-b through vpn-out")
	check("the same", l.links, 5)
	check("another bandwidth", l.links, 200, "hold vpn-in to 200 Mbit/s", "hold vpn-out to 200 Mbit/s")
	check("one link less", l.links[1:], 200, "lead vco-a no longer through vpn-in", "lead vco-a no longer through vpn-out")
	if got := nstest.Command(t, l.gw, "tc", "qdisc", "show", "dev", "vco-a"); strings.Contains(got, "clsact") {
		t.Errorf("left at a link that is not wanted: %s", got)
	}
	check("both again", l.links, 200, "lead vco-a through vpn-in", "lead vco-a through vpn-out")

	damage("tc", "qdisc", "del", "dev", "vpn-in", "root")
	check("queue deleted", l.links, 200, "hold vpn-in to 200 Mbit/s")
	damage("tc", "qdisc", "replace", "dev", "vpn-out", "root", "handle", "7:", "htb")
	check("queue of another kind", l.links, 200, "hold vpn-out to 200 Mbit/s")
	damage("tc", "qdisc", "change", "dev", "vpn-out", "root", "tbf", "rate", "1gbit", "burst", "1m", "limit", "1m")
	check("queue with another rate", l.links, 200, "hold vpn-out to 200 Mbit/s")
	damage("tc", "qdisc", "del", "dev", "vco-a", "clsact")
	check("place of the filters deleted", l.links, 200, "lead vco-a through vpn-in", "lead vco-a through vpn-out")
	damage("tc", "filter", "del", "dev", "vco-b", "egress")
	check("filter deleted", l.links, 200, "lead vco-b through vpn-out")
	damage("tc", "filter", "add", "dev", "vco-b", "ingress", "prio", "3", "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "redirect", "dev", "vpn-out")
	check("filter beside ours", l.links, 200, "lead vco-b through vpn-in")
	damage("tc", "filter", "del", "dev", "vco-b", "egress")
	damage("tc", "filter", "add", "dev", "vco-b", "egress", "protocol", "ip", "prio", "2", "bpf", "bytecode", "1,6 0 0 0,")
	check("filter of another kind", l.links, 200, "lead vco-b through vpn-out")
	damage("ip", "link", "set", "vpn-in", "down")
	check("link down", l.links, 200, "set link vpn-in up")
	damage("ip", "link", "del", "vpn-out")
	check("link deleted", l.links, 200, "make link vpn-out", "hold vpn-out to 200 Mbit/s", "set link vpn-out up",
		"lead vco-a through vpn-out", "lead vco-b through vpn-out")
	damage("ip", "link", "del", "vpn-in")
	damage("ip", "link", "add", "vpn-in", "type", "bridge")
	check("link of another kind", l.links, 200, "make link vpn-in", "hold vpn-in to 200 Mbit/s", "set link vpn-in up",
		"lead vco-a through vpn-in", "lead vco-b through vpn-in")

	damage("ip", "link", "del", "vpn-out") // its filters, which drop all packets, go with the rest
	check("no limit", l.links, 0, "lead vco-a no longer through vpn-in", "lead vco-b no longer through vpn-in", "remove link vpn-in",
		"lead vco-a no longer through vpn-out", "lead vco-b no longer through vpn-out")
	if after := l.shown(t); after != before {
		t.Errorf("before:\n%s\nwithout limit again:\n%s", before, after)
	}
}

// shown is what tc and ip see in the gateway's namespace.
func (l *lab) shown(t *testing.T) string {
	t.Helper()
	return nstest.Command(t, l.gw, "tc", "qdisc", "show") + nstest.Command(t, l.gw, "ip", "-brief", "link")
}

// Filters of others stay, and so does the place where they are.
func TestForeignFilter(t *testing.T) {
	t.Parallel()
	l := newLab(t, "tun", "ipsec0")
	tc := func(args ...string) string { return nstest.Command(t, l.gw, "tc", args...) }
	tc("qdisc", "add", "dev", "ipsec0", "clsact")
	tc("filter", "add", "dev", "ipsec0", "egress", "protocol", "ip", "prio", "9", "u32", "match", "u32", "0", "0")
	l.apply(t, l.links, 10)
	l.apply(t, l.links, 0)
	if got := tc("filter", "show", "dev", "ipsec0", "egress"); !strings.Contains(got, "pref 9") || strings.Contains(got, "mirred") {
		t.Errorf("filters left: %s", got)
	}
}

// Packets that wait while the bandwidth changes do not stop those behind them.
func TestChangeUnderWay(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tun", "veth"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, kind, "ipsec0")
			for _, mbit := range [][2]int{{50, 5}, {10, 50}} {
				for ifb, way := range map[string]struct {
					from, to *netns.Namespace
					address  string
				}{
					shape.Outbound: {l.host, l.peers[0], "10.1.0.2" + port},
					shape.Inbound:  {l.peers[0], l.host, "10.0.0.2" + port},
				} {
					l.apply(t, l.links, mbit[0])
					sent := make(chan error, 1)
					go func() { _, _, err := send(way.from, way.to, way.address, 2*time.Second); sent <- err }()
					nstest.Eventually(t, func() error {
						q, err := l.gw.Netlink().QdiscList(nstest.Link(t, l.gw, ifb))
						if err == nil && q[0].Attrs().Statistics.Queue.Backlog < 1<<14 {
							err = errors.New("little waits at " + ifb)
						}
						return err
					})
					l.apply(t, l.links, mbit[1])
					if err := <-sent; err != nil {
						t.Fatal(err)
					}
					nstest.Ping(t, l.host, "10.1.0.2", 8)
				}
			}
			l.apply(t, l.links, 10)
			bytes, took, err := send(l.host, l.peers[0], "10.1.0.2"+port, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			rate(t, 10, bytes, took)
		})
	}
}

// A link that is not there is an error only when the Plan is carried out.
func TestMissingLink(t *testing.T) {
	t.Parallel()
	l := newLab(t, "tun", "ipsec0")
	p := shape.Plan(l.gw, shape.Bandwidth{Links: []string{"gone"}, Mbit: 10})
	if p.Err != nil || len(p.Add) != 8 {
		t.Fatalf("plan for a link that is not there: %q, %v", p.Whats(), p.Err)
	}
	var r plan.Runner
	r.Run(t.Context(), p.Add)
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "link gone") || r.Done != 6 {
		t.Errorf("%d done, error: %v", r.Done, err)
	}
	l.apply(t, nil, 10)
}
