package state

import (
	"fmt"
	"iter"
	"strconv"

	"github.com/tidwall/btree"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// Index is a secondary key of a table: resources under the same key form a
// Range in order of creation.
type Index[R resource.Resource] struct {
	Name string
	Keys func(R) []string
}

// Table is one kind of resource of a View.
type Table[R resource.Resource] struct {
	kind    Kind[R]
	byID    *btree.Map[string, R]
	ordered []*btree.Map[string, *Range[R]] // one per index
}

// Range is the resources under one key of an index, in order of creation. The
// zero of a missing key is an empty range. Len is O(1) and At O(log n), so
// that a page costs the same wherever it lies.
type Range[R resource.Resource] struct {
	only  R                     // while items is nil: most keys have one resource, and a tree takes ten times as much
	items *btree.Map[string, R] // by order
}

// Len returns how many there are.
func (r *Range[R]) Len() int {
	switch {
	case r == nil:
		return 0
	case r.items == nil:
		return 1
	}
	return r.items.Len()
}

// At returns the i-th, 0 ≤ i < Len.
func (r *Range[R]) At(i int) R {
	if r.items == nil {
		return r.only
	}
	_, v, _ := r.items.GetAt(i)
	return v
}

// First returns the oldest, if there is one.
func (r *Range[R]) First() (first R, ok bool) {
	if r.Len() == 0 {
		return first, false
	}
	return r.At(0), true
}

// All iterates in order of creation.
func (r *Range[R]) All() iter.Seq[R] {
	return func(yield func(R) bool) {
		if r == nil {
			return
		}
		if r.items == nil {
			yield(r.only)
			return
		}
		r.items.Scan(func(_ string, v R) bool { return yield(v) })
	}
}

func newTable[R resource.Resource](kind Kind[R]) *Table[R] {
	t := &Table[R]{kind: kind, byID: new(btree.Map[string, R])}
	for range kind.Indexes {
		t.ordered = append(t.ordered, new(btree.Map[string, *Range[R]]))
	}
	return t
}

// Get returns the resource of that id.
func (t *Table[R]) Get(id string) (R, bool) { return t.byID.Get(id) }

// Own returns the resource of that id if it is the account's and in the region; the
// empty region is any. What belongs to another account, or stands in another region
// than the one named, is not found: its existence is nobody else's business. Reason:
// the kind's NotFound.
func (t *Table[R]) Own(account, region, id string) (R, error) {
	r, ok := t.Get(id)
	if ok && Owned(r, account, region) {
		return r, nil
	}
	var none R
	if region == "" {
		return none, fault.New(t.kind.NotFound, "%s %q", t.kind.Noun, id)
	}
	return none, fault.New(t.kind.NotFound, "%s %q in region %s", t.kind.Noun, id, region)
}

// Owned says whether a resource is an account's and in a region; the empty region is
// any. What is a part of another resource is found by that alone.
func Owned(r resource.Resource, account, region string) bool {
	if p, ok := r.(resource.Part); ok && p.IsPart() {
		return false
	}
	m := r.Metadata()
	return m.Account == account && (region == "" || m.Region == region)
}

// Len returns how many resources the table holds.
func (t *Table[R]) Len() int { return t.byID.Len() }

// All iterates over the whole table in order of id.
func (t *Table[R]) All() iter.Seq[R] {
	return func(yield func(R) bool) {
		t.byID.Scan(func(_ string, v R) bool { return yield(v) })
	}
}

// By returns the resources under a key of the named index. It panics on an
// index that the table does not have: that is a mistake in the program.
func (t *Table[R]) By(index, key string) *Range[R] {
	r, _ := t.index(index).Get(key)
	return r
}

// Ascend iterates over the keys of the named index, and what is under them, in order of
// the keys.
func (t *Table[R]) Ascend(index string) iter.Seq2[string, *Range[R]] {
	return func(yield func(string, *Range[R]) bool) { t.index(index).Scan(yield) }
}

func (t *Table[R]) index(name string) *btree.Map[string, *Range[R]] {
	for i := range t.kind.Indexes {
		if t.kind.Indexes[i].Name == name {
			return t.ordered[i]
		}
	}
	panic(fmt.Sprintf("state: table %s has no index %q", t.kind.Name, name))
}

// clone returns a copy that can be changed without disturbing t's readers.
func (t *Table[R]) clone() *Table[R] {
	c := &Table[R]{kind: t.kind, byID: t.byID.Copy()}
	for _, o := range t.ordered {
		c.ordered = append(c.ordered, o.Copy())
	}
	return c
}

// replace takes old out (if there is one) and puts new in (if there is one).
// touched remembers the ranges that this transaction has copied already.
func (t *Table[R]) replace(id string, next R, present bool, touched map[string]bool) {
	old, had := t.byID.Get(id)
	if had {
		place := order(old)
		for i := range t.kind.Indexes {
			for _, key := range t.kind.Indexes[i].Keys(old) {
				t.unlist(i, key, place, touched)
			}
		}
		t.byID.Delete(id)
	}
	if !present {
		return
	}
	t.byID.Set(id, next)
	place := order(next) // one text for all indexes
	for i := range t.kind.Indexes {
		for _, key := range t.kind.Indexes[i].Keys(next) {
			t.list(i, key, place, next, touched)
		}
	}
}

// list puts a resource under a key of an index. A range of one is never changed, but
// another one takes its place.
func (t *Table[R]) list(i int, key, place string, next R, touched map[string]bool) {
	r, ok := t.ordered[i].Get(key)
	if !ok {
		t.ordered[i].Set(key, &Range[R]{only: next})
		return
	}
	t.own(i, key, r, touched).items.Set(place, next)
}

// unlist takes a resource away from a key of an index.
func (t *Table[R]) unlist(i int, key, place string, touched map[string]bool) {
	r, ok := t.ordered[i].Get(key)
	if !ok {
		return // listed twice under the same key
	}
	if r.items == nil {
		t.ordered[i].Delete(key)
		return
	}
	r = t.own(i, key, r, touched)
	r.items.Delete(place)
	if r.items.Len() == 0 {
		t.ordered[i].Delete(key)
		delete(touched, t.touchKey(i, key))
	}
}

// own returns the range r under a key as a tree that only this transaction sees.
func (t *Table[R]) own(i int, key string, r *Range[R], touched map[string]bool) *Range[R] {
	mark := t.touchKey(i, key)
	if r.items != nil && touched[mark] {
		return r
	}
	c := &Range[R]{items: new(btree.Map[string, R])}
	if r.items != nil {
		c.items = r.items.Copy()
	} else {
		c.items.Set(order(r.only), r.only)
	}
	t.ordered[i].Set(key, c)
	touched[mark] = true
	return c
}

func (t *Table[R]) touchKey(i int, key string) string {
	return string(t.kind.Name) + "\x00" + strconv.Itoa(i) + "\x00" + key
}

// order sorts by creation, then by id.
func order(r resource.Resource) string {
	const digits, hex = 16, "0123456789abcdef"
	m := r.Metadata()
	b := make([]byte, digits, digits+len(m.ID))
	for i, v := digits-1, uint64(m.Created); i >= 0; i, v = i-1, v>>4 {
		b[i] = hex[v&0xf]
	}
	return string(append(b, m.ID...))
}
