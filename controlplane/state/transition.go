package state

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// The documents refuse some changes while a part of a network is in transition.
// That is asked only while the dataplane has not answered to the newest change of
// the network: one that it refuses leaves its resource Pending, but must not bar
// the way to the change that mends it. A refusal for a transition is what package
// change waits for before it tries once more; hence it comes after all other
// checks, so that nobody waits to hear of a mistake.

// Ready refuses a change of a resource that the dataplane is still making or
// changing. Reason: the kind's InTransition.
func Ready[R resource.Resource](o *Observed, t *Table[R], r R) error {
	return ReadyFor(o, t, r, t.rows.inTransition)
}

// ReadyFor is Ready with another reason than the kind's.
func ReadyFor[R resource.Resource](o *Observed, t *Table[R], r R, reason fault.Reason) error {
	m, network := r.Metadata(), r.Network()
	if o.Settled(network) || m.Phase(o.Applied(network)) == resource.Ready {
		return nil
	}
	return fault.InTransition(reason, network, "%s %s is still being made or changed; try again when that is done", t.rows.noun, m.ID)
}

// AllReady is Ready for some resources of a network, and refuses a change as well
// while the dataplane is still deleting one of their kind. The resources are walked
// only while the network has not settled.
func AllReady[R resource.Resource](o *Observed, t *Table[R], network string, some Range[R]) error {
	if o.Settled(network) {
		return nil
	}
	if o.Deleting(network, t.rows.name) {
		return fault.InTransition(t.rows.inTransition, network, "a %s is still being deleted; try again when it is gone", t.rows.noun)
	}
	for r := range some.All() {
		if err := Ready(o, t, r); err != nil {
			return err
		}
	}
	return nil
}

// Vacant refuses to put something that a VPC has one of into one that the dataplane
// has not made yet, or of which it still holds an earlier one. t is the table of its
// kind. Reason: VPCInTransition.
func Vacant[R resource.Resource](o *Observed, t *Table[R], vpc *resource.VPC) error {
	if o.Settled(vpc.ID) || vpc.Phase(o.Applied(vpc.ID)) != resource.Creating && !o.Deleting(vpc.ID, t.rows.name) {
		return nil
	}
	return fault.InTransition(fault.VPCInTransition, vpc.ID, "VPC %s is not ready for a %s yet; try again when it is Available", vpc.ID, t.rows.noun)
}
