package securitygroup

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
)

// PickUp is how long after an address has become a member TCP is let pass that the programs
// have not seen beginning, where a rule would have let it begin: what was open before.
const PickUp = 5 * time.Minute

type (
	member = bpf.GroupsGroupMember
	source = *dataplane.GroupPolicy
)

// Apply makes the maps hold the policies and members of want, and returns how many of those
// were changed. A crash in here leaves tables that nothing leads to, which the next process
// removes; each policy is that of before or that of want, in both directions.
func (n *Network) Apply(want *dataplane.Network) (changes int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("apply the security groups of network %s: %w", n.id, err)
		}
	}()
	if err := n.collect(); err != nil {
		return 0, err
	}
	wanted := map[string]bool{}
	for i := range want.Policies {
		p := &want.Policies[i]
		wanted[p.ID] = true
		changed, err := n.put(p)
		if err != nil {
			return changes, err
		}
		if changed {
			changes++
		}
	}
	moved, err := n.applyMembers(want)
	changes += moved
	if err != nil {
		return changes, err
	}
	for id, h := range n.policies {
		if wanted[id] {
			continue
		}
		if err := n.delete(h.number); err != nil {
			return changes, err
		}
		n.garbage = append(n.garbage, h.in, h.out)
		delete(n.policies, id)
		changes++
	}
	for digest, h := range n.adopted {
		if err := n.delete(h.number); err != nil {
			return changes, err
		}
		n.swept = false // its tables are not known
		delete(n.adopted, digest)
		changes++
	}
	if err := n.setSettings(want.Timeouts, changes > 0); err != nil {
		return changes, err
	}
	if !n.swept {
		fixed, err := n.sweep(true)
		if err != nil {
			return changes, err
		}
		changes += len(fixed)
		n.swept = true
	}
	return changes, nil
}

// put puts a policy into the maps, if it is another than they have: the tables of the directions
// that are another first, then the record that leads to them.
func (n *Network) put(p *dataplane.GroupPolicy) (changed bool, err error) {
	h := n.policies[p.ID]
	if h == nil {
		if h, err = n.adopt(p); err != nil {
			return false, err
		}
	}
	if h != nil && h.source.Equal(*p) {
		h.source = p
		return false, nil
	}
	fresh := &held{source: p}
	if h == nil {
		fresh.number = n.freeNumber()
	} else {
		fresh.number = h.number
	}
	var written, over []*tables
	for _, d := range []struct {
		of     func(*dataplane.GroupPolicy) []dataplane.GroupRule
		table  func(*held) **tables
		number uint32
	}{
		{func(p *dataplane.GroupPolicy) []dataplane.GroupRule { return p.Ingress }, func(h *held) **tables { return &h.in }, n.next << 2},
		{func(p *dataplane.GroupPolicy) []dataplane.GroupRule { return p.Egress }, func(h *held) **tables { return &h.out }, n.next<<2 | 2},
	} {
		to := d.table(fresh)
		if h != nil && slices.EqualFunc(d.of(h.source), d.of(p), dataplane.GroupRule.Equal) {
			*to = *d.table(h)
			continue
		}
		compiled, err := compile(p.ID, d.of(p))
		if err != nil {
			return false, err
		}
		if h != nil && (*d.table(h)).digest == compiled.digest {
			*to = *d.table(h)
			continue
		}
		*to = compiled.tables(d.number)
		written = append(written, *to)
		if h != nil {
			over = append(over, *d.table(h))
		}
	}
	if h != nil && len(written) == 0 {
		h.source = p
		return false, nil
	}
	fresh.record = bpf.GroupsGroupPolicy{Version: n.next, Digest: policyDigest(p.ID, fresh.in.digest, fresh.out.digest), In: fresh.in.rules, Out: fresh.out.rules}
	n.next++
	for _, t := range written {
		if err := n.write(t); err != nil {
			n.swept = false
			return false, fmt.Errorf("write the tables of policy %s: %w", p.ID, err)
		}
	}
	if err := n.maps[bpf.GroupsMapPolicies].Put(fresh.number, fresh.record); err != nil {
		n.swept = false
		return false, fmt.Errorf("write policy %s: %w", p.ID, err)
	}
	n.garbage = append(n.garbage, over...)
	n.policies[p.ID] = fresh
	return true, nil
}

// adopt takes over a policy that the maps had at the start; nil if they have no such one.
func (n *Network) adopt(p *dataplane.GroupPolicy) (*held, error) {
	if len(n.adopted) == 0 {
		return nil, nil
	}
	in, err := compile(p.ID, p.Ingress)
	if err != nil {
		return nil, err
	}
	out, err := compile(p.ID, p.Egress)
	if err != nil {
		return nil, err
	}
	digest := policyDigest(p.ID, in.digest, out.digest)
	old, ok := n.adopted[digest]
	if !ok {
		return nil, nil
	}
	h := &held{number: old.number, record: old.record, source: p, in: in.tables(old.record.In.Addresses), out: out.tables(old.record.Out.Addresses)}
	n.policies[p.ID] = h
	delete(n.adopted, digest)
	return h, nil
}

func (n *Network) freeNumber() uint32 {
	taken := map[uint32]bool{}
	for _, h := range n.policies {
		taken[h.number] = true
	}
	for _, h := range n.adopted {
		taken[h.number] = true
	}
	number := uint32(1)
	for taken[number] {
		number++
	}
	return number
}

func (n *Network) delete(number uint32) error {
	if err := n.maps[bpf.GroupsMapPolicies].Delete(number); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete a policy: %w", err)
	}
	return nil
}

// write writes tables, what classes mean before what leads to them.
func (n *Network) write(t *tables) error {
	return errors.Join(update(n.maps[bpf.GroupsMapChunks], t.chunks), update(n.maps[bpf.GroupsMapClasses], t.classes))
}

