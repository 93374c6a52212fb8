package route_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/route"
)

// Of an entry with several next hops some go and come back: what went by another one goes by it
// still, and what goes by one is about its share.
func TestOthersKeepTheirWays(t *testing.T) {
	const flows = 512
	ns, far := links(t), nstest.New(t)
	n := network()
	ids := []string{"ri-a", "ri-b", "ri-c", "ri-d", "ri-e"}
	weights := []int{1, 2, 1, 100, 255}
	for _, id := range ids {
		nstest.Veth(t, ns, dataplane.LinkName(id), far, id)
		nstest.Up(t, ns, dataplane.LinkName(id))
		nstest.Up(t, far, id)
	}
	nstest.Command(t, ns, "sysctl", "-q", "-w", "net.ipv4.fib_multipath_hash_policy=1")
	var ask strings.Builder
	for port := range flows {
		fmt.Fprintf(&ask, "route get 192.168.7.7 ipproto udp sport %d dport 53\n", 1024+port)
	}
	file := filepath.Join(t.TempDir(), "flows")
	if err := os.WriteFile(file, []byte(ask.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, used := range []int{2, 3, 4, 5} {
		entry := dataplane.Route{Destination: netip.MustParsePrefix("192.168.0.0/16")}
		for i, id := range ids[:used] {
			entry.NextHops = append(entry.NextHops, dataplane.NextHop{Interface: id, Weight: weights[i]})
		}
		n.Routes = []dataplane.Route{entry}
		up := map[string]bool{}
		ways := func() []string {
			tunnels, total := route.Tunnels{}, 0
			for i, id := range ids[:used] {
				tunnels[id] = route.Tunnel{Link: dataplane.LinkName(id), Up: up[id]}
				if up[id] {
					total += weights[i]
				}
			}
			applyWith(t, ns, n, tunnels)
			var out []string
			count := map[string]int{}
			for line := range strings.Lines(nstest.Command(t, ns, "ip", "-batch", file)) {
				if _, after, ok := strings.Cut(line, " dev "); ok {
					out = append(out, strings.Fields(after)[0])
					count[out[len(out)-1]]++
				}
			}
			if len(out) != flows {
				t.Fatalf("%d of %d flows have a way", len(out), flows)
			}
			for i, id := range ids[:used] {
				share := 0
				if up[id] {
					share = flows * weights[i] / total
				}
				if got := count[dataplane.LinkName(id)]; got < share*2/3-12 || got > share*3/2+12 || share == 0 && got > 0 {
					t.Errorf("up are %v: %d of %d flows go by %s, its share is %d", up, got, flows, id, share)
				}
			}
			return out
		}
		for _, id := range ids[:used] {
			up[id] = true
		}
		all := ways()
		for range 6 {
			for _, id := range ids[:used] {
				up[id] = r.IntN(2) > 0
			}
			up[ids[r.IntN(used)]] = true
			moved := 0
			for i, by := range ways() {
				for _, id := range ids[:used] {
					if up[id] && all[i] == dataplane.LinkName(id) && by != all[i] {
						moved++
					}
				}
			}
			// Where the kernel takes no weights so fine, parts are nearly the same.
			if moved > 0 && used < 4 || moved > flows/50 {
				t.Errorf("of %v up are %v: %d of %d flows left a way that is there", ids[:used], up, moved, flows)
			}
		}
	}
}
