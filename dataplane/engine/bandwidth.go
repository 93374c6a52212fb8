package engine

import (
	"context"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/shape"
)

// siteOf returns where a network crosses the public side; nil where it has none. The link is
// the one at which packets have their public addresses, that all networks at a device have
// in one namespace: that of the device.
func siteOf(n *dataplane.Network) *shape.Site {
	u := n.Uplink
	if u == nil {
		return nil
	}
	switch u.Mode {
	case dataplane.UplinkBridge:
		return &shape.Site{Namespace: u.Namespace, Device: u.Device, Link: dataplane.LinkName(n.ID), Outside: true}
	case dataplane.UplinkMacvlan:
		return &shape.Site{Namespace: u.Namespace, Device: u.Device, Link: u.Device}
	}
	return &shape.Site{Namespace: dataplane.Namespace(n.ID), Device: dataplane.UplinkName, Link: dataplane.UplinkName}
}

// holdBandwidths makes what elastic IPs may send and get what it should be.
func (j *job) holdBandwidths() {
	reread := j.stale&staleBandwidths != 0 && j.n.applied != nil
	r, err := j.e.shaper.Apply(j.n.id, siteOf(j.want), j.want.Bandwidths, reread)
	j.changes += r.Changes
	j.logRepairs(r.Repairs)
	if err != nil {
		j.runner.Add(err)
	}
}

// Bandwidths returns what was counted of each Bandwidth that is held, by ID.
func (e *Engine) Bandwidths(context.Context) ([]dataplane.BandwidthTraffic, error) {
	return e.shaper.Traffic()
}

// bandwidthsAgain is how long what was compared of the bandwidths at a public device is not
// compared again: networks share it.
const bandwidthsAgain = time.Minute

// bandwidthsDiffer returns what there is to do because the bandwidths are held otherwise
// than they should be.
func (e *Engine) bandwidthsDiffer(n *network) []string {
	if len(n.applied.Bandwidths) == 0 {
		return nil
	}
	if n.applied.Uplink != nil && n.applied.Uplink.Mode == dataplane.UplinkDevice {
		return e.shaper.Differs(n.id, 0) // the network's own, of whose changes events tell
	}
	return e.shaper.Differs(n.id, bandwidthsAgain)
}
