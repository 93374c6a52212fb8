package nft

import (
	"bytes"
	"slices"
)

// Ruleset is what table ip sluice of one namespace holds: the identity of its
// fixed part, and the elements of its sets. It is plain data; two Rulesets
// with the same content are equal byte for byte.
type Ruleset struct {
	// Skeleton is the hash of the fixed part (chains, rules, sets, counters),
	// 16 hexadecimal digits. It is empty where the table is absent, or where
	// its fixed part is not exactly what this version of the package builds.
	Skeleton string

	// Damage says what is wrong with the fixed part where Skeleton is empty
	// although the table exists, for the log. Compile leaves it empty.
	Damage string

	// Sets holds the elements of each set and map, indexed by SetID, sorted by
	// key and without duplicate keys.
	Sets [setCount][]Element

	// salvage is not nil where the chains are damaged but the sets are not,
	// so that Sets tells what they hold.
	salvage *salvage
}

// salvage is what stands beside or in place of our chains in a damaged table.
type salvage struct {
	chains []string // all chains, ours and others
	sets   []string // sets that are not ours
}

// Element is one element of a set or map, in the kernel's byte layout. What
// the bytes mean, and how many of them count, depends on the set; the rest is
// zero.
type Element struct {
	Key   [12]byte // for a set of intervals: first and last address, 4 bytes each
	Value [8]byte  // zero for a set that is not a map
}

// Len returns the number of elements of all sets.
func (r *Ruleset) Len() int {
	n := 0
	for i := range r.Sets {
		n += len(r.Sets[i])
	}
	return n
}

// Equal reports whether two Rulesets have the same fixed part and elements.
func (r *Ruleset) Equal(o *Ruleset) bool {
	if r == nil || o == nil {
		return r == o
	}
	if r.Skeleton != o.Skeleton {
		return false
	}
	for i := range r.Sets {
		if !slices.Equal(r.Sets[i], o.Sets[i]) {
			return false
		}
	}
	return true
}

func compareKeys(a, b Element) int { return bytes.Compare(a.Key[:], b.Key[:]) }

// setDiff is the difference of one set: what to delete, then what to add. An
// element whose value changes is in both.
type setDiff struct {
	del, add []Element
	replaced int // elements that are in both
}

func (d *setDiff) changes() int { return len(d.del) + len(d.add) - d.replaced }

// diffSet compares two slices that are sorted by key.
func diffSet(have, want []Element) setDiff {
	var d setDiff
	for len(have) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0:
			d.del = append(d.del, have...)
			return d
		case len(have) == 0:
			d.add = append(d.add, want...)
			return d
		}
		switch c := compareKeys(have[0], want[0]); {
		case c < 0:
			d.del = append(d.del, have[0])
			have = have[1:]
		case c > 0:
			d.add = append(d.add, want[0])
			want = want[1:]
		default:
			if have[0].Value != want[0].Value {
				d.del = append(d.del, have[0])
				d.add = append(d.add, want[0])
				d.replaced++
			}
			have, want = have[1:], want[1:]
		}
	}
	return d
}
