package sorted_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"sluice/dataplane/sorted"
)

// pair is a key with a value. Many keys have the same hash.
type pair struct{ key, value int }

func (p pair) Compare(o pair) int { return cmp.Compare(p.key, o.key) }
func (p pair) Hash() uint32       { return uint32(p.key) * 0x9e3779b1 >> 24 }

type set = sorted.Set[pair]

// random is a set beside what it should hold.
type random struct {
	set   set
	model map[int]int
}

func (r *random) change(rng *rand.Rand) {
	r.model = maps.Clone(r.model)
	for range 1 + rng.IntN(5) {
		p := pair{rng.IntN(200), rng.IntN(3)}
		if rng.IntN(2) == 0 {
			r.set = r.set.With(p)
			r.model[p.key] = p.value
		} else {
			r.set = r.set.Without(p)
			delete(r.model, p.key)
		}
	}
}

func (r *random) items() []pair {
	out := []pair{}
	for _, k := range slices.Sorted(maps.Keys(r.model)) {
		out = append(out, pair{k, r.model[k]})
	}
	return out
}

// TestModel changes sets at random, and compares each version, and what versions differ
// in, with maps. Earlier versions stay as they were.
func TestModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var versions []random
	current := random{model: map[int]int{}}
	for range 400 {
		current.change(rng)
		versions = append(versions, current)
	}
	for range 20 { // made anew, so that nothing is shared
		v := versions[rng.IntN(len(versions))]
		items := v.items()
		rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		versions = append(versions, random{sorted.Of(items...), v.model})
	}
	for i := range versions {
		v := &versions[i]
		if got := v.set.Slice(); !slices.Equal(got, v.items()) || v.set.Len() != len(v.model) {
			t.Fatalf("version %d holds %v (%d), want %v", i, got, v.set.Len(), v.items())
		}
		key := pair{rng.IntN(200), 0}
		got, ok := v.set.Get(key)
		if value, want := v.model[key.key]; ok != want || ok && got != (pair{key.key, value}) {
			t.Fatalf("version %d has %v %v at %v", i, got, ok, key)
		}
		from := slices.DeleteFunc(v.items(), func(p pair) bool { return p.key < key.key })
		if got := slices.AppendSeq([]pair{}, v.set.From(key)); !slices.Equal(got, from) {
			t.Fatalf("version %d has %v from %v, want %v", i, got, key, from)
		}
	}
	compared := 5000
	if testing.Short() {
		compared = 1000
	}
	for range compared {
		compare(t, &versions[rng.IntN(len(versions))], &versions[rng.IntN(len(versions))])
	}
}

func compare(t *testing.T, a, b *random) {
	t.Helper()
	made := maps.Clone(a.model)
	last := -1
	for c := range a.set.Changes(b.set) {
		key := max(c.Old.key, c.New.key)
		old, was := made[key]
		if key <= last || was != c.Was || was && old != c.Old.value || c.Was && c.Is && c.Old == c.New || !c.Was && !c.Is {
			t.Fatalf("change %+v after %d, where %d has %d %v", c, last, key, old, was)
		}
		if last = key; c.Is {
			made[key] = c.New.value
		} else {
			delete(made, key)
		}
	}
	if !maps.Equal(made, b.model) {
		t.Fatalf("the changes make %v, want %v", made, b.model)
	}
	if equal := maps.Equal(a.model, b.model); a.set.Equal(b.set) != equal {
		t.Fatalf("%v and %v: equal is %v", a.model, b.model, !equal)
	}
	odd := func(p pair) (pair, bool) { return pair{-p.key, p.value + 1}, p.key%2 == 1 }
	derived := sorted.Derive(sorted.Derive(set{}, set{}, a.set, odd), a.set, b.set, odd)
	if want := sorted.Derive(set{}, set{}, b.set, odd); !derived.Equal(want) {
		t.Fatalf("derived %v, want %v", derived.Slice(), want.Slice())
	}
}

// counted counts how often it is compared.
type counted struct{ key, value int }

var comparisons int

func (c counted) Compare(o counted) int { comparisons++; return cmp.Compare(c.key, o.key) }
func (c counted) Hash() uint32 {
	h := uint32(c.key) * 0x85ebca6b
	return (h ^ h>>13) * 0xc2b2ae35
}

// TestShared shows that what two sets share is not visited.
func TestShared(t *testing.T) {
	items := make([]counted, 100_000)
	for i := range items {
		items[i].key = i
	}
	a := sorted.Of(items...)
	comparisons = 0
	b := a.With(counted{5000, 1}, counted{100_001, 1}).Without(counted{70_000, 0})
	n := 0
	for range a.Changes(b) {
		n++
	}
	if n != 3 {
		t.Errorf("%d changes, want 3", n)
	}
	if comparisons > 2000 {
		t.Errorf("three changes of %d items, made and found again, took %d comparisons", len(items), comparisons)
	}
	if !a.Equal(sorted.Of(items...)) {
		t.Error("a set is not equal to another of the same items")
	}
}

// TestOf keeps the last of several items with the same key.
func TestOf(t *testing.T) {
	got := sorted.Of(pair{2, 1}, pair{1, 1}, pair{2, 2}, pair{1, 2}).Slice()
	if want := []pair{{1, 2}, {2, 2}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
