package routerinterface

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Query selects router interfaces of a region. All conditions apply at once.
type Query struct {
	Region             string
	IDs                state.OneOf[string]
	Routers            state.OneOf[string]
	RouterKinds        state.OneOf[resource.RouterKind]
	Accounts           state.OneOf[string] // ids of the owners; only the caller's own are listed in any case
	OppositeInterfaces state.OneOf[string]
	OppositeRouters    state.OneOf[string]
	OppositeKinds      state.OneOf[resource.RouterKind]
	OppositeAccounts   state.OneOf[string]
	States             state.OneOf[State]
	Names              state.OneOf[string]
	None               bool // a filter that no router interface can match was given
	state.Labelled
	Page state.Page
}

// Status is a router interface as a listing shows it.
type Status struct {
	*resource.RouterInterface
	State State
	Peer  *Peer // what it is connected with; nil: nothing
}

// Peer is the other end of a link, as far as its opposite may know it.
type Peer struct {
	Bandwidth int // Mbit/s; 0 of one that accepts
	State     State
	VPC       string // id; empty of a border router
}

// List lists the caller's router interfaces, in the order in which they were made
// (DescribeRouterInterfaces). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, q Query) (state.Listing[Status], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[Status]{}, err
	}
	if q.None {
		return state.Listing[Status]{}, nil
	}
	v := s.db.View()
	keep := func(r *resource.RouterInterface) bool {
		o := r.Opposite
		return q.Routers.Allows(r.Router) && q.RouterKinds.Allows(r.RouterKind) && q.Accounts.Allows(r.Account) && q.Names.Allows(r.Name) &&
			q.OppositeInterfaces.Allows(o.Interface) && q.OppositeRouters.Allows(o.Router) && q.OppositeKinds.Allows(o.RouterKind) && q.OppositeAccounts.Allows(o.Account) &&
			(len(q.States) == 0 || q.States.Allows(s.State(r)))
	}
	item := func(r *resource.RouterInterface) Status { return s.status(v, r) }
	return state.SelectOwn(v.RouterInterfaces, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByRouter, Keys: q.Routers}, state.Under{Index: state.ByOpposite, Keys: q.OppositeInterfaces}), nil
}

// Get returns one of the caller's router interfaces (DescribeRouterInterfaceAttribute). Reasons:
// RegionNotFound, RouterInterfaceNotFound.
func (s *Service) Get(c identity.Caller, region, id string) (Status, error) {
	v := s.db.View()
	r, err := s.own(v, c, region, id)
	if err != nil {
		return Status{}, err
	}
	return s.status(v, r), nil
}

func (s *Service) status(v *state.View, r *resource.RouterInterface) Status {
	st := Status{RouterInterface: r, State: s.State(r)}
	if r.Link == nil {
		return st
	}
	if peer, ok := v.RouterInterfaces.Get(r.Link.Peer); ok {
		st.Peer = &Peer{Bandwidth: peer.Bandwidth, State: s.State(peer), VPC: peer.VPC}
	}
	return st
}
