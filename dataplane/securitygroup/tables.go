package securitygroup

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/bits"
	"slices"

	"sluice/bpf"
	"sluice/dataplane"
)

// The rules of a direction are put into the kernel as two tables of prefixes, of addresses
// and of services. Each prefix leads to a class: a set of rules, those that everything in
// the prefix meets. So the longest prefix of a packet's address says all rules that the address
// meets, and a rule is one bit, whatever its templates have in them (the bit vector scheme:
// Lakshman and Stiliadis, "High-speed policy-based packet forwarding", SIGCOMM 1998).

// prefix is the upper bits of four bytes.
type prefix struct {
	value uint32 // host order; behind bits 0
	bits  int    // 0 to 32
}

func (p prefix) covers(o prefix) bool {
	return p.bits <= o.bits && (p.bits == 0 || (p.value^o.value)>>(32-p.bits) == 0)
}

// set is a set of rules: bit n of word w is rule 64 w + n.
type set []uint64

func (s set) add(rule int) { s[rule/64] |= 1 << (rule % 64) }

// entry is a prefix with the number of its class, from 1.
type entry struct {
	prefix
	class uint32
}

// table is one of the two tables of a direction.
type table struct {
	entries []entry // ascending
	classes []set   // class n at n-1
}

// direction is the compiled rules of one direction.
type direction struct {
	digest              uint64
	rules               int
	accept              set
	addresses, services table
}

const mostClasses = 1<<16 - 1

// compile compiles the rules of a direction of a policy. It fails if there are too many.
func compile(policy string, rules []dataplane.GroupRule) (*direction, error) {
	if len(rules) > dataplane.MostGroupRules {
		return nil, fmt.Errorf("policy %s has %d rules in a direction; %d are the most", policy, len(rules), dataplane.MostGroupRules)
	}
	d := compileDirection(rules)
	if n := max(len(d.addresses.classes), len(d.services.classes)); n > mostClasses {
		return nil, fmt.Errorf("policy %s tells %d kinds of address or service apart; %d are the most", policy, n, mostClasses)
	}
	var b []byte
	number := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	number(uint64(d.rules))
	for _, w := range d.accept {
		number(w)
	}
	for _, t := range []*table{&d.addresses, &d.services} {
		for _, e := range t.entries {
			number(uint64(e.value)<<32 | uint64(e.class)<<8 | uint64(e.bits))
		}
		for _, s := range t.classes {
			for _, w := range s {
				number(w)
			}
		}
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	d.digest = h.Sum64()
	return &d, nil
}

// policyDigest is that of a policy whose directions have those digests.
func policyDigest(id string, in, out uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %x %x", id, in, out)
	return h.Sum64()
}

func compileDirection(rules []dataplane.GroupRule) direction {
	words := (len(rules) + 63) / 64
	d := direction{rules: len(rules), accept: make(set, words)}
	addresses, services := map[prefix]set{}, map[prefix]set{}
	note := func(in map[prefix]set, p prefix, rule int) {
		if in[p] == nil {
			in[p] = make(set, words)
		}
		in[p].add(rule)
	}
	for i, r := range rules {
		if r.Accept {
			d.accept.add(i)
		}
		for _, p := range r.Remotes {
			a := p.Masked().Addr().As4()
			note(addresses, prefix{binary.BigEndian.Uint32(a[:]), p.Bits()}, i)
		}
		for _, s := range r.Services {
			for _, p := range servicePrefixes(s) {
				note(services, p, i)
			}
		}
	}
	d.addresses, d.services = newTable(addresses), newTable(services)
	return d
}

// servicePrefixes returns the prefixes of protocol, port and a byte of nothing that a
// service is.
func servicePrefixes(s dataplane.GroupService) (list []prefix) {
	protocol := uint32(s.Protocol) << 24
	switch {
	case s.Protocol == 0:
		return []prefix{{}}
	case s.Protocol != 6 && s.Protocol != 17 || s.First == 0 && s.Last == 65535:
		return []prefix{{protocol, 8}}
	}
	for first, last := uint32(s.First), uint32(s.Last); first <= last; {
		size := uint32(1) << min(bits.TrailingZeros32(first|1<<16), bits.Len32(last-first+1)-1)
		list = append(list, prefix{protocol | first<<8, 8 + 16 - bits.TrailingZeros32(size)})
		first += size
	}
	return list
}

// newTable gives each prefix the rules of those that cover it, too.
func newTable(by map[prefix]set) (t table) {
	list := make([]prefix, 0, len(by))
	for p := range by {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b prefix) int { return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.bits, b.bits)) })
	numbers := map[string]uint32{}
	var within []prefix // that cover what comes next, from the outside
	for _, p := range list {
		for len(within) > 0 && !within[len(within)-1].covers(p) {
			within = within[:len(within)-1]
		}
		s := by[p]
		if len(within) > 0 {
			for w, bits := range by[within[len(within)-1]] {
				s[w] |= bits
			}
		}
		within = append(within, p)
		key := s.key()
		if numbers[key] == 0 {
			t.classes = append(t.classes, s)
			numbers[key] = uint32(len(t.classes))
		}
		t.entries = append(t.entries, entry{p, numbers[key]})
	}
	return t
}

func (s set) key() string {
	b := make([]byte, 0, 8*len(s))
	for _, w := range s {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return string(b)
}

const chunkWords = len(bpf.GroupsGroupChunk{}.Words)

// chunks are the parts in which the kernel has a set.
func (s set) chunks() (list []bpf.GroupsGroupChunk) {
	for part := range slices.Chunk(s, chunkWords) {
		c := bpf.GroupsGroupChunk{}
		copy(c.Words[:], part)
		list = append(list, c)
	}
	return list
}

// tables are what the kernel's maps hold of the rules of a direction.
type tables struct {
	digest  uint64
	rules   bpf.GroupsGroupRules
	classes map[bpf.GroupsGroupClassKey]uint32
	chunks  map[bpf.GroupsGroupChunkKey]bpf.GroupsGroupChunk
}

// tables returns what the maps hold of a direction, whose two tables have number and the next one. A
// chunk without rules is left out, which says the same.
func (d *direction) tables(number uint32) *tables {
	out := &tables{digest: d.digest, rules: bpf.GroupsGroupRules{Addresses: number, Services: number + 1, Count: uint32(d.rules)},
		classes: make(map[bpf.GroupsGroupClassKey]uint32, len(d.addresses.entries)+len(d.services.entries)), chunks: map[bpf.GroupsGroupChunkKey]bpf.GroupsGroupChunk{}}
	for i, c := range d.accept.chunks() {
		out.chunks[bpf.GroupsGroupChunkKey{Table: number, Index: uint16(i)}] = c
	}
	for i, t := range []*table{&d.addresses, &d.services} {
		table := number + uint32(i)
		for _, x := range t.entries {
			k := bpf.GroupsGroupClassKey{Prefix: 32 + uint32(x.bits), Table: bigEndian(table)}
			binary.BigEndian.PutUint32(k.Value[:], x.value)
			out.classes[k] = x.class
		}
		for n, s := range t.classes {
			for i, c := range s.chunks() {
				if c == (bpf.GroupsGroupChunk{}) {
					continue
				}
				out.chunks[bpf.GroupsGroupChunkKey{Table: table, Class: uint16(n + 1), Index: uint16(i)}] = c
			}
		}
	}
	return out
}

// bigEndian returns the number whose bytes in memory are those of n in network order.
func bigEndian(n uint32) uint32 {
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, n))
}
