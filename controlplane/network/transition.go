package network

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// The documents refuse some changes while a part of the VPC is in transition.
// That is asked only while the dataplane has not answered to the newest change
// of the network: one that it refuses leaves its resource Pending, but must not
// bar the way to the change that mends it.

func (s *Service) vpcSettled(vpc *resource.VPC, reason fault.Reason) error {
	if s.db.Observed.Settled(vpc.ID) || s.phase(&vpc.Meta, vpc.ID) == resource.Ready {
		return nil
	}
	return fault.InTransition(reason, vpc.ID, "VPC %s is still being made or changed", vpc.ID)
}

func (s *Service) vswitchesSettled(v *state.View, vpc string) error {
	if s.db.Observed.Settled(vpc) {
		return nil
	}
	for x := range v.VSwitches.By(state.ByVPC, vpc).All() {
		if s.phase(&x.Meta, vpc) != resource.Ready {
			return fault.InTransition(fault.VSwitchInTransition, vpc, "VSwitch %s is still being made", x.ID)
		}
	}
	if s.db.Observed.Deleting(vpc, resource.KindVSwitch) {
		return fault.InTransition(fault.VSwitchInTransition, vpc, "a VSwitch of %s is still being deleted", vpc)
	}
	return nil
}

func (s *Service) routesSettled(v *state.View, vpc string) error {
	if s.db.Observed.Settled(vpc) {
		return nil
	}
	for x := range v.RouteEntries.By(state.ByVPC, vpc).All() {
		if s.phase(&x.Meta, vpc) != resource.Ready {
			return fault.InTransition(fault.RouteInTransition, vpc, "the route entry for %s is still being made", x.Destination)
		}
	}
	if s.db.Observed.Deleting(vpc, resource.KindRouteEntry) {
		return fault.InTransition(fault.RouteInTransition, vpc, "a route entry of %s is still being deleted", vpc)
	}
	return nil
}

// phase says how far the dataplane of a VPC has followed a resource of it.
func (s *Service) phase(m *resource.Meta, vpc string) resource.Phase {
	return m.Phase(s.db.Observed.Applied(vpc))
}
