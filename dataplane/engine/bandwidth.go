package engine

import (
	"context"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/shape"
)

// siteOf returns where a network crosses the public side; nil where it has none. What several
// networks share is held where all of them pass: in the namespace of the public device.
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

// own reports whether a network has its public device to itself. Then what the shortcut
// forwards to it, or from it, does not all pass the filters of the link.
func own(n *dataplane.Network) bool {
	return n.Uplink != nil && n.Uplink.Mode == dataplane.UplinkDevice
}

// holdBandwidths makes what elastic IPs may send and get what it should be.
func (j *job) holdBandwidths() {
	reread := j.stale&staleBandwidths != 0 && j.n.applied != nil
	site := siteOf(j.want)
	if own(j.want) && j.n.sessions != nil {
		site.Maps = j.n.sessions.BandwidthMaps()
	}
	r, err := j.e.shaper.Apply(j.n.id, site, j.want.Bandwidths, reread)
	j.changes += r.Changes
	if own(j.want) && r.Changes > 0 {
		j.n.renewPaths() // what was learned before says of no bandwidth, or of another one
	}
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
	if own(n.applied) {
		return e.shaper.Differs(n.id, 0) // the network's own, of whose changes events tell
	}
	return e.shaper.Differs(n.id, bandwidthsAgain)
}
