package acceleration

import (
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Instance is an instance as a listing shows it.
type Instance struct {
	*resource.AccelerationInstance
	Status Status
	Users  resource.Area // the area of its region, whose users it is for; empty: none that is known
}

// Query says which instances a listing shows. All conditions apply at once.
type Query struct {
	Region   string
	IDs      state.OneOf[string]
	Names    state.OneOf[string]
	Statuses state.OneOf[Status]
	Services state.OneOf[resource.Area]
	Backends state.OneOf[string] // ids of backends

	Addresses state.OneOf[netip.Addr]
	None      bool // a condition that no instance can meet was given
	Page      state.Page
}

// List returns one page of the caller's instances, in order of creation
// (DescribeGlobalAccelerationInstances). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, q Query) (state.Listing[Instance], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil || q.None {
		return state.Listing[Instance]{}, err
	}
	item := func(a *resource.AccelerationInstance) Instance {
		r, _ := s.settings.Region(a.Region)
		return Instance{AccelerationInstance: a, Status: StatusOf(s.db.Observed, a), Users: r.Lies()}
	}
	keep := func(a *resource.AccelerationInstance) bool {
		return q.Names.Allows(a.Name) && q.Services.Allows(a.Service) && q.Addresses.Allows(a.Address) &&
			(len(q.Backends) == 0 || a.Backend != nil && q.Backends.Allows(a.Backend.ID)) &&
			(len(q.Statuses) == 0 || q.Statuses.Allows(StatusOf(s.db.Observed, a)))
	}
	return state.SelectOwn(s.db.View().Accelerations, c.Account, q.Region, q.Page, keep, item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByBackend, Keys: q.Backends}), nil
}

// OfServer returns the instances whose backend a host or load balancer of the caller's is,
// in order of creation (DescribeServerRelatedGlobalAccelerationInstances). Reasons:
// RegionNotFound, BackendNotFound.
func (s *Service) OfServer(c identity.Caller, b Backend) ([]*resource.AccelerationInstance, error) {
	if err := s.settings.CheckRegion(b.Region); err != nil {
		return nil, err
	}
	v := s.db.View()
	i, err := server(v, c, b)
	if err != nil {
		return nil, err
	}
	var list []*resource.AccelerationInstance
	for a := range v.Accelerations.By(state.ByBackend, i.ID).All() {
		list = append(list, a)
	}
	return list, nil
}
