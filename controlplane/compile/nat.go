package compile

import (
	"cmp"
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
	out := make([]dataplane.DNAT, 0, entries.Len())
	h := hosts{switches: n.Switches}
	for e := range entries.All() {
		if !p.shared[e.ExternalIP] || p.others[e.InternalIP] || !h.contains(e.InternalIP) {
			continue
		}
		if _, own := p.own[e.InternalIP]; own {
			continue
		}
		out = append(out, dataplane.DNAT{
			External:     e.ExternalIP,
			Protocol:     protocolNumber(e.Protocol),
			ExternalPort: e.ExternalPort,
			Internal:     e.InternalIP,
			InternalPort: e.InternalPort,
		})
	}
	slices.SortFunc(out, compareDNAT)
	for i := 1; i < len(out); i++ {
		if a := out[i]; compareDNAT(out[i-1], a) == 0 {
			return nil, fmt.Errorf("two DNAT entries for %s protocol %d port %d, to %s and %s: delete one of them", a.External, a.Protocol, a.ExternalPort, out[i-1].Internal, a.Internal)
		}
	}
	return slices.Clip(out), nil
}

func compareDNAT(a, b dataplane.DNAT) int {
	return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.ExternalPort, b.ExternalPort))
}

// protocolNumber returns the IANA number; 0 stands for every protocol.
func protocolNumber(p resource.Protocol) uint8 {
	switch p {
	case resource.TCP:
		return 6
	case resource.UDP:
		return 17
	}
	return 0
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
