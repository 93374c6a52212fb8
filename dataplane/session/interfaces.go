package session

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane"
)

// What crosses a router interface has no sessions, but its flows are cached (bpf/flows.h).
// Router interfaces have numbers in the programs' maps, which they keep as long as they are
// there, also when the daemon is started anew: which number is whose stands with its limit.

// Interface is a router interface of a network.
type Interface struct {
	ID    string // 1 to 64 bytes
	Index int    // of its link; 0 while it is not there
	// Limit is what may leave by it without a queue; the zero value: all. Its Id is set here.
	Limit bpf.GatewayBandwidth
}

const mostInterfaces = dataplane.MostRouterInterfaces

func interfaceID(b *bpf.GatewayBandwidth) string {
	return string(bytes.TrimRight(b.Id[:], "\x00"))
}

// ApplyInterfaces tells the programs of the network's router interfaces.
func (n *Network) ApplyInterfaces(list []Interface) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(list) > mostInterfaces {
		return fmt.Errorf("network %s has %d router interfaces; there can be %d", n.id, len(list), mostInterfaces)
	}
	have, err := n.readInterfaces()
	if err != nil {
		return err
	}
	links := make(map[uint32]uint32, len(list))
	wanted := make(map[string]bool, len(list))
	for i := range list {
		wanted[list[i].ID] = true
	}
	for i := range list {
		number, err := n.numberInterface(have, &list[i], wanted)
		if err != nil {
			return fmt.Errorf("tell the BPF programs of network %s of router interface %s: %w", n.id, list[i].ID, err)
		}
		if list[i].Index != 0 {
			links[uint32(list[i].Index)] = number
		}
	}
	if err := fill(n.maps["interfaces"], links); err != nil {
		return fmt.Errorf("tell the BPF programs of network %s of its router interfaces: %w", n.id, err)
	}
	n.interfaces = len(list) > 0
	return nil
}

// readInterfaces returns what is known of router interfaces, by number.
func (n *Network) readInterfaces() ([]bpf.GatewayBandwidth, error) {
	have := make([]bpf.GatewayBandwidth, mostInterfaces+1)
	if err := batch(n.maps["interface_limits"], have, 1); err != nil {
		return nil, fmt.Errorf("read the numbers of the router interfaces of network %s: %w", n.id, err)
	}
	return have, nil
}

// numberInterface returns the number of a router interface, under which it has its limit
// then: its own, or one that nobody has, or else that of one which is not wanted any more.
func (n *Network) numberInterface(have []bpf.GatewayBandwidth, i *Interface, wanted map[string]bool) (uint32, error) {
	want := i.Limit
	if i.ID == "" || len(i.ID) > len(want.Id) {
		return 0, fmt.Errorf("its id has to have 1 to %d bytes", len(want.Id))
	}
	copy(want.Id[:], i.ID)
	find := func(is func(id string) bool) uint32 {
		return uint32(1 + slices.IndexFunc(have[1:], func(b bpf.GatewayBandwidth) bool { return is(interfaceID(&b)) }))
	}
	number := find(func(id string) bool { return id == i.ID })
	fresh := number == 0
	if fresh {
		number = cmp.Or(find(func(id string) bool { return id == "" }), find(func(id string) bool { return !wanted[id] }))
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return 0, err
		}
		if err := n.maps["interface_states"].Put(number, bpf.GatewayBandwidthState{}); err != nil {
			return 0, err
		}
		if err := n.maps["interface_counts"].Put(number, make([]bpf.GatewayBandwidthCount, cpus)); err != nil {
			return 0, err
		}
	}
	if !fresh && have[number] == want {
		return number, nil
	}
	have[number] = want
	return number, n.maps["interface_limits"].Put(number, &want)
}

// Interfaces returns what has left by each router interface that is known, by id.
func (n *Network) Interfaces() (map[string]dataplane.Volume, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, err := n.readInterfaces()
	if err != nil {
		return nil, err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	counts := make([]bpf.GatewayBandwidthCount, len(known)*cpus)
	if err := batch(n.maps["interface_counts"], counts, cpus); err != nil {
		return nil, fmt.Errorf("read what has left by the router interfaces of network %s: %w", n.id, err)
	}
	out := map[string]dataplane.Volume{}
	for number := range known {
		id := interfaceID(&known[number])
		if id == "" {
			continue
		}
		var sum dataplane.Volume
		for _, c := range counts[number*cpus : (number+1)*cpus] {
			sum.Bytes += c.Bytes
			sum.Packets += c.Packets
		}
		out[id] = sum
	}
	return out, nil
}

// sweepFlows takes out the flows that are over, so that there is room for others.
func (n *Network) sweepFlows() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.interfaces {
		return nil
	}
	g, err := n.state()
	if err != nil {
		return err
	}
	var over []bpf.GatewayFlowId
	var id bpf.GatewayFlowId
	var f bpf.GatewayCachedFlow
	all := n.maps["flows"].Iterate()
	for all.Next(&id, &f) {
		if f.Generation != n.generation || int32(f.Until-g.Heartbeat) < 0 {
			over = append(over, id)
		}
	}
	// What has changed meanwhile is looked at again the next time.
	for _, id := range over {
		_ = n.maps["flows"].Delete(id)
	}
	return nil
}
