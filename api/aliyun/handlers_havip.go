package aliyun

import (
	"context"

	"sluice/controlplane/havip"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// CreateHaVip implements Actions.
func (s *Service) CreateHaVip(ctx context.Context, c identity.Caller, r *CreateHaVipRequest) (*CreateHaVipResponse, error) {
	in := havip.NewHaVip{Region: r.RegionId, VSwitch: r.VSwitchId, Name: given(r.Name), Description: given(r.Description), Labels: labels(r.ResourceGroupId, r.Tag)}
	if r.IpAddress != nil {
		in.PrivateIP = *r.IpAddress
	}
	h, err := s.havip.Create(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &CreateHaVipResponse{HaVipId: h.ID, IpAddress: h.PrivateIP.String()}, nil
}

// DescribeHaVips implements Actions.
func (s *Service) DescribeHaVips(_ context.Context, c identity.Caller, r *DescribeHaVipsRequest) (*DescribeHaVipsResponse, error) {
	q := havip.Query{Region: r.RegionId, Labelled: labelled(r.ResourceGroupId, r.Tags), Page: pageOf(r.PageNumber, r.PageSize)}
	for _, f := range r.Filter {
		switch f.Key {
		case "VpcId":
			q.VPCs, q.None = alternatives(q.VPCs, f.Value, q.None)
		case "VSwitchId":
			q.VSwitches, q.None = alternatives(q.VSwitches, f.Value, q.None)
		case "HaVipId":
			q.IDs, q.None = alternatives(q.IDs, f.Value, q.None)
		case "HaVipAddress":
			q.Addresses, q.None = alternatives(q.Addresses, f.Value, q.None)
		case "Status":
			var known []havip.Status
			for _, word := range f.Value {
				if status, ok := haVipStatusWords.find(word); ok {
					known = append(known, status)
				}
			}
			q.Statuses, q.None = alternatives(q.Statuses, known, q.None)
		}
	}
	list, err := s.havip.List(c, q)
	if err != nil {
		return nil, err
	}
	out := &DescribeHaVipsResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, h := range list.Items {
		x := DescribeHaVipsHaVip{
			HaVipId: h.ID, Name: h.Name, Description: h.Description, Status: haVipStatusWords.wire(h.Status),
			RegionId: h.Region, VpcId: h.VPC, VSwitchId: h.VSwitch, IpAddress: h.PrivateIP.String(),
			MasterInstanceId: h.Master.Instance, ChargeType: "PostPaid", CreateTime: timestamp(h.CreatedAt), ResourceGroupId: s.tags.Group(h.HaVip),
			Tags: DescribeHaVipsHaVipTags{showTags[DescribeHaVipsHaVipTag](s.tags.Of(h.ID))},
		}
		x.AssociatedInstances.AssociatedInstance = h.Instances
		if len(h.Instances) > 0 {
			x.AssociatedInstanceType = "EcsInstance"
		}
		for _, a := range h.Elastic {
			x.AssociatedEipAddresses.AssociatedEipAddresse = append(x.AssociatedEipAddresses.AssociatedEipAddresse, a.String())
		}
		out.HaVips.HaVip = append(out.HaVips.HaVip, x)
	}
	return out, nil
}

// alternatives is the condition that has to hold beside an earlier one on the same thing. A filter
// whose values are none of those that there are matches nothing, nor do two that have no
// value in common.
func alternatives[T comparable](before []T, values []T, none bool) ([]T, bool) {
	if len(before) > 0 {
		var common []T
		for _, v := range values {
			for _, b := range before {
				if v == b {
					common = append(common, v)
				}
			}
		}
		values = common
	}
	return values, none || len(values) == 0
}

// AssociateHaVip implements Actions.
func (s *Service) AssociateHaVip(ctx context.Context, c identity.Caller, r *AssociateHaVipRequest) (*AssociateHaVipResponse, error) {
	return &AssociateHaVipResponse{}, s.havip.Associate(ctx, c, r.RegionId, r.HaVipId, r.InstanceId)
}

// UnassociateHaVip implements Actions.
func (s *Service) UnassociateHaVip(ctx context.Context, c identity.Caller, r *UnassociateHaVipRequest) (*UnassociateHaVipResponse, error) {
	return &UnassociateHaVipResponse{}, s.havip.Unassociate(ctx, c, r.RegionId, r.HaVipId, r.InstanceId, r.Force)
}

// ModifyHaVipAttribute implements Actions.
func (s *Service) ModifyHaVipAttribute(ctx context.Context, c identity.Caller, r *ModifyHaVipAttributeRequest) (*ModifyHaVipAttributeResponse, error) {
	return &ModifyHaVipAttributeResponse{}, s.havip.Modify(ctx, c, r.RegionId, r.HaVipId, resource.Naming{Name: r.Name, Description: r.Description})
}

// DeleteHaVip implements Actions.
func (s *Service) DeleteHaVip(ctx context.Context, c identity.Caller, r *DeleteHaVipRequest) (*DeleteHaVipResponse, error) {
	return &DeleteHaVipResponse{}, s.havip.Delete(ctx, c, r.RegionId, r.HaVipId)
}
