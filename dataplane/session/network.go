package session

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane/netns"
)

// Network is the sessions of one network. Its methods may be called from
// several goroutines, but not after Close.
type Network struct {
	s      *Sessions
	id     string
	dir    string
	ns     *netns.Namespace // its own descriptor
	number uint32           // of the namespace; 0 without exhausted
	maps   map[string]*ebpf.Map

	programsMu sync.RWMutex
	prog       map[string]*ebpf.Program  // those that are loaded
	ids        map[string]ebpf.ProgramID // of prog

	mu            sync.Mutex
	rules         *rules
	known         []knownGateway    // NAT gateways by number, also those that are gone
	numbers       map[string]uint32 // of known
	uplink        int
	generation    uint32
	boundsDropped *rules // of which no counter is left that is not theirs
	interfaces    bool   // there are router interfaces
	slow          []Link // have a program by a filter, and may get it by tcx
	doubled       bool   // a link may have a program twice, until Plan's changes are made
	changing      int    // links that are being changed over to tcx
	tooMany       uint32 // the specifications' connections, of which it was said that they do not fit
	files         tableFiles
	table         table  // conntrack's, as of the last look
	others        uint32 // entries in it without a session, likewise

	slots    slots
	watch    *watch
	ended    atomic.Uint64              // connections of whose end conntrack has told
	compared atomic.Pointer[comparison] // the last one; nil if there is none

	ports     portUse
	exhausted *ebpf.Map // nil where they are not counted
	answers   answers
}

// Open opens the sessions of a network, whose namespace is ns, adopts what is
// pinned of it, and makes what is missing. Nothing is attached yet, and programs for links
// are loaded by Load.
func (s *Sessions) Open(id string, ns *netns.Namespace) (_ *Network, err error) {
	own, err := ns.Again()
	if err != nil {
		return nil, err
	}
	n := &Network{s: s, id: id, ns: own, dir: filepath.Join(s.opt.Dir, id), maps: map[string]*ebpf.Map{},
		prog: map[string]*ebpf.Program{}, ids: map[string]ebpf.ProgramID{}}
	defer func() {
		if err != nil {
			n.close()
			err = fmt.Errorf("open the sessions of network %s: %w", id, err)
		}
	}()
	if err := mkdir(n.dir); err != nil {
		return nil, err
	}
	if err := n.openMaps(); err != nil {
		return nil, err
	}
	if err := errors.Join(n.adopt(), n.load(ownPrograms...)); err != nil {
		return nil, err
	}
	var have settings
	if err := n.maps["settings"].Lookup(uint32(0), &have); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if err := n.openExhausted(); err != nil {
		return nil, err
	}
	if n.files, err = openTable(ns); err != nil {
		return nil, err
	}
	if n.table, err = n.readTable(); err != nil {
		return nil, err
	}
	if err := n.locate(); err != nil {
		return nil, err
	}
	if err := n.addChunks(); err != nil {
		return nil, err
	}
	if err := n.recoverSlots(); err != nil {
		return nil, err
	}
	if err := n.readNumbers(); err != nil {
		return nil, err
	}
	// What was learned before belongs to whatever was the case then.
	n.generation = have.Generation + 1
	n.doubled = have.Flags&setChanging != 0
	n.watch = newWatch(n)
	return n, nil
}

// mostSessions is how many the largest hash map that the kernel makes has room
// for, with two elements for each.
const mostSessions = 1 << 26

// capacity is how many sessions there is room for.
func (s *Sessions) capacity() uint32 {
	if s.opt.Sessions > 0 {
		return uint32(min(s.opt.Sessions, mostSessions))
	}
	most, err := readTable("max")
	if err != nil || most == 0 {
		most = 1 << 18
	}
	return min(most, mostSessions)
}

// openMaps opens the pinned maps. If one is missing, or is not what these
// programs need, all are made anew: they belong together.
func (n *Network) openMaps() error {
	maps := bpf.Maps(n.s.spec)
	maps["sessions"].MaxEntries = 2 * n.s.capacity()
	for name, m := range maps {
		if name[0] == '.' {
			continue
		}
		pinned, err := ebpf.LoadPinnedMap(filepath.Join(n.dir, name), nil)
		if err == nil {
			if name == "sessions" {
				m.MaxEntries = max(m.MaxEntries, pinned.MaxEntries()) // a larger one is kept
			}
			if err = m.Compatible(pinned); err != nil {
				pinned.Close()
			}
		}
		if err != nil {
			return n.makeMaps(maps)
		}
		n.maps[name] = pinned
	}
	return nil
}

// makeMaps makes all maps. A crash before the last is pinned leaves some, and
// the next Open makes all of them again.
func (n *Network) makeMaps(maps map[string]*ebpf.MapSpec) error {
	n.closeMaps()
	// Programs that are pinned or attached have the old maps.
	if err := errors.Join(n.clear(), mkdir(n.dir)); err != nil {
		return err
	}
	for name, m := range maps {
		if name[0] == '.' {
			continue
		}
		made, err := ebpf.NewMap(m)
		if err != nil {
			return fmt.Errorf("make BPF map %s: %w", name, err)
		}
		n.maps[name] = made
		if err := made.Pin(filepath.Join(n.dir, name)); err != nil {
			return fmt.Errorf("pin BPF map %s: %w", name, err)
		}
	}
	// The map's file is what tells one set of counters from the next.
	var epoch [8]byte
	_, _ = rand.Read(epoch[:])
	dir := filepath.Join(n.dir, fmt.Sprintf("epoch-%016x", binary.NativeEndian.Uint64(epoch[:])))
	return mkdir(dir)
}

// clear removes everything pinned.
func (n *Network) clear() error {
	err := os.RemoveAll(n.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// BandwidthMaps returns the maps by which the programs know bandwidths of elastic IPs that
// are held at the uplink itself. They are open as long as n is.
func (n *Network) BandwidthMaps() map[string]*ebpf.Map {
	out := map[string]*ebpf.Map{}
	for _, name := range []string{bpf.GatewayMapShaped, bpf.GatewayMapBandwidths, bpf.GatewayMapBandwidthStates, bpf.GatewayMapBandwidthCounts} {
		out[name] = n.maps[name]
	}
	return out
}

// epoch identifies the set of maps.
func (n *Network) epoch() (uint64, error) {
	names, err := filepath.Glob(filepath.Join(n.dir, "epoch-*"))
	if err != nil || len(names) != 1 {
		return 0, fmt.Errorf("%s does not say which counters these are", n.dir)
	}
	var e uint64
	_, err = fmt.Sscanf(filepath.Base(names[0]), "epoch-%x", &e)
	return e, err
}

func (n *Network) closeMaps() {
	for name, m := range n.maps {
		m.Close()
		delete(n.maps, name)
	}
}

func (n *Network) close() {
	n.files.close()
	n.closeExhausted()
	n.closeChunks()
	n.closePrograms()
	n.closeMaps()
	n.ns.Close()
}

// Close ends what is done in the background and gives back what is open. What
// is in the kernel stays and works on.
func (n *Network) Close() {
	n.watch.close()
	n.close()
}
