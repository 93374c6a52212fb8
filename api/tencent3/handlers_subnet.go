package tencent3

import (
	"context"

	"sluice/controlplane/network"
	"sluice/controlplane/resource"
)

// CreateSubnet implements Actions.
func (s *Service) CreateSubnet(ctx context.Context, c Caller, r *CreateSubnetRequest) (*CreateSubnetResponse, error) {
	if _, err := s.network.VPCByID(c.Caller, c.Region, r.VpcId); err != nil {
		return nil, err
	}
	id, err := s.network.CreateVSwitch(ctx, c.Caller, network.NewVSwitch{VPC: r.VpcId, Zone: r.Zone, CIDR: r.CidrBlock, Name: r.SubnetName})
	if err != nil {
		return nil, err
	}
	v, err := s.network.VSwitchByID(c.Caller, c.Region, id)
	if err != nil {
		return nil, err
	}
	return &CreateSubnetResponse{Subnet: subnet(v)}, nil
}

// DeleteSubnet implements Actions.
func (s *Service) DeleteSubnet(ctx context.Context, c Caller, r *DeleteSubnetRequest) (*DeleteSubnetResponse, error) {
	if _, err := s.network.VSwitchByID(c.Caller, c.Region, r.SubnetId); err != nil {
		return nil, err
	}
	return &DeleteSubnetResponse{}, s.network.DeleteVSwitch(ctx, c.Caller, r.SubnetId)
}

// DescribeSubnets implements Actions.
func (s *Service) DescribeSubnets(_ context.Context, c Caller, r *DescribeSubnetsRequest) (*DescribeSubnetsResponse, error) {
	f := network.VSwitchFilter{Region: c.Region, IDs: r.SubnetIds}
	refused := listed("SubnetIds", r.SubnetIds, r.Filters)
	if refused == nil {
		f.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"subnet-id": texts(&f.IDs), "vpc-id": texts(&f.VPCs), "subnet-name": texts(&f.Names), "zone": texts(&f.Zones),
			"cidr-block": texts(&f.Blocks), "is-default": flag("is-default", &f.Default),
		})
	}
	if refused != nil {
		return nil, refused
	}
	list, err := s.network.VSwitches(c.Caller, f, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	if refused := found("subnet", r.SubnetIds, list.Total); refused != nil {
		return nil, refused
	}
	out := &DescribeSubnetsResponse{TotalCount: int64(list.Total)}
	for _, v := range list.Items {
		out.SubnetSet = append(out.SubnetSet, subnet(v))
	}
	return out, nil
}

func subnet(v network.VSwitch) Subnet {
	return Subnet{
		VpcId: v.VPC, SubnetId: v.ID, SubnetName: v.Name, CidrBlock: v.CIDR.String(), IsDefault: v.Default, EnableBroadcast: v.Broadcast,
		Zone: v.Zone, RouteTableId: v.Table.ID, CreatedTime: timestamp(v.CreatedAt), AvailableIpAddressCount: int64(v.Free),
	}
}

// ModifySubnetAttribute implements Actions.
func (s *Service) ModifySubnetAttribute(ctx context.Context, c Caller, r *ModifySubnetAttributeRequest) (*ModifySubnetAttributeResponse, error) {
	if _, err := s.network.VSwitchByID(c.Caller, c.Region, r.SubnetId); err != nil {
		return nil, err
	}
	return &ModifySubnetAttributeResponse{}, s.network.ModifyVSwitch(ctx, c.Caller, r.SubnetId,
		network.VSwitchChange{Naming: resource.Naming{Name: r.SubnetName}, Broadcast: r.EnableBroadcast})
}
