package engine

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/networktest"
	"sluice/dataplane/sorted"
)

var (
	againCount = flag.Int("apply-again", 30, "networks of TestApplyAgain")
	againSeed  = flag.Uint64("apply-again-seed", 1, "seed of TestApplyAgain")
)

// What was applied compares as equal with what was wanted: of random networks, each
// over the one before, the kernel read again differs in nothing, by the engine that
// has made it and by one that adopts it.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
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
	open := func() *Engine {
		e := s.engine(t)
		e.vpn.ssl = &pipes{t: t}
		return e
	}
	e := open()
	_, err := e.VPNPath()
	vpn := err == nil
	r := rand.New(rand.NewPCG(*againSeed, 10))
	outside := networktest.Outside{Bridge: "pub0", Device: "trunk", Prefix: netip.MustParsePrefix("203.0.113.0/24"), SSL: true}
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
			e = open()
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

// An address that a gateway had in a VSwitch, or the broadcast address of its block, may be
// a host's once the block is another: one Apply is enough.
func TestAFormerBlocksAddressIsAHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	large := s.network(t)
	large.Routes = append(large.Routes, dataplane.Route{Destination: prefix("10.8.0.0/16"), NextHops: []dataplane.NextHop{{Via: addr("10.0.1.5")}, {Via: addr("10.0.1.7")}}})
	for _, name := range []string{"vsw-a", "vsw-old"} {
		small := *large
		small.Switches = []dataplane.Switch{{ID: name, Prefix: prefix("10.0.1.0/29"), Gateway: addr("10.0.1.5"), Attachment: large.Switches[0].Attachment}}
		small.Routes, small.DNAT = nil, sorted.Set[dataplane.DNAT]{}
		small.SNAT = []dataplane.SNAT{{Source: prefix("10.0.1.0/29"), Pool: large.SNAT[0].Pool}}
		mustApply(t, e, &small)
		mustApply(t, e, large)
		e.Invalidate(large.ID)
		if o := mustApply(t, e, large); o.Changes != 0 {
			t.Errorf("%s: %d changes by another Apply", name, o.Changes)
		}
	}
}
