package nat

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// AddressUse says what a public address of a gateway is used for.
type AddressUse int

// An address serves SNAT or DNAT, never both.
const (
	Idle AddressUse = iota
	UsedBySNAT
	UsedByDNAT
)

// GatewayAddress is an elastic IP bound to a gateway.
type GatewayAddress struct {
	*resource.ElasticIP
	Use AddressUse
}

// GatewayStatus is a gateway with what belongs to it.
type GatewayStatus struct {
	*resource.NATGateway
	Phase     resource.Phase
	Addresses []GatewayAddress // in the order in which they were allocated
}

// GatewayQuery selects gateways of a region.
type GatewayQuery struct {
	Region string
	IDs    state.OneOf[string]
	VPCs   state.OneOf[string]
	Names  state.OneOf[string]
	Limits state.OneOf[dataplane.Limits]
	None   bool // a filter that no gateway can match was given
	state.Labelled
	Page state.Page
}

// Gateways lists the caller's gateways in the order in which they were made.
func (s *Service) Gateways(c identity.Caller, q GatewayQuery) (state.Listing[GatewayStatus], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[GatewayStatus]{}, err
	}
	if q.None {
		return state.Listing[GatewayStatus]{}, nil
	}
	v := s.db.View()
	var keep func(g *resource.NATGateway) bool
	if len(q.VPCs)+len(q.Names)+len(q.Limits) > 0 {
		keep = func(g *resource.NATGateway) bool {
			return q.VPCs.Allows(g.VPC) && q.Names.Allows(g.Name) && q.Limits.Allows(g.Limits)
		}
	}
	item := func(g *resource.NATGateway) GatewayStatus { return s.status(v, g) }
	return state.SelectOwn(v.NATGateways, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByVPC, Keys: q.VPCs}), nil
}

func (s *Service) status(v *state.View, g *resource.NATGateway) GatewayStatus {
	st := GatewayStatus{NATGateway: g, Phase: g.Phase(s.db.Observed.Applied(g.VPC))}
	for e := range v.ElasticIPs.By(state.ByBinding, g.ID).All() {
		a := GatewayAddress{ElasticIP: e}
		key := state.AddrKey(g.VPC, e.Address)
		switch {
		case v.SNATEntries.By(state.ByExternal, key).Len() > 0:
			a.Use = UsedBySNAT
		case v.ForwardEntries.By(state.ByExternal, key).Len() > 0:
			a.Use = UsedByDNAT
		}
		st.Addresses = append(st.Addresses, a)
	}
	return st
}
