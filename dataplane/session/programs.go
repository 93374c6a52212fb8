package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"sluice/bpf"
	"sluice/dataplane"
)

// The kernel verifies a program for each network, since each has maps of its own: some 40 ms
// of a processor for all. So those alone are loaded that a network has a use for.

// ownPrograms are those that are run by this package, and are at no link.
var ownPrograms = []string{"locate", "sync_sessions"}

// Load loads the programs for the links of a network with a public side, or with router
// interfaces, if they are not loaded yet. Those that only some such networks need are loaded when
// they are attached. The error wraps ErrUnsupported where the kernel cannot run them.
// Neither Load nor changes of Plan may be under way at the same time.
func (n *Network) Load(public, interfaces bool) error {
	var names []string
	add := func(l Link) {
		for _, h := range hooks(l, dataplane.ByTCX) {
			names = append(names, program(l, h))
		}
	}
	if public {
		add(Link{Name: dataplane.UplinkName, Sessions: true})
		add(Link{Sessions: true})
	}
	if interfaces {
		add(Link{Flows: true})
	}
	if err := n.load(names...); err != nil {
		return fmt.Errorf("load the BPF programs of network %s: %w", n.id, err)
	}
	return nil
}

// loaded returns a program; nil if it is not loaded.
func (n *Network) loaded(name string) *ebpf.Program {
	n.programsMu.RLock()
	defer n.programsMu.RUnlock()
	return n.prog[name]
}

// numberOf returns the kernel's number of a program, which audits compare; 0 if it is not loaded.
func (n *Network) numberOf(name string) ebpf.ProgramID {
	n.programsMu.RLock()
	defer n.programsMu.RUnlock()
	return n.ids[name]
}

// adopt opens the programs that are pinned.
func (n *Network) adopt() error {
	for name := range n.s.spec.Programs {
		p, err := ebpf.LoadPinnedProgram(filepath.Join(n.programs(), name), nil)
		if err != nil {
			continue // load makes it anew
		}
		if err := n.keep(name, p); err != nil {
			return errors.Join(err, p.Close())
		}
	}
	return nil
}

// load loads programs for the maps, if they are not loaded, and pins them. A crash before the
// last is pinned leaves some, and the next process loads the others.
func (n *Network) load(names ...string) error {
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return n.loaded(name) != nil })
	if len(missing) == 0 {
		return nil
	}
	spec := n.s.spec
	some := &ebpf.CollectionSpec{Maps: bpf.Maps(spec), Programs: map[string]*ebpf.ProgramSpec{}, Types: spec.Types, ByteOrder: spec.ByteOrder}
	some.Maps["sessions"].MaxEntries = n.maps["sessions"].MaxEntries()
	for _, name := range missing {
		some.Programs[name] = spec.Programs[name] // is copied when it is loaded
	}
	c, err := ebpf.NewCollectionWithOptions(some, ebpf.CollectionOptions{MapReplacements: n.maps, Cache: kernelTypes.Load()})
	if err != nil {
		kernelTypes.Store(btf.NewCache()) // what is lacking may come with a module, as conntrack does
		return fmt.Errorf("%w (Linux 6.1 with CONFIG_DEBUG_INFO_BTF and conntrack is needed): %w", ErrUnsupported, err)
	}
	defer c.Close()
	if err := mkdir(n.programs()); err != nil {
		return err
	}
	for name, p := range c.Programs {
		pin := filepath.Join(n.programs(), name)
		// What is there could not be opened.
		if err := os.RemoveAll(pin); err != nil {
			return err
		}
		if err := p.Pin(pin); err != nil {
			return fmt.Errorf("pin BPF program %s: %w", name, err)
		}
		if err := n.keep(name, p); err != nil {
			return err
		}
		delete(c.Programs, name) // it is ours now
	}
	return nil
}

// keep notes a program that is pinned.
func (n *Network) keep(name string, p *ebpf.Program) error {
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("ask for the number of BPF program %s: %w", name, err)
	}
	id, _ := info.ID()
	n.programsMu.Lock()
	defer n.programsMu.Unlock()
	n.prog[name], n.ids[name] = p, id
	return nil
}

// programs is the directory of the pinned programs of this version.
func (n *Network) programs() string { return filepath.Join(n.dir, "programs-"+n.s.object) }

// oldPrograms returns the directories of the pinned programs of other versions.
func (n *Network) oldPrograms() []string {
	dirs, _ := filepath.Glob(filepath.Join(n.dir, "programs-*")) // the pattern is well-formed
	return slices.DeleteFunc(dirs, func(d string) bool { return d == n.programs() })
}

// dropOldPrograms removes the pins of other versions. What is still attached of
// them works on until it is replaced.
func (n *Network) dropOldPrograms() error {
	var errs []error
	for _, d := range n.oldPrograms() {
		errs = append(errs, os.RemoveAll(d))
	}
	return errors.Join(errs...)
}

func (n *Network) closePrograms() {
	n.programsMu.Lock()
	defer n.programsMu.Unlock()
	for name, p := range n.prog {
		p.Close()
		delete(n.prog, name)
	}
}
