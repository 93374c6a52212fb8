package aliyun

import (
	"context"
	"net/netip"
	"slices"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CreateRouteEntry implements Actions.
func (s *Service) CreateRouteEntry(ctx context.Context, c identity.Caller, r *CreateRouteEntryRequest) (*CreateRouteEntryResponse, error) {
	in := network.NewRouteEntry{
		Table:       r.RouteTableId,
		Destination: r.DestinationCidrBlock,
		NextHopType: nextHopType(r.NextHopType),
		NextHopID:   given(r.NextHopId),
		Name:        r.RouteEntryName,
		Description: r.Description,
	}
	for _, h := range r.NextHopList {
		hop := resource.NextHop{Type: nextHopType(h.NextHopType), ID: h.NextHopId}
		if h.Weight != nil {
			hop.Weight = *h.Weight
		}
		in.NextHops = append(in.NextHops, hop)
	}
	made, err := s.network.CreateRouteEntry(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &CreateRouteEntryResponse{RouteEntryId: made.ID}, nil
}

// DeleteRouteEntry implements Actions.
func (s *Service) DeleteRouteEntry(ctx context.Context, c identity.Caller, r *DeleteRouteEntryRequest) (*DeleteRouteEntryResponse, error) {
	destination, refusal := entryNamed("DeleteRouteEntry", r.RouteEntryId, r.RouteTableId, r.DestinationCidrBlock)
	if refusal != nil {
		return nil, refusal
	}
	in := network.OldRouteEntry{ID: given(r.RouteEntryId), Table: given(r.RouteTableId), Destination: destination, NextHopID: given(r.NextHopId)}
	for _, h := range r.NextHopList {
		in.NextHops = append(in.NextHops, resource.NextHop{Type: nextHopType(h.NextHopType), ID: h.NextHopId})
	}
	if err := s.network.DeleteRouteEntry(ctx, c, in); err != nil {
		return nil, err
	}
	return &DeleteRouteEntryResponse{}, nil
}

// entryNamed returns the destination of an entry that a request names, the zero Prefix where
// it is left to the entry's id; without that it takes table and destination.
func entryNamed(action string, id, table *string, destination *netip.Prefix) (d netip.Prefix, refusal error) {
	if id == nil && (table == nil || destination == nil) {
		if len(documentedErrors[action]) > 0 && choose(documentedErrors[action], "MissingParameter", "") != nil {
			return d, documented(action, "MissingParameter", "")
		}
		if table == nil {
			return d, missingParameter("RouteTableId")
		}
		return d, missingParameter("DestinationCidrBlock")
	}
	if destination != nil {
		d = *destination
	}
	return d, nil
}

// ModifyRouteEntry implements Actions.
func (s *Service) ModifyRouteEntry(ctx context.Context, c identity.Caller, r *ModifyRouteEntryRequest) (*ModifyRouteEntryResponse, error) {
	destination, refusal := entryNamed("ModifyRouteEntry", r.RouteEntryId, r.RouteTableId, r.DestinationCidrBlock)
	if refusal != nil {
		return nil, refusal
	}
	if r.NewNextHopType != nil && r.NewNextHopId == nil {
		return nil, missingParameter("NewNextHopId")
	}
	err := s.network.ModifyRouteEntry(ctx, c, network.RouteEntryChange{
		ID: given(r.RouteEntryId), Table: given(r.RouteTableId), Destination: destination,
		Naming:      resource.Naming{Name: r.RouteEntryName, Description: r.Description},
		NextHopType: nextHopType(r.NewNextHopType), NextHopID: given(r.NewNextHopId),
	})
	if err != nil {
		return nil, err
	}
	return &ModifyRouteEntryResponse{}, nil
}

// Router types.
const (
	routerVPC = "VRouter"
	routerVBR = "VBR"
)

// Who has made an entry.
var entryWords = words[bool]{{"Custom", false}, {"System", true}}

// isSystem is the condition that a type of entries makes, and whether none can meet it: there
// are none of other networks.
func isSystem(kind *string) (system state.OneOf[bool], none bool) {
	if kind == nil {
		return nil, false
	}
	value, ok := entryWords.find(*kind)
	return state.OneOf[bool]{value}, !ok
}

// DescribeRouteTables implements Actions.
func (s *Service) DescribeRouteTables(_ context.Context, c identity.Caller, r *DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	f := network.RouteTableFilter{
		IDs: one(r.RouteTableId), VRouters: one(r.VRouterId), Routers: one(r.RouterId), Names: one(r.RouteTableName),
		Labelled: state.Labelled{Groups: one(r.ResourceGroupId)},
	}
	// VRouterId implies the router's type, whatever RouterType says.
	if f.VBR = borderRouters(r.RouterType); r.VRouterId != nil {
		f.VBR = state.OneOf[bool]{false}
	}
	list, err := s.network.RouteTables(c, f, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	system, none := isSystem(r.Type)
	answer := &DescribeRouteTablesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, t := range list.Items {
		x := DescribeRouteTablesRouteTable{
			RouterType:      routerType(t.RouteTable),
			RouterId:        t.Router(),
			VRouterId:       t.VRouter,
			RouteTableId:    t.ID,
			RouteTableType:  routeTableWords.wire(t.Custom),
			CreationTime:    timestamp(t.CreatedAt),
			Status:          pendingOrAvailable(t.Phase),
			VSwitchIds:      DescribeRouteTablesRouteTableVSwitchIds{t.VSwitches},
			ResourceGroupId: s.tags.Group(t.RouteTable),
		}
		for _, e := range t.Entries {
			if !none && system.Allows(e.System) {
				x.RouteEntrys.RouteEntry = append(x.RouteEntrys.RouteEntry, routeEntry(e))
			}
		}
		answer.RouteTables.RouteTable = append(answer.RouteTables.RouteTable, x)
	}
	return answer, nil
}

// borderRouters is the condition that a router's type makes.
func borderRouters(kind *string) state.OneOf[bool] {
	if kind == nil {
		return nil
	}
	return state.OneOf[bool]{*kind == routerVBR}
}

// routerType returns the document's word for whose a route table is.
func routerType(t *resource.RouteTable) string {
	if t.BorderRouter != "" {
		return routerVBR
	}
	return routerVPC
}

func routeEntry(e network.RouteEntry) DescribeRouteTablesRouteTableRouteEntry {
	x := DescribeRouteTablesRouteTableRouteEntry{
		RouteTableId:         e.Table,
		DestinationCidrBlock: e.Destination.String(),
		Type:                 entryWords.wire(e.System),
		Status:               entryStatus(e.Phase),
		RouteEntryId:         e.ID,
		RouteEntryName:       e.Name,
		Description:          e.Description,
	}
	if len(e.NextHops) == 1 {
		x.NextHopType, x.InstanceId = nextHopWords.wire(e.NextHops[0].Type), e.NextHops[0].ID
		return x
	}
	for _, h := range e.NextHops {
		x.NextHops.NextHopItem = append(x.NextHops.NextHopItem, DescribeRouteTablesRouteTableRouteEntryNextHopItem{
			NextHopType: nextHopWords.wire(h.Type), NextHopId: h.ID, Enabled: leads(e, h), Weight: max(1, h.Weight),
		})
	}
	return x
}

// leads is 1 of a next hop of an entry that leads anywhere, else 0.
func leads(e network.RouteEntry, h resource.NextHop) int {
	if slices.Contains(e.Nowhere, h.ID) {
		return 0
	}
	return 1
}

// DescribeRouteEntryList implements Actions. All entries are of IPv4.
func (s *Service) DescribeRouteEntryList(_ context.Context, c identity.Caller, r *DescribeRouteEntryListRequest) (*DescribeRouteEntryListResponse, error) {
	q := network.RouteEntryQuery{
		Region: given(r.RegionId), Table: r.RouteTableId, IDs: one(r.RouteEntryId), Names: one(r.RouteEntryName), HopIDs: one(r.NextHopId),
		Destinations: append(one(r.DestinationCidrBlock), r.DestCidrBlockList...), Token: given(r.NextToken), Size: r.MaxResult,
	}
	q.System, q.None = isSystem(r.RouteEntryType)
	q.None = q.None || differs(r.IpVersion, ipv4)
	if r.NextHopType != nil {
		kind, ok := nextHopWords.find(*r.NextHopType)
		q.HopTypes, q.None = []resource.NextHopType{kind}, q.None || !ok
	}
	page, next, err := s.network.RouteEntries(c, q)
	if err != nil {
		return nil, err
	}
	answer := &DescribeRouteEntryListResponse{NextToken: next}
	for _, e := range page {
		x := DescribeRouteEntryListRouteEntry{
			RouteEntryId:         e.ID,
			RouteTableId:         e.Table,
			DestinationCidrBlock: e.Destination.String(),
			IpVersion:            ipv4,
			Type:                 entryWords.wire(e.System),
			Origin:               entryWords.wire(e.System) + "Create",
			Status:               entryStatus(e.Phase),
			RouteEntryName:       e.Name,
			Description:          e.Description,
		}
		for _, h := range e.NextHops {
			x.NextHops.NextHop = append(x.NextHops.NextHop, DescribeRouteEntryListRouteEntryNextHop{
				NextHopType: nextHopWords.wire(h.Type), NextHopId: h.ID, Enabled: leads(e, h), Weight: h.Weight,
			})
		}
		answer.RouteEntrys.RouteEntry = append(answer.RouteEntrys.RouteEntry, x)
	}
	return answer, nil
}

// ipv4 is the version of all addresses.
const ipv4 = "IPv4"
