package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"sluice/dataplane"
)

// bandwidths are what the elastic IPs may send and receive, each by itself.
func (j *job) bandwidths() error {
	n, held := j.network, j.settings.Bandwidth
	n.Bandwidths = nil
	if n.Uplink == nil || !held.Held {
		return nil
	}
	for _, e := range j.public().bound {
		n.Bandwidths = append(n.Bandwidths, dataplane.Bandwidth{
			ID: e.ID, Elastic: []netip.Addr{e.Address}, Outbound: e.Bandwidth, Inbound: held.Inbound(e.Bandwidth),
		})
	}
	slices.SortFunc(n.Bandwidths, func(a, b dataplane.Bandwidth) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}
