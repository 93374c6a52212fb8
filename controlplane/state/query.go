package state

import "slices"

// OneOf is a condition of a query: the values of which what is listed has to
// have one. Without values it is no condition. Several conditions of a query have
// to hold all.
type OneOf[T comparable] []T

// Allows says whether a value meets the condition.
func (o OneOf[T]) Allows(v T) bool { return len(o) == 0 || slices.Contains(o, v) }

// ByID returns the resources of those ids that there are, in order of creation.
func (t *Table[R]) ByID(ids ...string) Range[R] {
	if len(ids) == 1 {
		x, ok := t.Get(ids[0])
		if !ok {
			return Range[R]{}
		}
		return Range[R]{run{only: x}}
	}
	items := new(tree)
	for _, id := range ids {
		if x, ok := t.Get(id); ok {
			items.Set(order(x), x)
		}
	}
	return Range[R]{run{items: items}}
}

// ByAny returns the resources that are under any of the keys of the named index,
// in order of creation, each once. For one key it is By; for more it costs the
// number of resources.
func (t *Table[R]) ByAny(index string, keys ...string) Range[R] {
	if len(keys) == 1 {
		return t.By(index, keys[0])
	}
	items := new(tree)
	for _, key := range keys {
		for x := range t.By(index, key).All() {
			items.Set(order(x), x)
		}
	}
	return Range[R]{run{items: items}}
}
