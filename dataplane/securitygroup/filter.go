package securitygroup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane/netns"
)

// ErrUnsupported says that the kernel cannot run the programs.
var ErrUnsupported = errors.New("the kernel cannot run the BPF programs of security groups")

// Filters are the programs and maps of the networks of a machine.
type Filters struct {
	dir  string // of what is pinned, with a directory for each network
	form string // of the object, a hash
	spec *ebpf.CollectionSpec
	tcx  bool // programs of VSwitches' links are attached by tcx, else by clsact
}

// New returns what holds security groups, and pins what it needs under dir, which is on a BPF
// file system. tcx says that the kernel has tcx (Linux 6.6), and is to use it.
func New(dir string, tcx bool) (*Filters, error) {
	object := bpf.GroupsObject()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the BPF programs of security groups: %w", err)
	}
	sum := sha256.Sum256(object)
	return &Filters{dir: dir, form: hex.EncodeToString(sum[:8]), spec: spec, tcx: tcx}, nil
}

// Dir is where maps and programs are pinned.
func (f *Filters) Dir() string { return f.dir }

// Pins is the folder of a network's pinned links.
func (f *Filters) Pins(id string) string { return filepath.Join(f.dir, id, pinsDir) }

// programs are those of the object.
var programs = []string{bpf.GroupsProgFromHost, bpf.GroupsProgToHost, bpf.GroupsProgFromSwitch, bpf.GroupsProgToSwitch, bpf.GroupsProgExpire}

// Network is the security groups of one network. Its methods may not be called at the same
// time.
type Network struct {
	f    *Filters
	id   string
	dir  string
	ns   *netns.Namespace // its own descriptor
	maps map[string]*ebpf.Map
	prog map[string]*ebpf.Program
	ids  map[string]ebpf.ProgramID

	next     uint32                  // version that no policy has had
	adopted  map[uint64]adopted      // policies that the maps had at the start, by digest
	policies map[string]*held        // by ID
	members  map[uint32]member       // by address, as in the map
	stations map[[6]byte]uint32      // likewise
	settings bpf.GroupsGroupSettings // likewise
	garbage  []*tables               // of versions that are over
	swept    bool                    // the maps were compared with the above
}

// held is a policy that is in the maps.
type held struct {
	number  uint32 // key of its record
	record  bpf.GroupsGroupPolicy
	source  source
	in, out *tables
}

// adopted is a policy that the maps had at the start.
type adopted struct {
	number uint32
	record bpf.GroupsGroupPolicy
}

// AwaitPackets waits until packets that the programs have let pass before have left: for a grace
// period of RCU, in which the kernel handles a packet from one link to the next, some 20 ms.
func AwaitPackets() {
	const membarrierGlobal = 1 << 0 // MEMBARRIER_CMD_GLOBAL (membarrier(2)), which is synchronize_rcu
	_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
}

// Exists says whether anything is pinned of a network.
func (f *Filters) Exists(id string) bool {
	_, err := os.Stat(filepath.Join(f.dir, id))
	return err == nil
}

// Remove removes what is pinned of a network. What is attached works on until its link goes,
// or it is detached.
func (f *Filters) Remove(id string) error { return os.RemoveAll(filepath.Join(f.dir, id)) }

// Open opens the groups of a network whose namespace is ns, adopts what is pinned, and makes
// what is missing. The error wraps ErrUnsupported where the kernel cannot run the programs.
func (f *Filters) Open(id string, ns *netns.Namespace) (_ *Network, err error) {
	own, err := ns.Again()
	if err != nil {
		return nil, err
	}
	n := &Network{f: f, id: id, ns: own, dir: filepath.Join(f.dir, id), maps: map[string]*ebpf.Map{}, prog: map[string]*ebpf.Program{},
		ids: map[string]ebpf.ProgramID{}, policies: map[string]*held{}}
	defer func() {
		if err != nil {
			n.Close()
			err = fmt.Errorf("open the security groups of network %s: %w", id, err)
		}
	}()
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	if err := n.openMaps(); err != nil {
		return nil, err
	}
	if err := n.openPrograms(); err != nil {
		return nil, err
	}
	return n, n.read()
}

