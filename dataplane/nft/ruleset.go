package nft

import (
	"bytes"

	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// Ruleset is what table ip sluice of one namespace holds: the identity of its
// fixed part, and the elements of its sets.
type Ruleset struct {
	// Skeleton is the hash of the fixed part (chains, rules, sets, counters),
	// 16 hexadecimal digits. It is empty where the table is absent, or where
	// its fixed part is not exactly what this version of the package builds.
	Skeleton string

	// Damage says what is wrong with the fixed part where Skeleton is empty
	// although the table exists, for the log. RulesetOf leaves it empty.
	Damage string

	// Sets holds the elements of each set and map, indexed by SetID.
	Sets [setCount]sorted.Set[Element]

	// network is what the Ruleset was compiled from; nil if it was read.
	network *dataplane.Network

	// salvage is not nil where the chains are damaged, or sets or counters are
	// missing, but those sets that there are are not damaged, so that Sets tells
	// what they hold. So it is with the table of another version, most times.
	salvage *salvage
}

// salvage is what stands beside or in place of our chains in a damaged table, and what
// is missing.
type salvage struct {
	noSets     []SetID
	noCounters []string
	chains     []string // all chains, ours and others
	sets       []string // sets that are not ours
}

// Element is one element of a set or map, in the kernel's byte layout. What
// the bytes mean, and how many of them count, depends on the set; the rest is
// zero.
type Element struct {
	Key   [40]byte // for a set of intervals: the first key, then the last
	Value [8]byte  // zero for a set that is not a map
}

// Len returns the number of elements of all sets.
func (r *Ruleset) Len() int {
	n := 0
	for i := range r.Sets {
		n += r.Sets[i].Len()
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
		if !r.Sets[i].Equal(o.Sets[i]) {
			return false
		}
	}
	return true
}

// Compare compares the keys.
func (e Element) Compare(o Element) int { return bytes.Compare(e.Key[:], o.Key[:]) }

// Hash returns a hash of the key.
func (e Element) Hash() uint32 { return sorted.Hash(e.Key) }

// setDiff is the difference of one set: what to delete, then what to add. An
// element whose value changes is in both.
type setDiff struct {
	del, add []Element
	replaced int // elements that are in both
}

func (d *setDiff) changes() int { return len(d.del) + len(d.add) - d.replaced }

// diffSet compares two sets.
func diffSet(have, want sorted.Set[Element]) setDiff {
	var d setDiff
	for c := range have.Changes(want) {
		if c.Was {
			d.del = append(d.del, c.Old)
		}
		if c.Is {
			d.add = append(d.add, c.New)
		}
		if c.Was && c.Is {
			d.replaced++
		}
	}
	return d
}
