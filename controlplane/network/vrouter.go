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

// VRouter is a router as a listing shows it.
type VRouter struct {
	*resource.VRouter
	RouteTables []string // ids, in order of creation
}

// VRouters returns one page of the caller's routers, in order of creation
// (VPC API reference, DescribeVRouters). Reason: RegionNotFound.
func (s *Service) VRouters(c identity.Caller, f VRouterFilter, p state.Page) (state.Listing[VRouter], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[VRouter]{}, err
	}
	v := s.db.View()
	item := func(r *resource.VRouter) VRouter { return VRouter{r, idsOf(v.RouteTables.By(state.ByVPC, r.VPC))} }
	return state.SelectOwn(v.VRouters, c.Account, f.Region, p, nil, item, state.Under{Index: state.ByID, Keys: f.IDs}), nil
}

// ModifyVRouter changes a router's name or description
// (ModifyVRouterAttribute). Reason: VRouterNotFound.
func (s *Service) ModifyVRouter(ctx context.Context, c identity.Caller, id string, in resource.Naming) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.VRouters, id)
		if err != nil {
			return err
		}
		r := old.Clone().(*resource.VRouter)
		in.Apply(&r.Name, &r.Description, "")
		tx.PutAttributes(r)
		tx.Done("VRouter changed", "vrouter", id)
		return nil
	})
}
