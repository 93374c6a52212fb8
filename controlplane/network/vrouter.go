package network

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// VRouterFilter says which routers a listing shows. All conditions apply at
// once.
type VRouterFilter struct {
	Region string
	IDs    state.OneOf[string]
}

// VRouters returns one page of the caller's routers, in order of creation
// (VPC API reference, DescribeVRouters). Reason: RegionNotFound.
func (s *Service) VRouters(c identity.Caller, f VRouterFilter, p state.Page) (state.Listing[*resource.VRouter], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[*resource.VRouter]{}, err
	}
	v := s.db.View()
	item := func(r *resource.VRouter) *resource.VRouter { return r }
	if len(f.IDs) > 0 {
		own := func(r *resource.VRouter) bool { return state.Owned(r, c.Account, f.Region) }
		return state.Select(v.VRouters.ByID(f.IDs...), p, own, item), nil
	}
	return state.Select(v.VRouters.By(state.ByRegion, state.Key(c.Account, f.Region)), p, nil, item), nil
}

// Naming changes the name and the description of something; nil leaves one as
// it is.
type Naming struct {
	Name        *string
	Description *string
}

func (n Naming) apply(name, description *string) {
	if n.Name != nil {
		*name = *n.Name
	}
	if n.Description != nil {
		*description = *n.Description
	}
}

// ModifyVRouter changes a router's name or description
// (ModifyVRouterAttribute). Reason: VRouterNotFound.
func (s *Service) ModifyVRouter(ctx context.Context, c identity.Caller, id string, in Naming) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.VRouters, id)
		if err != nil {
			return err
		}
		r := old.Clone().(*resource.VRouter)
		in.apply(&r.Name, &r.Description)
		tx.PutAttributes(r)
		tx.Done("VRouter changed", "vrouter", id)
		return nil
	})
}
