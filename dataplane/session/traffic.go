package session

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
	{bpf.GatewayStatSTAT_MISS_BANDWIDTH, "bandwidth"},
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
	{bpf.GatewayStatSTAT_REFUSED_SOURCE, dataplane.RefusedSource},
	{bpf.GatewayStatSTAT_REFUSED_UNKNOWN, dataplane.RefusedUnknown},
	{bpf.GatewayStatSTAT_REFUSED_SHARE, dataplane.RefusedShare},
	{bpf.GatewayStatSTAT_REFUSED_SHARE_RATE, dataplane.RefusedShareRate},
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
	t.Bounds = boundsOf(&set)
	table, err := n.readTable()
	if err != nil {
		return nil, err
	}
	t.Table = dataplane.Table{Entries: uint64(table.entries), Most: uint64(set.Entries)}
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
	if err := n.addGateways(t); err != nil {
		return nil, err
	}
	// The map is looked through whether there is anything in it or not.
	if hadSessions(t) {
		t.Entries, err = n.entryTraffic()
	}
	return t, err
}

// hadSessions reports whether there is a session, or has been one, or was one refused.
func hadSessions(t *dataplane.Traffic) bool {
	return slices.ContainsFunc(t.Sessions, func(s dataplane.Sessions) bool { return s.Open > 0 || s.Opened > 0 }) ||
		slices.ContainsFunc(t.Refused, func(c dataplane.Count) bool { return c.Count > 0 })
}

// addGateways reads what was counted by gateway and by slot.
func (n *Network) addGateways(t *dataplane.Traffic) error {
	n.mu.Lock()
	r, known := n.rules, slices.Clone(n.known)
	n.mu.Unlock()
	if r == nil {
		r = &rules{} // not applied yet
	}
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	s, err := n.readSlots()
	if err != nil {
		return err
	}
	all, err := n.gatewayCounts(&s)
	if err != nil {
		return err
	}
	for i, kind := range dataplane.SessionKinds() {
		sum := dataplane.Sessions{Kind: kind}
		for number := range all {
			one := all[number].sessions(i)
			sum.Open, sum.Opened = sum.Open+one.Open, sum.Opened+one.Opened
		}
		t.Sessions = append(t.Sessions, sum)
	}
	for i := range all {
		t.Shortcut.Hits += all[i].outbound.Hits + all[i].inbound.Hits
		add(&t.Outbound, all[i].outbound)
		add(&t.Inbound, all[i].inbound)
	}
	limits := make([]natLimits, gatewayNumbers)
	if err := batch(n.maps["limits"], limits, 1); err != nil {
		return err
	}
	ports := map[uint32]uint64{}
	for _, p := range t.NoPort {
		if number, ok := r.elastic[word(p.External)]; ok {
			ports[number] += p.Count
		}
	}
	none := all[gatewayNone]
	none.plus(&all[0])
	t.Gateways = append(t.Gateways, none.traffic("", natLimits{}, ports[gatewayNone]))
	for _, id := range slices.Sorted(maps.Keys(r.gateways)) {
		number := r.gateways[id]
		c := all[number]
		c.since(&known[number])
		t.Gateways = append(t.Gateways, c.traffic(id, limits[number], ports[number]))
	}
	n.addAddresses(t, &s, r)
	return nil
}

// sessions are those of the i-th of dataplane.SessionKinds.
func (c *gatewayCounts) sessions(i int) dataplane.Sessions {
	// KIND_NONE is 0.
	return dataplane.Sessions{Kind: dataplane.SessionKinds()[i], Open: c.state.Open[i+1], Opened: c.state.Opened[i+1]}
}

// traffic is what was counted of a gateway, or of none; ports is how often there was no
// port.
func (c *gatewayCounts) traffic(id string, l natLimits, ports uint64) dataplane.GatewayTraffic {
	g := dataplane.GatewayTraffic{ID: id, Limits: dataplane.Limits{Connections: int(l.Connections)}}
	if l.Interval > 0 {
		g.Limits.NewPerSecond = int(1e9 / l.Interval)
	}
	for i, kind := range dataplane.SessionKinds() {
		if kind != dataplane.SessionElastic || id == "" {
			g.Sessions = append(g.Sessions, c.sessions(i))
		}
	}
	for i, r := range refusals {
		g.Refused = append(g.Refused, dataplane.Count{Reason: r.reason, Count: c.refused[i]})
	}
	g.Refused = append(g.Refused, dataplane.Count{Reason: dataplane.RefusedPorts, Count: ports})
	add(&g.Outbound, c.outbound)
	add(&g.Inbound, c.inbound)
	return g
}

// addAddresses adds what was counted of private addresses, but not by gateways that are
// gone.
func (n *Network) addAddresses(t *dataplane.Traffic, s *slotted, r *rules) {
	type row struct{ addr, gateway uint32 }
	noPort := map[row]uint64{}
	for _, p := range t.NoPort {
		if p.Private.IsValid() {
			noPort[row{word(p.Private), r.gatewayOf(p.External)}] += p.Count
		}
	}
	names := map[uint32]string{0: "", gatewayNone: ""}
	for id, number := range r.gateways {
		names[number] = id
	}
	untold := s.untold()
	for i := gatewayNumbers; i < len(s.addresses); i++ {
		a := s.addresses[i]
		id, there := names[uint32(a.Gateway)]
		if a.Addr == 0 || !there || untold[slotKeyOf(&a)] {
			continue
		}
		to := dataplane.AddressTraffic{Address: address(a.Addr), Gateway: id, Open: a.Open, Opened: a.Opened, NoPort: noPort[row{a.Addr, uint32(a.Gateway)}], Share: a.Refused}
		add(&to.Outbound, s.volume(i, false))
		add(&to.Inbound, s.volume(i, true))
		t.Addresses = append(t.Addresses, to)
	}
	slices.SortFunc(t.Addresses, func(a, b dataplane.AddressTraffic) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Gateway, b.Gateway))
	})
	t.Addresses = together(t.Addresses)
}

// together makes one of what was counted of an address and a gateway in several slots.
// The list is sorted by both.
func together(list []dataplane.AddressTraffic) []dataplane.AddressTraffic {
	out := list[:0]
	for _, a := range list {
		if len(out) == 0 || out[len(out)-1].Address != a.Address || out[len(out)-1].Gateway != a.Gateway {
			out = append(out, a)
			continue
		}
		to := &out[len(out)-1]
		to.Outbound, to.Inbound = plus(to.Outbound, a.Outbound), plus(to.Inbound, a.Inbound)
		to.Open, to.Opened, to.Share = to.Open+a.Open, to.Opened+a.Opened, to.Share+a.Share
	}
	return out
}

func plus(a, b dataplane.Volume) dataplane.Volume {
	return dataplane.Volume{Bytes: a.Bytes + b.Bytes, Packets: a.Packets + b.Packets}
}

func add(to *dataplane.Volume, v bpf.GatewayVolume) {
	*to = plus(*to, dataplane.Volume{Bytes: v.Bytes, Packets: v.Packets})
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
