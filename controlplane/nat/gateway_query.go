package nat

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// AddressUse says what a public address of a gateway is used for.
type AddressUse int

// An address serves SNAT or DNAT, or both where DNAT entries of ports let it.
const (
	Idle AddressUse = iota
	UsedBySNAT
	UsedByDNAT
	UsedByBoth
)

// GatewayAddress is a public address of a gateway: an elastic IP that is bound to it, or one
// of a NAT bandwidth package.
type GatewayAddress struct {
	*resource.ElasticIP
	Use AddressUse
	// Shareable says that an SNAT entry may use it: DNAT entries let it, or there are none.
	Shareable bool
}

// GatewayStatus is a gateway with what belongs to it.
type GatewayStatus struct {
	*resource.NATGateway
	Phase     resource.Phase
	Addresses []GatewayAddress  // elastic IPs, in the order in which they were allocated
	Packages  []string          // ids of its NAT bandwidth packages, in the order in which they were made
	Within    *resource.VSwitch // that an enhanced one is in; else nil
	Holds     dataplane.Limits  // that hold for it
	Forwards  int               // DNAT entries
	SNATs     int               // SNAT entries
}

// GatewayQuery selects gateways of a region.
type GatewayQuery struct {
	Region    string
	IDs       state.OneOf[string]
	VPCs      state.OneOf[string]
	Names     state.OneOf[string]
	Limits    state.OneOf[dataplane.Limits]
	Phases    state.OneOf[resource.Phase]
	Enhanced  state.OneOf[bool]
	VSwitches state.OneOf[string]
	Zones     state.OneOf[string] // of its VSwitch
	None      bool                // a filter that no gateway can match was given
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
	if len(q.VPCs)+len(q.Names)+len(q.Limits)+len(q.Phases)+len(q.Enhanced)+len(q.VSwitches)+len(q.Zones) > 0 {
		keep = func(g *resource.NATGateway) bool {
			return q.VPCs.Allows(g.VPC) && q.Names.Allows(g.Name) && q.Limits.Allows(g.Limits) && q.Enhanced.Allows(g.Enhanced()) &&
				q.VSwitches.Allows(g.VSwitch) && (len(q.Phases) == 0 || q.Phases.Allows(s.phase(g))) && (len(q.Zones) == 0 || q.Zones.Allows(zoneOf(v, g)))
		}
	}
	item := func(g *resource.NATGateway) GatewayStatus { return s.status(v, g) }
	return state.SelectOwn(v.NATGateways, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByVPC, Keys: q.VPCs}), nil
}

// GatewayByID returns one of the caller's gateways (GetNatGatewayAttribute). Reasons:
// RegionNotFound, NATGatewayNotFound.
func (s *Service) GatewayByID(c identity.Caller, region, id string) (GatewayStatus, error) {
	v := s.db.View()
	g, err := lookup.In(s.settings, c, v.NATGateways, region, id)
	if err != nil {
		return GatewayStatus{}, err
	}
	return s.status(v, g), nil
}

func (s *Service) phase(g *resource.NATGateway) resource.Phase {
	return g.Phase(s.db.Observed.Applied(g.VPC))
}

// zoneOf returns the zone of the VSwitch that a gateway is in; empty if it is in none.
func zoneOf(v *state.View, g *resource.NATGateway) string {
	if x, ok := v.VSwitches.Get(g.VSwitch); ok {
		return x.Zone
	}
	return ""
}

func (s *Service) status(v *state.View, g *resource.NATGateway) GatewayStatus {
	st := GatewayStatus{
		NATGateway: g, Phase: s.phase(g), Holds: s.limits(g),
		Forwards: v.ForwardEntries.By(state.ByTable, g.ForwardTable).Len(), SNATs: v.SNATEntries.By(state.ByTable, g.SNATTable).Len(),
	}
	if x, ok := v.VSwitches.Get(g.VSwitch); ok {
		st.Within = x
	}
	for e := range v.ElasticIPs.By(state.ByBinding, g.ID).All() {
		if !e.IsPart() {
			st.Addresses = append(st.Addresses, gatewayAddress(v, e))
		}
	}
	for p := range v.NATPackages.By(state.ByGateway, g.ID).All() {
		st.Packages = append(st.Packages, p.ID)
	}
	return st
}

// gatewayAddress is an address that is bound to a gateway, with what it is used for.
func gatewayAddress(v *state.View, e *resource.ElasticIP) GatewayAddress {
	a := GatewayAddress{ElasticIP: e}
	key := state.AddrKey(e.VPC, e.Address)
	switch snat, dnat := v.SNATEntries.By(state.ByExternal, key).Len() > 0, v.ForwardEntries.By(state.ByExternal, key).Len() > 0; {
	case snat && dnat:
		a.Use = UsedByBoth
	case snat:
		a.Use = UsedBySNAT
	case dnat:
		a.Use = UsedByDNAT
	}
	_, alone := forwardsAlone(v, e.VPC, e.Address)
	a.Shareable = !alone
	return a
}
