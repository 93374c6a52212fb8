package vpn

import (
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// RouteKind says what a route goes by.
type RouteKind int

// The kinds of routes.
const (
	ByDestination RouteKind = iota
	ByPolicy                // by source and destination
)

func kindOf(r *resource.VPNRoute) RouteKind {
	if r.ByPolicy() {
		return ByPolicy
	}
	return ByDestination
}

// NewRoute is what a route is made of.
type NewRoute struct {
	Region      string
	Gateway     string
	Kind        RouteKind
	Source      netip.Prefix // of a policy route
	Destination netip.Prefix
	NextHop     string // connection id
	Standby     bool
	Publish     bool
	Description string
	OverlayMode string
}

// CreateRoute adds a route to a VPN gateway (CreateVpnRouteEntry,
// CreateVpnPbrRouteEntry).
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound, NextHopNotFound,
// those of checkRoute, QuotaVPNRoute, QuotaVPNPolicyRoute,
// VPNGatewayConfiguring.
func (s *Service) CreateRoute(ctx context.Context, c identity.Caller, in NewRoute) (*resource.VPNRoute, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.VPNRoute, error) {
		g, err := lookup.In(s.settings, c, tx.VPNGateways, in.Region, in.Gateway)
		if err != nil {
			return nil, err
		}
		x, ok := tx.VPNConnections.Get(in.NextHop)
		if !ok || x.Gateway != g.ID {
			return nil, fault.New(fault.NextHopNotFound, "VPN connection %q of VPN gateway %s", in.NextHop, g.ID)
		}
		if in.Kind == ByPolicy && !canonical(in.Source) {
			return nil, fault.New(fault.CIDRMalformed, "%s; write a network without host bits", in.Source)
		}
		r := &resource.VPNRoute{
			VPC: g.VPC, Gateway: g.ID, Source: in.Source, Destination: in.Destination, Connection: x.ID,
			Standby: in.Standby, Published: in.Publish, Description: in.Description, OverlayMode: in.OverlayMode,
		}
		r.Meta = resource.Meta{ID: resource.VPNRouteID(g.ID, r.Source, r.Destination, x.ID), Account: c.Account, Region: g.Region, CreatedAt: s.now()}
		if err := checkRoute(tx.View, r); err != nil {
			return nil, err
		}
		if err := tx.Room(r); err != nil {
			return nil, err
		}
		if err := s.configured(tx.View, g); err != nil {
			return nil, err
		}
		tx.Put(r)
		tx.Done("VPN route created", routeAttrs(r)...)
		return r, nil
	})
}

// RouteName tells which routes of a gateway are meant: the documents know them
// by what they are.
type RouteName struct {
	Region      string
	Gateway     string
	Kind        RouteKind
	Source      netip.Prefix // of a policy route; the zero Prefix: whatever it is
	Destination netip.Prefix
	NextHop     string
}

// routes returns the gateway and those of its routes that are meant, at least
// one.
func (s *Service) routes(v *state.View, c identity.Caller, in RouteName) (*resource.VPNGateway, []*resource.VPNRoute, error) {
	g, err := lookup.In(s.settings, c, v.VPNGateways, in.Region, in.Gateway)
	if err != nil {
		return nil, nil, err
	}
	var list []*resource.VPNRoute
	for r := range v.VPNRoutes.By(state.ByGateway, g.ID).All() {
		if kindOf(r) == in.Kind && r.Destination == in.Destination && r.Connection == in.NextHop && (!in.Source.IsValid() || r.Source == in.Source) {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, nil, fault.New(fault.RouteEntryNotFound, "VPN gateway %s has no such route to %s by %s", g.ID, in.Destination, in.NextHop)
	}
	return g, list, nil
}

// PublishRoute puts a route into the VPC's route table, or takes it out of it
// (PublishVpnRouteEntry). A policy route is named without its source: all that
// lead to the destination by the next hop are meant.
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound,
// RouteEntryNotFound, RouteDuplicate, VPNGatewayConfiguring.
func (s *Service) PublishRoute(ctx context.Context, c identity.Caller, in RouteName, publish bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, list, err := s.routes(tx.View, c, in)
		if err != nil {
			return err
		}
		var changed []*resource.VPNRoute
		for _, old := range list {
			if old.Published == publish {
				continue
			}
			r := old.Clone().(*resource.VPNRoute)
			r.Published = publish
			if err := checkPublished(tx.View, r); err != nil {
				return err
			}
			changed = append(changed, r)
		}
		if len(changed) == 0 {
			return nil
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		for _, r := range changed {
			tx.Put(r)
		}
		tx.Done(map[bool]string{true: "VPN route published", false: "VPN route withdrawn"}[publish], append(routeAttrs(changed[0]), "routes", len(changed))...)
		return nil
	})
}

