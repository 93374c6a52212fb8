package aliyun

import (
	"context"
	"errors"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// Every gateway is paid as it is used, works, and is of the ordinary type:
// what the documents know beyond that is of the cloud's billing, or of types
// that these actions can't make.
const (
	chargePostPaid = "PostPaid"
	chargeBySpec   = "PayBySpec"
	businessNormal = "Normal"
	natTypeNormal  = "Normal"
)

// CreateNatGateway implements Actions.
func (s *Service) CreateNatGateway(ctx context.Context, c identity.Caller, r *CreateNatGatewayRequest) (*CreateNatGatewayResponse, error) {
	in := nat.Gateway{
		Region:      r.RegionId,
		VPC:         r.VpcId,
		Limits:      *specWords.of(&r.Spec),
		Name:        given(r.Name),
		Description: given(r.Description),
		Labels:      labels(nil, r.Tag),
	}
	for _, p := range r.BandwidthPackage {
		in.BandwidthPackages = append(in.BandwidthPackages, nat.BandwidthPackage{Addresses: p.IpCount, Bandwidth: p.Bandwidth, Zone: given(p.Zone)})
	}
	g, err := s.nat.CreateGateway(ctx, c, in)
	if errors.Is(err, &fault.Error{Reason: fault.ParameterNotApplicable}) {
		return nil, unsupportedParameter("BandwidthPackage.1.IpCount")
	}
	if err != nil {
		return nil, err
	}
	return &CreateNatGatewayResponse{
		NatGatewayId:    g.ID,
		ForwardTableIds: CreateNatGatewayForwardTableIds{ForwardTableId: []string{g.ForwardTable}},
		SnatTableIds:    CreateNatGatewaySnatTableIds{SnatTableId: []string{g.SNATTable}},
	}, nil
}

// DescribeNatGateways implements Actions.
func (s *Service) DescribeNatGateways(_ context.Context, c identity.Caller, r *DescribeNatGatewaysRequest) (*DescribeNatGatewaysResponse, error) {
	q := nat.GatewayQuery{
		Region: r.RegionId,
		IDs:    one(r.NatGatewayId),
		VPCs:   one(r.VpcId),
		Names:  one(r.Name),
		// There are no subscriptions.
		None:     differs(r.InstanceChargeType, chargePostPaid) || differs(r.NatType, natTypeNormal),
		Labelled: labelled(r.ResourceGroupId, r.Tag),
		Page:     pageOf(r.PageNumber, r.PageSize),
	}
	if r.Spec != nil {
		// A gateway of specification XLarge.1 may be asked for, and none can be made.
		limits, ok := specWords.find(*r.Spec)
		q.Limits, q.None = []dataplane.Limits{limits}, q.None || !ok
	}
	list, err := s.nat.Gateways(c, q)
	if err != nil {
		return nil, err
	}
	out := &DescribeNatGatewaysResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, g := range list.Items {
		out.NatGateways.NatGateway = append(out.NatGateways.NatGateway, s.natGateway(g))
	}
	return out, nil
}

func (s *Service) natGateway(g nat.GatewayStatus) DescribeNatGatewaysNatGateway {
	out := DescribeNatGatewaysNatGateway{
		NatGatewayId:       g.ID,
		RegionId:           g.Region,
		Name:               g.Name,
		Description:        g.Description,
		VpcId:              g.VPC,
		Spec:               specWords.wire(g.Limits),
		InstanceChargeType: chargePostPaid,
		BusinessStatus:     businessNormal,
		CreationTime:       timestamp(g.CreatedAt),
		Status:             gatewayStatus(g.Phase),
		NatType:            natTypeNormal,
		InternetChargeType: chargeBySpec,
		ResourceGroupId:    s.tags.Group(g.NATGateway),
		ForwardTableIds:    DescribeNatGatewaysNatGatewayForwardTableIds{ForwardTableId: []string{g.ForwardTable}},
		SnatTableIds:       DescribeNatGatewaysNatGatewaySnatTableIds{SnatTableId: []string{g.SNATTable}},
	}
	for _, t := range s.tags.Of(g.ID) {
		out.Tags.Tag = append(out.Tags.Tag, DescribeNatGatewaysNatGatewayTag{TagKey: t.Key, TagValue: t.Value})
	}
	for _, a := range g.Addresses {
		out.IpLists.IpList = append(out.IpLists.IpList, DescribeNatGatewaysNatGatewayIpList{
			IpAddress:    a.Address.String(),
			AllocationId: a.ID,
			UsingStatus:  usingStatus(a.Use),
		})
	}
	return out
}

// ModifyNatGatewaySpec implements Actions.
func (s *Service) ModifyNatGatewaySpec(ctx context.Context, c identity.Caller, r *ModifyNatGatewaySpecRequest) (*ModifyNatGatewaySpecResponse, error) {
	return &ModifyNatGatewaySpecResponse{}, s.nat.ModifyLimits(ctx, c, r.RegionId, r.NatGatewayId, *specWords.of(&r.Spec))
}

// ModifyNatGatewayAttribute implements Actions.
func (s *Service) ModifyNatGatewayAttribute(ctx context.Context, c identity.Caller, r *ModifyNatGatewayAttributeRequest) (*ModifyNatGatewayAttributeResponse, error) {
	return &ModifyNatGatewayAttributeResponse{}, s.nat.ModifyGatewayAttributes(ctx, c, nat.GatewayAttributes{
		Region:      r.RegionId,
		ID:          r.NatGatewayId,
		Name:        r.Name,
		Description: r.Description,
	})
}

// DeleteNatGateway implements Actions.
func (s *Service) DeleteNatGateway(ctx context.Context, c identity.Caller, r *DeleteNatGatewayRequest) (*DeleteNatGatewayResponse, error) {
	return &DeleteNatGatewayResponse{}, s.nat.DeleteGateway(ctx, c, r.RegionId, r.NatGatewayId, r.Force != nil && *r.Force)
}

func gatewayStatus(p resource.Phase) string {
	switch p {
	case resource.Creating:
		return "Initiating"
	case resource.Changing:
		return "Pending"
	}
	return "Available"
}

func usingStatus(u nat.AddressUse) string {
	switch u {
	case nat.UsedBySNAT:
		return "UsedBySnatTable"
	case nat.UsedByDNAT:
		return "UsedByForwardTable"
	}
	return "Idle"
}

// differs says whether a parameter was given with another value than v.
func differs(p *string, v string) bool { return p != nil && *p != v }
