package tencent3

import (
	"context"

	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// The document's words for how a VPN gateway is charged.
const (
	prepaidWord     = "PREPAID"
	byUseWord       = "POSTPAID_BY_HOUR"
	autoRenewWord   = "NOTIFY_AND_AUTO_RENEW"
	manualRenewWord = "NOTIFY_AND_MANUAL_RENEW"
)

// CreateVpnGateway implements Actions. An order of a prepaid gateway counts as paid.
func (s *Service) CreateVpnGateway(ctx context.Context, c Caller, r *CreateVpnGatewayRequest) (*CreateVpnGatewayResponse, error) {
	in := vpn.Gateway{
		Region: c.Region, VPC: r.VpcId, Name: r.VpnGatewayName, Bandwidth: r.InternetMaxBandwidthOut, IPsec: true, Prepaid: r.InstanceChargeType == prepaidWord,
	}
	if p := r.InstanceChargePrepaid; p != nil && in.Prepaid {
		in.Period, in.AutoRenew = given(p.Period), p.RenewFlag == autoRenewWord
	}
	made, err := s.vpn.CreateGateway(ctx, c.Caller, in)
	if err != nil {
		return nil, err
	}
	g, err := s.vpn.Gateway(c.Caller, c.Region, made.ID)
	if err != nil {
		return nil, err
	}
	return &CreateVpnGatewayResponse{VpnGateway: vpnGateway(g)}, nil
}

// DescribeVpnGateways implements Actions.
func (s *Service) DescribeVpnGateways(_ context.Context, c Caller, r *DescribeVpnGatewaysRequest) (*DescribeVpnGatewaysResponse, error) {
	q := vpn.GatewayQuery{Region: c.Region, IDs: r.VpnGatewayIds, Page: pageOf(r.Offset, r.Limit)}
	refused := listed("VpnGatewayIds", r.VpnGatewayIds, r.Filters)
	if refused == nil {
		q.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"vpn-gateway-id": texts(&q.IDs), "vpn-gateway-name": texts(&q.Names), "vpc-id": texts(&q.VPCs), "public-ip-address": texts(&q.Addresses),
			"type": choice("type", map[string]bool{"IPSEC": true, "SSL": false}, &q.IPsec), "renew-flag": choice("renew-flag", map[string]bool{autoRenewWord: true, manualRenewWord: false}, &q.Renews),
		})
	}
	if refused != nil {
		return nil, refused
	}
	list, err := s.vpn.Gateways(c.Caller, q)
	if err != nil {
		return nil, err
	}
	if found("VPN gateway", r.VpnGatewayIds, list.Total) != nil {
		return nil, refusal("InvalidVpnGatewayId.NotFound", "Not every VPN gateway of the ids is there.")
	}
	out := &DescribeVpnGatewaysResponse{TotalCount: int64(list.Total)}
	for _, g := range list.Items {
		out.VpnGatewaySet = append(out.VpnGatewaySet, vpnGateway(g))
	}
	return out, nil
}

// vpnGateway shows a gateway. Nobody is charged, so none is isolated, and no address is
// blocked.
func vpnGateway(g vpn.GatewayStatus) VpnGateway {
	out := VpnGateway{
		VpnGatewayId: g.ID, VpcId: g.VPC, VpnGatewayName: g.Name, Type: "IPSEC", State: stateOf(g.Phase), RenewFlag: manualRenewWord, InstanceChargeType: byUseWord,
		InternetMaxBandwidthOut: int64(g.Bandwidth), CreatedTime: timestamp(g.CreatedAt), ExpiredTime: "0000-00-00 00:00:00", RestrictState: "NORMAL",
	}
	if !g.IPsec {
		out.Type = "SSL"
	}
	if g.Phase != resource.Creating {
		out.PublicIpAddress = g.Address.String()
	}
	if !g.Prepaid {
		return out
	}
	out.InstanceChargeType, out.ExpiredTime = prepaidWord, timestamp(g.Expires)
	if g.Period > 0 {
		out.RenewFlag = autoRenewWord
	}
	if g.ByUseNext {
		out.NewPurchasePlan = "PREPAID_TO_POSTPAID"
	}
	return out
}

// stateOf is the document's word for how far the dataplane has followed. What is deleted is
// gone at once: nothing is ever DELETING.
func stateOf(p resource.Phase) string {
	if p == resource.Creating {
		return "PENDING"
	}
	return "AVAILABLE"
}

