package bandwidth

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Status is a package with what belongs to it.
type Status struct {
	*resource.CommonPackage
	Followed  bool      // no dataplane holds its elastic IPs to a bandwidth that it had before
	Addresses []Address // in the order in which they were allocated
}

// Address is an elastic IP of a package.
type Address struct {
	*resource.ElasticIP
	Followed bool // its dataplane, if it has one, has it in the package
}

// Query selects packages of a region.
type Query struct {
	Region string
	IDs    state.OneOf[string]
	Names  state.OneOf[string]
	None   bool // a filter that no package can match was given
	state.Labelled
	Page state.Page
}

// List lists the caller's packages in the order in which they were made
// (DescribeCommonBandwidthPackages). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, q Query) (state.Listing[Status], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[Status]{}, err
	}
	if q.None {
		return state.Listing[Status]{}, nil
	}
	v := s.db.View()
	var keep func(*resource.CommonPackage) bool
	if len(q.Names) > 0 {
		keep = func(p *resource.CommonPackage) bool { return q.Names.Allows(p.Name) }
	}
	item := func(p *resource.CommonPackage) Status { return s.status(v, p) }
	return state.SelectOwn(v.CommonPackages, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: q.IDs}), nil
}

func (s *Service) status(v *state.View, p *resource.CommonPackage) Status {
	st := Status{CommonPackage: p, Followed: true}
	for e := range v.ElasticIPs.By(state.ByPackage, p.ID).All() {
		a := Address{ElasticIP: e, Followed: true}
		if e.Binding != nil {
			applied := s.db.Observed.Applied(e.VPC)
			a.Followed = e.PackageSince <= applied
			st.Followed = st.Followed && (p.Generation <= applied || p.Generation < e.PackageSince)
		}
		st.Addresses = append(st.Addresses, a)
	}
	return st
}
