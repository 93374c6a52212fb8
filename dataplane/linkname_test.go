package dataplane_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sluice/dataplane"
)

func TestLinkName(t *testing.T) {
	for _, id := range []string{"vpc-257gq642n", "vsw-0123456789a", "vco-t", "x", "subnet-7"} {
		if got := dataplane.LinkName(id); got != id {
			t.Errorf("link of %s is %s: a daemon before this one has given it its id", id, got)
		}
	}
	// Whatever an id looks like, its link has a name that the kernel takes, no other id's
	// link has it, and it is none that means something else.
	taken := map[string]string{}
	for _, name := range []string{"lo", "all", "default", dataplane.UplinkName, "vpn-in", "vpn-out"} {
		taken[name] = "a link of another kind"
	}
	ids := []string{"", "lo", "all", "default", dataplane.UplinkName, "vpn-in", "vpn-out", ".", "..", "a/b", "a b", "a:b", "a%d", "a*", "+", "ü",
		dataplane.CharonLink(0), dataplane.TUNLink(7), "ipsec", "ike-gateway"}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 20_000 {
		ids = append(ids, fmt.Sprintf("%.*s-%d", r.IntN(60), "vsw-abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz", i))
	}
	for _, id := range ids[:1000] {
		ids = append(ids, dataplane.LinkName(id+strings.Repeat("+", 15))) // an id that is written like a name
	}
	for _, id := range ids {
		name := dataplane.LinkName(id)
		if other, ok := taken[name]; ok && other != id {
			t.Fatalf("%q and %q have the same name, %s", id, other, name)
		}
		taken[name] = id
		if len(name) < 1 || len(name) > 15 || name[0] == '.' || strings.ContainsAny(name, " /:%*") ||
			strings.HasPrefix(name, dataplane.CharonLinks) || strings.HasPrefix(name, dataplane.TUNLinks) {
			t.Errorf("link of %q is %q", id, name)
		}
	}
}
