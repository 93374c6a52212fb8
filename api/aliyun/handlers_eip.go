package aliyun

import (
	"context"

	"sluice/controlplane/eip"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// AllocateEipAddress implements Actions. AutoPay is not looked at: nothing is
// charged here, so an order counts as paid.
func (s *Service) AllocateEipAddress(ctx context.Context, c identity.Caller, r *AllocateEipAddressRequest) (*AllocateEipAddressResponse, error) {
	in := eip.Request{
		Region:    r.RegionId,
		Bandwidth: r.Bandwidth,
		ByTraffic: *trafficChargeWords.of(&r.InternetChargeType),
		Prepaid:   *eipChargeWords.of(&r.InstanceChargeType),
		Years:     r.PricingCycle == "Year",
		Labels:    labels(r.ResourceGroupId, r.Tag),
	}
	if r.Period != nil {
		in.Period = *r.Period
	}
	made, err := s.eip.Allocate(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &AllocateEipAddressResponse{EipAddress: made.Address.String(), AllocationId: made.ID, OrderId: made.Order, ResourceGroupId: groupGiven(c, r.ResourceGroupId)}, nil
}

// AssociateEipAddress implements Actions.
func (s *Service) AssociateEipAddress(ctx context.Context, c identity.Caller, r *AssociateEipAddressRequest) (*AssociateEipAddressResponse, error) {
	b := resource.Binding{Type: *bindingWords.of(&r.InstanceType), ID: r.InstanceId}
	if err := s.eip.Associate(ctx, c, r.AllocationId, b); err != nil {
		return nil, err
	}
	return &AssociateEipAddressResponse{}, nil
}

// UnassociateEipAddress implements Actions.
func (s *Service) UnassociateEipAddress(ctx context.Context, c identity.Caller, r *UnassociateEipAddressRequest) (*UnassociateEipAddressResponse, error) {
	b := resource.Binding{Type: *bindingWords.of(&r.InstanceType), ID: r.InstanceId}
	if err := s.eip.Unassociate(ctx, c, r.AllocationId, b); err != nil {
		return nil, err
	}
	return &UnassociateEipAddressResponse{}, nil
}

// eipStatus are the documents' words, by eip.Status.
var eipStatus = [...]string{
	eip.Available:     "Available",
	eip.Associating:   "Associating",
	eip.InUse:         "InUse",
	eip.Unassociating: "Unassociating",
}

// DescribeEipAddresses implements Actions.
func (s *Service) DescribeEipAddresses(_ context.Context, c identity.Caller, r *DescribeEipAddressesRequest) (*DescribeEipAddressesResponse, error) {
	f := eip.Filter{
		Region: r.RegionId, IDs: one(r.AllocationId), Addresses: one(r.EipAddress),
		BoundTypes: one(bindingWords.of(r.AssociatedInstanceType)), BoundIDs: one(r.AssociatedInstanceId),
		Labelled: labelled(r.ResourceGroupId, r.Tag),
	}
	for i, word := range eipStatus {
		if given(r.Status) == word {
			f.Statuses = []eip.Status{eip.Status(i)}
		}
	}
	list, err := s.eip.List(c, f, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeEipAddressesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, e := range list.Items {
		x := DescribeEipAddressesEipAddress{
			RegionId:           e.Region,
			IpAddress:          e.Address.String(),
			AllocationId:       e.ID,
			Status:             eipStatus[e.Status],
			Bandwidth:          e.Bandwidth,
			InternetChargeType: trafficChargeWords.wire(e.ByTraffic),
			AllocationTime:     timestamp(e.CreatedAt),
			ChargeType:         eipChargeWords.wire(e.Prepaid),
			ExpiredTime:        timestamp(e.Expires),
			ResourceGroupId:    s.tags.Group(e.ElasticIP),
			Tags:               DescribeEipAddressesEipAddressTags{showTags[DescribeEipAddressesEipAddressTag](s.tags.Of(e.ID))},
		}
		if e.Binding != nil {
			x.InstanceType, x.InstanceId = bindingWords.wire(e.Binding.Type), e.Binding.ID
		}
		answer.EipAddresses.EipAddress = append(answer.EipAddresses.EipAddress, x)
	}
	return answer, nil
}

// ModifyEipAddressAttribute implements Actions.
func (s *Service) ModifyEipAddressAttribute(ctx context.Context, c identity.Caller, r *ModifyEipAddressAttributeRequest) (*ModifyEipAddressAttributeResponse, error) {
	if err := s.eip.ModifyBandwidth(ctx, c, r.AllocationId, r.Bandwidth); err != nil {
		return nil, err
	}
	return &ModifyEipAddressAttributeResponse{}, nil
}

// ReleaseEipAddress implements Actions.
func (s *Service) ReleaseEipAddress(ctx context.Context, c identity.Caller, r *ReleaseEipAddressRequest) (*ReleaseEipAddressResponse, error) {
	if err := s.eip.Release(ctx, c, r.AllocationId); err != nil {
		return nil, err
	}
	return &ReleaseEipAddressResponse{}, nil
}
