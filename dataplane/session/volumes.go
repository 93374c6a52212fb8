package session

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"

	"sluice/bpf"
)

// Volumes take memory on each CPU: 24 bytes for each slot and direction. So there are maps
// for those slots alone that are handed out, and for some more. Where hosts come faster
// than maps, what is counted until then is in the slot of all others of their gateway.
const (
	chunkSlots  = 256            // CHUNK in bpf/types.h
	spareChunks = 1              // that there are beyond what is handed out
	chunkValues = 2 * chunkSlots // of a map
)

// chunks is how many maps of volumes are needed for so many slots.
func chunks(slots int) int {
	return min((slots+chunkSlots-1)/chunkSlots+spareChunks, maxChunks)
}

const maxChunks = 16384 / chunkSlots // SLOTS / CHUNK in bpf/types.h

// addChunks adds maps of volumes as slots are handed out.
func (n *Network) addChunks() error {
	g, err := n.state()
	if err != nil {
		return err
	}
	return n.addChunksFor(g.Slots)
}

// addChunksFor adds maps of volumes for so many slots.
func (n *Network) addChunksFor(slots uint32) error {
	want := chunks(gatewayNumbers + int(slots))
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	for len(n.slots.volumes) < want {
		i := uint32(len(n.slots.volumes))
		m, err := n.chunk(i)
		if err != nil {
			return fmt.Errorf("make room for the volumes of network %s, from slot %d on: %w", n.id, i*chunkSlots, err)
		}
		n.slots.volumes = append(n.slots.volumes, m)
	}
	return nil
}

// chunk opens a map of volumes, or makes it.
func (n *Network) chunk(i uint32) (*ebpf.Map, error) {
	var m *ebpf.Map
	err := n.maps["volumes"].Lookup(i, &m)
	if err == nil || !errors.Is(err, ebpf.ErrKeyNotExist) {
		return m, err
	}
	m, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "chunk", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(bpf.GatewayVolume{})), MaxEntries: chunkValues,
	})
	if err != nil {
		return nil, err
	}
	if err := n.maps["volumes"].Put(i, m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// readVolumes reads the volumes of the first slots, for each CPU, with n.slots.mu held.
// Those of slots that have no map are 0.
func (n *Network) readVolumes(slots, cpus int) ([]bpf.GatewayVolume, error) {
	all := make([]bpf.GatewayVolume, 2*slots*cpus)
	for i, m := range n.slots.volumes {
		from := min(i*chunkValues*cpus, len(all))
		part := all[from:min(from+chunkValues*cpus, len(all))]
		if len(part) == 0 {
			break
		}
		if err := batch(m, part, cpus); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// clearVolumes sets the volumes of a slot back to 0, with n.slots.mu held.
func (n *Network) clearVolumes(slot uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	i := int(slot / chunkSlots)
	if i >= len(n.slots.volumes) {
		return nil
	}
	for _, at := range []uint32{2 * (slot % chunkSlots), 2*(slot%chunkSlots) + 1} {
		if err := n.slots.volumes[i].Put(at, make([]bpf.GatewayVolume, cpus)); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) closeChunks() {
	for _, m := range n.slots.volumes {
		m.Close()
	}
	n.slots.volumes = nil
}
