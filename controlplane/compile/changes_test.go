package compile_test

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// TestChanges changes resources at random, and compiles what comes of it from the
// network before and from nothing. Whatever has changed, both are the same; a part that
// depends on a kind that it does not name shows here.
func TestChanges(t *testing.T) {
	compiled, refused, seeds := 0, 0, 30
	onLines := map[bool]int{}
	if testing.Short() {
		seeds = 4
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 11))
		w := nattest.New(t)
		w.Settings.DHCP = true
		there := map[string]resource.Resource{}
		put := func(list []resource.Resource) {
			var fresh []resource.Resource
			seen := map[string]bool{}
			for _, x := range list {
				if id := x.Metadata().ID; !seen[id] {
					seen[id] = true
					x = x.Clone()
					there[id] = x
					fresh = append(fresh, x)
				}
			}
			w.Put(fresh...)
		}
		put(randomResources(r))
		c, g := compile.New(w.Settings, "vpc-a", unseal), compile.New(w.Settings, "ga-2", unseal)
		var borders []*compile.Compiler
		for _, id := range borderRouters {
			borders = append(borders, compile.New(w.Settings, id, unseal))
		}
		for range 40 {
			switch others := randomResources(r)[1:]; r.IntN(6) {
			case 0: // goes
				ids := slices.Sorted(maps.Keys(there))
				for _, id := range ids[:min(3, len(ids))] {
					if x := there[ids[r.IntN(len(ids))]]; x != nil && x.Kind() != resource.KindVPC {
						w.Delete(x)
						delete(there, x.Metadata().ID)
					} else if x == nil {
						t.Fatal(id)
					}
					ids = slices.Sorted(maps.Keys(there))
				}
			case 1: // many at once
				put(others)
			default: // comes, or becomes another
				for range 1 + r.IntN(3) {
					if len(others) > 0 {
						put([]resource.Resource{others[r.IntN(len(others))]})
					}
				}
			}
			v := w.DB.View()
			if _, there := v.Network("ga-2"); there {
				want, errNothing := compile.Network(v, w.Settings, "ga-2", unseal)
				if got, err := g.Network(v, w.DB.Changes); err != nil || errNothing != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d: from the network before:\n%s%v\nfrom nothing:\n%s%v", seed, given(got), err, given(want), errNothing)
				}
			}
			for i, id := range borderRouters {
				if _, there := v.Network(id); !there {
					continue
				}
				want, errNothing := compile.Network(v, w.Settings, id, unseal)
				got, err := borders[i].Network(v, w.DB.Changes)
				if (err == nil) != (errNothing == nil) || !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d: from the network before:\n%s%v\nfrom nothing:\n%s%v", seed, given(got), err, given(want), errNothing)
				}
				if err == nil {
					onLines[got.Line != nil]++
					checkBorder(t, got)
				}
			}
			want, errNothing := compile.Network(v, w.Settings, "vpc-a", unseal)
			got, err := c.Network(v, w.DB.Changes)
			if (err == nil) != (errNothing == nil) || !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: from the network before:\n%s%v\nfrom nothing:\n%s%v", seed, given(got), err, given(want), errNothing)
			}
			if err != nil {
				// Mostly SNAT entries contradict one another, or what others use is gone.
				refused++
				put([]resource.Resource{customerGateway("cgw-0", "198.51.100.7", 65010), customerGateway("cgw-1", "198.51.100.8", 0)})
				for _, id := range slices.Sorted(maps.Keys(there)) {
					if x := there[id]; x.Kind() == resource.KindSNATEntry || x.Kind() == resource.KindForwardEntry && r.IntN(2) == 0 {
						w.Delete(x)
						delete(there, id)
					}
				}
				continue
			}
			compiled++
			checkNetwork(t, got)
			checkPorts(t, v, got)
		}
	}
	if least := 10 * seeds / 3; onLines[true] < least || onLines[false] < least {
		t.Errorf("border routers on a line and without one: %v", onLines)
	}
	if t.Logf("%d compiled, %d refused", compiled, refused); compiled < 10*seeds {
		t.Errorf("only %d of %d were no contradiction", compiled, compiled+refused)
	}
}

func given(n *dataplane.Network) string {
	if n == nil {
		return "none: "
	}
	return text(n)
}

// TestPartsNameWhatTheyRead has each part of random networks compiled from the tables of
// those kinds alone that it names. What it reads else would be out of date once that
// changes. And the random networks have some of each kind.
func TestPartsNameWhatTheyRead(t *testing.T) {
	missing := map[resource.Kind]bool{}
	for _, k := range compile.Kinds() {
		missing[k] = true
	}
	compiled, seeds := 0, 300
	if testing.Short() {
		seeds = 90
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 12))
		w := nattest.New(t)
		w.Settings.DHCP = true
		list := slices.DeleteFunc(randomResources(r), func(x resource.Resource) bool {
			return x.Kind() == resource.KindSNATEntry && r.IntN(2) == 0 // mostly they contradict one another
		})
		w.Put(list...)
		for _, x := range list {
			delete(missing, x.Kind())
		}
		for n := range w.DB.View().Networks() {
			undeclared := compile.Undeclared(w.DB.View(), w.Settings, n.Network(), unseal)
			if undeclared != nil && n.Network() == "vpc-a" {
				compiled++
			}
			for i, what := range undeclared {
				t.Fatalf("seed %d: part %d of %s reads a kind of resource that it does not name: %s", seed, i, n.Network(), what)
			}
		}
	}
	if compiled < seeds/6 {
		t.Errorf("only %d networks were no contradiction", compiled)
	}
	for k := range missing {
		t.Errorf("parts name %s, of which randomResources makes none", k)
	}
}