func update[K comparable, V any](m *ebpf.Map, entries map[K]V) error {
	keys, values := make([]K, 0, len(entries)), make([]V, 0, len(entries))
	for k, v := range entries {
		keys, values = append(keys, k), append(values, v)
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := m.BatchUpdate(keys, values, nil)
	return err
}

// collect deletes the tables of versions that were over before the last Apply ended: no
// packet is decided on by them any more.
func (n *Network) collect() error {
	for len(n.garbage) > 0 {
		e := n.garbage[0]
		if err := errors.Join(remove(n.maps[bpf.GroupsMapClasses], maps.Keys(e.classes)), remove(n.maps[bpf.GroupsMapChunks], maps.Keys(e.chunks))); err != nil {
			n.swept = false
			return fmt.Errorf("delete tables of a version that is over: %w", err)
		}
		n.garbage = n.garbage[1:]
	}
	return nil
}

// remove deletes keys, of which some may not be there.
func remove[K comparable](m *ebpf.Map, keys func(func(K) bool)) error {
	for list := slices.Collect(keys); len(list) > 0; {
		done, err := m.BatchDelete(list, nil)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ebpf.ErrKeyNotExist):
			list = list[min(done+1, len(list)):]
		default:
			return err
		}
	}
	return nil
}

// applyMembers makes the maps hold the members of want.
func (n *Network) applyMembers(want *dataplane.Network) (changes int, err error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	wanted, stations := map[uint32]member{}, map[[6]byte]uint32{}
	for _, m := range want.Members {
		h := n.policies[m.Policy]
		if h == nil || !m.Address.Is4() {
			return changes, fmt.Errorf("member %s has policy %q, which is not there", m.Address, m.Policy)
		}
		key := addressKey(m.Address)
		old, ok := n.members[key]
		until := old.Until
		if !ok {
			until = uint64(now.Nano()) + uint64(PickUp)
		}
		wanted[key] = member{Policy: h.number, Until: until}
		if m.MAC == "" {
			continue
		}
		mac, err := net.ParseMAC(m.MAC)
		if err != nil || len(mac) != 6 {
			return changes, fmt.Errorf("member %s has Ethernet address %q: it must have six bytes", m.Address, m.MAC)
		}
		if _, twice := stations[[6]byte(mac)]; !twice {
			stations[[6]byte(mac)] = key
		}
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if n.members[key] == wanted[key] {
			continue
		}
		if err := n.maps[bpf.GroupsMapMembers].Put(key, wanted[key]); err != nil {
			return changes, fmt.Errorf("write a member: %w", err)
		}
		n.members[key] = wanted[key]
		changes++
	}
	for mac, key := range stations {
		if old, ok := n.stations[mac]; ok && old == key {
			continue
		}
		if err := n.maps[bpf.GroupsMapStations].Put(bpf.GroupsGroupStation{Mac: mac}, key); err != nil {
			return changes, fmt.Errorf("write the Ethernet address of a member: %w", err)
		}
		n.stations[mac] = key
		changes++
	}
	for mac := range n.stations {
		if _, ok := stations[mac]; ok {
			continue
		}
		if err := n.maps[bpf.GroupsMapStations].Delete(bpf.GroupsGroupStation{Mac: mac}); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return changes, fmt.Errorf("delete the Ethernet address of a member: %w", err)
		}
		delete(n.stations, mac)
		changes++
	}
	for key := range n.members {
		if _, ok := wanted[key]; ok {
			continue
		}
		if err := n.maps[bpf.GroupsMapMembers].Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return changes, fmt.Errorf("delete a member: %w", err)
		}
		delete(n.members, key)
		changes++
	}
	return changes, nil
}

// addressKey returns the number whose bytes in memory are those of an IPv4 address.
func addressKey(a netip.Addr) uint32 {
	b := a.As4()
	return bigEndian(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
}

// setSettings has all flows decided on anew, if something has changed, by the next packet of
// each.
func (n *Network) setSettings(t dataplane.Timeouts, changed bool) error {
	if t == (dataplane.Timeouts{}) {
		t = dataplane.DefaultTimeouts()
	}
	// What takes the shortcut is not seen for up to a minute.
	want := bpf.GroupsGroupSettings{Generation: n.settings.Generation, Second: bpf.Ticks(time.Second), TcpOpen: bpf.Ticks(t.TCPEstablished + time.Minute),
		TcpOther: bpf.Ticks(t.TCPTransitory), Udp: bpf.Ticks(t.UDP + time.Minute), Icmp: bpf.Ticks(t.ICMP),
		Share: n.maps[bpf.GroupsMapFlows].MaxEntries() / max(1, uint32(len(n.members)))}
	if changed || n.settings.Generation == 0 {
		want.Generation = n.next
		n.next++
	}
	if want == n.settings {
		return nil
	}
	if err := n.maps[bpf.GroupsMapSettings].Put(uint32(0), want); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	n.settings = want
	return nil
}

// Drops returns how many packets were dropped, by reason, since the maps were made.
func (n *Network) Drops() (map[string]uint64, error) {
	out := map[string]uint64{}
	for i, name := range Reasons {
		var each []uint64
		if err := n.maps[bpf.GroupsMapDrops].Lookup(uint32(i), &each); err != nil {
			return nil, fmt.Errorf("read what security groups of network %s have dropped: %w", n.id, err)
		}
		for _, c := range each {
			out[name] += c
		}
	}
	return out, nil
}

// Reasons are those for which packets are dropped, as in bpf/groups.h.
var Reasons = []string{"egress", "ingress", "cut", "fragment", "other", "unknown"}
