package route

import (
	"slices"
	"strings"

	"sluice/dataplane"
)

// The kernel gives each of a route's next hops a part of all hash values, in their order and by
// their weights. To leave one out moves the parts of the others, and with them connections that
// went another way, across firewalls that have not seen them begin (the kernel's documentation of
// resilient next-hop groups has it at length). So what cannot be led a way is given to the others
// in its place, each a part by its weight: those keep what they had, and get it back when the way
// is there again.

// mostWeight is the largest weight that the kernel takes.
const mostWeight = 256

// way is a next hop of an entry, which may not be there.
type way struct {
	Hop
	gone bool // Link is how it would be called
}

// wayOf is the next hop h of an entry, which resolves to hop.
func wayOf(h dataplane.NextHop, hop Hop) way {
	if hop.Link != "" {
		return way{Hop: hop}
	}
	return way{Hop: Hop{Link: dataplane.LinkName(h.Interface), Via: Neighbour, Weight: max(h.Weight, 1), OnLink: true}, gone: true}
}

// spread returns next hops that lead what each way that is there is to lead, and in the place of
// each that is gone all the others; none if all are gone.
func spread(ways []way) []Hop {
	slices.SortFunc(ways, func(a, b way) int { return compareHops(a.Hop, b.Hop) })
	var there []Hop
	total := 0
	for _, w := range ways {
		if !w.gone {
			there, total = append(there, w.Hop), total+w.Weight
		}
	}
	if len(there) < 2 || len(there) == len(ways) {
		return there
	}
	var hops []Hop
	for _, w := range ways {
		if !w.gone {
			hops = join(hops, w.Hop, w.Weight*total)
			continue
		}
		for _, h := range there {
			hops = join(hops, h, w.Weight*h.Weight)
		}
	}
	return shrink(hops)
}

// join appends a hop with a weight, to the last one if that is the same.
func join(hops []Hop, h Hop, weight int) []Hop {
	h.Weight = weight
	if n := len(hops); n > 0 && strings.Compare(hops[n-1].Link, h.Link) == 0 && hops[n-1].Via == h.Via {
		hops[n-1].Weight += weight
		return hops
	}
	return append(hops, h)
}

// shrink makes weights as small as they can be, or as the kernel takes them: then nearly the same.
func shrink(hops []Hop) []Hop {
	divisor, most := 0, 0
	for _, h := range hops {
		for a := h.Weight; a != 0; divisor, a = a, divisor%a {
		}
		most = max(most, h.Weight)
	}
	for i := range hops {
		w := hops[i].Weight / divisor
		if m := most / divisor; m > mostWeight {
			w = max(1, w*mostWeight/m)
		}
		hops[i].Weight = w
	}
	return hops
}
