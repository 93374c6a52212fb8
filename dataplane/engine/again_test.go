package engine

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/networktest"
)

var (
	againCount = flag.Int("apply-again", 30, "networks of TestApplyAgain")
	againSeed  = flag.Uint64("apply-again-seed", 1, "seed of TestApplyAgain")
)

// What was applied compares as equal with what was wanted: of random networks, each
// over the one before, the kernel read again differs in nothing, by the engine that
// has made it and by one that adopts it.
func TestApplyAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	s := newSite(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "trunk"
	if err := s.public.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "far"}); err != nil {
		t.Fatal(err)
	}
	nstest.Address(t, s.public, "trunk", "192.0.2.1/24")
	nstest.Up(t, s.public, "trunk")
	id := "vpc-t" + nstest.Random(9)
	t.Cleanup(func() { s.remove(t, id) })
	e := s.engine(t)
	_, err := e.VPNPath()
	vpn := err == nil
	r := rand.New(rand.NewPCG(*againSeed, 10))
	outside := networktest.Outside{Bridge: "pub0", Device: "trunk", Prefix: netip.MustParsePrefix("203.0.113.0/24")}
	for i := range *againCount {
		n := networktest.Random(r, id, outside, vpn)
		mustApply(t, e, n)
		again := func(by string) {
			t.Helper()
			if _, whats := e.differing(e.networks[id], staleAll); len(whats) > 0 {
				t.Errorf("network %d: seen to differ by %s: %q", i, by, whats)
			}
			e.Invalidate(id)
			if o := mustApply(t, e, n); o.Changes != 0 {
				t.Errorf("network %d: %d changes by %s", i, o.Changes, by)
			}
		}
		again("the same engine")
		if i%10 == 9 {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = s.engine(t)
			if o := mustApply(t, e, n); o.Changes != 0 {
				t.Errorf("network %d: %d changes by the next engine", i, o.Changes)
			}
			again("the next engine")
		}
		if t.Failed() {
			t.Fatalf("network %d: %+v", i, n)
		}
	}
}
