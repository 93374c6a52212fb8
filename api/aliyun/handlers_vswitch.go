package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
)

// CreateVSwitch implements Actions.
func (s *Service) CreateVSwitch(ctx context.Context, c identity.Caller, r *CreateVSwitchRequest) (*CreateVSwitchResponse, error) {
	id, err := s.network.CreateVSwitch(ctx, c, network.NewVSwitch{
		VPC: r.VpcId, Zone: r.ZoneId, CIDR: r.CidrBlock, Name: r.VSwitchName, Description: r.Description,
		Labels: labels(nil, r.Tag),
	})
	if err != nil {
		return nil, err
	}
	return &CreateVSwitchResponse{VSwitchId: id}, nil
}

// DeleteVSwitch implements Actions.
func (s *Service) DeleteVSwitch(ctx context.Context, c identity.Caller, r *DeleteVSwitchRequest) (*DeleteVSwitchResponse, error) {
	if err := s.network.DeleteVSwitch(ctx, c, r.VSwitchId); err != nil {
		return nil, err
	}
	return &DeleteVSwitchResponse{}, nil
}

// DescribeVSwitches implements Actions.
func (s *Service) DescribeVSwitches(_ context.Context, c identity.Caller, r *DescribeVSwitchesRequest) (*DescribeVSwitchesResponse, error) {
	list, err := s.network.VSwitches(c, network.VSwitchFilter{
		Region: r.RegionId, VPCs: one(r.VpcId), IDs: one(r.VSwitchId), Zones: one(r.ZoneId), Names: one(r.VSwitchName), Tables: one(r.RouteTableId), Default: r.IsDefault,
		Labelled: labelled(r.ResourceGroupId, r.Tag), None: ofOthers(c, r.VSwitchOwnerId),
	}, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeVSwitchesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, v := range list.Items {
		answer.VSwitches.VSwitch = append(answer.VSwitches.VSwitch, s.vswitch(v))
	}
	return answer, nil
}

func (s *Service) vswitch(v network.VSwitch) DescribeVSwitchesVSwitch {
	return DescribeVSwitchesVSwitch{
		VSwitchId:               v.ID,
		VpcId:                   v.VPC,
		Status:                  pendingOrAvailable(v.Phase),
		CidrBlock:               v.CIDR.String(),
		ZoneId:                  v.Zone,
		AvailableIpAddressCount: v.Free,
		Description:             v.Description,
		VSwitchName:             v.Name,
		CreationTime:            timestamp(v.CreatedAt),
		IsDefault:               v.Default,
		RouteTable:              &DescribeVSwitchesVSwitchRouteTable{RouteTableId: v.Table.ID, RouteTableType: routeTableWords.wire(v.Table.Custom)},
		OwnerId:                 ownerID(v.Account),
		ResourceGroupId:         s.tags.Group(v.VSwitch),
		Tags:                    DescribeVSwitchesVSwitchTags{showTags[DescribeVSwitchesVSwitchTag](s.tags.Of(v.ID))},
	}
}

// DescribeVSwitchAttributes implements Actions.
func (s *Service) DescribeVSwitchAttributes(_ context.Context, c identity.Caller, r *DescribeVSwitchAttributesRequest) (*DescribeVSwitchAttributesResponse, error) {
	v, err := s.network.VSwitchByID(c, given(r.RegionId), r.VSwitchId)
	if err != nil {
		return nil, err
	}
	x := s.vswitch(v)
	return &DescribeVSwitchAttributesResponse{
		VSwitchId:               x.VSwitchId,
		VpcId:                   x.VpcId,
		Status:                  x.Status,
		CidrBlock:               x.CidrBlock,
		ZoneId:                  x.ZoneId,
		AvailableIpAddressCount: x.AvailableIpAddressCount,
		Description:             x.Description,
		VSwitchName:             x.VSwitchName,
		CreationTime:            x.CreationTime,
		IsDefault:               x.IsDefault,
		RouteTable:              (*DescribeVSwitchAttributesRouteTable)(x.RouteTable),
		OwnerId:                 x.OwnerId,
		ResourceGroupId:         x.ResourceGroupId,
		Tags:                    DescribeVSwitchAttributesTags{showTags[DescribeVSwitchAttributesTag](s.tags.Of(v.ID))},
	}, nil
}

// ModifyVSwitchAttribute implements Actions.
func (s *Service) ModifyVSwitchAttribute(ctx context.Context, c identity.Caller, r *ModifyVSwitchAttributeRequest) (*ModifyVSwitchAttributeResponse, error) {
	if err := s.network.ModifyVSwitch(ctx, c, r.VSwitchId, network.VSwitchChange{Naming: resource.Naming{Name: r.VSwitchName, Description: r.Description}}); err != nil {
		return nil, err
	}
	return &ModifyVSwitchAttributeResponse{}, nil
}
