package vpn

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// gatewayReady refuses a change of a gateway that the dataplane is still making
// or changing. As a refusal for a transition is what package change waits for,
// it comes after all other checks, so that nobody waits to hear of a mistake.
func (s *Service) gatewayReady(g *resource.VPNGateway) error {
	if s.db.Observed.Settled(g.VPC) || g.Phase(s.db.Observed.Applied(g.VPC)) == resource.Ready {
		return nil
	}
	return fault.InTransition(fault.VPNGatewayConfiguring, g.VPC, "VPN gateway %s is still being made or changed; try again when it is active", g.ID)
}
