package shape

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/bpf"
	"sluice/dataplane"
)

// The two ways, as the BPF programs number them.
const (
	outbound = iota
	inbound
	ways
)

// Numbers of bandwidths are minors of HTB's classes, below those of the leaves.
const (
	mostNumbers = 0x3fff
	firstLeaf   = 0x4000
	mostLeaves  = 0xbfff
)

// shared is a bandwidth with the elastic IPs that all networks have of it.
type shared struct {
	dataplane.Bandwidth
	number  uint32
	whole   *shared       // that it is a part of; nil for none
	sharers int           // elastic IPs that have a part of it
	queued  [ways]float64 // bytes that all their queues hold
}

// place says who has a number. A bandwidth that becomes part of another one is a new
// class, since the kernel moves none.
type place struct{ id, within string }

// leaf is an elastic IP with the number of its bandwidth.
type leaf struct {
	address netip.Addr
	number  uint32
}

// numbering gives out numbers and minors; what has one keeps it.
type numbering struct {
	numbers map[place]uint32
	leaves  map[leaf]uint16
}

func (n *numbering) number(p place, taken map[uint32]bool) (uint32, error) {
	if have, ok := n.numbers[p]; ok {
		return have, nil
	}
	for i := uint32(1); i <= mostNumbers; i++ {
		if !taken[i] {
			taken[i] = true
			n.numbers[p] = i
			return i, nil
		}
	}
	return 0, fmt.Errorf("there are more bandwidths than %d", mostNumbers)
}

func (n *numbering) minor(l leaf, taken map[uint16]bool) (uint16, error) {
	if have, ok := n.leaves[l]; ok {
		return have, nil
	}
	for i := range mostLeaves {
		if minor := uint16(firstLeaf + i); !taken[minor] {
			taken[minor] = true
			n.leaves[l] = minor
			return minor, nil
		}
	}
	return 0, fmt.Errorf("there are more elastic IPs with a bandwidth than %d", mostLeaves)
}

// aged is what a network said of a bandwidth, and when.
type aged struct {
	*dataplane.Bandwidth
	age uint64
}

// merge returns the bandwidths of all networks, by ID, each with the elastic IPs of all.
// Where two say something else of one, the newer is right.
func merge(said []aged) map[string]*shared {
	slices.SortFunc(said, func(a, b aged) int { return cmp.Or(cmp.Compare(b.age, a.age), strings.Compare(a.ID, b.ID)) })
	all := make(map[string]*shared, len(said))
	taken := make(map[netip.Addr]bool, len(said))
	for _, b := range said {
		s := all[b.ID]
		if s == nil {
			s = &shared{Bandwidth: *b.Bandwidth}
			s.Elastic = nil
			all[b.ID] = s
		}
		for _, a := range b.Elastic {
			if !taken[a] {
				taken[a] = true
				s.Elastic = append(s.Elastic, a)
			}
		}
	}
	for _, s := range all {
		slices.SortFunc(s.Elastic, netip.Addr.Compare)
	}
	return all
}

// check says what cannot be of a network's bandwidths.
func check(want []dataplane.Bandwidth) error {
	byID := make(map[string]*dataplane.Bandwidth, len(want))
	for i := range want {
		b := &want[i]
		if len(b.ID) < 1 || len(b.ID) > len(bpf.ShapeBandwidth{}.Id) || strings.Contains(b.ID, "\x00") {
			return fmt.Errorf("bandwidth %q: an id must have 1 to %d bytes, and none of them 0", b.ID, len(bpf.ShapeBandwidth{}.Id))
		}
		if b.Outbound < 0 || b.Inbound < 0 {
			return fmt.Errorf("bandwidth %s: %d and %d Mbit/s; they must be 0, for no limit, or more", b.ID, b.Outbound, b.Inbound)
		}
		for _, a := range b.Elastic {
			if !a.Is4() {
				return fmt.Errorf("bandwidth %s: %s is no IPv4 address", b.ID, a)
			}
		}
		byID[b.ID] = b
	}
	for i := range want {
		b := &want[i]
		if b.Within == "" {
			continue
		}
		if whole := byID[b.Within]; whole == nil || whole.Within != "" || b.Within == b.ID {
			return fmt.Errorf("bandwidth %s is to be a part of %s, which must be one of the network's, and no part itself", b.ID, b.Within)
		}
	}
	return nil
}

// tree is what the kernel holds for the bandwidths of one public device: of both ways
// HTB's classes, by minor, and the queues of those that are leaves; and what the maps say.
type tree struct {
	classes [ways]map[uint16]class
	queues  [ways]map[uint16]queue
	shaped  map[[4]byte]bpf.ShapeShapedAddress
	configs map[uint32]bpf.ShapeBandwidth // by number * 2 + way
}

func newTree() *tree {
	t := &tree{shaped: map[[4]byte]bpf.ShapeShapedAddress{}, configs: map[uint32]bpf.ShapeBandwidth{}}
	for way := range ways {
		t.classes[way], t.queues[way] = map[uint16]class{}, map[uint16]queue{}
	}
	return t
}

// size is what the tree depends on besides the bandwidths.
type size struct {
	cpus    int
	packet  int // the largest on the wire, in bytes
	numbers int // that the maps have room for
}

