package tencent3

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"

	"sluice/controlplane/network"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CreateRouteTable implements Actions.
func (s *Service) CreateRouteTable(ctx context.Context, c Caller, r *CreateRouteTableRequest) (*CreateRouteTableResponse, error) {
	made, err := s.network.CreateRouteTable(ctx, c.Caller, network.NewRouteTable{Region: c.Region, VPC: r.VpcId, Name: r.RouteTableName})
	if err != nil {
		return nil, err
	}
	list, err := s.network.RouteTables(c.Caller, network.RouteTableFilter{Region: c.Region, IDs: state.OneOf[string]{made.ID}}, pageOf(0, 1))
	if err != nil {
		return nil, err
	}
	out := &CreateRouteTableResponse{}
	for _, t := range list.Items {
		out.RouteTable = s.routeTable(t)
	}
	return out, nil
}

// ModifyRouteTableAttribute implements Actions.
func (s *Service) ModifyRouteTableAttribute(ctx context.Context, c Caller, r *ModifyRouteTableAttributeRequest) (*ModifyRouteTableAttributeResponse, error) {
	return &ModifyRouteTableAttributeResponse{}, s.network.ModifyRouteTable(ctx, c.Caller, c.Region, r.RouteTableId,
		network.RouteTableChange{Naming: resource.Naming{Name: &r.RouteTableName}})
}

// DeleteRouteTable implements Actions.
func (s *Service) DeleteRouteTable(ctx context.Context, c Caller, r *DeleteRouteTableRequest) (*DeleteRouteTableResponse, error) {
	return &DeleteRouteTableResponse{}, s.network.DeleteRouteTable(ctx, c.Caller, c.Region, r.RouteTableId)
}

// ReplaceRouteTableAssociation implements Actions.
func (s *Service) ReplaceRouteTableAssociation(ctx context.Context, c Caller, r *ReplaceRouteTableAssociationRequest) (*ReplaceRouteTableAssociationResponse, error) {
	if _, err := s.network.VSwitchByID(c.Caller, c.Region, r.SubnetId); err != nil {
		return nil, err
	}
	return &ReplaceRouteTableAssociationResponse{}, s.network.ReplaceRouteTable(ctx, c.Caller, r.SubnetId, r.RouteTableId)
}

// DescribeRouteTables implements Actions.
func (s *Service) DescribeRouteTables(_ context.Context, c Caller, r *DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	f := network.RouteTableFilter{Region: c.Region, IDs: r.RouteTableIds, VBR: state.OneOf[bool]{false}}
	var main *bool
	refused := listed("RouteTableIds", r.RouteTableIds, r.Filters)
	if refused == nil {
		f.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"route-table-id": texts(&f.IDs), "route-table-name": texts(&f.Names), "vpc-id": texts(&f.VPCs), "association.main": flag("association.main", &main),
		})
	}
	if refused != nil {
		return nil, refused
	}
	if main != nil {
		f.Custom = state.OneOf[bool]{!*main}
	}
	list, err := s.network.RouteTables(c.Caller, f, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	if refused := found("route table", r.RouteTableIds, list.Total); refused != nil {
		return nil, refused
	}
	out := &DescribeRouteTablesResponse{TotalCount: int64(list.Total)}
	for _, t := range list.Items {
		out.RouteTableSet = append(out.RouteTableSet, s.routeTable(t))
	}
	return out, nil
}

// routeTable shows a table with the entries that clients make: those that come with the VPC
// and its subnets are in no example of the document.
func (s *Service) routeTable(t network.RouteTable) RouteTable {
	out := RouteTable{VpcId: t.VPC, RouteTableId: t.ID, RouteTableName: cmp.Or(t.Name, defaultTableName(t.Custom)), Main: !t.Custom, CreatedTime: timestamp(t.CreatedAt)}
	for _, id := range t.VSwitches {
		out.AssociationSet = append(out.AssociationSet, RouteTableAssociation{SubnetId: id, RouteTableId: t.ID})
	}
	for _, e := range t.Entries {
		for _, h := range e.NextHops {
			kind, id := s.network.Hop(h)
			out.RouteSet = append(out.RouteSet, Route{
				RouteId: e.Number, DestinationCidrBlock: e.Destination.String(), GatewayType: gatewayWords[kind], GatewayId: id, RouteDescription: e.Description,
				Enabled: true, RouteType: "USER", RouteItemId: "rti-" + strconv.FormatInt(e.Number, 36),
			})
		}
	}
	return out
}

// defaultTableName is the name of the table that a VPC has from the beginning, until it is
// given one.
func defaultTableName(custom bool) string {
	if custom {
		return ""
	}
	return "default"
}

