package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
)

// DescribeVRouters implements Actions.
func (s *Service) DescribeVRouters(_ context.Context, c identity.Caller, r *DescribeVRoutersRequest) (*DescribeVRoutersResponse, error) {
	list, err := s.network.VRouters(c, network.VRouterFilter{Region: r.RegionId, IDs: one(r.VRouterId)}, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeVRoutersResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, v := range list.Items {
		answer.VRouters.VRouter = append(answer.VRouters.VRouter, DescribeVRoutersVRouter{
			VRouterId:     v.ID,
			RegionId:      v.Region,
			VpcId:         v.VPC,
			RouteTableIds: DescribeVRoutersVRouterRouteTableIds{RouteTableId: v.RouteTables},
			VRouterName:   v.Name,
			Description:   v.Description,
			CreationTime:  timestamp(v.CreatedAt),
		})
	}
	return answer, nil
}

// ModifyVRouterAttribute implements Actions.
func (s *Service) ModifyVRouterAttribute(ctx context.Context, c identity.Caller, r *ModifyVRouterAttributeRequest) (*ModifyVRouterAttributeResponse, error) {
	if err := s.network.ModifyVRouter(ctx, c, r.VRouterId, resource.Naming{Name: r.VRouterName, Description: r.Description}); err != nil {
		return nil, err
	}
	return &ModifyVRouterAttributeResponse{}, nil
}
