package acceleration

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Status is the state of an instance.
type Status int

// The states of an instance (VPC API reference, DescribeGlobalAccelerationInstances).
const (
	Available     Status = iota // it has no backend, and its address is nowhere in the kernel
	Associating                 // it has a backend, and one of the two networks does not have the link yet
	InUse                       // it has a backend
	Unassociating               // it has no backend, and one of the two networks may still have the link
)

// StatusOf returns the state of an instance.
func StatusOf(o *state.Observed, a *resource.AccelerationInstance) Status {
	switch followed := follows(o, a, a.ID) && follows(o, a, a.VPC); {
	case a.Backend != nil && followed:
		return InUse
	case a.Backend != nil:
		return Associating
	case followed || a.VPC == "":
		return Available
	default:
		return Unassociating
	}
}

// follows says whether a network has what was asked of an instance last, as one that is gone
// has.
func follows(o *state.Observed, a *resource.AccelerationInstance, network string) bool {
	return a.Phase(o.Applied(network)) == resource.Ready || !o.Holds(network)
}

// settled says whether both networks have answered to the newest change of theirs.
func settled(o *state.Observed, a *resource.AccelerationInstance) bool {
	return o.Settled(a.ID) && o.Settled(a.VPC)
}

// awaited returns the network that has not answered yet.
func awaited(o *state.Observed, a *resource.AccelerationInstance) string {
	if !o.Settled(a.ID) {
		return a.ID
	}
	return a.VPC
}

// available refuses an instance that is not Available. One that is becoming so is worth
// waiting for. Reasons: AccelerationStatus, AccelerationInTransition.
func (s *Service) available(a *resource.AccelerationInstance) error {
	switch StatusOf(s.db.Observed, a) {
	case Available:
		return nil
	case Unassociating:
		if !settled(s.db.Observed, a) {
			return fault.InTransition(fault.AccelerationInTransition, awaited(s.db.Observed, a), "the backend of global acceleration instance %s is still being unbound", a.ID)
		}
		return fault.New(fault.AccelerationStatus, "global acceleration instance %s is still linked with network %s, which refuses to let it go", a.ID, a.VPC)
	default:
		return fault.New(fault.AccelerationStatus, "global acceleration instance %s has backend %s", a.ID, a.Backend.ID)
	}
}
