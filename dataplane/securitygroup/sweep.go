package securitygroup

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"

	"sluice/bpf"
)

// Differences says what somebody else has changed in the maps.
func (n *Network) Differences() ([]string, error) { return n.sweep(false) }

// Doubt has the next Apply compare the maps.
func (n *Network) Doubt() { n.swept = false }

// Expire removes flows that are over: until then they count for their members' shares.
func (n *Network) Expire() error {
	var any uint32
	if err := n.maps[bpf.GroupsMapShares].NextKey(nil, &any); errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil // nobody has flows
	}
	if _, err := n.prog[bpf.GroupsProgExpire].Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
		return fmt.Errorf("remove the flows of network %s that are over: %w", n.id, err)
	}
	return nil
}

// sweep compares the maps with what they should hold, and says what is other; with mend, puts
// it right.
func (n *Network) sweep(mend bool) (whats []string, err error) {
	if len(n.garbage) > 0 && mend {
		if err := n.collect(); err != nil {
			return nil, err
		}
	}
	classes, chunks := map[bpf.GroupsGroupClassKey]uint32{}, map[bpf.GroupsGroupChunkKey]bpf.GroupsGroupChunk{}
	records := map[uint32]bpf.GroupsGroupPolicy{}
	for _, h := range n.policies {
		for _, t := range []*tables{h.in, h.out} {
			maps.Copy(classes, t.classes)
			maps.Copy(chunks, t.chunks)
		}
		records[h.number] = h.record
	}
	for _, e := range n.garbage {
		maps.Copy(classes, e.classes)
		maps.Copy(chunks, e.chunks)
	}
	stations := map[bpf.GroupsGroupStation]uint32{}
	for mac, a := range n.stations {
		stations[bpf.GroupsGroupStation{Mac: mac}] = a
	}
	return whats, errors.Join(
		compare(n.maps[bpf.GroupsMapChunks], chunks, mend, &whats),
		compare(n.maps[bpf.GroupsMapClasses], classes, mend, &whats),
		compare(n.maps[bpf.GroupsMapPolicies], records, mend, &whats),
		compare(n.maps[bpf.GroupsMapMembers], n.members, mend, &whats),
		compare(n.maps[bpf.GroupsMapStations], stations, mend, &whats),
		compare(n.maps[bpf.GroupsMapSettings], map[uint32]bpf.GroupsGroupSettings{0: n.settings}, mend, &whats),
	)
}

// compare compares a map with what it should hold.
func compare[K, V comparable](m *ebpf.Map, want map[K]V, mend bool, whats *[]string) error {
	info, err := m.Info()
	if err != nil {
		return err
	}
	have, err := contents[K, V](m)
	if err != nil {
		return fmt.Errorf("list map %s: %w", info.Name, err)
	}
	missing, spare := map[K]V{}, map[K]bool{}
	for k, v := range want {
		if h, ok := have[k]; !ok || h != v {
			missing[k] = v
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			spare[k] = true
		}
	}
	if len(missing)+len(spare) == 0 {
		return nil
	}
	*whats = append(*whats, "put map "+info.Name+" of security groups right")
	if !mend {
		return nil
	}
	for k, v := range missing {
		if err := m.Put(k, v); err != nil {
			return fmt.Errorf("write map %s: %w", info.Name, err)
		}
	}
	return remove(m, maps.Keys(spare))
}
