package session

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane"
)

// Apply makes the programs go by what network want says, in this order: the limits of
// its NAT gateways, who is translated, then the settings. uplink is the index of the
// uplink.
func (n *Network) Apply(want *dataplane.Network, uplink int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.numberGateways(want.NATGateways); err != nil {
		return err
	}
	r := compile(want, n.numbers)
	if err := n.putRules(r); err != nil {
		n.rules = nil
		return fmt.Errorf("tell the BPF programs of network %s who is translated: %w", n.id, err)
	}
	n.rules, n.uplink = r, uplink
	if err := n.putSettings(); err != nil {
		return err
	}
	var s settings
	n.bounds(&s, r)
	if room := s.Share[bpf.GatewayClassCLASS_SNAT]; r.snat && r.connections > room && r.connections != n.tooMany {
		n.s.opt.Logger.Warn("conntrack's table has not as much room as the specifications of the network's gateways allow connections; raise net.netfilter.nf_conntrack_max, or nat.sessions",
			"network", n.id, "connections", r.connections, "room", room)
		n.tooMany = r.connections
	}
	return nil
}

// putRules makes the maps hold r. What they hold is what they were told last, or is
// read where that is not known.
func (n *Network) putRules(r *rules) error {
	limits := difference[uint32, natLimits]{put: r.limits}
	if n.rules != nil {
		limits = differing(n.rules.limits, r.limits)
		limits.gone = nil // what is open goes on counting with those of a gateway that is gone
	}
	if err := change(n.maps["limits"], limits); err != nil {
		return err
	}
	if n.rules == nil {
		return errors.Join(fill(n.maps["hosts"], r.hosts), fill(n.maps["shares"], r.shares), fill(n.maps["elastic"], r.elastic), fill(n.maps["entries"], r.entries()), fill(n.maps["moving"], r.moving))
	}
	return errors.Join(
		change(n.maps["hosts"], differing(n.rules.hosts, r.hosts)),
		change(n.maps["shares"], differing(n.rules.shares, r.shares)),
		change(n.maps["elastic"], differing(n.rules.elastic, r.elastic)),
		change(n.maps["entries"], r.changedEntries(n.rules)),
		change(n.maps["moving"], differing(n.rules.moving, r.moving)),
	)
}

// Uplink returns the index of the uplink that the programs know.
func (n *Network) Uplink() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.uplink
}

// Renew makes all paths void: what they were learned from has changed. It takes
// effect with the next packet.
func (n *Network) Renew() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.generation++
	return n.putSettings()
}

// putSettings writes the settings, with n.mu held.
func (n *Network) putSettings() error {
	if n.rules == nil {
		return nil
	}
	if n.generation == 0 {
		n.generation = 1 // 0 is for paths that were never learned
	}
	s := n.rules.settings
	s.Uplink, s.Generation, s.Lifetime = uint32(n.uplink), n.generation, bpf.Ticks(n.s.opt.Lifetime)
	if s.Flags&setShortcut != 0 {
		s.Established += millis(n.s.opt.Lifetime)
	}
	if n.doubled || n.changing > 0 {
		s.Flags |= setChanging
	}
	s.Slots = uint32(n.s.addresses())
	n.bounds(&s, n.rules)
	if err := n.maps["settings"].Put(uint32(0), &s); err != nil {
		return fmt.Errorf("write the settings of the BPF programs of network %s: %w", n.id, err)
	}
	if n.exhausted == nil {
		return nil
	}
	if err := n.s.portWatch().tell(n, s.Flags&setReject != 0); err != nil {
		return fmt.Errorf("have the hosts of network %s told of connections without a port: %w", n.id, err)
	}
	return nil
}

// fill makes a map hold what is wanted. Additions come first.
func fill[K, V comparable](m *ebpf.Map, want map[K]V) error {
	have := make(map[K]V, len(want))
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		have[k] = v
	}
	if err := it.Err(); err != nil {
		return err
	}
	return change(m, differing(have, want))
}

// difference is what has to be changed in a map.
type difference[K, V comparable] struct {
	put  map[K]V
	gone map[K]bool
}

// differing returns what makes want of have.
func differing[K, V comparable](have, want map[K]V) difference[K, V] {
	d := difference[K, V]{put: map[K]V{}, gone: map[K]bool{}}
	for k, v := range want {
		if old, ok := have[k]; !ok || old != v {
			d.put[k] = v
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			d.gone[k] = true
		}
	}
	return d
}

// change makes a difference. Additions come first.
func change[K, V comparable](m *ebpf.Map, d difference[K, V]) error {
	for k, v := range d.put {
		if err := m.Put(&k, &v); err != nil {
			return err
		}
	}
	for k := range d.gone {
		if err := m.Delete(&k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}