// grow returns the tree of bandwidths, and the numbering as it is afterwards.
func grow(all map[string]*shared, n *numbering, z size) (*tree, *numbering, error) {
	t := newTree()
	takenNumbers, takenLeaves := map[uint32]bool{}, map[uint16]bool{}
	for _, number := range n.numbers {
		takenNumbers[number] = true
	}
	for _, minor := range n.leaves {
		takenLeaves[minor] = true
	}
	next := &numbering{numbers: map[place]uint32{}, leaves: map[leaf]uint16{}}
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b := all[id]
		if b.whole = all[b.Within]; b.whole == nil {
			b.Within = ""
		}
		number, err := n.number(place{id, b.Within}, takenNumbers)
		if err != nil {
			return nil, nil, err
		}
		b.number = number
		next.numbers[place{id, b.Within}] = number
		for _, of := range []*shared{b, b.whole} {
			if of != nil {
				of.sharers += len(b.Elastic)
			}
		}
	}
	for way := range ways {
		for _, id := range ids {
			b := all[id]
			for _, of := range []*shared{b, b.whole} {
				if of != nil {
					of.queued[way] += float64(len(b.Elastic)) * b.queueBytes(way)
				}
			}
		}
	}
	for _, id := range ids {
		b := all[id]
		for way := range ways {
			t.addLimit(way, b, z)
		}
		for _, a := range b.Elastic {
			minor, err := n.minor(leaf{a, b.number}, takenLeaves)
			if err != nil {
				return nil, nil, err
			}
			next.leaves[leaf{a, b.number}] = minor
			t.addLeaf(a, minor, b, z)
		}
	}
	return t, next, nil
}

// mbit returns the limit of a bandwidth one way; 0 for none.
func (b *shared) mbit(way int) int { return [ways]int{b.Outbound, b.Inbound}[way] }

func (b *shared) rate(way int) rate { return rateOf(b.mbit(way)) }

// limits returns the bandwidths that limit one way what the elastic IPs of b send or get,
// the innermost first.
func (b *shared) limits(way int) (all []*shared) {
	for _, l := range []*shared{b, b.whole} {
		if l != nil && l.rate(way) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// queueBytes returns how many bytes of an elastic IP may wait: of its share, if all that
// share with it have something to send, as many as leave within patience. But where many
// share and few send, one is left with enough for TCP to go at full speed.
func (b *shared) queueBytes(way int) float64 {
	all := b.limits(way)
	if len(all) == 0 {
		return 0
	}
	least, share := all[0].rate(way), all[0].rate(way)
	for _, l := range all {
		least, share = min(least, l.rate(way)), min(share, l.rate(way)/rate(max(l.sharers, 1)))
	}
	alone := float64(least) * patience
	return max(float64(share)*patience, min(alone, max(alone/4, leastQueue)))
}

// addLimit adds the class of a bandwidth, and what the programs go by.
func (t *tree) addLimit(way int, b *shared, z size) {
	config := bpf.ShapeBandwidth{}
	copy(config.Id[:], b.ID)
	if b.whole != nil {
		config.Within = b.whole.number
	}
	if r := b.rate(way); r > 0 {
		config.Mbit = uint32(b.mbit(way))
		config.Cost = r.cost()
		config.Credit = r.nanoseconds(r.credit())
		config.Most = config.Credit + r.nanoseconds(b.queued[way]+largestPacket)
		config.Batch = uint32(r.credit() / 8 / float64(max(z.cpus, 1)))
		k := class{parent: rootHandle, rate: uint64(r), ceil: uint64(r), buffer: r.ticks(r.credit()), cbuffer: r.ticks(r.credit()), quantum: leastPacket}
		if b.whole != nil && b.whole.rate(way) > 0 {
			// It has next to nothing of its own, lest the parts together have more than the whole.
			k.parent = rootHandle | b.whole.number
			k.rate, k.buffer = leastRate, rate(leastRate).ticks(leastPacket)
		}
		t.classes[way][uint16(b.number)] = k
	}
	if int(b.number) < z.numbers {
		t.configs[2*b.number+uint32(way)] = config
	}
}

// addLeaf adds the class of an elastic IP, and has its packets wait there.
func (t *tree) addLeaf(a netip.Addr, minor uint16, b *shared, z size) {
	var of bpf.ShapeShapedAddress
	for way := range ways {
		limits := b.limits(way)
		if len(limits) == 0 {
			continue
		}
		inner, outer := limits[0], limits[len(limits)-1]
		of.Number[way], of.Class[way] = inner.number, rootHandle|uint32(minor)
		t.classes[way][minor] = class{
			parent: rootHandle | inner.number, rate: leastRate, ceil: mostRate,
			buffer: rate(leastRate).ticks(leastPacket), cbuffer: rate(mostRate).ticks(mostRate / 1000),
			quantum: outer.rate(way).packet(z), // all that share take turns of the same size
		}
		t.queues[way][minor] = queue{limit: uint32(b.queueBytes(way)), packet: inner.rate(way).packet(z)}
	}
	if of.Of = b.number; of.Class != [ways]uint32{} {
		t.shaped[a.As4()] = of
	}
}
