package portsecurity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"sluice/dataplane"
)

// some draws a network of few switches, bindings and routes, so that two of them have
// much in common.
func some(r *rand.Rand) *dataplane.Network {
	n := &dataplane.Network{PortSecurity: r.IntN(8) > 0}
	kinds := []dataplane.AttachmentKind{dataplane.AttachBridge, dataplane.AttachBridge, dataplane.AttachDevice, dataplane.AttachVXLAN}
	for i := range byte(3) {
		if r.IntN(3) > 0 {
			n.Switches = append(n.Switches, vswitch(fmt.Sprintf("vsw-%d", i), i, kinds[r.IntN(len(kinds))]))
		}
	}
	for i := range 12 {
		if r.IntN(2) == 0 {
			n.Bindings = append(n.Bindings, binding(fmt.Sprintf("10.0.%d.%d", i%3, i), byte(r.IntN(6))))
		}
	}
	for range r.IntN(3) {
		i := r.IntN(14)
		n.Routes = append(n.Routes, via(fmt.Sprintf("10.0.%d.%d", i%3, i))...)
	}
	return n
}

// What takes tables from one network's to another's ends there, and says so; two networks
// that are told to be the same have the same tables.
func TestDifferences(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	same, equal, pairs := 0, 0, 20_000
	if testing.Short() {
		pairs = 4_000
	}
	for range pairs {
		a, b := some(r), some(r)
		if r.IntN(4) == 0 {
			b = &dataplane.Network{PortSecurity: a.PortSecurity, Switches: slices.Clone(a.Switches), Bindings: slices.Clone(a.Bindings), Routes: slices.Clone(a.Routes)}
			if len(b.Bindings) > 0 && r.IntN(2) == 0 {
				b.Bindings[r.IntN(len(b.Bindings))].MAC = "02:00:00:00:00:01"
			}
		}
		have, err := Of(a)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Of(b)
		if err != nil {
			t.Fatal(err)
		}
		is := have.text() == want.text()
		if got := have.Equal(want); got != is {
			t.Fatalf("seed %d: equal %t, want %t:\n%s\nand\n%s", seed, got, is, have.text(), want.text())
		}
		if Same(a, b) {
			if same++; !is {
				t.Fatalf("seed %d: told to be the same:\n%s\nand\n%s", seed, have.text(), want.text())
			}
		}
		if is {
			equal++
		}
		for _, f := range families {
			from, to := have.tables[f.family], want.tables[f.family]
			if from == nil || to == nil || !from.sameFrame(to) {
				continue // it is built anew
			}
			for id, d := range from.diff(to) {
				left := slices.DeleteFunc(slices.Clone(from.elements[id]), func(x string) bool { return slices.Contains(d.del, x) })
				left = append(left, d.add...)
				slices.Sort(left)
				if !slices.Equal(left, to.elements[id]) {
					t.Fatalf("seed %d: %s of %s: %q, want %q", seed, setNames[id], f.name, left, to.elements[id])
				}
			}
		}
	}
	if same == 0 || equal <= same {
		t.Errorf("of %d pairs %d were told to be the same, and %d are", pairs, same, equal)
	}
	if !(*Holding)(nil).Equal(nil) || (*Holding)(nil).Equal(&Holding{}) {
		t.Error("tables that are not known equal those that are")
	}
}