// Close gives back what is open. What is in the kernel stays and works on, but for tables of
// versions that are over: where these cannot be deleted the next process does it.
func (n *Network) Close() {
	_ = n.collect()
	for _, m := range n.maps {
		m.Close()
	}
	for _, p := range n.prog {
		p.Close()
	}
	n.ns.Close()
}

func (n *Network) openMaps() error {
	for name, m := range n.f.spec.Maps {
		if name[0] == '.' {
			continue
		}
		pinned, err := ebpf.LoadPinnedMap(filepath.Join(n.dir, name), nil)
		if err == nil {
			if err = m.Compatible(pinned); err != nil {
				pinned.Close()
			}
		}
		if err != nil {
			return n.makeMaps()
		}
		n.maps[name] = pinned
	}
	return nil
}

// makeMaps makes all maps. A crash before the last is pinned leaves some, and the next Open
// makes all of them again. Flows that are open are taken up as those of new members are.
func (n *Network) makeMaps() error {
	for name, m := range n.maps {
		m.Close()
		delete(n.maps, name)
	}
	// What is attached by a pinned link works on until it is replaced.
	old, err := os.ReadDir(n.dir)
	if err != nil {
		return err
	}
	for _, e := range old {
		if e.Name() == pinsDir {
			continue
		}
		if err := os.RemoveAll(filepath.Join(n.dir, e.Name())); err != nil {
			return err
		}
	}
	for name, m := range n.f.spec.Maps {
		if name[0] == '.' {
			continue
		}
		made, err := ebpf.NewMap(m)
		if err != nil {
			return fmt.Errorf("%w: make map %s: %w", ErrUnsupported, name, err)
		}
		n.maps[name] = made
		if err := made.Pin(filepath.Join(n.dir, name)); err != nil {
			return fmt.Errorf("pin BPF map %s: %w", name, err)
		}
	}
	return nil
}

// openPrograms opens the programs that are pinned, in a directory that has the form of the
// object in its name, or loads them.
func (n *Network) openPrograms() error {
	dir := filepath.Join(n.dir, "programs-"+n.f.form)
	for _, name := range programs {
		p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, name), nil)
		if err != nil {
			return n.loadPrograms(dir)
		}
		if err := n.keep(name, p); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) loadPrograms(dir string) error {
	old, err := filepath.Glob(filepath.Join(n.dir, "programs-*"))
	if err != nil {
		return err
	}
	for _, d := range old {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	c, err := ebpf.NewCollectionWithOptions(n.f.spec.Copy(), ebpf.CollectionOptions{MapReplacements: n.maps})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	defer c.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range programs {
		p := c.DetachProgram(name)
		if err := p.Pin(filepath.Join(dir, name)); err != nil {
			p.Close()
			return fmt.Errorf("pin BPF program %s: %w", name, err)
		}
		if old := n.prog[name]; old != nil {
			old.Close()
		}
		if err := n.keep(name, p); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) keep(name string, p *ebpf.Program) error {
	n.prog[name] = p
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("ask for the number of BPF program %s: %w", name, err)
	}
	n.ids[name], _ = info.ID()
	return nil
}

// read reads what the maps hold.
func (n *Network) read() error {
	if err := n.maps[bpf.GroupsMapSettings].Lookup(uint32(0), &n.settings); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	n.next = n.settings.Generation + 1
	n.adopted = map[uint64]adopted{}
	var number uint32
	var record bpf.GroupsGroupPolicy
	it := n.maps[bpf.GroupsMapPolicies].Iterate()
	for it.Next(&number, &record) {
		n.adopted[record.Digest] = adopted{number, record}
		n.next = max(n.next, record.Version+1)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("list policies: %w", err)
	}
	var err error
	if n.members, err = contents[uint32, member](n.maps[bpf.GroupsMapMembers]); err != nil {
		return fmt.Errorf("list members: %w", err)
	}
	stations, err := contents[bpf.GroupsGroupStation, uint32](n.maps[bpf.GroupsMapStations])
	n.stations = map[[6]byte]uint32{}
	for s, a := range stations {
		n.stations[s.Mac] = a
	}
	return err
}

// contents lists a map.
func contents[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	out := map[K]V{}
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		out[k] = v
	}
	return out, it.Err()
}
