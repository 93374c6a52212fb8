package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/dataplane/netns"
	"sluice/test/frr"
)

// frrouter is a BGP router that is not this project's.
type frrouter struct{ *frr.Router }

// newFRR starts a router in a namespace. It knows the ASN, the neighbours
// (addresses with their ASN) and the prefixes that it tells them.
func newFRR(t *testing.T, ns *netns.Namespace, asn int, neighbors map[string]int, prefixes ...string) *frrouter {
	t.Helper()
	var c strings.Builder
	fmt.Fprintf(&c, "router bgp %d\n bgp router-id 192.0.2.%d\n no bgp ebgp-requires-policy\n no bgp network import-check\n timers connect 1\n", asn, asn%200+1)
	for address, remote := range neighbors {
		fmt.Fprintf(&c, " neighbor %s remote-as %d\n neighbor %[1]s timers connect 1\n neighbor %[1]s advertisement-interval 0\n", address, remote)
	}
	for _, p := range prefixes {
		fmt.Fprintf(&c, " network %s\n", p)
	}
	r, err := frr.Start(t.Context(), frr.Options{Dir: t.TempDir(), Config: c.String(), In: ns.Do, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	f := &frrouter{r}
	t.Cleanup(f.stop)
	return f
}

func (f *frrouter) start(t *testing.T) {
	t.Helper()
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stop ends it without a word to its neighbours.
func (f *frrouter) stop() { _ = f.Kill() }

func (f *frrouter) configure(t *testing.T, commands ...string) {
	t.Helper()
	if err := f.Configure(t.Context(), commands...); err != nil {
		t.Fatal(err)
	}
}

// dropped returns how often it has lost the session with a neighbour.
func (f *frrouter) dropped(t *testing.T, neighbor string) string {
	t.Helper()
	out, err := f.Vtysh(t.Context(), "show bgp neighbors "+neighbor+" json")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(out, `"connectionsDropped":`)
	n, _, _ := strings.Cut(after, ",")
	return n
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(list))
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}
