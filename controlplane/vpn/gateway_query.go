package vpn

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// GatewayStatus is a gateway with what is not kept in it.
type GatewayStatus struct {
	*resource.VPNGateway
	Prepaid bool      // now, as Expires
	Expires time.Time // end of the term, if it is prepaid; zero: none
	Phase   resource.Phase
	BGP     bool       // a connection of it uses BGP
	Private netip.Addr // address in its VSwitch; the zero Addr without one
}

// GatewayQuery selects gateways of a region.
type GatewayQuery struct {
	Region    string
	IDs       state.OneOf[string]
	VPCs      state.OneOf[string]
	Phases    state.OneOf[resource.Phase]
	Names     []string // one of which is a part of the gateway's name, whatever its case; empty: any
	Addresses state.OneOf[string]
	IPsec     state.OneOf[bool] // else SSL-VPN alone
	Renews    state.OneOf[bool] // by itself
	None      bool              // a filter that no gateway can match was given
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
	if len(q.VPCs)+len(q.Phases)+len(q.Names)+len(q.Addresses)+len(q.IPsec)+len(q.Renews) > 0 {
		keep = func(g *resource.VPNGateway) bool {
			return q.VPCs.Allows(g.VPC) && q.Phases.Allows(s.phase(v, g)) && q.Addresses.Allows(g.Address.String()) &&
				q.IPsec.Allows(g.IPsec) && q.Renews.Allows(g.Period > 0) && partOf(g.Name, q.Names)
		}
	}
	item := func(g *resource.VPNGateway) GatewayStatus { return s.gatewayStatus(v, g) }
	return state.SelectOwn(v.VPNGateways, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByVPC, Keys: q.VPCs}), nil
}

// partOf says whether a name has one of the parts, whatever their case; with none it does.
func partOf(name string, parts []string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(strings.ToLower(name), strings.ToLower(p)) })
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
	st.Prepaid, st.Expires = g.Charge(s.now())
	for x := range v.VPNConnections.By(state.ByGateway, g.ID).All() {
		st.BGP = st.BGP || x.BGP.Enabled
	}
	if x, ok := v.VSwitches.Get(g.VSwitch); ok {
		st.Private = x.Gateway()
	}
	return st
}
