package shape

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"sluice/bpf"
)

// mostHeld is how many bandwidths of a public device the maps have room for, where these are
// the device's own: all numbers that there are. What has no room waits always, and is not counted.
const mostHeld = mostNumbers + 1

// kernelName is how much of a name the kernel keeps.
const kernelName = 15

// programs are those of one public device. What uses them at its links keeps them and
// their maps: nothing is pinned.
type programs struct {
	maps   map[string]*ebpf.Map
	prog   map[string]*ebpf.Program
	name   string // of the filters, which says of which object they are
	tags   map[string]string
	shaped ebpf.MapID
	known  map[uint32]bool // numbers of programs that are ours, and work with these maps
	own    bool            // the maps are
}

// filterName is how the names of filters begin, and of filters of all versions.
const filterName = "sluice-bandwidth"

// openPrograms loads the programs for maps that are given, or for those of the program
// that has the number old, or for new ones.
func openPrograms(given map[string]*ebpf.Map, old uint32) (_ *programs, err error) {
	all, err := bpf.Shape()
	if err != nil {
		return nil, fmt.Errorf("read the BPF programs: %w", err)
	}
	spec := all.Copy()
	sum := sha256.Sum256(bpf.ShapeObject())
	p := &programs{
		maps: given, prog: map[string]*ebpf.Program{}, name: filterName + "-" + hex.EncodeToString(sum[:6]),
		tags: map[string]string{}, known: map[uint32]bool{},
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if given == nil {
		p.own = true
		for _, m := range spec.Maps {
			if m.Name != bpf.ShapeMapShaped && m.Name[0] != '.' {
				m.MaxEntries = 2 * mostHeld
			}
		}
		p.maps = mapsOf(old, spec)
	}
	for name, m := range p.maps {
		if s := spec.Maps[name]; s != nil {
			s.MaxEntries = m.MaxEntries()
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: p.maps})
	if err != nil {
		return nil, fmt.Errorf("load the BPF programs that hold bandwidths: %w", err)
	}
	defer c.Close()
	if p.maps == nil {
		p.maps = map[string]*ebpf.Map{}
		for name, m := range c.Maps {
			if name[0] != '.' {
				p.maps[name] = m
				delete(c.Maps, name)
			}
		}
	}
	info, err := p.maps[bpf.ShapeMapShaped].Info()
	if err != nil {
		return nil, err
	}
	p.shaped, _ = info.ID()
	for name, prog := range c.Programs {
		info, err := prog.Info()
		if err != nil {
			return nil, err
		}
		p.tags[name] = info.Tag
		if id, ok := info.ID(); ok {
			p.known[uint32(id)] = true
		}
		p.prog[name] = prog
		delete(c.Programs, name)
	}
	return p, nil
}

// mapsOf returns the maps of a program, if they are what spec asks for; else nil.
func mapsOf(id uint32, spec *ebpf.CollectionSpec) (maps map[string]*ebpf.Map) {
	if id == 0 {
		return nil
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return nil
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return nil
	}
	ids, _ := info.MapIDs()
	maps = map[string]*ebpf.Map{}
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue
		}
		name := ""
		if info, err := m.Info(); err == nil {
			for of, s := range spec.Maps {
				if of[:min(len(of), kernelName)] == info.Name && s.Compatible(m) == nil {
					name = of
				}
			}
		}
		if name == "" {
			m.Close()
			continue
		}
		maps[name] = m
	}
	for name := range spec.Maps {
		if name[0] != '.' && maps[name] == nil {
			for _, m := range maps {
				m.Close()
			}
			return nil
		}
	}
	return maps
}

// is reports whether a program is one of these, by name, and works with these maps.
func (p *programs) is(id uint32, name string) bool {
	if id == 0 {
		return false
	}
	if p.known[id] {
		return true
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return false
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil || info.Tag != p.tags[name] {
		return false
	}
	ids, _ := info.MapIDs()
	for _, m := range ids {
		if m == p.shaped {
			p.known[id] = true
			return true
		}
	}
	return false
}

func (p *programs) close() {
	for _, prog := range p.prog {
		prog.Close()
	}
	if p.own {
		for _, m := range p.maps {
			m.Close()
		}
	}
}

// forget makes a number as if nobody had had it.
func (p *programs) forget(number uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	var errs []error
	for way := range uint32(ways) {
		at := 2*number + way
		if at >= p.maps[bpf.ShapeMapBandwidths].MaxEntries() {
			continue
		}
		errs = append(errs,
			p.maps[bpf.ShapeMapBandwidthStates].Put(at, bpf.ShapeBandwidthState{}),
			p.maps[bpf.ShapeMapBandwidthCounts].Put(at, make([]bpf.ShapeBandwidthCount, cpus)))
	}
	return errors.Join(errs...)
}

// numbers returns for how many numbers there is room in the maps.
func (p *programs) numbers() int { return int(p.maps[bpf.ShapeMapBandwidths].MaxEntries() / ways) }
