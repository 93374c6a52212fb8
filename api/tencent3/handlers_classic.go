package tencent3

import (
	"context"

	"sluice/controlplane/classic"
)

// AttachClassicLinkVpc implements Actions.
func (s *Service) AttachClassicLinkVpc(ctx context.Context, c Caller, r *AttachClassicLinkVpcRequest) (*AttachClassicLinkVpcResponse, error) {
	return &AttachClassicLinkVpcResponse{}, s.classic.Attach(ctx, c.Caller, c.Region, r.VpcId, r.InstanceIds)
}

// DetachClassicLinkVpc implements Actions.
func (s *Service) DetachClassicLinkVpc(ctx context.Context, c Caller, r *DetachClassicLinkVpcRequest) (*DetachClassicLinkVpcResponse, error) {
	return &DetachClassicLinkVpcResponse{}, s.classic.Detach(ctx, c.Caller, c.Region, r.VpcId, r.InstanceIds)
}

// DescribeClassicLinkInstances implements Actions.
func (s *Service) DescribeClassicLinkInstances(_ context.Context, c Caller, r *DescribeClassicLinkInstancesRequest) (*DescribeClassicLinkInstancesResponse, error) {
	f := classic.Filter{Region: c.Region}
	var refused *Error
	if f.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{
		"vpc-id": texts(&f.VPCs), "vm-ip": addressesOf("vm-ip", &f.Addresses),
	}); refused != nil {
		return nil, refused
	}
	list, err := s.classic.Links(c.Caller, f, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	out := &DescribeClassicLinkInstancesResponse{TotalCount: int64(list.Total)}
	for _, l := range list.Items {
		out.ClassicLinkInstanceSet = append(out.ClassicLinkInstanceSet, ClassicLinkInstance{VpcId: l.VPC, InstanceId: l.Instance})
	}
	return out, nil
}
