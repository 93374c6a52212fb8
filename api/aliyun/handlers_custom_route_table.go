package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
)

// routeTableWords are the types of route tables: whether one is custom.
var routeTableWords = words[bool]{{"System", false}, {"Custom", true}}

// CreateRouteTable implements Actions.
func (s *Service) CreateRouteTable(ctx context.Context, c identity.Caller, r *CreateRouteTableRequest) (*CreateRouteTableResponse, error) {
	made, err := s.network.CreateRouteTable(ctx, c, network.NewRouteTable{
		Region: r.RegionId, VPC: r.VpcId, Name: r.RouteTableName, Description: r.Description, Labels: labels(nil, r.Tag),
	})
	if err != nil {
		return nil, err
	}
	return &CreateRouteTableResponse{RouteTableId: made.ID}, nil
}

// ModifyRouteTableAttributes implements Actions.
func (s *Service) ModifyRouteTableAttributes(ctx context.Context, c identity.Caller, r *ModifyRouteTableAttributesRequest) (*ModifyRouteTableAttributesResponse, error) {
	in := network.RouteTableChange{Naming: resource.Naming{Name: r.RouteTableName, Description: r.Description}, Learns: r.RoutePropagationEnable}
	return &ModifyRouteTableAttributesResponse{}, s.network.ModifyRouteTable(ctx, c, given(r.RegionId), r.RouteTableId, in)
}

// DeleteRouteTable implements Actions.
func (s *Service) DeleteRouteTable(ctx context.Context, c identity.Caller, r *DeleteRouteTableRequest) (*DeleteRouteTableResponse, error) {
	return &DeleteRouteTableResponse{}, s.network.DeleteRouteTable(ctx, c, given(r.RegionId), r.RouteTableId)
}

// AssociateRouteTable implements Actions.
func (s *Service) AssociateRouteTable(ctx context.Context, c identity.Caller, r *AssociateRouteTableRequest) (*AssociateRouteTableResponse, error) {
	return &AssociateRouteTableResponse{}, s.network.AssociateRouteTable(ctx, c, given(r.RegionId), r.RouteTableId, r.VSwitchId)
}

// UnassociateRouteTable implements Actions.
func (s *Service) UnassociateRouteTable(ctx context.Context, c identity.Caller, r *UnassociateRouteTableRequest) (*UnassociateRouteTableResponse, error) {
	return &UnassociateRouteTableResponse{}, s.network.UnassociateRouteTable(ctx, c, given(r.RegionId), r.RouteTableId, r.VSwitchId)
}

// DescribeRouteTableList implements Actions.
func (s *Service) DescribeRouteTableList(_ context.Context, c identity.Caller, r *DescribeRouteTableListRequest) (*DescribeRouteTableListResponse, error) {
	list, err := s.network.RouteTables(c, network.RouteTableFilter{
		Region: given(r.RegionId), IDs: one(r.RouteTableId), VPCs: one(r.VpcId), Routers: one(r.RouterId), Names: one(r.RouteTableName),
		Custom: one(routeTableWords.of(r.RouteTableType)), VBR: borderRouters(r.RouterType), Labelled: labelled(r.ResourceGroupId, r.Tag),
	}, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeRouteTableListResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, t := range list.Items {
		answer.RouterTableList.RouterTableListType = append(answer.RouterTableList.RouterTableListType, DescribeRouteTableListRouterTableListType{
			VpcId:                  t.VPC,
			RouterType:             routerType(t.RouteTable),
			RouterId:               t.Router(),
			RouteTableId:           t.ID,
			RouteTableName:         t.Name,
			RouteTableType:         routeTableWords.wire(t.Custom),
			Status:                 pendingOrAvailable(t.Phase),
			Description:            t.Description,
			CreationTime:           timestamp(t.CreatedAt),
			AssociateType:          "VSwitch",
			OwnerId:                ownerID(t.Account),
			ResourceGroupId:        s.tags.Group(t.RouteTable),
			RoutePropagationEnable: !t.Custom,
			VSwitchIds:             DescribeRouteTableListRouterTableListTypeVSwitchIds{t.VSwitches},
			Tags:                   DescribeRouteTableListRouterTableListTypeTags{showTags[DescribeRouteTableListRouterTableListTypeTag](s.tags.Of(t.ID))},
		})
	}
	return answer, nil
}
