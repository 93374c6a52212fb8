package network

import (
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

func (s *Service) vswitchesReady(v *state.View, vpc string) error {
	return state.AllReady(s.db.Observed, v.VSwitches, vpc, v.VSwitches.By(state.ByVPC, vpc))
}

func (s *Service) routesReady(v *state.View, vpc string) error {
	return state.AllReady(s.db.Observed, v.RouteEntries, vpc, v.RouteEntries.By(state.ByVPC, vpc))
}

// shapeReady refuses what a VSwitch or a route entry of a VPC in transition bars. Reasons,
// in this order: VSwitchInTransition, RouteInTransition.
func (s *Service) shapeReady(v *state.View, vpc string) error {
	if err := s.vswitchesReady(v, vpc); err != nil {
		return err
	}
	return s.routesReady(v, vpc)
}

// phase says how far the dataplane of a VPC has followed a resource of it.
func (s *Service) phase(m *resource.Meta, vpc string) resource.Phase {
	return m.Phase(s.db.Observed.Applied(vpc))
}

// haVipsReady refuses to lead to a HaVip that the dataplane has not followed yet. Reason:
// HaVipStatus.
func (s *Service) haVipsReady(v *state.View, hops []resource.NextHop) error {
	for _, hop := range hops {
		if h, ok := v.HaVips.Get(hop.ID); ok && hop.Type == resource.NextHopVirtualIP {
			if err := state.Ready(s.db.Observed, v.HaVips, h); err != nil {
				return err
			}
		}
	}
	return nil
}
