package session

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane"
)

// misses names what the programs count, in the order of enum stat.
var misses = []struct {
	stat   bpf.GatewayStat
	reason string
}{
	{bpf.GatewayStatSTAT_MISS_NEW, "new"},
	{bpf.GatewayStatSTAT_MISS_UNLEARNED, "not_established"},
	{bpf.GatewayStatSTAT_MISS_STALE, "stale"},
	{bpf.GatewayStatSTAT_MISS_CLOSING, "opening_or_closing"},
	{bpf.GatewayStatSTAT_MISS_FRAGMENT, "fragment"},
	{bpf.GatewayStatSTAT_MISS_OPTIONS, "ip_options"},
	{bpf.GatewayStatSTAT_MISS_TTL, "ttl"},
	{bpf.GatewayStatSTAT_MISS_MTU, "mtu"},
	{bpf.GatewayStatSTAT_MISS_PROTOCOL, "protocol"},
	{bpf.GatewayStatSTAT_MISS_OTHER, "other"},
}

// refusals are what the programs at the links refuse, in the order of
// dataplane.RefusedReasons. The last reason is the kernel's own.
var refusals = [...]struct {
	stat   bpf.GatewayStat
	reason string
}{
	{bpf.GatewayStatSTAT_REFUSED_CONNECTIONS, dataplane.RefusedConnections},
	{bpf.GatewayStatSTAT_REFUSED_RATE, dataplane.RefusedRate},
	{bpf.GatewayStatSTAT_REFUSED_MEMORY, dataplane.RefusedMemory},
	{bpf.GatewayStatSTAT_REFUSED_ENTRY, dataplane.RefusedEntry},
	{bpf.GatewayStatSTAT_REFUSED_ELASTIC_IP, dataplane.RefusedElasticIP},
	{bpf.GatewayStatSTAT_REFUSED_HOST, dataplane.RefusedHost},
	{bpf.GatewayStatSTAT_REFUSED_TABLE, dataplane.RefusedTable},
}

func total(list []dataplane.NoPort) (sum uint64) {
	for _, p := range list {
		sum += p.Count
	}
	return sum
}

// Traffic reads what the programs have counted.
func (n *Network) Traffic() (*dataplane.Traffic, error) {
	t, err := n.traffic()
	if err != nil {
		return nil, fmt.Errorf("read the traffic of network %s: %w", n.id, err)
	}
	return t, nil
}

func (n *Network) traffic() (*dataplane.Traffic, error) {
	t := &dataplane.Traffic{Ports: n.ports.get()}
	var err error
	if t.Epoch, err = n.epoch(); err != nil {
		return nil, err
	}
	var set settings
	if err := n.maps["settings"].Lookup(uint32(0), &set); err != nil {
		return nil, err
	}
	t.Limits.Connections = int(set.Connections)
	if set.Interval > 0 {
		t.Limits.NewPerSecond = int(1e9 / set.Interval)
	}
	t.Bounds = boundsOf(&set)
	table, err := n.readTable()
	if err != nil {
		return nil, err
	}
	t.Table = dataplane.Table{Entries: uint64(table.entries), Most: uint64(set.Entries)}
	if t.Entries, err = n.entryTraffic(); err != nil {
		return nil, err
	}
	g, err := n.state()
	if err != nil {
		return nil, err
	}
	for i, kind := range dataplane.SessionKinds() {
		// KIND_NONE is 0.
		t.Sessions = append(t.Sessions, dataplane.Sessions{Kind: kind, Open: g.Open[i+1], Opened: g.Opened[i+1]})
	}
	if t.NoPort, err = n.refusedPorts(); err != nil {
		return nil, err
	}
	stats, err := n.readStats()
	if err != nil {
		return nil, err
	}
	for _, r := range refusals {
		t.Refused = append(t.Refused, dataplane.Count{Reason: r.reason, Count: stats[r.stat]})
	}
	t.Refused = append(t.Refused, dataplane.Count{Reason: dataplane.RefusedPorts, Count: total(t.NoPort)})
	for _, m := range misses {
		t.Shortcut.Misses = append(t.Shortcut.Misses, dataplane.Count{Reason: m.reason, Count: stats[m.stat]})
	}
	t.Misplaced = stats[bpf.GatewayStatSTAT_OUT_OF_WINDOW]
	return t, n.addAddresses(t)
}

