package vpn

import (
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// GatewayStatus is a gateway with what is not kept in it.
type GatewayStatus struct {
	*resource.VPNGateway
	Phase   resource.Phase
	BGP     bool       // a connection of it uses BGP
	Private netip.Addr // address in its VSwitch; the zero Addr without one
}

// GatewayQuery selects gateways of a region.
type GatewayQuery struct {
	Region string
	IDs    state.OneOf[string]
	VPCs   state.OneOf[string]
	Phases state.OneOf[resource.Phase]
	None   bool // a filter that no gateway can match was given
	state.Labelled
	Page state.Page
}

// Gateways lists the caller's gateways in the order in which they were made
// (DescribeVpnGateways). Reason: RegionNotFound.
func (s *Service) Gateways(c identity.Caller, q GatewayQuery) (state.Listing[GatewayStatus], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[GatewayStatus]{}, err
	}
	if q.None {
		return state.Listing[GatewayStatus]{}, nil
	}
	v := s.db.View()
	var keep func(g *resource.VPNGateway) bool
	if len(q.VPCs)+len(q.Phases) > 0 {
		keep = func(g *resource.VPNGateway) bool { return q.VPCs.Allows(g.VPC) && q.Phases.Allows(s.phase(v, g)) }
	}
	item := func(g *resource.VPNGateway) GatewayStatus { return s.gatewayStatus(v, g) }
	return state.SelectOwn(v.VPNGateways, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByVPC, Keys: q.VPCs}), nil
}

// Gateway returns one of the caller's gateways (DescribeVpnGateway). Reasons:
// RegionNotFound, VPNGatewayNotFound.
func (s *Service) Gateway(c identity.Caller, region, id string) (GatewayStatus, error) {
	v := s.db.View()
	g, err := lookup.In(s.settings, c, v.VPNGateways, region, id)
	if err != nil {
		return GatewayStatus{}, err
	}
	return s.gatewayStatus(v, g), nil
}

// phase is that of a gateway with its SSL-VPN servers and their certificates, which have no
// state of their own: it is changing as long as the dataplane makes, changes or deletes one.
func (s *Service) phase(v *state.View, g *resource.VPNGateway) resource.Phase {
	applied := s.db.Observed.Applied(g.VPC)
	if p := g.Phase(applied); p != resource.Ready || !g.SSL {
		return p
	}
	if s.sslReady(v, g) != nil {
		return resource.Changing
	}
	return resource.Ready
}

func (s *Service) gatewayStatus(v *state.View, g *resource.VPNGateway) GatewayStatus {
	st := GatewayStatus{VPNGateway: g, Phase: s.phase(v, g)}
	for x := range v.VPNConnections.By(state.ByGateway, g.ID).All() {
		st.BGP = st.BGP || x.BGP.Enabled
	}
	if x, ok := v.VSwitches.Get(g.VSwitch); ok {
		st.Private = x.Gateway()
	}
	return st
}
