package state

import "sluice/controlplane/resource"

// Page is which part of a listing is wanted.
type Page struct {
	Offset int // items that are left out before it, from 0
	Limit  int // items that it has at most, from 0
}

// Listing is one page of a listing.
type Listing[T any] struct {
	Total int // of all pages
	Items []T
}

// bounds returns the places of the page in a listing of total items, from
// first to before last.
func (p Page) bounds(total int) (first, last int) {
	first = min(total, p.Offset)
	return first, first + min(total-first, p.Limit)
}

// Select returns one page of the resources of r that keep accepts, each turned
// into what item makes of it. A nil keep accepts all, and then a page costs the
// same wherever it lies.
func Select[R resource.Resource, T any](r Range[R], p Page, keep func(R) bool, item func(R) T) Listing[T] {
	var l Listing[T]
	if keep == nil {
		l.Total = r.Len()
		first, last := p.bounds(l.Total)
		if first < last {
			l.Items = make([]T, 0, last-first)
		}
		for i := first; i < last; i++ {
			l.Items = append(l.Items, item(r.At(i)))
		}
		return l
	}
	for x := range r.All() {
		if !keep(x) {
			continue
		}
		if l.Total >= p.Offset && len(l.Items) < p.Limit {
			l.Items = append(l.Items, item(x))
		}
		l.Total++
	}
	return l
}

// Under names a way to what a query looks for: keys of an index, or with ByID ids.
type Under struct {
	Index string
	Keys  []string
}

// SelectOwn returns one page of an account's resources in a region that keep accepts, in
// order of creation. A nil keep accepts all. They are looked for in the first of the ways
// that has keys; what is found there has to be accepted all the same.
func SelectOwn[R resource.Resource, T any](t *Table[R], account, region string, p Page, keep func(R) bool, item func(R) T, ways ...Under) Listing[T] {
	for _, way := range ways {
		if len(way.Keys) == 0 {
			continue
		}
		var r Range[R]
		if way.Index == ByID {
			r = t.ByID(way.Keys...)
		} else {
			r = t.ByAny(way.Index, way.Keys...)
		}
		return Select(r, p, func(x R) bool { return Owned(x, account, region) && (keep == nil || keep(x)) }, item)
	}
	return Select(t.By(ByRegion, Key(account, region)), p, keep, item)
}

// Itself is the item of a listing that shows resources as they are.
func Itself[R resource.Resource](r R) R { return r }
