package state

import (
	"encoding/json"
	"iter"

	"sluice/controlplane/resource"
)

// Index is a secondary key of a table: resources under the same key form a
// Range in order of creation.
type Index[R resource.Resource] struct {
	Name string
	Keys func(R) []string
}

// Table is one kind of resource of a View. It has little that depends on the type: that is
// compiled for each kind of resource in each package that has a View.
type Table[R resource.Resource] struct{ rows *rows }

// Range is the resources under one key of an index, in order of creation. The
// zero is an empty range. Len is O(1) and At O(log n), so that a page costs the
// same wherever it lies.
type Range[R resource.Resource] struct{ of run }

// Len returns how many there are.
func (r Range[R]) Len() int { return r.of.len() }

// At returns the i-th, 0 ≤ i < Len.
func (r Range[R]) At(i int) R { return r.of.at(i).(R) }

// First returns the oldest, if there is one.
func (r Range[R]) First() (first R, ok bool) {
	if r.Len() == 0 {
		return first, false
	}
	return r.At(0), true
}

// All iterates in order of creation.
func (r Range[R]) All() iter.Seq[R] {
	return func(yield func(R) bool) {
		r.of.each(func(x resource.Resource) bool { return yield(x.(R)) })
	}
}

func newTable[R resource.Resource](kind Kind[R]) *Table[R] {
	of := &about{
		name: kind.Name, noun: kind.Noun, notFound: kind.NotFound, inTransition: kind.InTransition,
		keys: func(index int, r resource.Resource) []string { return kind.Indexes[index].Keys(r.(R)) },
		read: func(d *json.Decoder) (resource.Resource, error) {
			var r, none R
			if err := d.Decode(&r); err != nil || any(r) == any(none) {
				return nil, err
			}
			return r, nil
		},
	}
	for _, i := range kind.Indexes {
		of.indexes = append(of.indexes, i.Name)
	}
	return &Table[R]{newRows(of)}
}

// Get returns the resource of that id.
func (t *Table[R]) Get(id string) (R, bool) {
	if r, ok := t.rows.byID.Get(id); ok {
		return r.(R), true
	}
	var none R
	return none, false
}

// Own returns the resource of that id if it is the account's and in the region; the
// empty region is any. What belongs to another account, or stands in another region
// than the one named, is not found: its existence is nobody else's business. Reason:
// the kind's NotFound.
func (t *Table[R]) Own(account, region, id string) (R, error) {
	r, err := t.rows.own(account, region, id)
	if err != nil {
		var none R
		return none, err
	}
	return r.(R), nil
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
func (t *Table[R]) Len() int { return t.rows.byID.Len() }

// All iterates over the whole table in order of id.
func (t *Table[R]) All() iter.Seq[R] {
	return func(yield func(R) bool) {
		t.rows.byID.Scan(func(_ string, r resource.Resource) bool { return yield(r.(R)) })
	}
}

// By returns the resources under a key of the named index. It panics on an
// index that the table does not have: that is a mistake in the program.
func (t *Table[R]) By(index, key string) Range[R] {
	r, _ := t.rows.index(index).Get(key)
	return Range[R]{r}
}

// Ascend iterates over the keys of the named index, and what is under them, in order of
// the keys.
func (t *Table[R]) Ascend(index string) iter.Seq2[string, Range[R]] {
	return func(yield func(string, Range[R]) bool) {
		t.rows.index(index).Scan(func(key string, r run) bool { return yield(key, Range[R]{r}) })
	}
}
