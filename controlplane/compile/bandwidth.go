package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// bandwidths are what the elastic IPs may send and receive: each by itself, or those of a
// common bandwidth package together, of which one may have a bandwidth of its own within.
func (j *job) bandwidths() error {
	n, held := j.network, j.settings.Bandwidth
	n.Bandwidths = nil
	if n.Uplink == nil || !held.Held {
		return nil
	}
	limit := func(id, within string, mbit int, elastic ...netip.Addr) dataplane.Bandwidth {
		return dataplane.Bandwidth{ID: id, Within: within, Elastic: elastic, Outbound: mbit, Inbound: held.Inbound(mbit)}
	}
	shared := map[*resource.CommonPackage][]netip.Addr{}
	for _, e := range j.public().bound {
		p, ok := j.v.CommonPackages.Get(e.Package)
		switch {
		case !ok:
			n.Bandwidths = append(n.Bandwidths, limit(e.ID, "", e.Bandwidth, e.Address))
		case e.Cap > 0:
			n.Bandwidths = append(n.Bandwidths, limit(e.ID, p.ID, e.Cap, e.Address))
			shared[p] = append([]netip.Addr{}, shared[p]...) // it is there, though it may have no address
		default:
			shared[p] = append(shared[p], e.Address)
		}
	}
	for p, elastic := range shared {
		slices.SortFunc(elastic, netip.Addr.Compare)
		n.Bandwidths = append(n.Bandwidths, limit(p.ID, "", p.Bandwidth, elastic...))
	}
	slices.SortFunc(n.Bandwidths, func(a, b dataplane.Bandwidth) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}
