package aliyun

import (
	"context"

	"sluice/controlplane/identity"
)

// GetNatGatewayAttribute implements Actions.
func (s *Service) GetNatGatewayAttribute(_ context.Context, c identity.Caller, r *GetNatGatewayAttributeRequest) (*GetNatGatewayAttributeResponse, error) {
	g, err := s.nat.GatewayByID(c, r.RegionId, r.NatGatewayId)
	if err != nil {
		return nil, err
	}
	out := &GetNatGatewayAttributeResponse{
		NatGatewayId:     g.ID,
		RegionId:         g.Region,
		VpcId:            g.VPC,
		Name:             g.Name,
		Description:      g.Description,
		NatType:          natTypeWords.wire(g.Enhanced()),
		NetworkType:      networkInternet,
		Status:           gatewayStatus(g.Phase),
		BusinessStatus:   businessNormal,
		CreationTime:     timestamp(g.CreatedAt),
		EcsMetricEnabled: true,
		ForwardTable:     &GetNatGatewayAttributeForwardTable{ForwardTableId: g.ForwardTable, ForwardEntryCount: g.Forwards},
		SnatTable:        &GetNatGatewayAttributeSnatTable{SnatTableId: g.SNATTable, SnatEntryCount: g.SNATs},
		BillingConfig: &GetNatGatewayAttributeBillingConfig{
			InternetChargeType: natChargeWords.wire(g.ByUse), InstanceChargeType: chargePostPaid, Spec: specWords.wire(g.Limits),
		},
		DeletionProtectionInfo: &GetNatGatewayAttributeDeletionProtectionInfo{Enabled: g.Protected},
	}
	out.PrivateInfo = &GetNatGatewayAttributePrivateInfo{} // read without asking whether it is there
	if v := g.Within; v != nil {
		out.PrivateInfo = &GetNatGatewayAttributePrivateInfo{VswitchId: v.ID, PrivateIpAddress: v.Gateway().String(), IzNo: v.Zone}
	}
	for _, a := range g.Addresses {
		out.IpList = append(out.IpList, GetNatGatewayAttributeIpListItem{IpAddress: a.Address.String(), AllocationId: a.ID, UsingStatus: usingStatus(a.Use)})
	}
	return out, nil
}

// UpdateNatGatewayNatType implements Actions.
func (s *Service) UpdateNatGatewayNatType(ctx context.Context, c identity.Caller, r *UpdateNatGatewayNatTypeRequest) (*UpdateNatGatewayNatTypeResponse, error) {
	if err := s.nat.Enhance(ctx, c, r.RegionId, r.NatGatewayId, r.VSwitchId, r.DryRun); err != nil {
		return nil, err
	}
	if r.DryRun {
		return nil, dryRunOperation()
	}
	return &UpdateNatGatewayNatTypeResponse{}, nil
}

// ListEnhanhcedNatGatewayAvailableZones implements Actions. An enhanced gateway can be in
// every zone, as zones have no part in where traffic goes.
func (s *Service) ListEnhanhcedNatGatewayAvailableZones(_ context.Context, _ identity.Caller, r *ListEnhanhcedNatGatewayAvailableZonesRequest) (*ListEnhanhcedNatGatewayAvailableZonesResponse, error) {
	zones, err := s.network.Zones(r.RegionId)
	if err != nil {
		return nil, err
	}
	out := &ListEnhanhcedNatGatewayAvailableZonesResponse{}
	for _, f := range r.Filter {
		if f.Value {
			return out, nil // there is no PrivateLink
		}
	}
	for _, z := range zones {
		out.Zones = append(out.Zones, ListEnhanhcedNatGatewayAvailableZonesZone{ZoneId: z.ID, LocalName: z.LocalName})
	}
	return out, nil
}
