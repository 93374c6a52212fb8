package eip

import (
	"net/netip"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// ElasticIP is an elastic IP as a listing shows it.
type ElasticIP struct {
	*resource.ElasticIP
	Status Status
	Shares *resource.CommonPackage // whose bandwidth it shares; nil: its own holds
}

// Holds returns how many Mbit/s it may send.
func (e ElasticIP) Holds() int {
	switch {
	case e.Shares == nil:
		return e.Bandwidth
	case e.Cap > 0:
		return min(e.Cap, e.Shares.Bandwidth)
	}
	return e.Shares.Bandwidth
}

// Filter says which elastic IPs a listing shows. All conditions apply at once.
type Filter struct {
	Region    string
	Names     state.OneOf[string]
	Prepaid   state.OneOf[bool]
	Statuses  state.OneOf[Status]
	Addresses state.OneOf[netip.Addr]
	IDs       state.OneOf[string]
	// What it is bound to. The documents want an id only beside a type; alone it
	// counts too, since a filter that is silently ignored would show what was not
	// asked for.
	BoundTypes state.OneOf[resource.BindingType]
	BoundIDs   state.OneOf[string]
	Packages   state.OneOf[string] // ids of the common bandwidth packages that it is in
	state.Labelled
	None  bool      // a filter that no elastic IP can match was given
	Since time.Time // allocated then or later; the zero time: whenever
}

// List returns one page of the caller's elastic IPs, in order of creation (VPC
// API reference, DescribeEipAddresses). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, f Filter, p state.Page) (state.Listing[ElasticIP], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[ElasticIP]{}, err
	}
	if f.None {
		return state.Listing[ElasticIP]{}, nil
	}
	v := s.db.View()
	item := func(e *resource.ElasticIP) ElasticIP {
		x := ElasticIP{ElasticIP: e, Status: StatusOf(s.db.Observed, e)}
		if p, ok := v.CommonPackages.Get(e.Package); ok {
			x.Shares = p
		}
		return x
	}
	var addresses []string
	for _, a := range f.Addresses {
		addresses = append(addresses, a.String())
	}
	var keep func(e *resource.ElasticIP) bool
	if len(f.Addresses)+len(f.BoundTypes)+len(f.BoundIDs)+len(f.Packages)+len(f.Statuses)+len(f.Names)+len(f.Prepaid) > 0 || !f.Since.IsZero() {
		keep = func(e *resource.ElasticIP) bool {
			return f.Addresses.Allows(e.Address) && f.Names.Allows(e.Name) && f.Prepaid.Allows(e.Prepaid) && f.Packages.Allows(e.Package) && !e.CreatedAt.Before(f.Since) &&
				(len(f.BoundTypes) == 0 || e.Binding != nil && f.BoundTypes.Allows(e.Binding.Type)) &&
				(len(f.BoundIDs) == 0 || e.Binding != nil && f.BoundIDs.Allows(e.Binding.ID)) &&
				(len(f.Statuses) == 0 || f.Statuses.Allows(StatusOf(s.db.Observed, e)))
		}
	}
	return state.SelectOwn(v.ElasticIPs, c.Account, f.Region, p, state.Filed(v, f.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: f.IDs}, state.Under{Index: state.ByAddress, Keys: addresses}, state.Under{Index: state.ByBinding, Keys: f.BoundIDs},
		state.Under{Index: state.ByPackage, Keys: f.Packages}), nil
}
