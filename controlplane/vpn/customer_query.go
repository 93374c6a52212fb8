package vpn

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CustomerGatewayQuery selects customer gateways of a region.
type CustomerGatewayQuery struct {
	Region    string
	IDs       state.OneOf[string] // one that is not there is refused, unless it may be
	Absent    bool                // what is not there may be asked for
	Names     state.OneOf[string]
	Addresses state.OneOf[string]
	state.Labelled
	Page state.Page
}

// CustomerGateways lists the caller's customer gateways in the order in which
// they were made (DescribeCustomerGateways).
//
// Reasons: RegionNotFound, CustomerGatewayNotFound.
func (s *Service) CustomerGateways(c identity.Caller, q CustomerGatewayQuery) (state.Listing[*resource.CustomerGateway], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[*resource.CustomerGateway]{}, err
	}
	v := s.db.View()
	for _, id := range q.IDs {
		if q.Absent {
			break
		}
		if _, err := lookup.In(s.settings, c, v.CustomerGateways, q.Region, id); err != nil {
			return state.Listing[*resource.CustomerGateway]{}, err
		}
	}
	var keep func(g *resource.CustomerGateway) bool
	if len(q.Names)+len(q.Addresses) > 0 {
		keep = func(g *resource.CustomerGateway) bool {
			return q.Names.Allows(g.Name) && q.Addresses.Allows(g.Address.String())
		}
	}
	return state.SelectOwn(v.CustomerGateways, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), state.Itself, state.Under{Index: state.ByID, Keys: q.IDs}), nil
}

// CustomerGateway returns one of the caller's customer gateways
// (DescribeCustomerGateway). Reasons: RegionNotFound, CustomerGatewayNotFound.
func (s *Service) CustomerGateway(c identity.Caller, region, id string) (*resource.CustomerGateway, error) {
	return lookup.In(s.settings, c, s.db.View().CustomerGateways, region, id)
}
