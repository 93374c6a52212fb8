package sorted

import (
	"hash/maphash"
	"iter"
	"slices"
)

// Item is what a Set holds. Two items with the same key have the same hash, and only one
// of them can be in a set.
type Item[T any] interface {
	comparable
	Compare(T) int // of the keys: negative, zero or positive, as cmp.Compare
	Hash() uint32  // of the key, see Hash; the better it spreads, the shallower the tree
}

var seed = maphash.MakeSeed()

// Hash returns a hash of a key, for Item. It is another one in each process: who chooses
// keys can't choose the shape of a tree.
func Hash[K comparable](key K) uint32 { return uint32(maphash.Comparable(seed, key)) }

// Set is a set of items, sorted by key. Its zero value is the empty set. It never changes,
// and may be used by several goroutines.
//
// It is a treap (Seidel and Aragon 1996) whose priorities are the hashes of the keys, so
// that its shape follows from what it holds alone, and not from how it came to hold that.
type Set[T Item[T]] struct{ root *node[T] }

type node[T Item[T]] struct {
	item        T
	left, right *node[T]
	hash        uint32
	size        int32
}

// Of returns the set of some items. Of those with the same key the last one is in it.
func Of[T Item[T]](items ...T) Set[T] {
	if !slices.IsSortedFunc(items, T.Compare) {
		items = slices.Clone(items)
		slices.SortStableFunc(items, T.Compare)
	}
	return Set[T]{build(items)}
}

// build makes the tree of sorted items in one walk along its right edge.
func build[T Item[T]](items []T) *node[T] {
	var edge []*node[T] // from the root down, each the right child of the one before
	pop := func() *node[T] {
		last := edge[len(edge)-1]
		edge = edge[:len(edge)-1]
		last.count()
		return last
	}
	for _, item := range items {
		if len(edge) > 0 && edge[len(edge)-1].item.Compare(item) == 0 {
			edge[len(edge)-1].item = item
			continue
		}
		n := &node[T]{item: item, hash: item.Hash()}
		for len(edge) > 0 && n.above(edge[len(edge)-1]) {
			n.left = pop()
		}
		if len(edge) > 0 {
			edge[len(edge)-1].right = n
		}
		edge = append(edge, n)
	}
	var root *node[T]
	for len(edge) > 0 {
		root = pop()
	}
	return root
}

// Len returns how many items there are.
func (s Set[T]) Len() int { return s.root.len() }

// Get returns the item with the key that another one has.
func (s Set[T]) Get(key T) (item T, ok bool) {
	for n := s.root; n != nil; {
		switch c := key.Compare(n.item); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.item, true
		}
	}
	return item, false
}

// All returns the items in order.
func (s Set[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) { s.root.each(yield) }
}

// From returns the items whose keys are not below that of another one, in order.
func (s Set[T]) From(key T) iter.Seq[T] {
	return func(yield func(T) bool) { s.root.from(key, yield) }
}

// Slice returns the items in order.
func (s Set[T]) Slice() []T { return slices.AppendSeq(make([]T, 0, s.Len()), s.All()) }

// With returns a set that has these items too, in place of those with the same keys.
func (s Set[T]) With(items ...T) Set[T] {
	for _, item := range items {
		s.root = s.root.with(item, item.Hash())
	}
	return s
}

// Without returns a set that has none with the keys of these items.
func (s Set[T]) Without(items ...T) Set[T] {
	for _, item := range items {
		s.root = s.root.without(item)
	}
	return s
}

// Equal reports whether two sets hold the same items.
func (s Set[T]) Equal(o Set[T]) bool {
	if s.Len() != o.Len() {
		return false
	}
	for range s.Changes(o) {
		return false
	}
	return true
}

// Change is what becomes of a key from one set to another: its item is added (Was is
// false), goes (Is is false), or is another one.
type Change[T any] struct {
	Old, New T
	Was, Is  bool
}

// Changes returns what has to be changed in s to make it o, in order of the keys.
func (s Set[T]) Changes(o Set[T]) iter.Seq[Change[T]] {
	return func(yield func(Change[T]) bool) { differ(s.root, o.root, yield) }
}

// Derive returns the set of what f makes of the items of a set, given the one that it
// makes of the items of an earlier set; the two empty sets will do. f may leave items
// out, and gives those with different keys different keys.
func Derive[T Item[T], U Item[U]](derived Set[U], earlier, now Set[T], f func(T) (U, bool)) Set[U] {
	if earlier.Len() == 0 && derived.Len() == 0 {
		items := make([]U, 0, now.Len())
		for item := range now.All() {
			if made, ok := f(item); ok {
				items = append(items, made)
			}
		}
		return Of(items...)
	}
	for c := range earlier.Changes(now) {
		if c.Was {
			if made, ok := f(c.Old); ok {
				derived = derived.Without(made)
			}
		}
		if c.Is {
			if made, ok := f(c.New); ok {
				derived = derived.With(made)
			}
		}
	}
	return derived
}
