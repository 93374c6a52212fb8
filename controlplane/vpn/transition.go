package vpn

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// A change of a gateway is refused while the dataplane has not answered to the
// newest change of its network, and asked for last: a refusal for a transition
// is what package change waits for, and nobody should wait to hear of a
// mistake. A change that the dataplane refuses bars no other: one of them may be
// what mends it.

// vpcReady refuses to put a gateway into a VPC that the dataplane has not made
// yet, or of which it still holds an earlier gateway.
func (s *Service) vpcReady(vpc *resource.VPC) error {
	o := s.db.Observed
	if o.Settled(vpc.ID) || vpc.Phase(o.Applied(vpc.ID)) != resource.Creating && !o.Deleting(vpc.ID, resource.KindVPNGateway) {
		return nil
	}
	return fault.InTransition(fault.VPCInTransition, vpc.ID, "VPC %s is not ready for a VPN gateway yet; try again when it is Available", vpc.ID)
}

// gatewayReady refuses a change of a gateway, or of what belongs to it, that the
// dataplane is still making or changing.
func (s *Service) gatewayReady(g *resource.VPNGateway) error {
	if s.db.Observed.Settled(g.VPC) || g.Phase(s.db.Observed.Applied(g.VPC)) == resource.Ready {
		return nil
	}
	return fault.InTransition(fault.VPNGatewayConfiguring, g.VPC, "VPN gateway %s is still being made or changed; try again when it is active", g.ID)
}
