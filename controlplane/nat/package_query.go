package nat

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// PackageStatus is a NAT bandwidth package with its addresses.
type PackageStatus struct {
	*resource.NATPackage
	Phase     resource.Phase
	Addresses []GatewayAddress // in the order in which they were allocated
}

// PackageQuery selects NAT bandwidth packages of a region.
type PackageQuery struct {
	Region   string
	IDs      state.OneOf[string]
	Gateways state.OneOf[string]
	Page     state.Page
}

// Packages lists the caller's NAT bandwidth packages in the order in which they were made
// (DescribeBandwidthPackages). Reason: RegionNotFound.
func (s *Service) Packages(c identity.Caller, q PackageQuery) (state.Listing[PackageStatus], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[PackageStatus]{}, err
	}
	v := s.db.View()
	var keep func(*resource.NATPackage) bool
	if len(q.Gateways) > 0 {
		keep = func(p *resource.NATPackage) bool { return q.Gateways.Allows(p.Gateway) }
	}
	item := func(p *resource.NATPackage) PackageStatus {
		applied := s.db.Observed.Applied(p.VPC)
		st := PackageStatus{NATPackage: p, Phase: p.Phase(applied)}
		for _, e := range addressesOf(v, p) {
			st.Addresses = append(st.Addresses, gatewayAddress(v, e))
			if st.Phase == resource.Ready && e.Phase(applied) != resource.Ready {
				st.Phase = resource.Changing // it has addresses that nobody has yet
			}
		}
		return st
	}
	return state.SelectOwn(v.NATPackages, c.Account, q.Region, q.Page, keep, item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByGateway, Keys: q.Gateways}), nil
}
