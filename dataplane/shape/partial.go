package shape

import (
	"maps"

	"sluice/dataplane"
)

// fewFamilies is how many bandwidths, each with those that are part of it, are looked at by
// themselves. Where more have changed, all are.
const fewFamilies = 64

// families returns the IDs of the bandwidths that are another, or have parts that are, in
// the second list. Both are by ID. It reports false if they are many.
func families(before, now []dataplane.Bandwidth) (map[string]bool, bool) {
	out := map[string]bool{}
	note := func(b *dataplane.Bandwidth) {
		out[b.ID] = true
		if b.Within != "" {
			out[b.Within] = true
		}
	}
	for i, k := 0, 0; i < len(before) || k < len(now); {
		switch {
		case k == len(now) || i < len(before) && before[i].ID < now[k].ID:
			note(&before[i])
			i++
		case i == len(before) || now[k].ID < before[i].ID:
			note(&now[k])
			k++
		default:
			if !before[i].Equal(now[k]) {
				note(&before[i])
				note(&now[k])
			}
			i++
			k++
		}
		if len(out) > fewFamilies {
			return nil, false
		}
	}
	return out, true
}

// of returns the part of a numbering that has these families.
func (n *numbering) of(families map[string]bool) *numbering {
	part := &numbering{numbers: map[place]uint32{}, leaves: map[leaf]uint16{}}
	numbers := map[uint32]bool{}
	for p, number := range n.numbers {
		if families[p.id] || families[p.within] {
			part.numbers[p] = number
			numbers[number] = true
		}
	}
	for l, minor := range n.leaves {
		if numbers[l.number] {
			part.leaves[l] = minor
		}
	}
	return part
}

// replace puts a part of a numbering in the place of another.
func (n *numbering) replace(old, with *numbering) {
	for p := range old.numbers {
		delete(n.numbers, p)
	}
	for l := range old.leaves {
		delete(n.leaves, l)
	}
	maps.Copy(n.numbers, with.numbers)
	maps.Copy(n.leaves, with.leaves)
}

// of returns the part of a tree that a part of its numbering is of.
func (t *tree) of(n *numbering) *tree {
	part := newTree()
	for way := range ways {
		add := func(minor uint16) {
			if k, ok := t.classes[way][minor]; ok {
				part.classes[way][minor] = k
			}
			if q, ok := t.queues[way][minor]; ok {
				part.queues[way][minor] = q
			}
		}
		for _, number := range n.numbers {
			add(uint16(number))
			at := number*ways + uint32(way)
			if config, ok := t.configs[at]; ok {
				part.configs[at] = config
			}
		}
		for _, minor := range n.leaves {
			add(minor)
		}
	}
	for l := range n.leaves {
		a := l.address.As4()
		if s, ok := t.shaped[a]; ok && s.Of == l.number {
			part.shaped[a] = s
		}
	}
	return part
}

// replace puts a part of a tree in the place of another.
func (t *tree) replace(old, with *tree) {
	for way := range ways {
		for minor := range old.classes[way] {
			delete(t.classes[way], minor)
		}
		for minor := range old.queues[way] {
			delete(t.queues[way], minor)
		}
		maps.Copy(t.classes[way], with.classes[way])
		maps.Copy(t.queues[way], with.queues[way])
	}
	for a := range old.shaped {
		delete(t.shaped, a)
	}
	for at := range old.configs {
		delete(t.configs, at)
	}
	maps.Copy(t.shaped, with.shaped)
	maps.Copy(t.configs, with.configs)
}

// moved reports whether an elastic IP of a part is in another part of the tree now: then
// the parts cannot be looked at by themselves.
func (t *tree) moved(part *tree, old *numbering) bool {
	numbers := map[uint32]bool{}
	for _, number := range old.numbers {
		numbers[number] = true
	}
	for a := range part.shaped {
		if s, ok := t.shaped[a]; ok && !numbers[s.Of] {
			return true
		}
	}
	return false
}