// addAddresses reads what was counted by slot.
func (n *Network) addAddresses(t *dataplane.Traffic) error {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	s, err := n.readSlots()
	if err != nil {
		return err
	}
	var r bpf.GatewayReturnedCounts
	if err := n.maps["returned"].Lookup(uint32(0), &r); err != nil {
		return err
	}
	n.addVolumes(t, r.Outbound, r.Inbound)
	noPort := map[netip.Addr]uint64{}
	for _, p := range t.NoPort {
		noPort[p.Private] += p.Count
	}
	untold := s.untold()
	for i := range s.addresses {
		out, in := n.addVolumes(t, s.volume(i, false), s.volume(i, true))
		a := s.addresses[i]
		if a.Addr == 0 || untold[a.Addr] {
			continue
		}
		t.Addresses = append(t.Addresses, dataplane.AddressTraffic{
			Address: address(a.Addr), Outbound: out, Inbound: in, Open: a.Open, Opened: a.Opened, NoPort: noPort[address(a.Addr)],
		})
	}
	slices.SortFunc(t.Addresses, func(a, b dataplane.AddressTraffic) int { return a.Address.Compare(b.Address) })
	t.Addresses = together(t.Addresses)
	return nil
}

// addVolumes adds what was sent and received to a network's.
func (n *Network) addVolumes(t *dataplane.Traffic, sent, received bpf.GatewayVolume) (out, in dataplane.Volume) {
	t.Shortcut.Hits += sent.Hits + received.Hits
	out, in = dataplane.Volume{Bytes: sent.Bytes, Packets: sent.Packets}, dataplane.Volume{Bytes: received.Bytes, Packets: received.Packets}
	add(&t.Outbound, out)
	add(&t.Inbound, in)
	return out, in
}

// together makes one of what was counted of an address in several slots. The list is
// sorted by address.
func together(list []dataplane.AddressTraffic) []dataplane.AddressTraffic {
	out := list[:0]
	for _, a := range list {
		if len(out) == 0 || out[len(out)-1].Address != a.Address {
			out = append(out, a)
			continue
		}
		to := &out[len(out)-1]
		add(&to.Outbound, a.Outbound)
		add(&to.Inbound, a.Inbound)
		to.Open, to.Opened = to.Open+a.Open, to.Opened+a.Opened
	}
	return out
}

func add(to *dataplane.Volume, v dataplane.Volume) {
	to.Bytes += v.Bytes
	to.Packets += v.Packets
}

// batch reads the first elements of an array; each is so many values.
func batch[V any](m *ebpf.Map, values []V, each int) error {
	keys := make([]uint32, len(values)/each)
	var at ebpf.MapBatchCursor
	for done := 0; done < len(keys); {
		got, err := m.BatchLookup(&at, keys[done:], values[done*each:], nil)
		done += got
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if err != nil && done < len(keys) {
			return fmt.Errorf("map %s ends after %d elements", m, done)
		}
	}
	return nil
}

// state reads what the programs keep of the network.
func (n *Network) state() (*bpf.GatewayGatewayState, error) {
	g := &bpf.GatewayGatewayState{}
	if err := n.maps["gateway"].Lookup(uint32(0), g); err != nil {
		return nil, fmt.Errorf("read the state of network %s: %w", n.id, err)
	}
	return g, nil
}

// readStats reads the counters, of all CPUs together, by bpf.GatewayStat.
func (n *Network) readStats() ([]uint64, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	sums := make([]uint64, n.maps["stats"].MaxEntries())
	each := make([]uint64, len(sums)*cpus)
	if err := batch(n.maps["stats"], each, cpus); err != nil {
		return nil, fmt.Errorf("read the counters of network %s: %w", n.id, err)
	}
	for i, v := range each {
		sums[i/cpus] += v
	}
	return sums, nil
}
