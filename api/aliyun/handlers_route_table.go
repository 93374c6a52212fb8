package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
)

// CreateRouteEntry implements Actions.
func (s *Service) CreateRouteEntry(ctx context.Context, c identity.Caller, r *CreateRouteEntryRequest) (*CreateRouteEntryResponse, error) {
	in := network.NewRouteEntry{
		Table:       r.RouteTableId,
		Destination: r.DestinationCidrBlock,
		NextHopType: nextHopType(r.NextHopType),
		NextHopID:   given(r.NextHopId),
	}
	for _, h := range r.NextHopList {
		in.NextHops = append(in.NextHops, resource.NextHop{Type: nextHopType(h.NextHopType), ID: h.NextHopId})
	}
	if err := s.network.CreateRouteEntry(ctx, c, in); err != nil {
		return nil, err
	}
	return &CreateRouteEntryResponse{}, nil
}

// DeleteRouteEntry implements Actions.
func (s *Service) DeleteRouteEntry(ctx context.Context, c identity.Caller, r *DeleteRouteEntryRequest) (*DeleteRouteEntryResponse, error) {
	in := network.OldRouteEntry{Table: r.RouteTableId, Destination: r.DestinationCidrBlock, NextHopID: given(r.NextHopId)}
	for _, h := range r.NextHopList {
		in.NextHops = append(in.NextHops, resource.NextHop{Type: nextHopType(h.NextHopType), ID: h.NextHopId})
	}
	if err := s.network.DeleteRouteEntry(ctx, c, in); err != nil {
		return nil, err
	}
	return &DeleteRouteEntryResponse{}, nil
}

// Router types.
const (
	routerVPC = "VRouter"
	routerVBR = "VBR"
)

// DescribeRouteTables implements Actions.
func (s *Service) DescribeRouteTables(_ context.Context, c identity.Caller, r *DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	f := network.RouteTableFilter{IDs: one(r.RouteTableId), VRouters: one(r.VRouterId), Routers: one(r.RouterId)}
	// VRouterId implies the router's type, whatever RouterType says.
	f.VBR = given(r.RouterType) == routerVBR && r.VRouterId == nil
	list := s.network.RouteTables(c, f, pageOf(r.PageNumber, r.PageSize))
	answer := &DescribeRouteTablesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, t := range list.Items {
		x := DescribeRouteTablesRouteTable{
			RouterType:     routerVPC,
			RouterId:       t.VRouter,
			VRouterId:      t.VRouter,
			RouteTableId:   t.ID,
			RouteTableType: "System", // the one that comes with the VPC
			CreationTime:   timestamp(t.CreatedAt),
		}
		for _, e := range t.Entries {
			x.RouteEntrys.RouteEntry = append(x.RouteEntrys.RouteEntry, routeEntry(t.ID, e))
		}
		answer.RouteTables.RouteTable = append(answer.RouteTables.RouteTable, x)
	}
	return answer, nil
}

func routeEntry(table string, e network.RouteEntry) DescribeRouteTablesRouteTableRouteEntry {
	x := DescribeRouteTablesRouteTableRouteEntry{
		RouteTableId:         table,
		DestinationCidrBlock: e.Destination.String(),
		Type:                 "Custom",
		Status:               entryStatus(e.Phase),
	}
	if e.System {
		x.Type = "System"
	}
	if len(e.NextHops) == 1 {
		x.NextHopType, x.InstanceId = nextHopWords.wire(e.NextHops[0].Type), e.NextHops[0].ID
		return x
	}
	for _, h := range e.NextHops {
		x.NextHops.NextHopItem = append(x.NextHops.NextHopItem, DescribeRouteTablesRouteTableRouteEntryNextHopItem{
			NextHopType: nextHopWords.wire(h.Type), NextHopId: h.ID, Enabled: 1, Weight: h.Weight,
		})
	}
	return x
}
