package aliyun

import (
	"context"
	"strconv"

	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/resource"
)

// CreateBandwidthPackage implements Actions.
func (s *Service) CreateBandwidthPackage(ctx context.Context, c identity.Caller, r *CreateBandwidthPackageRequest) (*CreateBandwidthPackageResponse, error) {
	id, err := s.nat.CreatePackage(ctx, c, nat.BandwidthPackage{
		Region: r.RegionId, Gateway: r.NatGatewayId, Addresses: r.IpCount, Bandwidth: r.Bandwidth, Zone: given(r.Zone),
		Name: given(r.Name), Description: given(r.Description), ByTraffic: *trafficChargeWords.of(&r.InternetChargeType),
	})
	if err != nil {
		return nil, err
	}
	return &CreateBandwidthPackageResponse{BandwidthPackageId: id}, nil
}

// ModifyBandwidthPackageAttribute implements Actions.
func (s *Service) ModifyBandwidthPackageAttribute(ctx context.Context, c identity.Caller, r *ModifyBandwidthPackageAttributeRequest) (*ModifyBandwidthPackageAttributeResponse, error) {
	naming := resource.Naming{Name: r.Name, Description: r.Description}
	return &ModifyBandwidthPackageAttributeResponse{}, s.nat.ModifyPackage(ctx, c, r.RegionId, r.BandwidthPackageId, naming)
}

// ModifyBandwidthPackageSpec implements Actions.
func (s *Service) ModifyBandwidthPackageSpec(ctx context.Context, c identity.Caller, r *ModifyBandwidthPackageSpecRequest) (*ModifyBandwidthPackageSpecResponse, error) {
	return &ModifyBandwidthPackageSpecResponse{}, s.nat.ModifyPackageBandwidth(ctx, c, r.RegionId, r.BandwidthPackageId, r.Bandwidth)
}

// AddBandwidthPackageIps implements Actions.
func (s *Service) AddBandwidthPackageIps(ctx context.Context, c identity.Caller, r *AddBandwidthPackageIpsRequest) (*AddBandwidthPackageIpsResponse, error) {
	return &AddBandwidthPackageIpsResponse{}, s.nat.GrowPackage(ctx, c, r.RegionId, r.BandwidthPackageId, r.IpCount)
}

// RemoveBandwidthPackageIps implements Actions.
func (s *Service) RemoveBandwidthPackageIps(ctx context.Context, c identity.Caller, r *RemoveBandwidthPackageIpsRequest) (*RemoveBandwidthPackageIpsResponse, error) {
	return &RemoveBandwidthPackageIpsResponse{}, s.nat.ShrinkPackage(ctx, c, r.RegionId, r.BandwidthPackageId, r.RemovedIpAddresses)
}

// DeleteBandwidthPackage implements Actions.
func (s *Service) DeleteBandwidthPackage(ctx context.Context, c identity.Caller, r *DeleteBandwidthPackageRequest) (*DeleteBandwidthPackageResponse, error) {
	return &DeleteBandwidthPackageResponse{}, s.nat.DeletePackage(ctx, c, r.RegionId, r.BandwidthPackageId, r.Force)
}

// ConvertBandwidthPackage implements Actions.
func (s *Service) ConvertBandwidthPackage(ctx context.Context, c identity.Caller, r *ConvertBandwidthPackageRequest) (*ConvertBandwidthPackageResponse, error) {
	id, err := s.nat.ConvertPackage(ctx, c, r.RegionId, r.BandwidthPackageId)
	if err != nil {
		return nil, err
	}
	return &ConvertBandwidthPackageResponse{ConvertInstanceId: id}, nil
}

// DescribeBandwidthPackages implements Actions.
func (s *Service) DescribeBandwidthPackages(_ context.Context, c identity.Caller, r *DescribeBandwidthPackagesRequest) (*DescribeBandwidthPackagesResponse, error) {
	list, err := s.nat.Packages(c, nat.PackageQuery{
		Region: r.RegionId, IDs: one(r.BandwidthPackageId), Gateways: one(r.NatGatewayId), Page: pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	answer := &DescribeBandwidthPackagesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, p := range list.Items {
		answer.BandwidthPackages.BandwidthPackage = append(answer.BandwidthPackages.BandwidthPackage, natPackage(p))
	}
	return answer, nil
}

func natPackage(p nat.PackageStatus) DescribeBandwidthPackagesBandwidthPackage {
	x := DescribeBandwidthPackagesBandwidthPackage{
		BandwidthPackageId: p.ID,
		RegionId:           p.Region,
		ZoneId:             p.Zone,
		NatGatewayId:       p.Gateway,
		Name:               p.Name,
		Description:        p.Description,
		Bandwidth:          strconv.Itoa(p.Bandwidth),
		IpCount:            strconv.Itoa(len(p.Addresses)),
		ISP:                eipLine,
		InstanceChargeType: chargePostPaid,
		InternetChargeType: trafficChargeWords.wire(p.ByTraffic),
		Status:             pendingOrAvailable(p.Phase),
		BusinessStatus:     businessNormal,
		CreationTime:       timestamp(p.CreatedAt),
	}
	for _, a := range p.Addresses {
		x.PublicIpAddresses.PublicIpAdresse = append(x.PublicIpAddresses.PublicIpAdresse, DescribeBandwidthPackagesBandwidthPackagePublicIpAdresse{
			AllocationId: a.ID, IpAddress: a.Address.String(), UsingStatus: usingStatus(a.Use),
		})
	}
	return x
}
