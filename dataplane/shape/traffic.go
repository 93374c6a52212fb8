package shape

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
)

// Traffic returns what was counted of each bandwidth, by ID.
func (s *Shaper) Traffic() ([]dataplane.BandwidthTraffic, error) {
	s.mu.Lock()
	publics := make([]*public, 0, len(s.publics))
	for _, p := range s.publics {
		publics = append(publics, p)
	}
	s.mu.Unlock()
	all := map[string]*dataplane.BandwidthTraffic{}
	var errs []error
	for _, p := range publics {
		p.mu.Lock()
		errs = append(errs, p.count(all))
		p.mu.Unlock()
	}
	out := make([]dataplane.BandwidthTraffic, 0, len(all))
	for _, t := range all {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b dataplane.BandwidthTraffic) int { return strings.Compare(a.ID, b.ID) })
	return out, errors.Join(errs...)
}

// counted is what traffic control has counted at a class or a queue, by minor.
type counted struct {
	classes map[uint16]dataplane.Volume
	drops   map[uint16]uint64
}

func (p *public) counted(way int) (c counted, err error) {
	c = counted{map[uint16]dataplane.Volume{}, map[uint16]uint64{}}
	classes, err := p.control.list(unix.RTM_GETTCLASS, p.ifbs[way], 0)
	if err != nil {
		return c, fmt.Errorf("list traffic classes in %s: %w", p.ns, err)
	}
	for _, o := range classes {
		if o.handle>>16 != rootHandle>>16 {
			continue // of a queue's own
		}
		c.classes[uint16(o.handle)] = o.sent
	}
	qdiscs, err := p.control.list(unix.RTM_GETQDISC, p.ifbs[way], 0)
	if err != nil {
		return c, fmt.Errorf("list queueing disciplines in %s: %w", p.ns, err)
	}
	for _, o := range qdiscs {
		if o.parent>>16 == 1 {
			c.drops[uint16(o.parent)] = uint64(o.drops)
		}
	}
	return c, nil
}

// count adds what was counted here, with p.mu held. Where nothing is held, nothing is added;
// where it is not known what is, that is an error: packets may pass all the same.
func (p *public) count(all map[string]*dataplane.BandwidthTraffic) error {
	if p.have == nil || p.programs == nil {
		if len(p.networks()) == 0 {
			return nil
		}
		return fmt.Errorf("what bandwidths at %s hold, and have counted, is not known just now", p.key.device)
	}
	passed, err := p.passed()
	if err != nil {
		return fmt.Errorf("read what has passed %s: %w", p.key.device, err)
	}
	for way := range ways {
		c, err := p.counted(way)
		if err != nil {
			return err
		}
		drops := map[uint32]uint64{} // by number
		for minor, n := range c.drops {
			for _, number := range p.have.numbersOf(way, minor) {
				drops[number] += n
			}
		}
		for at, config := range p.have.configs {
			if int(at%ways) != way || config.Mbit == 0 {
				continue
			}
			number, id := at/ways, idOf(config)
			t := all[id]
			if t == nil {
				t = &dataplane.BandwidthTraffic{ID: id}
				all[id] = t
			}
			sum := [ways]*dataplane.BandwidthCount{&t.Outbound, &t.Inbound}[way]
			class := c.classes[uint16(number)]
			sum.Limit = int(config.Mbit)
			sum.Bytes += passed[at].Bytes + class.Bytes + config.Led
			sum.Packets += passed[at].Packets + class.Packets + config.LedPackets
			sum.Dropped += drops[number] + config.Dropped
		}
	}
	return nil
}

// numbersOf returns the numbers of the bandwidths that a leaf's packets wait for.
func (t *tree) numbersOf(way int, minor uint16) (all []uint32) {
	for k, ok := t.classes[way][minor]; ok && k.parent != rootHandle; k, ok = t.classes[way][minor] {
		minor = uint16(k.parent)
		all = append(all, uint32(minor))
	}
	return all
}

// passed returns what has passed at once, by number and way.
func (p *public) passed() (map[uint32]dataplane.Volume, error) {
	counts := p.programs.maps[bpf.ShapeMapBandwidthCounts]
	out := make(map[uint32]dataplane.Volume, len(p.have.configs))
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	each := make([]bpf.ShapeBandwidthCount, cpus)
	for at := range p.have.configs {
		if err := counts.Lookup(at, &each); err != nil {
			return nil, err
		}
		var sum dataplane.Volume
		for _, c := range each {
			sum.Bytes += c.Bytes
			sum.Packets += c.Packets
		}
		out[at] = sum
	}
	return out, nil
}

// remember adds what was counted at a class or queue of have that is about to go to what is
// kept with its bandwidths, in told and in the maps. Of a bandwidth that is gone from there
// nothing is kept.
func (p *public) remember(have, told *tree, way int, minor uint16, c counted) error {
	configs := p.programs.maps[bpf.ShapeMapBandwidths]
	add := func(number uint32, f func(*bpf.ShapeBandwidth)) error {
		at := number*ways + uint32(way)
		config, ok := told.configs[at]
		if !ok || config.Id != have.configs[at].Id {
			return nil
		}
		f(&config)
		told.configs[at] = config
		return configs.Put(at, config)
	}
	if v := c.classes[minor]; minor < firstLeaf && v.Packets > 0 {
		return add(uint32(minor), func(b *bpf.ShapeBandwidth) { b.Led += v.Bytes; b.LedPackets += v.Packets })
	}
	n := c.drops[minor]
	if n == 0 {
		return nil
	}
	var errs []error
	for _, number := range have.numbersOf(way, minor) {
		errs = append(errs, add(number, func(b *bpf.ShapeBandwidth) { b.Dropped += n }))
	}
	return errors.Join(errs...)
}
