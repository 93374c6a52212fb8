package eip

import (
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// ElasticIP is an elastic IP as a listing shows it.
type ElasticIP struct {
	*resource.ElasticIP
	Status Status
}

// Filter says which elastic IPs a listing shows. All conditions apply at once.
type Filter struct {
	Region  string
	Status  *Status
	Address *netip.Addr
	ID      *string
	// What it is bound to. The documents want BoundID only beside BoundType;
	// alone it counts too, since a filter that is silently ignored would show
	// what was not asked for.
	BoundType *resource.BindingType
	BoundID   *string
}

// List returns one page of the caller's elastic IPs, in order of creation (VPC
// API reference, DescribeEipAddresses). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, f Filter, p state.Page) (state.Listing[ElasticIP], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[ElasticIP]{}, err
	}
	v := s.db.View()
	item := func(e *resource.ElasticIP) ElasticIP {
		return ElasticIP{ElasticIP: e, Status: StatusOf(s.db.Observed, e)}
	}
	keep := func(e *resource.ElasticIP) bool {
		return e.Account == c.Account && e.Region == f.Region &&
			(f.ID == nil || e.ID == *f.ID) &&
			(f.Address == nil || e.Address == *f.Address) &&
			(f.BoundType == nil || e.Binding != nil && e.Binding.Type == *f.BoundType) &&
			(f.BoundID == nil || e.Binding != nil && e.Binding.ID == *f.BoundID) &&
			(f.Status == nil || StatusOf(s.db.Observed, e) == *f.Status)
	}
	// The narrowest index that the filter gives.
	switch {
	case f.ID != nil:
		e, ok := v.ElasticIPs.Get(*f.ID)
		return state.Single(e, ok && keep(e), p, item), nil
	case f.Address != nil:
		return state.Select(v.ElasticIPs.By(state.ByAddress, f.Address.String()), p, keep, item), nil
	case f.BoundID != nil:
		return state.Select(v.ElasticIPs.By(state.ByBinding, *f.BoundID), p, keep, item), nil
	}
	all := v.ElasticIPs.By(state.ByRegion, state.Key(c.Account, f.Region))
	if f.Status == nil && f.BoundType == nil {
		return state.Select(all, p, nil, item), nil
	}
	return state.Select(all, p, keep, item), nil
}