// ModifyRouteStandby makes a route the active or the standby one (ModifyVpnRouteEntryWeight,
// ModifyVpnPbrRouteEntryWeight). Where there is another route for the same
// blocks, that one becomes the other in the same step: one of the two is
// active at any time, and which one can be exchanged at all. Nothing changes if
// the route is that already.
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound,
// RouteEntryNotFound, VPNGatewayConfiguring.
func (s *Service) ModifyRouteStandby(ctx context.Context, c identity.Caller, in RouteName, from, to bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, list, err := s.routes(tx.View, c, in)
		if err != nil {
			return err
		}
		old := list[0]
		if old.Standby == to {
			return nil
		}
		if old.Standby != from {
			return fault.New(fault.RouteEntryNotFound, "the route to %s by %s is %s, not %s", old.Destination, old.Connection, use(old.Standby), use(from))
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		attrs := append(routeAttrs(old), "to", use(to))
		for _, other := range twins(tx.View, old) {
			o := other.Clone().(*resource.VPNRoute)
			o.Standby = old.Standby
			tx.Put(o)
			attrs = append(attrs, "exchangedWith", o.Connection)
		}
		r := old.Clone().(*resource.VPNRoute)
		r.Standby = to
		tx.Put(r)
		tx.Done("VPN route made active or standby", attrs...)
		return nil
	})
}

// DeleteRoute deletes a route, with its entry in the VPC's route table if it is
// published (DeleteVpnRouteEntry, DeleteVpnPbrRouteEntry). One that a connection
// made for itself can be deleted too; it comes back when its subnets do.
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound,
// RouteEntryNotFound, VPNGatewayConfiguring.
func (s *Service) DeleteRoute(ctx context.Context, c identity.Caller, in RouteName, standby bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, list, err := s.routes(tx.View, c, in)
		if err != nil {
			return err
		}
		r := list[0]
		if r.Standby != standby {
			return fault.New(fault.RouteEntryNotFound, "the route to %s by %s is %s, not %s", r.Destination, r.Connection, use(r.Standby), use(standby))
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		tx.Delete(r)
		tx.Done("VPN route deleted", routeAttrs(r)...)
		return nil
	})
}

// Routes lists a gateway's routes of a kind in the order in which they were
// made (DescribeVpnRouteEntries, DescribeVpnPbrRouteEntries). They are shown in
// every state. Reasons: RegionNotFound, VPNGatewayNotFound.
func (s *Service) Routes(c identity.Caller, region, gateway string, kind RouteKind, p state.Page) (state.Listing[*resource.VPNRoute], error) {
	v := s.db.View()
	g, err := lookup.In(s.settings, c, v.VPNGateways, region, gateway)
	if err != nil {
		return state.Listing[*resource.VPNRoute]{}, err
	}
	match := func(r *resource.VPNRoute) bool { return kindOf(r) == kind }
	return state.Select(v.VPNRoutes.By(state.ByGateway, g.ID), p, match, state.Itself), nil
}

// use says what a route is of two for the same blocks.
func use(standby bool) string {
	if standby {
		return "standby"
	}
	return "active"
}

func routeAttrs(r *resource.VPNRoute) []any {
	return []any{"gateway", r.Gateway, "vpc", r.VPC, "source", r.Source, "destination", r.Destination, "connection", r.Connection, "use", use(r.Standby), "published", r.Published}
}
