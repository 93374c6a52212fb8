package aliyun

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sluice/controlplane/eip"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// AllocateEipAddress implements Actions. AutoPay is not looked at: nothing is
// charged here, so an order counts as paid.
func (s *Service) AllocateEipAddress(ctx context.Context, c identity.Caller, r *AllocateEipAddressRequest) (*AllocateEipAddressResponse, error) {
	in := eip.Request{
		Region:    r.RegionId,
		Name:      given(r.Name),
		Bandwidth: r.Bandwidth,
		ByTraffic: *trafficChargeWords.of(&r.InternetChargeType),
		Prepaid:   *eipChargeWords.of(&r.InstanceChargeType),
		Years:     r.PricingCycle == "Year",
		Labels:    labels(r.ResourceGroupId, r.Tag),

		Description: given(r.Description),
	}
	if r.IpAddress != nil {
		in.Address = *r.IpAddress
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
	if err := s.eip.Unassociate(ctx, c, r.AllocationId, b, r.Force); err != nil {
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

// What is the same of all elastic IPs: there is one line and one public network in a
// region, addresses are translated, and nothing is locked, delivered or managed.
const (
	eipLine       = "BGP"
	eipNetwork    = "public"
	eipMode       = "NAT"
	eipNormal     = "Normal"
	eipMonitor    = "OFF"
	createdSince  = "CreationStartTime"
	filterMinutes = "2006-01-02T15:04Z"
)

// DescribeEipAddresses implements Actions.
func (s *Service) DescribeEipAddresses(_ context.Context, c identity.Caller, r *DescribeEipAddressesRequest) (*DescribeEipAddressesResponse, error) {
	f := eip.Filter{
		Region: r.RegionId, Addresses: r.EipAddress, Names: one(r.EipName), Prepaid: one(eipChargeWords.of(r.ChargeType)),
		BoundTypes: one(bindingWords.of(r.AssociatedInstanceType)), BoundIDs: one(r.AssociatedInstanceId),
		Packages: one(r.BandwidthPackageId),
		Labelled: labelled(r.ResourceGroupId, r.Tag),
		// Of what no address has.
		None: differs(r.ISP, eipLine) || r.LockReason != nil || r.PublicIpAddressPoolId != nil ||
			r.SegmentInstanceId != nil || is(r.SecurityProtectionEnabled) || is(r.ServiceManaged),
	}
	if r.AllocationId != nil {
		f.IDs = splitList(*r.AllocationId)
		if len(f.IDs) > 50 {
			return nil, invalidParameter("AllocationId")
		}
	}
	if r.Status != nil {
		i := slices.Index(eipStatus[:], *r.Status)
		f.Statuses, f.None = []eip.Status{eip.Status(i)}, f.None || i < 0
	}
	for i, x := range r.Filter {
		since, err := time.Parse(filterMinutes, x.Value)
		if err != nil {
			if since, err = time.Parse(time.RFC3339, x.Value); err != nil {
				return nil, invalidParameter(fmt.Sprintf("Filter.%d.Value", i+1))
			}
		}
		if since.After(f.Since) {
			f.Since = since
		}
	}
	list, err := s.eip.List(c, f, pageOf(r.PageNumber, r.PageSize))
	if err != nil {
		return nil, err
	}
	answer := &DescribeEipAddressesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, e := range list.Items {
		answer.EipAddresses.EipAddress = append(answer.EipAddresses.EipAddress, s.elasticIP(e))
	}
	return answer, nil
}

func (s *Service) elasticIP(e eip.ElasticIP) DescribeEipAddressesEipAddress {
	x := DescribeEipAddressesEipAddress{
		RegionId:           e.Region,
		IpAddress:          e.Address.String(),
		AllocationId:       e.ID,
		Status:             eipStatus[e.Status],
		Bandwidth:          e.Holds(),
		BandwidthPackageId: e.Package,
		InternetChargeType: trafficChargeWords.wire(e.ByTraffic),
		AllocationTime:     timestamp(e.CreatedAt),
		ChargeType:         eipChargeWords.wire(e.Prepaid),
		Name:               e.Name,
		Descriptpion:       e.Description,
		ExpiredTime:        timestamp(e.Expires),
		ISP:                eipLine,
		Netmode:            eipNetwork,
		Mode:               eipMode,
		BusinessStatus:     eipNormal,
		EipBandwidth:       strconv.Itoa(e.Bandwidth),
		HDMonitorStatus:    eipMonitor,
		DeletionProtection: e.Protected,
		HasReservationData: "false",
		AvailableRegions:   DescribeEipAddressesEipAddressAvailableRegions{[]string{e.Region}},
		ResourceGroupId:    s.tags.Group(e.ElasticIP),
		Tags:               DescribeEipAddressesEipAddressTags{showTags[DescribeEipAddressesEipAddressTag](s.tags.Of(e.ID))},
	}
	if e.Shares != nil {
		x.BandwidthPackageType, x.BandwidthPackageBandwidth = "CommonBandwidthPackage", strconv.Itoa(e.Shares.Bandwidth)
	}
	if e.Binding != nil {
		x.InstanceType, x.InstanceId, x.InstanceRegionId = bindingWords.wire(e.Binding.Type), e.Binding.ID, e.Region
	}
	return x
}

// ModifyEipAddressAttribute implements Actions.
func (s *Service) ModifyEipAddressAttribute(ctx context.Context, c identity.Caller, r *ModifyEipAddressAttributeRequest) (*ModifyEipAddressAttributeResponse, error) {
	in := eip.Change{Naming: resource.Naming{Name: r.Name, Description: r.Description}, Bandwidth: r.Bandwidth}
	if err := s.eip.Modify(ctx, c, r.AllocationId, in); err != nil {
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

// ModifyEipForwardMode implements Actions: the only mode that is served is the one that
// there is.
func (s *Service) ModifyEipForwardMode(_ context.Context, c identity.Caller, r *ModifyEipForwardModeRequest) (*ModifyEipForwardModeResponse, error) {
	_, err := s.eip.ByID(c, r.RegionId, r.InstanceId)
	return &ModifyEipForwardModeResponse{}, err
}

// DescribeHighDefinitionMonitorLogAttribute implements Actions.
func (s *Service) DescribeHighDefinitionMonitorLogAttribute(_ context.Context, c identity.Caller, r *DescribeHighDefinitionMonitorLogAttributeRequest) (*DescribeHighDefinitionMonitorLogAttributeResponse, error) {
	e, err := s.eip.ByID(c, r.RegionId, r.InstanceId)
	if err != nil {
		return nil, err
	}
	return &DescribeHighDefinitionMonitorLogAttributeResponse{InstanceId: e.ID, InstanceType: r.InstanceType, Success: "true"}, nil
}

// SetHighDefinitionMonitorLogStatus implements Actions: what can be asked for is that
// nothing is delivered, as it is.
func (s *Service) SetHighDefinitionMonitorLogStatus(_ context.Context, c identity.Caller, r *SetHighDefinitionMonitorLogStatusRequest) (*SetHighDefinitionMonitorLogStatusResponse, error) {
	if _, err := s.eip.ByID(c, r.RegionId, r.InstanceId); err != nil {
		return nil, err
	}
	return &SetHighDefinitionMonitorLogStatusResponse{Success: "true"}, nil
}
