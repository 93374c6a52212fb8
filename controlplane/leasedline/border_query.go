package leasedline

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// States in which a border router is shown while the dataplane has not followed; none is
// stored.
const (
	BorderTerminating resource.BorderState = "terminating"
	BorderRecovering  resource.BorderState = "recovering"
)

// shownBorder returns the state that a border router is shown in.
func (s *Service) shownBorder(b *resource.VirtualBorderRouter) resource.BorderState {
	if b.Turned <= s.db.Observed.Applied(b.ID) {
		return b.State
	}
	switch b.State {
	case resource.BorderTerminated:
		return BorderTerminating
	case resource.BorderEnabled:
		return BorderRecovering
	}
	return b.State
}

// BorderRouter is a border router as a listing shows it.
type BorderRouter struct {
	*resource.VirtualBorderRouter
	Shown resource.BorderState // State, or one of those in which it is on its way there
	Line  Line
}

func (s *Service) borderRouter(v *state.View, b *resource.VirtualBorderRouter) BorderRouter {
	out := BorderRouter{VirtualBorderRouter: b, Shown: s.shownBorder(b)}
	if l, ok := v.PhysicalConnections.Get(b.Line); ok {
		out.Line = s.line(v, l)
	}
	return out
}

// BorderRouterFilter says which border routers a listing shows. All conditions apply at once.
type BorderRouterFilter struct {
	Region       string
	IDs          state.OneOf[string]
	Lines        state.OneOf[string]
	AccessPoints state.OneOf[string]
	States       state.OneOf[resource.BorderState] // as shown
	Names        state.OneOf[string]
	None         bool // a filter that none can match was given
}

// BorderRouters returns one page of the border routers that the caller owns, in order of
// creation (DescribeVirtualBorderRouters). Reason: RegionNotFound.
func (s *Service) BorderRouters(c identity.Caller, f BorderRouterFilter, p state.Page) (state.Listing[BorderRouter], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[BorderRouter]{}, err
	}
	if f.None {
		return state.Listing[BorderRouter]{}, nil
	}
	v := s.db.View()
	keep := func(b *resource.VirtualBorderRouter) bool {
		return f.Lines.Allows(b.Line) && f.AccessPoints.Allows(b.AccessPoint) && f.Names.Allows(b.Name) && f.States.Allows(s.shownBorder(b))
	}
	return state.SelectOwn(v.BorderRouters, c.Account, f.Region, p, keep, func(b *resource.VirtualBorderRouter) BorderRouter { return s.borderRouter(v, b) },
		state.Under{Index: state.ByID, Keys: f.IDs}), nil
}

// BorderRoutersOf returns one page of the border routers on one of the caller's lines,
// whoever owns them, in order of creation
// (DescribeVirtualBorderRoutersForPhysicalConnection). Reasons: RegionNotFound, LineNotFound.
func (s *Service) BorderRoutersOf(c identity.Caller, region, line string, p state.Page) (state.Listing[BorderRouter], error) {
	v := s.db.View()
	if _, err := lookup.In(s.settings, c, v.PhysicalConnections, region, line); err != nil {
		return state.Listing[BorderRouter]{}, err
	}
	all := func(*resource.VirtualBorderRouter) bool { return true }
	return state.Select(v.BorderRouters.By(state.ByLine, line), p, all, func(b *resource.VirtualBorderRouter) BorderRouter { return s.borderRouter(v, b) }), nil
}

// OnLine returns the border routers on a line, for the operator.
func (s *Service) OnLine(line string) (list []BorderRouter) {
	v := s.db.View()
	for b := range v.BorderRouters.By(state.ByLine, line).All() {
		list = append(list, s.borderRouter(v, b))
	}
	return list
}
