package aliyun

import (
	"context"
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// CreateVpnRouteEntry implements Actions.
func (s *Service) CreateVpnRouteEntry(ctx context.Context, c identity.Caller, r *CreateVpnRouteEntryRequest) (*CreateVpnRouteEntryResponse, error) {
	e, err := s.vpn.CreateRoute(ctx, c, vpn.NewRoute{
		Region:      r.RegionId,
		Gateway:     r.VpnGatewayId,
		Kind:        vpn.ByDestination,
		Destination: r.RouteDest,
		NextHop:     r.NextHop,
		Standby:     r.Weight == weightStandby,
		Publish:     r.PublishVpc,
		Description: given(r.Description),
		OverlayMode: given(r.OverlayMode),
	})
	if err != nil {
		return nil, err
	}
	return &CreateVpnRouteEntryResponse{
		VpnInstanceId: e.Gateway,
		RouteDest:     e.Destination.String(),
		NextHop:       e.Connection,
		Weight:        weight(e.Standby),
		OverlayMode:   e.OverlayMode,
		Description:   e.Description,
		State:         routeState(e),
		CreateTime:    e.CreatedAt.UnixMilli(),
	}, nil
}

// CreateVpnPbrRouteEntry implements Actions.
func (s *Service) CreateVpnPbrRouteEntry(ctx context.Context, c identity.Caller, r *CreateVpnPbrRouteEntryRequest) (*CreateVpnPbrRouteEntryResponse, error) {
	e, err := s.vpn.CreateRoute(ctx, c, vpn.NewRoute{
		Region:      r.RegionId,
		Gateway:     r.VpnGatewayId,
		Kind:        vpn.ByPolicy,
		Source:      r.RouteSource,
		Destination: r.RouteDest,
		NextHop:     r.NextHop,
		Standby:     r.Weight == weightStandby,
		Publish:     r.PublishVpc,
		Description: given(r.Description),
		OverlayMode: given(r.OverlayMode),
	})
	if err != nil {
		return nil, err
	}
	return &CreateVpnPbrRouteEntryResponse{
		VpnInstanceId: e.Gateway,
		RouteDest:     e.Destination.String(),
		RouteSource:   e.Source.String(),
		NextHop:       e.Connection,
		Weight:        weight(e.Standby),
		OverlayMode:   e.OverlayMode,
		Description:   e.Description,
		State:         routeState(e),
		CreateTime:    e.CreatedAt.UnixMilli(),
	}, nil
}

// routeCustom is the type of a route that a client or a connection has made; those that a
// peer has announced are not listed.
const routeCustom = "custom"

// routePolicy is the type of a policy route.
const routePolicy = "pbr"

// PublishVpnRouteEntry implements Actions.
func (s *Service) PublishVpnRouteEntry(ctx context.Context, c identity.Caller, r *PublishVpnRouteEntryRequest) (*PublishVpnRouteEntryResponse, error) {
	kind := vpn.ByDestination
	if r.RouteType == routePolicy {
		kind = vpn.ByPolicy
	}
	name := routeName(r.RegionId, r.VpnGatewayId, kind, netip.Prefix{}, r.RouteDest, r.NextHop)
	return &PublishVpnRouteEntryResponse{}, s.vpn.PublishRoute(ctx, c, name, r.PublishVpc)
}

// DescribeVpnRouteEntries implements Actions.
func (s *Service) DescribeVpnRouteEntries(_ context.Context, c identity.Caller, r *DescribeVpnRouteEntriesRequest) (*DescribeVpnRouteEntriesResponse, error) {
	list, err := s.vpn.Routes(c, r.RegionId, r.VpnGatewayId, vpn.ByDestination, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	out := &DescribeVpnRouteEntriesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, e := range list.Items {
		out.VpnRouteEntries.VpnRouteEntry = append(out.VpnRouteEntries.VpnRouteEntry, DescribeVpnRouteEntriesVpnRouteEntry{
			VpnInstanceId:  e.Gateway,
			RouteDest:      e.Destination.String(),
			NextHop:        e.Connection,
			Weight:         weight(e.Standby),
			State:          routeState(e),
			CreateTime:     e.CreatedAt.UnixMilli(),
			RouteEntryType: routeCustom,
		})
	}
	return out, nil
}

// DescribeVpnPbrRouteEntries implements Actions.
func (s *Service) DescribeVpnPbrRouteEntries(_ context.Context, c identity.Caller, r *DescribeVpnPbrRouteEntriesRequest) (*DescribeVpnPbrRouteEntriesResponse, error) {
	list, err := s.vpn.Routes(c, r.RegionId, r.VpnGatewayId, vpn.ByPolicy, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	out := &DescribeVpnPbrRouteEntriesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, e := range list.Items {
		out.VpnPbrRouteEntries.VpnPbrRouteEntry = append(out.VpnPbrRouteEntries.VpnPbrRouteEntry, DescribeVpnPbrRouteEntriesVpnPbrRouteEntry{
			VpnInstanceId: e.Gateway,
			RouteSource:   e.Source.String(),
			RouteDest:     e.Destination.String(),
			NextHop:       e.Connection,
			Weight:        weight(e.Standby),
			State:         routeState(e),
			CreateTime:    e.CreatedAt.UnixMilli(),
		})
	}
	return out, nil
}

// ModifyVpnRouteEntryWeight implements Actions.
func (s *Service) ModifyVpnRouteEntryWeight(ctx context.Context, c identity.Caller, r *ModifyVpnRouteEntryWeightRequest) (*ModifyVpnRouteEntryWeightResponse, error) {
	name := routeName(r.RegionId, r.VpnGatewayId, vpn.ByDestination, netip.Prefix{}, r.RouteDest, r.NextHop)
	return &ModifyVpnRouteEntryWeightResponse{}, s.vpn.ModifyRouteStandby(ctx, c, name, r.Weight == weightStandby, r.NewWeight == weightStandby)
}

// ModifyVpnPbrRouteEntryWeight implements Actions.
func (s *Service) ModifyVpnPbrRouteEntryWeight(ctx context.Context, c identity.Caller, r *ModifyVpnPbrRouteEntryWeightRequest) (*ModifyVpnPbrRouteEntryWeightResponse, error) {
	name := routeName(r.RegionId, r.VpnGatewayId, vpn.ByPolicy, r.RouteSource, r.RouteDest, r.NextHop)
	return &ModifyVpnPbrRouteEntryWeightResponse{}, s.vpn.ModifyRouteStandby(ctx, c, name, r.Weight == weightStandby, r.NewWeight == weightStandby)
}

// DeleteVpnRouteEntry implements Actions.
func (s *Service) DeleteVpnRouteEntry(ctx context.Context, c identity.Caller, r *DeleteVpnRouteEntryRequest) (*DeleteVpnRouteEntryResponse, error) {
	name := routeName(r.RegionId, r.VpnGatewayId, vpn.ByDestination, netip.Prefix{}, r.RouteDest, r.NextHop)
	return &DeleteVpnRouteEntryResponse{}, s.vpn.DeleteRoute(ctx, c, name, r.Weight == weightStandby)
}

// DeleteVpnPbrRouteEntry implements Actions.
func (s *Service) DeleteVpnPbrRouteEntry(ctx context.Context, c identity.Caller, r *DeleteVpnPbrRouteEntryRequest) (*DeleteVpnPbrRouteEntryResponse, error) {
	name := routeName(r.RegionId, r.VpnGatewayId, vpn.ByPolicy, r.RouteSource, r.RouteDest, r.NextHop)
	return &DeleteVpnPbrRouteEntryResponse{}, s.vpn.DeleteRoute(ctx, c, name, r.Weight == weightStandby)
}

// routeName says which routes are meant; without a source, whatever it is.
func routeName(region, gateway string, kind vpn.RouteKind, source, destination netip.Prefix, hop string) vpn.RouteName {
	return vpn.RouteName{Region: region, Gateway: gateway, Kind: kind, Source: source, Destination: destination, NextHop: hop}
}

func routeState(r *resource.VPNRoute) string {
	if r.Published {
		return "published"
	}
	return "normal"
}
