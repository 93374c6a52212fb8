package state

import "sluice/controlplane/resource"

// Page is which part of a listing is wanted.
type Page struct {
	Number int // from 1
	Size   int // from 1
}

// Listing is one page of a listing.
type Listing[T any] struct {
	Total int // of all pages
	Items []T
}

// bounds returns the places of the page in a listing of total items, from
// first to before last.
func (p Page) bounds(total int) (first, last int) {
	// In 64 bits a page number of 31 bits times any size that is allowed does
	// not overflow.
	first = min(total, (p.Number-1)*p.Size)
	return first, min(total, first+p.Size)
}

// Select returns one page of the resources of r that keep accepts, each turned
// into what item makes of it. A nil keep accepts all, and then a page costs the
// same wherever it lies.
func Select[R resource.Resource, T any](r *Range[R], p Page, keep func(R) bool, item func(R) T) Listing[T] {
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
	first, last := (p.Number-1)*p.Size, p.Number*p.Size
	for x := range r.All() {
		if !keep(x) {
			continue
		}
		if l.Total >= first && l.Total < last {
			l.Items = append(l.Items, item(x))
		}
		l.Total++
	}
	return l
}

// Single returns the page of a listing that has one item or, if !present, none.
func Single[R any, T any](x R, present bool, p Page, item func(R) T) Listing[T] {
	if !present {
		return Listing[T]{}
	}
	l := Listing[T]{Total: 1}
	if p.Number == 1 {
		l.Items = []T{item(x)}
	}
	return l
}
