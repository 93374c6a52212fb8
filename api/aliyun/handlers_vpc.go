package aliyun

import (
	"context"
	"net/netip"
	"strconv"

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
		None: ofOthers(c, r.VpcOwnerId),
	}, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeVpcsResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, v := range list.Items {
		answer.Vpcs.Vpc = append(answer.Vpcs.Vpc, s.vpc(v))
	}
	return answer, nil
}

func (s *Service) vpc(v network.VPC) DescribeVpcsVpc {
	return DescribeVpcsVpc{
		VpcId:               v.ID,
		RegionId:            v.Region,
		Status:              pendingOrAvailable(v.Phase),
		VpcName:             v.Name,
		VSwitchIds:          DescribeVpcsVpcVSwitchIds{v.VSwitches()},
		CidrBlock:           v.CIDR.String(),
		VRouterId:           v.VRouter,
		Description:         v.Description,
		CreationTime:        timestamp(v.CreatedAt),
		IsDefault:           v.Default,
		UserCidrs:           DescribeVpcsVpcUserCidrs{blockTexts(v.UserCIDRs)},
		SecondaryCidrBlocks: DescribeVpcsVpcSecondaryCidrBlocks{blockTexts(v.Secondary)},
		RouterTableIds:      DescribeVpcsVpcRouterTableIds{v.RouteTables()},
		NatGatewayIds:       DescribeVpcsVpcNatGatewayIds{v.NATGateways()},
		OwnerId:             ownerID(v.Account),
		ResourceGroupId:     s.tags.Group(v.VPC),
		Tags:                DescribeVpcsVpcTags{showTags[DescribeVpcsVpcTag](s.tags.Of(v.ID))},
	}
}

// DescribeVpcAttribute implements Actions.
func (s *Service) DescribeVpcAttribute(_ context.Context, c identity.Caller, r *DescribeVpcAttributeRequest) (*DescribeVpcAttributeResponse, error) {
	v, err := s.network.VPCByID(c, given(r.RegionId), r.VpcId)
	if err != nil {
		return nil, err
	}
	x := s.vpc(v)
	return &DescribeVpcAttributeResponse{
		VpcId:               x.VpcId,
		RegionId:            x.RegionId,
		Status:              x.Status,
		VpcName:             x.VpcName,
		VSwitchIds:          DescribeVpcAttributeVSwitchIds(x.VSwitchIds),
		CidrBlock:           x.CidrBlock,
		VRouterId:           x.VRouterId,
		Description:         x.Description,
		CreationTime:        x.CreationTime,
		IsDefault:           x.IsDefault,
		UserCidrs:           DescribeVpcAttributeUserCidrs(x.UserCidrs),
		SecondaryCidrBlocks: DescribeVpcAttributeSecondaryCidrBlocks(x.SecondaryCidrBlocks),
		OwnerId:             x.OwnerId,
		ResourceGroupId:     x.ResourceGroupId,
		Tags:                DescribeVpcAttributeTags{showTags[DescribeVpcAttributeTag](s.tags.Of(v.ID))},
	}, nil
}

// blockTexts writes CIDR blocks, in their order.
func blockTexts(list []netip.Prefix) (texts []string) {
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return texts
}

// ofOthers says whether what another account has is asked for, which is never shown.
func ofOthers(c identity.Caller, owner *int) bool {
	return owner != nil && int64(*owner) != ownerID(c.Account)
}

// ownerID is the id of an account as a number, which clients read it as; 0 for one that is
// none.
func ownerID(account string) int64 {
	n, _ := strconv.ParseInt(account, 10, 64)
	return n
}

// AssociateVpcCidrBlock implements Actions.
func (s *Service) AssociateVpcCidrBlock(ctx context.Context, c identity.Caller, r *AssociateVpcCidrBlockRequest) (*AssociateVpcCidrBlockResponse, error) {
	if err := s.network.AssociateCIDR(ctx, c, given(r.RegionId), r.VpcId, r.SecondaryCidrBlock); err != nil {
		return nil, err
	}
	return &AssociateVpcCidrBlockResponse{CidrBlock: r.SecondaryCidrBlock.String(), IpVersion: r.IpVersion}, nil
}

// UnassociateVpcCidrBlock implements Actions.
func (s *Service) UnassociateVpcCidrBlock(ctx context.Context, c identity.Caller, r *UnassociateVpcCidrBlockRequest) (*UnassociateVpcCidrBlockResponse, error) {
	return &UnassociateVpcCidrBlockResponse{}, s.network.UnassociateCIDR(ctx, c, given(r.RegionId), r.VpcId, r.SecondaryCidrBlock)
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
