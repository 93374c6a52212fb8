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
	shared := map[*resource.CommonPackage]bool{}
	for _, e := range j.public().bound {
		p, ok := j.v.CommonPackages.Get(e.Package)
		if !ok {
			n.Bandwidths = append(n.Bandwidths, limit(e.ID, "", e.Bandwidth, e.Address))
			continue
		}
		// Each has a part of its own, by which it is counted: all of the package's where it
		// has no less.
		n.Bandwidths = append(n.Bandwidths, limit(e.ID, p.ID, cmp.Or(e.Cap, p.Bandwidth), e.Address))
		shared[p] = true
	}
	for p := range shared {
		n.Bandwidths = append(n.Bandwidths, limit(p.ID, "", p.Bandwidth))
	}
	slices.SortFunc(n.Bandwidths, func(a, b dataplane.Bandwidth) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}
