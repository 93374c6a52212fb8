package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
)

// CreateVpc implements Actions.
func (s *Service) CreateVpc(ctx context.Context, c identity.Caller, r *CreateVpcRequest) (*CreateVpcResponse, error) {
	made, err := s.network.CreateVPC(ctx, c, network.NewVPC{
		Region: r.RegionId, CIDR: r.CidrBlock, Name: r.VpcName, Description: r.Description, UserCIDRs: r.UserCidr,
		Labels: labels(r.ResourceGroupId, r.Tag),
	})
	if err != nil {
		return nil, err
	}
	return &CreateVpcResponse{VpcId: made.VPC, VRouterId: made.VRouter, RouteTableId: made.RouteTable, ResourceGroupId: groupGiven(c, r.ResourceGroupId)}, nil
}

// DeleteVpc implements Actions.
func (s *Service) DeleteVpc(ctx context.Context, c identity.Caller, r *DeleteVpcRequest) (*DeleteVpcResponse, error) {
	if err := s.network.DeleteVPC(ctx, c, r.VpcId); err != nil {
		return nil, err
	}
	return &DeleteVpcResponse{}, nil
}

// DescribeVpcs implements Actions.
func (s *Service) DescribeVpcs(_ context.Context, c identity.Caller, r *DescribeVpcsRequest) (*DescribeVpcsResponse, error) {
	list, err := s.network.VPCs(c, network.VPCFilter{
		Region: r.RegionId, IDs: one(r.VpcId), Names: one(r.VpcName), Default: r.IsDefault, Labelled: labelled(r.ResourceGroupId, r.Tag),
	}, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeVpcsResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, v := range list.Items {
		x := DescribeVpcsVpc{
			VpcId:        v.ID,
			RegionId:     v.Region,
			Status:       pendingOrAvailable(v.Phase),
			VpcName:      v.Name,
			VSwitchIds:   DescribeVpcsVpcVSwitchIds{VSwitchId: v.VSwitches},
			CidrBlock:    v.CIDR.String(),
			VRouterId:    v.VRouter,
			Description:  v.Description,
			CreationTime: timestamp(v.CreatedAt),

			ResourceGroupId: s.tags.Group(v.VPC),
			Tags:            DescribeVpcsVpcTags{showTags[DescribeVpcsVpcTag](s.tags.Of(v.ID))},
		}
		for _, p := range v.UserCIDRs {
			x.UserCidrs.UserCidr = append(x.UserCidrs.UserCidr, p.String())
		}
		answer.Vpcs.Vpc = append(answer.Vpcs.Vpc, x)
	}
	return answer, nil
}

// ModifyVpcAttribute implements Actions.
func (s *Service) ModifyVpcAttribute(ctx context.Context, c identity.Caller, r *ModifyVpcAttributeRequest) (*ModifyVpcAttributeResponse, error) {
	change := network.VPCChange{Name: r.VpcName, Description: r.Description}
	if r.UserCidr != nil {
		change.UserCIDRs = &r.UserCidr // empty clears the set
	}
	if err := s.network.ModifyVPC(ctx, c, r.VpcId, change); err != nil {
		return nil, err
	}
	return &ModifyVpcAttributeResponse{}, nil
}