// ModifyVpnGatewayAttribute implements Actions. The catalog lets no other charge type pass
// than POSTPAID_BY_HOUR.
func (s *Service) ModifyVpnGatewayAttribute(ctx context.Context, c Caller, r *ModifyVpnGatewayAttributeRequest) (*ModifyVpnGatewayAttributeResponse, error) {
	_, err := s.vpn.ModifyGateway(ctx, c.Caller, vpn.GatewayAttributes{Region: c.Region, ID: r.VpnGatewayId, Name: r.VpnGatewayName, ByUseNext: r.InstanceChargeType != nil})
	return &ModifyVpnGatewayAttributeResponse{}, err
}

// DeleteVpnGateway implements Actions.
func (s *Service) DeleteVpnGateway(ctx context.Context, c Caller, r *DeleteVpnGatewayRequest) (*DeleteVpnGatewayResponse, error) {
	return &DeleteVpnGatewayResponse{}, s.vpn.DeleteGateway(ctx, c.Caller, c.Region, r.VpnGatewayId)
}

// RenewVpnGateway implements Actions.
func (s *Service) RenewVpnGateway(ctx context.Context, c Caller, r *RenewVpnGatewayRequest) (*RenewVpnGatewayResponse, error) {
	p := r.InstanceChargePrepaid
	return &RenewVpnGatewayResponse{}, s.vpn.RenewGateway(ctx, c.Caller, c.Region, r.VpnGatewayId, p.Period, p.RenewFlag == autoRenewWord)
}

// ResetVpnGatewayInternetMaxBandwidth implements Actions.
func (s *Service) ResetVpnGatewayInternetMaxBandwidth(ctx context.Context, c Caller, r *ResetVpnGatewayInternetMaxBandwidthRequest) (*ResetVpnGatewayInternetMaxBandwidthResponse, error) {
	return &ResetVpnGatewayInternetMaxBandwidthResponse{}, s.vpn.ResizeGateway(ctx, c.Caller, c.Region, r.VpnGatewayId, r.InternetMaxBandwidthOut)
}

// InquiryPriceCreateVpnGateway implements Actions.
func (s *Service) InquiryPriceCreateVpnGateway(_ context.Context, c Caller, r *InquiryPriceCreateVpnGatewayRequest) (*InquiryPriceCreateVpnGatewayResponse, error) {
	months := 0
	if r.InstanceChargePrepaid != nil {
		months = given(r.InstanceChargePrepaid.Period)
	}
	p, err := s.vpn.PriceOfGateway(c.Region, r.InstanceChargeType == prepaidWord, months, r.InternetMaxBandwidthOut)
	return &InquiryPriceCreateVpnGatewayResponse{Price: price(p)}, err
}

// InquiryPriceRenewVpnGateway implements Actions.
func (s *Service) InquiryPriceRenewVpnGateway(_ context.Context, c Caller, r *InquiryPriceRenewVpnGatewayRequest) (*InquiryPriceRenewVpnGatewayResponse, error) {
	p, err := s.vpn.PriceOfRenewal(c.Caller, c.Region, r.VpnGatewayId, r.InstanceChargePrepaid.Period)
	return &InquiryPriceRenewVpnGatewayResponse{Price: price(p)}, err
}

// InquiryPriceResetVpnGatewayInternetMaxBandwidth implements Actions.
func (s *Service) InquiryPriceResetVpnGatewayInternetMaxBandwidth(_ context.Context, c Caller, r *InquiryPriceResetVpnGatewayInternetMaxBandwidthRequest) (*InquiryPriceResetVpnGatewayInternetMaxBandwidthResponse, error) {
	p, err := s.vpn.PriceOfBandwidth(c.Caller, c.Region, r.VpnGatewayId, r.InternetMaxBandwidthOut)
	return &InquiryPriceResetVpnGatewayInternetMaxBandwidthResponse{Price: price(p)}, err
}

// price shows a price. Nobody gets a discount.
func price(p vpn.Price) Price {
	if p.Prepaid {
		return Price{InstancePrice: ItemPrice{OriginalPrice: p.Total, DiscountPrice: p.Total}}
	}
	return Price{InstancePrice: ItemPrice{UnitPrice: p.Hour, ChargeUnit: "HOUR"}, BandwidthPrice: ItemPrice{UnitPrice: p.Traffic, ChargeUnit: "GB"}}
}
