package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"sluice/dataplane"
)

// bandwidths are what the elastic IPs may send and receive: each by itself, or those of a
// package together. Of a common bandwidth package one may have a bandwidth of its own
// within.
func (j *job) bandwidths() error {
	n, held := j.network, j.settings.Bandwidth
	n.Bandwidths = nil
	if n.Uplink == nil || !held.Held {
		return nil
	}
	add := func(id, within string, mbit int, elastic ...netip.Addr) {
		n.Bandwidths = append(n.Bandwidths, dataplane.Bandwidth{ID: id, Within: within, Elastic: elastic, Outbound: mbit, Inbound: held.Inbound(mbit)})
	}
	packages := map[string]int{} // their bandwidths, by id
	for _, e := range j.public().bound {
		// In a package each has a part of its own, by which it is counted: all of the package's
		// where it has no less.
		if p, ok := j.v.NATPackages.Get(e.NATPackage); ok {
			packages[p.ID] = p.Bandwidth
			add(e.ID, p.ID, p.Bandwidth, e.Address)
		} else if p, ok := j.v.CommonPackages.Get(e.Package); ok {
			packages[p.ID] = p.Bandwidth
			add(e.ID, p.ID, cmp.Or(e.Cap, p.Bandwidth), e.Address)
		} else {
			add(e.ID, "", e.Bandwidth, e.Address)
		}
	}
	for id, mbit := range packages {
		add(id, "", mbit)
	}
	slices.SortFunc(n.Bandwidths, func(a, b dataplane.Bandwidth) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}
