package tencent3

import (
	"context"
	"net/netip"

	"sluice/controlplane/network"
)

// CreateVpc implements Actions.
func (s *Service) CreateVpc(ctx context.Context, c Caller, r *CreateVpcRequest) (*CreateVpcResponse, error) {
	if refused := noPublishing(r.EnableRouteVpcPublish, r.EnableRouteVpcPublishIpv6); refused != nil {
		return nil, refused
	}
	made, err := s.network.CreateVPC(ctx, c.Caller, network.NewVPC{
		Region: c.Region, CIDR: r.CidrBlock, Name: r.VpcName, Multicast: given(r.EnableMulticast),
		DNS: network.DNS{Servers: r.DnsServers, Domain: given(r.DomainName)},
	})
	if err != nil {
		return nil, err
	}
	v, err := s.network.VPCByID(c.Caller, c.Region, made.VPC)
	if err != nil {
		return nil, err
	}
	return &CreateVpcResponse{Vpc: vpc(v)}, nil
}

// DeleteVpc implements Actions.
func (s *Service) DeleteVpc(ctx context.Context, c Caller, r *DeleteVpcRequest) (*DeleteVpcResponse, error) {
	if _, err := s.network.VPCByID(c.Caller, c.Region, r.VpcId); err != nil {
		return nil, err
	}
	return &DeleteVpcResponse{}, s.network.DeleteVPC(ctx, c.Caller, r.VpcId)
}

// DescribeVpcs implements Actions.
func (s *Service) DescribeVpcs(_ context.Context, c Caller, r *DescribeVpcsRequest) (*DescribeVpcsResponse, error) {
	f := network.VPCFilter{Region: c.Region, IDs: r.VpcIds}
	refused := listed("VpcIds", r.VpcIds, r.Filters)
	if refused == nil {
		f.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"vpc-id": texts(&f.IDs), "vpc-name": texts(&f.Names), "cidr-block": texts(&f.Blocks), "is-default": flag("is-default", &f.Default),
		})
	}
	if refused != nil {
		return nil, refused
	}
	list, err := s.network.VPCs(c.Caller, f, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	if refused := found("VPC", r.VpcIds, list.Total); refused != nil {
		return nil, refused
	}
	out := &DescribeVpcsResponse{TotalCount: int64(list.Total)}
	for _, v := range list.Items {
		out.VpcSet = append(out.VpcSet, vpc(v))
	}
	return out, nil
}

func vpc(v network.VPC) Vpc {
	return Vpc{
		VpcId: v.ID, VpcName: v.Name, CidrBlock: v.CIDR.String(), IsDefault: v.Default, EnableMulticast: v.Multicast,
		CreatedTime: timestamp(v.CreatedAt), DnsServerSet: addressTexts(v.DNSServers), DomainName: v.DomainName,
	}
}

// noPublishing refuses to tell a cloud network of a VPC's routes: there is none.
func noPublishing(ipv4, ipv6 *bool) *Error {
	if given(ipv4) || given(ipv6) {
		return refusal("UnsupportedOperation", "There is no cloud network here that a VPC's routes could be told to.")
	}
	return nil
}

func addressTexts(list []netip.Addr) (texts []string) {
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return texts
}

// ModifyVpcAttribute implements Actions.
func (s *Service) ModifyVpcAttribute(ctx context.Context, c Caller, r *ModifyVpcAttributeRequest) (*ModifyVpcAttributeResponse, error) {
	if _, err := s.network.VPCByID(c.Caller, c.Region, r.VpcId); err != nil {
		return nil, err
	}
	if refused := noPublishing(r.EnableRouteVpcPublish, r.EnableRouteVpcPublishIpv6); refused != nil {
		return nil, refused
	}
	change := network.VPCChange{Name: r.VpcName, Multicast: r.EnableMulticast, DomainName: r.DomainName}
	if r.DnsServers != nil {
		change.DNSServers = &r.DnsServers
	}
	return &ModifyVpcAttributeResponse{}, s.network.ModifyVPC(ctx, c.Caller, r.VpcId, change)
}

// noVPC stands for the ids of a default VPC and its subnet where none is needed.
const noVPC = "0"

// CreateDefaultVpc implements Actions. In a region with a classic network none is made without
// Force.
func (s *Service) CreateDefaultVpc(ctx context.Context, c Caller, r *CreateDefaultVpcRequest) (*CreateDefaultVpcResponse, error) {
	if s.classic.Has(c.Region) && !given(r.Force) {
		return &CreateDefaultVpcResponse{Vpc: DefaultVpcSubnet{VpcId: noVPC, SubnetId: noVPC}}, nil
	}
	made, err := s.network.CreateDefaultVPC(ctx, c.Caller, c.Region, given(r.Zone))
	if err != nil {
		return nil, err
	}
	return &CreateDefaultVpcResponse{Vpc: DefaultVpcSubnet{VpcId: made.VPC, SubnetId: made.VSwitch}}, nil
}

// DescribeAccountAttributes implements Actions.
func (s *Service) DescribeAccountAttributes(_ context.Context, c Caller, _ *DescribeAccountAttributesRequest) (*DescribeAccountAttributesResponse, error) {
	platforms := []string{"VPC"}
	if s.classic.Has(c.Region) {
		platforms = append(platforms, "CLASSIC")
	}
	return &DescribeAccountAttributesResponse{AccountAttributeSet: []AccountAttribute{
		{AttributeName: "supported-platforms", AttributeValues: platforms},
	}}, nil
}
