package aliyun

import (
	"context"

	"sluice/controlplane/bandwidth"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// CreateCommonBandwidthPackage implements Actions.
func (s *Service) CreateCommonBandwidthPackage(ctx context.Context, c identity.Caller, r *CreateCommonBandwidthPackageRequest) (*CreateCommonBandwidthPackageResponse, error) {
	in := bandwidth.Package{
		Region: r.RegionId, Name: given(r.Name), Description: given(r.Description),
		Bandwidth: r.Bandwidth, Charge: *packageChargeWords.of(&r.InternetChargeType),
		Labels: labels(r.ResourceGroupId, r.Tag),
	}
	if r.Ratio != nil {
		in.Ratio = *r.Ratio
	}
	id, err := s.bandwidth.Create(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &CreateCommonBandwidthPackageResponse{BandwidthPackageId: id, ResourceGroupId: groupGiven(c, r.ResourceGroupId)}, nil
}

// ModifyCommonBandwidthPackageAttribute implements Actions.
func (s *Service) ModifyCommonBandwidthPackageAttribute(ctx context.Context, c identity.Caller, r *ModifyCommonBandwidthPackageAttributeRequest) (*ModifyCommonBandwidthPackageAttributeResponse, error) {
	naming := resource.Naming{Name: r.Name, Description: r.Description}
	return &ModifyCommonBandwidthPackageAttributeResponse{}, s.bandwidth.Modify(ctx, c, r.RegionId, r.BandwidthPackageId, naming)
}

// ModifyCommonBandwidthPackageSpec implements Actions.
func (s *Service) ModifyCommonBandwidthPackageSpec(ctx context.Context, c identity.Caller, r *ModifyCommonBandwidthPackageSpecRequest) (*ModifyCommonBandwidthPackageSpecResponse, error) {
	return &ModifyCommonBandwidthPackageSpecResponse{}, s.bandwidth.ModifyBandwidth(ctx, c, r.RegionId, r.BandwidthPackageId, r.Bandwidth)
}

// DeleteCommonBandwidthPackage implements Actions.
func (s *Service) DeleteCommonBandwidthPackage(ctx context.Context, c identity.Caller, r *DeleteCommonBandwidthPackageRequest) (*DeleteCommonBandwidthPackageResponse, error) {
	return &DeleteCommonBandwidthPackageResponse{}, s.bandwidth.Delete(ctx, c, r.RegionId, r.BandwidthPackageId, r.Force)
}

// AddCommonBandwidthPackageIp implements Actions.
func (s *Service) AddCommonBandwidthPackageIp(ctx context.Context, c identity.Caller, r *AddCommonBandwidthPackageIpRequest) (*AddCommonBandwidthPackageIpResponse, error) {
	return &AddCommonBandwidthPackageIpResponse{}, s.bandwidth.Add(ctx, c, r.RegionId, r.BandwidthPackageId, r.IpInstanceId)
}

// AddCommonBandwidthPackageIps implements Actions.
func (s *Service) AddCommonBandwidthPackageIps(ctx context.Context, c identity.Caller, r *AddCommonBandwidthPackageIpsRequest) (*AddCommonBandwidthPackageIpsResponse, error) {
	return &AddCommonBandwidthPackageIpsResponse{}, s.bandwidth.Add(ctx, c, r.RegionId, r.BandwidthPackageId, r.IpInstanceIds...)
}

// RemoveCommonBandwidthPackageIp implements Actions.
func (s *Service) RemoveCommonBandwidthPackageIp(ctx context.Context, c identity.Caller, r *RemoveCommonBandwidthPackageIpRequest) (*RemoveCommonBandwidthPackageIpResponse, error) {
	return &RemoveCommonBandwidthPackageIpResponse{}, s.bandwidth.Remove(ctx, c, r.RegionId, r.BandwidthPackageId, r.IpInstanceId)
}

// ModifyCommonBandwidthPackageIpBandwidth implements Actions.
func (s *Service) ModifyCommonBandwidthPackageIpBandwidth(ctx context.Context, c identity.Caller, r *ModifyCommonBandwidthPackageIpBandwidthRequest) (*ModifyCommonBandwidthPackageIpBandwidthResponse, error) {
	return &ModifyCommonBandwidthPackageIpBandwidthResponse{}, s.bandwidth.Cap(ctx, c, r.RegionId, r.BandwidthPackageId, r.EipId, r.Bandwidth)
}

// CancelCommonBandwidthPackageIpBandwidth implements Actions.
func (s *Service) CancelCommonBandwidthPackageIpBandwidth(ctx context.Context, c identity.Caller, r *CancelCommonBandwidthPackageIpBandwidthRequest) (*CancelCommonBandwidthPackageIpBandwidthResponse, error) {
	return &CancelCommonBandwidthPackageIpBandwidthResponse{}, s.bandwidth.Cap(ctx, c, r.RegionId, r.BandwidthPackageId, r.EipId, 0)
}

// DescribeCommonBandwidthPackages implements Actions.
func (s *Service) DescribeCommonBandwidthPackages(_ context.Context, c identity.Caller, r *DescribeCommonBandwidthPackagesRequest) (*DescribeCommonBandwidthPackagesResponse, error) {
	list, err := s.bandwidth.List(c, bandwidth.Query{
		Region: r.RegionId, IDs: one(r.BandwidthPackageId), Names: one(r.Name), None: is(r.SecurityProtectionEnabled),
		Labelled: labelled(r.ResourceGroupId, r.Tag), Page: pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	answer := &DescribeCommonBandwidthPackagesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, p := range list.Items {
		answer.CommonBandwidthPackages.CommonBandwidthPackage = append(answer.CommonBandwidthPackages.CommonBandwidthPackage, s.commonPackage(p))
	}
	return answer, nil
}

func (s *Service) commonPackage(p bandwidth.Status) DescribeCommonBandwidthPackagesCommonBandwidthPackage {
	x := DescribeCommonBandwidthPackagesCommonBandwidthPackage{
		BandwidthPackageId: p.ID,
		Name:               p.Name,
		Description:        p.Description,
		Bandwidth:          p.Bandwidth,
		InternetChargeType: packageChargeWords.wire(p.Charge),
		Ratio:              p.Ratio,
		RegionId:           p.Region,
		Status:             "Available",
		CreationTime:       timestamp(p.CreatedAt),
		InstanceChargeType: eipChargeWords.wire(false),
		BusinessStatus:     eipNormal,
		ISP:                eipLine,
		DeletionProtection: p.Protected,
		ResourceGroupId:    s.tags.Group(p.CommonPackage),
		Tags:               DescribeCommonBandwidthPackagesCommonBandwidthPackageTags{showTags[DescribeCommonBandwidthPackagesCommonBandwidthPackageTag](s.tags.Of(p.ID))},
	}
	if !p.Followed {
		x.Status = "Modifying"
	}
	for _, a := range p.Addresses {
		relation := "BINDED"
		if !a.Followed {
			relation = "BINDING"
		}
		x.PublicIpAddresses.PublicIpAddress = append(x.PublicIpAddresses.PublicIpAddress, DescribeCommonBandwidthPackagesCommonBandwidthPackagePublicIpAddress{
			IpAddress: a.Address.String(), AllocationId: a.ID, BandwidthPackageIpRelationStatus: relation,
		})
	}
	return x
}
