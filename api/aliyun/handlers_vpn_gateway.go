package aliyun

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// What every gateway is: reached by its public address, and with international algorithms.
const (
	networkPublic = "public"
	vpnTypeNormal = "Normal"
)

// CreateVpnGateway implements Actions. AutoPay is not looked at: nothing is
// charged here, so an order counts as paid.
func (s *Service) CreateVpnGateway(ctx context.Context, c identity.Caller, r *CreateVpnGatewayRequest) (*CreateVpnGatewayResponse, error) {
	in := vpn.Gateway{
		Region:    r.RegionId,
		VPC:       r.VpcId,
		VSwitch:   given(r.VSwitchId),
		Name:      given(r.Name),
		Bandwidth: r.Bandwidth,
		IPsec:     r.EnableIpsec,
		SSL:       r.EnableSsl,
		Labels:    labels(r.ResourceGroupId, r.Tags),
	}
	if prepaid := vpnChargeWords.of(r.InstanceChargeType); prepaid != nil {
		in.Prepaid = *prepaid
	}
	if r.Period != nil {
		in.Period = *r.Period
	}
	if r.SslConnections != nil {
		in.SSLConnections = *r.SslConnections
	}
	g, err := s.vpn.CreateGateway(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &CreateVpnGatewayResponse{VpnGatewayId: g.ID, Name: g.Name, OrderId: g.Order}, nil
}

// ModifyVpnGatewayAttribute implements Actions.
func (s *Service) ModifyVpnGatewayAttribute(ctx context.Context, c identity.Caller, r *ModifyVpnGatewayAttributeRequest) (*ModifyVpnGatewayAttributeResponse, error) {
	g, err := s.vpn.ModifyGateway(ctx, c, vpn.GatewayAttributes{
		Region:        r.RegionId,
		ID:            r.VpnGatewayId,
		Name:          r.Name,
		Description:   r.Description,
		AutoPropagate: r.AutoPropagate,
	})
	if err != nil {
		return nil, err
	}
	return &ModifyVpnGatewayAttributeResponse{
		VpnGatewayId:     g.ID,
		VpcId:            g.VPC,
		VSwitchId:        g.VSwitch,
		InternetIp:       g.Address.String(),
		CreateTime:       epochMs(g.CreatedAt),
		EndTime:          epochMs(g.Expires),
		Spec:             vpnSpec(g.Bandwidth),
		Name:             g.Name,
		Description:      g.Description,
		Status:           vpnGatewayStatus(g.Phase),
		BusinessStatus:   businessNormal,
		AutoPropagate:    g.AutoPropagate,
		EnableBgp:        g.BGP,
		ResourceGroupId:  s.tags.Group(g.VPNGateway),
		IntranetIp:       addressText(g.Private),
		SslVpnInternetIp: sslAddress(g),
	}, nil
}

// DescribeVpnGateways implements Actions.
func (s *Service) DescribeVpnGateways(_ context.Context, c identity.Caller, r *DescribeVpnGatewaysRequest) (*DescribeVpnGatewaysResponse, error) {
	q := vpn.GatewayQuery{
		Region: r.RegionId,
		IDs:    one(r.VpnGatewayId),
		VPCs:   one(r.VpcId),
		// No gateway is ever locked for money.
		None:     differs(r.BusinessStatus, businessNormal),
		Labelled: labelled(r.ResourceGroupId, r.Tag),
		Page:     pageOf(r.PageNumber, r.PageSize),
	}
	if r.Status != nil {
		for _, p := range []resource.Phase{resource.Creating, resource.Changing, resource.Ready} {
			if vpnGatewayStatus(p) == *r.Status {
				q.Phases = append(q.Phases, p)
			}
		}
		q.None = q.None || len(q.Phases) == 0 // one of the states that no gateway is ever in
	}
	list, err := s.vpn.Gateways(c, q)
	if err != nil {
		return nil, err
	}
	out := &DescribeVpnGatewaysResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, g := range list.Items {
		out.VpnGateways.VpnGateway = append(out.VpnGateways.VpnGateway, s.vpnGateway(g))
	}
	return out, nil
}

func (s *Service) vpnGateway(g vpn.GatewayStatus) DescribeVpnGatewaysVpnGateway {
	return DescribeVpnGatewaysVpnGateway{
		VpnGatewayId:      g.ID,
		VpcId:             g.VPC,
		VSwitchId:         g.VSwitch,
		InternetIp:        g.Address.String(),
		CreateTime:        epochMs(g.CreatedAt),
		EndTime:           epochMs(g.Expires),
		Spec:              vpnSpec(g.Bandwidth),
		Name:              g.Name,
		Description:       g.Description,
		Status:            vpnGatewayStatus(g.Phase),
		BusinessStatus:    businessNormal,
		ChargeType:        vpnChargeShownWords.wire(g.Prepaid),
		IpsecVpn:          enabled(g.IPsec),
		SslVpn:            enabled(g.SSL),
		SslMaxConnections: int64(g.SSLConnections),
		ResourceGroupId:   s.tags.Group(g.VPNGateway),
		Tags:              DescribeVpnGatewaysVpnGatewayTags{showTags[DescribeVpnGatewaysVpnGatewayTag](s.tags.Of(g.ID))},
		AutoPropagate:     g.AutoPropagate,
		EnableBgp:         g.BGP,
		NetworkType:       networkPublic,
		VpnType:           vpnTypeNormal,
		SslVpnInternetIp:  sslAddress(g),
	}
}

// sslAddress is where SSL-VPN servers of a gateway listen; empty where it has SSL-VPN off.
func sslAddress(g vpn.GatewayStatus) string {
	if !g.SSL {
		return ""
	}
	return g.Address.String()
}

// DescribeVpnGateway implements Actions.
func (s *Service) DescribeVpnGateway(_ context.Context, c identity.Caller, r *DescribeVpnGatewayRequest) (*DescribeVpnGatewayResponse, error) {
	g, err := s.vpn.Gateway(c, r.RegionId, r.VpnGatewayId)
	if err != nil {
		return nil, err
	}
	x := s.vpnGateway(g)
	return &DescribeVpnGatewayResponse{
		VpnGatewayId:      x.VpnGatewayId,
		VpcId:             x.VpcId,
		VSwitchId:         x.VSwitchId,
		InternetIp:        x.InternetIp,
		CreateTime:        x.CreateTime,
		EndTime:           x.EndTime,
		Spec:              x.Spec,
		Name:              x.Name,
		Description:       x.Description,
		Status:            x.Status,
		BusinessStatus:    x.BusinessStatus,
		ChargeType:        x.ChargeType,
		IpsecVpn:          x.IpsecVpn,
		SslVpn:            x.SslVpn,
		SslMaxConnections: x.SslMaxConnections,
		ResourceGroupId:   x.ResourceGroupId,
		Tags:              DescribeVpnGatewayTags{showTags[DescribeVpnGatewayTag](s.tags.Of(g.ID))},
		AutoPropagate:     x.AutoPropagate,
		EnableBgp:         x.EnableBgp,
		NetworkType:       x.NetworkType,
		VpnType:           x.VpnType,
		SslVpnInternetIp:  x.SslVpnInternetIp,
	}, nil
}

// DeleteVpnGateway implements Actions.
func (s *Service) DeleteVpnGateway(ctx context.Context, c identity.Caller, r *DeleteVpnGatewayRequest) (*DeleteVpnGatewayResponse, error) {
	return &DeleteVpnGatewayResponse{}, s.vpn.DeleteGateway(ctx, c, r.RegionId, r.VpnGatewayId)
}

// vpnGatewayStatus is the state of a gateway. It is never init, upgrading or
// deleting: one that is deleted is not there any more.
func vpnGatewayStatus(p resource.Phase) string {
	switch p {
	case resource.Creating:
		return "provisioning"
	case resource.Changing:
		return "updating"
	}
	return "active"
}

// vpnSpec writes a bandwidth in Mbit/s as the documents do.
func vpnSpec(mbit int) string { return fmt.Sprintf("%dM", mbit) }

func enabled(on bool) string {
	if on {
		return "enable"
	}
	return "disable"
}

// epochMs writes a time in milliseconds since 1970; 0 for what has no such time.
func epochMs(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// addressText writes an address; empty for none.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
