package nat

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
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

// GatewayQuery selects gateways of a region. Empty filters match all, others
// match whole values, and all have to match.
type GatewayQuery struct {
	Region string
	ID     string
	VPC    string
	Name   string
	Limits *resource.Limits // nil: any
	None   bool             // a filter that no gateway can match was given
	Page   state.Page
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
	r := v.NATGateways.By(state.ByRegion, state.Key(c.Account, q.Region))
	if q.VPC != "" {
		r = v.NATGateways.By(state.ByVPC, q.VPC)
	}
	var match func(*resource.NATGateway) bool // nil: everything in the range
	if q.ID != "" || q.VPC != "" || q.Name != "" || q.Limits != nil {
		match = func(g *resource.NATGateway) bool {
			return state.Owned(g, c.Account, q.Region) && (q.ID == "" || g.ID == q.ID) && (q.Name == "" || g.Name == q.Name) && (q.Limits == nil || g.Limits == *q.Limits)
		}
	}
	return state.Select(r, q.Page, match, func(g *resource.NATGateway) GatewayStatus { return s.status(v, g) }), nil
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
