package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// dnat returns the DNAT entries that take effect. By the documents an entry
// does so while its public address is on the gateway, and an ECS instance
// without an elastic IP of its own holds its private address (NAT Gateway API
// reference, CreateForwardEntry); an address of a VSwitch that the inventory
// doesn't know counts as an ordinary ECS instance.
func dnat(v *state.View, n *dataplane.Network, p *public) (sorted.Set[dataplane.DNAT], error) {
	entries := v.ForwardEntries.By(state.ByVPC, n.ID)
	effective := make([]dataplane.DNAT, 0, entries.Len())
	h := hosts{switches: n.Switches}
	for e := range entries.All() {
		if !p.shared[e.ExternalIP] || p.others[e.InternalIP] || !h.contains(e.InternalIP) {
			continue
		}
		if _, own := p.own[e.InternalIP]; own {
			continue
		}
		effective = append(effective, dataplane.DNAT{
			External:     e.ExternalIP,
			Protocol:     uint8(e.Protocol),
			ExternalPort: e.ExternalPort,
			Internal:     e.InternalIP,
			InternalPort: e.InternalPort,
		})
	}
	slices.SortFunc(effective, dataplane.DNAT.Compare)
	for i := 1; i < len(effective); i++ {
		if d := effective[i]; d.Compare(effective[i-1]) == 0 {
			return sorted.Set[dataplane.DNAT]{}, twice(v, n.ID, d)
		}
	}
	return sorted.Of(effective...), nil
}

// twice is what is wrong where two entries have the key of d.
func twice(v *state.View, vpc string, d dataplane.DNAT) error {
	p := resource.Protocol(d.Protocol)
	var ids []string
	for e := range v.ForwardEntries.By(state.ByTuple, state.ExternalTuple(vpc, d.External, p, d.ExternalPort)).All() {
		ids = append(ids, e.ID)
	}
	return fmt.Errorf("two DNAT entries for %s protocol %s port %d, %s: delete one of them", d.External, p, d.ExternalPort, strings.Join(ids, " and "))
}

// snat returns the SNAT entries that take effect, with those of their
// addresses that are on the gateway. A single address whose instance has an
// elastic IP of its own goes out by that. An instance in the block of a
// VSwitch does too, which the dataplane sees to: a mapping comes before SNAT.
func snat(v *state.View, n *dataplane.Network, p *public) ([]dataplane.SNAT, error) {
	forwarded := make(map[netip.Addr]bool)
	for d := range n.DNAT.All() {
		forwarded[d.External] = true
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
