package compile

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// dnat returns the DNAT entries that take effect. By the documents an entry
// does so while its public address is on the gateway, and an ECS instance
// without an elastic IP of its own holds its private address (NAT Gateway API
// reference, CreateForwardEntry); an address of a VSwitch that the inventory
// doesn't know counts as an ordinary ECS instance.
func dnat(v *state.View, n *dataplane.Network, p *public) ([]dataplane.DNAT, error) {
	entries := v.ForwardEntries.By(state.ByVPC, n.ID)
	effective := make([]forwarding, 0, entries.Len())
	h := hosts{switches: n.Switches}
	for e := range entries.All() {
		if !p.shared[e.ExternalIP] || p.others[e.InternalIP] || !h.contains(e.InternalIP) {
			continue
		}
		if _, own := p.own[e.InternalIP]; own {
			continue
		}
		effective = append(effective, forwarding{externalKey(e), e})
	}
	slices.SortFunc(effective, func(a, b forwarding) int { return cmp.Compare(a.key, b.key) })
	out := make([]dataplane.DNAT, len(effective))
	for i, f := range effective {
		if i > 0 && effective[i-1].key == f.key {
			return nil, fmt.Errorf("two DNAT entries for %s protocol %s port %d, %s and %s: delete one of them", f.entry.ExternalIP, f.entry.Protocol, f.entry.ExternalPort, effective[i-1].entry.ID, f.entry.ID)
		}
		out[i] = dataplane.DNAT{
			External:     f.entry.ExternalIP,
			Protocol:     uint8(f.entry.Protocol),
			ExternalPort: f.entry.ExternalPort,
			Internal:     f.entry.InternalIP,
			InternalPort: f.entry.InternalPort,
		}
	}
	return out, nil
}

// forwarding is a DNAT entry beside what it is sorted by. With tens of
// thousands of entries, sorting takes most of the time of a compilation.
type forwarding struct {
	key   uint64
	entry *resource.ForwardEntry
}

// externalKey orders DNAT entries by public address, protocol and port.
func externalKey(e *resource.ForwardEntry) uint64 {
	a := e.ExternalIP.As4()
	return uint64(binary.BigEndian.Uint32(a[:]))<<24 | uint64(e.Protocol)<<16 | uint64(e.ExternalPort)
}

// snat returns the SNAT entries that take effect, with those of their
// addresses that are on the gateway. A single address whose instance has an
// elastic IP of its own goes out by that. An instance in the block of a
// VSwitch does too, which the dataplane sees to: a mapping comes before SNAT.
func snat(v *state.View, n *dataplane.Network, p *public) ([]dataplane.SNAT, error) {
	forwarded := make(map[netip.Addr]bool)
	for i, d := range n.DNAT {
		if i == 0 || n.DNAT[i-1].External != d.External {
			forwarded[d.External] = true
		}
	}
	var out []dataplane.SNAT
	for e := range v.SNATEntries.By(state.ByVPC, n.ID).All() {
		if _, own := p.own[e.Source.Addr()]; own && e.Source.IsSingleIP() {
			continue
		}
		var pool []netip.Addr
		for _, a := range e.Pool {
			if forwarded[a] {
				return nil, fmt.Errorf("%s is used by SNAT entry %s and by a DNAT entry: delete one of them", a, e.ID)
			}
			if p.shared[a] {
				pool = append(pool, a)
			}
		}
		if len(pool) == 0 {
			continue
		}
		slices.SortFunc(pool, netip.Addr.Compare)
		out = append(out, dataplane.SNAT{Source: e.Source, Pool: slices.Compact(pool)})
	}
	slices.SortFunc(out, func(a, b dataplane.SNAT) int { return a.Source.Compare(b.Source) })
	for i := 1; i < len(out); i++ {
		// Sorted by address and then by length, a block that overlaps any other
		// overlaps its neighbour.
		if out[i-1].Source.Overlaps(out[i].Source) {
			return nil, fmt.Errorf("SNAT sources %s and %s overlap: delete one of the entries", out[i-1].Source, out[i].Source)
		}
	}
	return out, nil
}
