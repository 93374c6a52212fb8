package nat

import (
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// gatewayReady refuses a change of a gateway that the dataplane is still making
// or changing.
func (s *Service) gatewayReady(v *state.View, g *resource.NATGateway) error {
	return state.Ready(s.db.Observed, v.NATGateways, g)
}

// forwardTableReady refuses a change of a DNAT table while its gateway or an
// entry of it is in transition.
func (s *Service) forwardTableReady(v *state.View, g *resource.NATGateway) error {
	if err := s.gatewayReady(v, g); err != nil {
		return err
	}
	return state.AllReady(s.db.Observed, v.ForwardEntries, g.VPC, v.ForwardEntries.By(state.ByTable, g.ForwardTable))
}

// snatTableReady is the same for an SNAT table.
func (s *Service) snatTableReady(v *state.View, g *resource.NATGateway) error {
	if err := s.gatewayReady(v, g); err != nil {
		return err
	}
	return state.AllReady(s.db.Observed, v.SNATEntries, g.VPC, v.SNATEntries.By(state.ByTable, g.SNATTable))
}
