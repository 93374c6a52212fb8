package ipsec

import (
	"sluice/dataplane"
)

// ambiguous returns the connection among others that a packet for c may be given
// to instead where both are in one charon that does ESP itself, which is with
// another site behind the same address; nil if there is none.
func ambiguous(path dataplane.VPNPath, c *dataplane.VPNConnection, others []dataplane.VPNConnection) *dataplane.VPNConnection {
	if path != dataplane.VPNByLibipsec {
		return nil
	}
	for i := range others {
		o := &others[i]
		if o.Remote == c.Remote && o.RemoteID != c.RemoteID && inCommon(o.Policies, c.Policies) {
			return o
		}
	}
	return nil
}

// elsewhere returns the connection among others that charon takes for c although it is
// another gateway's; nil if there is none.
func (g *gateway) elsewhere(c *dataplane.VPNConnection, others []dataplane.VPNConnection) *dataplane.VPNConnection {
	for i := range others {
		o := &others[i]
		if g.locals[o.ID] != g.locals[c.ID] && dataplane.SameVPNIdentity(o.LocalID, c.LocalID) && dataplane.SameVPNIdentity(o.RemoteID, c.RemoteID) {
			return o
		}
	}
	return nil
}

// inCommon reports whether there are packets that both policies are for.
func inCommon(a, b dataplane.VPNPolicies) bool {
	for l, r := range a.Pairs() {
		for m, s := range b.Pairs() {
			if l.Overlaps(m) && r.Overlaps(s) {
				return true
			}
		}
	}
	return false
}