// gatewayWords are the document's words for what routes lead to, of those that are here.
// A peering connection is a router interface to another VPC, and what leads to a direct
// connect gateway one to a border router.
var gatewayWords = map[network.HopKind]string{
	network.HopHost: "NORMAL_CVM", network.HopVPNGateway: "VPN", network.HopNATGateway: "NAT",
	network.HopPeer: "PEERCONNECTION", network.HopLine: "DIRECTCONNECT", network.HopVirtualIP: "HAVIP",
}

// routes reads routes to be made. It refuses those to what there is none of here.
func (s *Service) routes(c Caller, table string, list []route) (entries []network.NewRouteEntry, err error) {
	for _, r := range list {
		if r.enabled != nil && !*r.enabled {
			return nil, refusal("UnsupportedOperation", "There are no routes here that are there and do not hold.")
		}
		e := network.NewRouteEntry{Table: table, Destination: r.destination, NextHopID: r.gateway, Description: given(r.description)}
		switch r.kind {
		case "NORMAL_CVM", "CVM":
			e.NextHopType = resource.NextHopHost
			if a, err := netip.ParseAddr(r.gateway); err == nil {
				if e.NextHopID, err = s.network.HostAt(c.Caller, table, a); err != nil {
					return nil, err
				}
			}
		case "VPN":
			e.NextHopType = resource.NextHopVPNGateway
		case "NAT":
			e.NextHopType = resource.NextHopNATGateway
		case "PEERCONNECTION", "DIRECTCONNECT":
			e.NextHopType = resource.NextHopRouterInterface
		default:
			return nil, refusal("UnsupportedOperation", "There is no next hop of type "+r.kind+" here.")
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// route is what a route is made of.
type route struct {
	destination netip.Prefix
	kind        string
	gateway     string
	description *string
	enabled     *bool
}

// CreateRoutes implements Actions.
func (s *Service) CreateRoutes(ctx context.Context, c Caller, r *CreateRoutesRequest) (*CreateRoutesResponse, error) {
	var list []route
	for _, x := range r.Routes {
		list = append(list, route{x.DestinationCidrBlock, x.GatewayType, x.GatewayId, x.RouteDescription, x.Enabled})
	}
	if err := s.changeRoutes(ctx, c, network.RouteChanges{Table: r.RouteTableId}, list); err != nil {
		return nil, err
	}
	tables, err := s.network.RouteTables(c.Caller, network.RouteTableFilter{Region: c.Region, IDs: state.OneOf[string]{r.RouteTableId}}, pageOf(0, 1))
	if err != nil {
		return nil, err
	}
	out := &CreateRoutesResponse{TotalCount: int64(len(tables.Items))}
	for _, t := range tables.Items {
		shown := s.routeTable(t)
		shown.RouteSet = slices.DeleteFunc(shown.RouteSet, func(x Route) bool {
			return !slices.ContainsFunc(list, func(made route) bool { return made.destination.String() == x.DestinationCidrBlock })
		})
		out.RouteTableSet = append(out.RouteTableSet, shown)
	}
	return out, nil
}

// DeleteRoutes implements Actions.
func (s *Service) DeleteRoutes(ctx context.Context, c Caller, r *DeleteRoutesRequest) (*DeleteRoutesResponse, error) {
	in := network.RouteChanges{Table: r.RouteTableId}
	for _, x := range r.Routes {
		in.Remove = append(in.Remove, int64(x.RouteId))
	}
	return &DeleteRoutesResponse{}, s.changeRoutes(ctx, c, in, nil)
}

// ReplaceRoutes implements Actions.
func (s *Service) ReplaceRoutes(ctx context.Context, c Caller, r *ReplaceRoutesRequest) (*ReplaceRoutesResponse, error) {
	in := network.RouteChanges{Table: r.RouteTableId}
	var list []route
	for _, x := range r.Routes {
		in.Remove = append(in.Remove, int64(x.RouteId))
		list = append(list, route{x.DestinationCidrBlock, x.GatewayType, x.GatewayId, x.RouteDescription, x.Enabled})
	}
	return &ReplaceRoutesResponse{}, s.changeRoutes(ctx, c, in, list)
}

// ResetRoutes implements Actions. A RouteId says nothing here: all entries go.
func (s *Service) ResetRoutes(ctx context.Context, c Caller, r *ResetRoutesRequest) (*ResetRoutesResponse, error) {
	in := network.RouteChanges{Table: r.RouteTableId, Name: &r.RouteTableName, All: true}
	var list []route
	for _, x := range r.Routes {
		list = append(list, route{x.DestinationCidrBlock, x.GatewayType, x.GatewayId, x.RouteDescription, x.Enabled})
	}
	return &ResetRoutesResponse{}, s.changeRoutes(ctx, c, in, list)
}

func (s *Service) changeRoutes(ctx context.Context, c Caller, in network.RouteChanges, add []route) (err error) {
	in.Region = c.Region
	if in.Add, err = s.routes(c, in.Table, add); err != nil {
		return err
	}
	return s.network.ChangeRoutes(ctx, c.Caller, in)
}
