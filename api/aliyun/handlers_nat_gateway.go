package aliyun

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/resource"
)

// Every gateway is paid as it is used, works, and leads to the public network: what the
// documents know beyond that is of the cloud's billing.
const (
	chargePostPaid  = "PostPaid"
	businessNormal  = "Normal"
	networkInternet = "internet"
	specSmall       = "Small"
)

// CreateNatGateway implements Actions.
func (s *Service) CreateNatGateway(ctx context.Context, c identity.Caller, r *CreateNatGatewayRequest) (*CreateNatGatewayResponse, error) {
	in := nat.Gateway{
		Region:      r.RegionId,
		VPC:         r.VpcId,
		Enhanced:    r.NatType == nil && r.VSwitchId != nil || is(natTypeWords.of(r.NatType)),
		VSwitch:     given(r.VSwitchId),
		AddressEach: is(natBindWords.of(r.EipBindMode)),
		NoRoute:     !r.IsCreateDefaultRoute,
		Name:        given(r.Name),
		Description: given(r.Description),
		Labels:      labels(nil, r.Tag),
	}
	in.EchoReply = in.Enhanced
	if r.IcmpReplyEnabled != nil {
		in.EchoReply = *r.IcmpReplyEnabled
	}
	in.ByUse = in.Enhanced && r.Spec == nil
	if r.InternetChargeType != nil {
		in.ByUse = *natChargeWords.of(r.InternetChargeType)
	}
	switch {
	case in.ByUse && !in.Enhanced:
		return nil, notServed("InternetChargeType", unserved{served: []string{"PayBySpec"}, why: "a gateway of NatType Normal is charged by its specification"})
	case in.ByUse && r.Spec != nil:
		return nil, notServed("Spec", unserved{why: "a gateway that is charged by what goes through it has no specification"})
	case !r.IsCreateDefaultRoute && !in.Enhanced:
		return nil, notServed("IsCreateDefaultRoute", unserved{served: []string{"true"}, why: "a gateway of NatType Normal is the way to everywhere"})
	case !in.ByUse:
		small := specSmall
		in.Limits = *specWords.of(cmp.Or(r.Spec, &small))
	}
	for _, p := range r.BandwidthPackage {
		charge := trafficChargeWords.of(p.InternetChargeType)
		in.BandwidthPackages = append(in.BandwidthPackages, nat.BandwidthPackage{Addresses: p.IpCount, Bandwidth: p.Bandwidth, Zone: given(p.Zone), ByTraffic: charge == nil || *charge})
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

		BandwidthPackageIds: CreateNatGatewayBandwidthPackageIds{BandwidthPackageId: g.Packages},
	}, nil
}

// DescribeNatGateways implements Actions.
func (s *Service) DescribeNatGateways(_ context.Context, c identity.Caller, r *DescribeNatGatewaysRequest) (*DescribeNatGatewaysResponse, error) {
	q := nat.GatewayQuery{
		Region: r.RegionId,
		IDs:    one(r.NatGatewayId),
		VPCs:   one(r.VpcId),
		Names:  one(r.Name),

		Limits:    one(specWords.of(r.Spec)),
		Enhanced:  one(natTypeWords.of(r.NatType)),
		VSwitches: one(r.VSwitchId),
		Zones:     one(r.ZoneId),
		// There are no subscriptions, and nothing but the public network is led to.
		None:     differs(r.InstanceChargeType, chargePostPaid) || differs(r.NetworkType, networkInternet) || is(r.PrivateLinkEnabled),
		Labelled: labelled(r.ResourceGroupId, r.Tag),
		Page:     pageOf(r.PageNumber, r.PageSize),
	}
	if len(r.NatGatewayIds) > 0 {
		q.None = q.None || r.NatGatewayId != nil && !slices.Contains(r.NatGatewayIds, *r.NatGatewayId)
		if r.NatGatewayId == nil {
			q.IDs = r.NatGatewayIds
		}
	}
	if r.Status != nil {
		phase, ok := natPhases[*r.Status]
		q.Phases, q.None = []resource.Phase{phase}, q.None || !ok
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

// natPhases are the states that a gateway may be asked for by: the documents', and today's
// clients' other words for them.
var natPhases = map[string]resource.Phase{
	"Initiating": resource.Creating, "Creating": resource.Creating,
	"Pending": resource.Changing, "Modifying": resource.Changing,
	"Available": resource.Ready,
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
		NatType:            natTypeWords.wire(g.Enhanced()),
		InternetChargeType: natChargeWords.wire(g.ByUse),
		NetworkType:        networkInternet,
		IcmpReplyEnabled:   g.EchoReply,
		EipBindMode:        natBindWords.wire(g.AddressEach),
		EcsMetricEnabled:   true,
		EnableSessionLog:   "false",
		DeletionProtection: g.Protected,
		ResourceGroupId:    s.tags.Group(g.NATGateway),
		ForwardTableIds:    DescribeNatGatewaysNatGatewayForwardTableIds{ForwardTableId: []string{g.ForwardTable}},
		SnatTableIds:       DescribeNatGatewaysNatGatewaySnatTableIds{SnatTableId: []string{g.SNATTable}},
	}
	out.BandwidthPackageIds.BandwidthPackageId = g.Packages
	for _, t := range s.tags.Of(g.ID) {
		out.Tags.Tag = append(out.Tags.Tag, DescribeNatGatewaysNatGatewayTag{TagKey: t.Key, TagValue: t.Value})
	}
	out.NatGatewayPrivateInfo = &DescribeNatGatewaysNatGatewayNatGatewayPrivateInfo{} // clients read it without asking whether it is there
	if v := g.Within; v != nil {
		out.NatGatewayPrivateInfo = &DescribeNatGatewaysNatGatewayNatGatewayPrivateInfo{
			VswitchId: v.ID, PrivateIpAddress: v.Gateway().String(), IzNo: v.Zone,
			MaxSessionQuota: g.Holds.Connections, MaxSessionEstablishRate: g.Holds.NewPerSecond,
		}
	}
	for _, a := range g.Addresses {
		out.IpLists.IpList = append(out.IpLists.IpList, DescribeNatGatewaysNatGatewayIpList{
			IpAddress:    a.Address.String(),
			AllocationId: a.ID,
			UsingStatus:  usingStatus(a.Use),

			SnatEntryEnabled: a.Shareable,
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
		EchoReply:   r.IcmpReplyEnabled,
		AddressEach: natBindWords.of(r.EipBindMode),
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
	case nat.UsedByBoth:
		return "UsedByForwardSnatTable"
	}
	return "Idle"
}

// differs says whether a parameter was given with another value than v.
func differs(p *string, v string) bool { return p != nil && *p != v }
