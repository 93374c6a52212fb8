package aliyun

import (
	"context"
	"net/netip"
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// attachedToGateway says what every connection is of.
const attachedToGateway = "VPNGW"

// CreateVpnConnection implements Actions.
func (s *Service) CreateVpnConnection(ctx context.Context, c identity.Caller, r *CreateVpnConnectionRequest) (*CreateVpnConnectionResponse, error) {
	x, err := s.vpn.CreateConnection(ctx, c, vpn.NewConnection{
		Region:          r.RegionId,
		Gateway:         r.VpnGatewayId,
		CustomerGateway: r.CustomerGatewayId,
		Labels:          labels(nil, r.Tags),
		Settings: vpn.ConnectionSettings{
			Name:              r.Name,
			LocalSubnets:      r.LocalSubnet,
			RemoteSubnets:     r.RemoteSubnet,
			EffectImmediately: r.EffectImmediately,
			IKE:               ikeSettings(r.IkeConfig),
			IPsec:             ipsecSettings(r.IpsecConfig),
			HealthCheck:       healthSettings(r.HealthCheckConfig),
			BGP:               bgpSettings(r.BgpConfig),
			AutoConfigRoute:   r.AutoConfigRoute,
			DPD:               r.EnableDpd,
			NATTraversal:      r.EnableNatTraversal,
		},
	})
	if err != nil {
		return nil, err
	}
	return &CreateVpnConnectionResponse{VpnConnectionId: x.ID, CreateTime: x.CreatedAt.UnixMilli(), Name: x.Name}, nil
}

// ModifyVpnConnectionAttribute implements Actions. Its settings have the same
// members as those of CreateVpnConnection.
func (s *Service) ModifyVpnConnectionAttribute(ctx context.Context, c identity.Caller, r *ModifyVpnConnectionAttributeRequest) (*ModifyVpnConnectionAttributeResponse, error) {
	x, err := s.vpn.ModifyConnection(ctx, c, vpn.ConnectionChange{
		Region: r.RegionId,
		ID:     r.VpnConnectionId,
		Settings: vpn.ConnectionSettings{
			Name:              r.Name,
			LocalSubnets:      r.LocalSubnet,
			RemoteSubnets:     r.RemoteSubnet,
			EffectImmediately: r.EffectImmediately,
			IKE:               ikeSettings((*CreateVpnConnectionRequestIkeConfig)(r.IkeConfig)),
			IPsec:             ipsecSettings((*CreateVpnConnectionRequestIpsecConfig)(r.IpsecConfig)),
			HealthCheck:       healthSettings((*CreateVpnConnectionRequestHealthCheckConfig)(r.HealthCheckConfig)),
			BGP:               bgpSettings((*CreateVpnConnectionRequestBgpConfig)(r.BgpConfig)),
			AutoConfigRoute:   r.AutoConfigRoute,
			DPD:               r.EnableDpd,
			NATTraversal:      r.EnableNatTraversal,
		},
	})
	if err != nil {
		return nil, err
	}
	health := healthCheck(x)
	return &ModifyVpnConnectionAttributeResponse{
		ResourceGroupId:    s.tags.Group(x.VPNConnection),
		VpnConnectionId:    x.ID,
		CustomerGatewayId:  x.CustomerGateway,
		VpnGatewayId:       x.Gateway,
		Name:               x.Name,
		LocalSubnet:        blocks(x.Policies.Locals()),
		RemoteSubnet:       blocks(x.Policies.Remotes()),
		CreateTime:         x.CreatedAt.UnixMilli(),
		EffectImmediately:  x.EffectImmediately,
		EnableDpd:          x.DPD,
		EnableNatTraversal: x.NATTraversal,
		IkeConfig:          (*ModifyVpnConnectionAttributeIkeConfig)(ikeConfig(x)),
		IpsecConfig:        (*ModifyVpnConnectionAttributeIpsecConfig)(ipsecConfig(x)),
		VcoHealthCheck:     &ModifyVpnConnectionAttributeVcoHealthCheck{Enable: health.Enable, Dip: health.Dip, Sip: health.Sip, Interval: health.Interval, Retry: health.Retry, Status: health.Status},
		VpnBgpConfig:       (*ModifyVpnConnectionAttributeVpnBgpConfig)(bgpConfig(x)),
	}, nil
}

// DescribeVpnConnections implements Actions.
func (s *Service) DescribeVpnConnections(ctx context.Context, c identity.Caller, r *DescribeVpnConnectionsRequest) (*DescribeVpnConnectionsResponse, error) {
	list, err := s.vpn.Connections(ctx, c, vpn.ConnectionQuery{
		Region:           r.RegionId,
		Gateways:         one(r.VpnGatewayId),
		CustomerGateways: one(r.CustomerGatewayId),
		Labelled:         labelled(r.ResourceGroupId, r.Tag),
		IDs:              one(r.VpnConnectionId),
		Page:             pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeVpnConnectionsResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, x := range list.Items {
		health := healthCheck(x)
		out.VpnConnections.VpnConnection = append(out.VpnConnections.VpnConnection, DescribeVpnConnectionsVpnConnection{
			VpnConnectionId:   x.ID,
			CustomerGatewayId: x.CustomerGateway,
			VpnGatewayId:      x.Gateway,
			Name:              x.Name,
			LocalSubnet:       blocks(x.Policies.Locals()),
			RemoteSubnet:      blocks(x.Policies.Remotes()),
			CreateTime:        x.CreatedAt.UnixMilli(),
			EffectImmediately: x.EffectImmediately,
			Status:            negotiation(x),
			ResourceGroupId:   s.tags.Group(x.VPNConnection),
			Tag:               DescribeVpnConnectionsVpnConnectionTag{showTags[DescribeVpnConnectionsVpnConnectionTagItem](s.tags.Of(x.ID))},
			IkeConfig:         (*DescribeVpnConnectionsVpnConnectionIkeConfig)(ikeConfig(x)),
			IpsecConfig:       (*DescribeVpnConnectionsVpnConnectionIpsecConfig)(ipsecConfig(x)),
			VcoHealthCheck: &DescribeVpnConnectionsVpnConnectionVcoHealthCheck{
				Enable: health.Enable, Dip: health.Dip, Sip: health.Sip, Interval: health.Interval, Retry: health.Retry, Status: health.Status,
			},
			VpnBgpConfig:       (*DescribeVpnConnectionsVpnConnectionVpnBgpConfig)(bgpConfig(x)),
			EnableDpd:          x.DPD,
			EnableNatTraversal: x.NATTraversal,
			State:              vpnGatewayStatus(x.Phase),
			AttachType:         attachedToGateway,
			NetworkType:        networkPublic,
			InternetIp:         x.Local.Address.String(),
			Spec:               vpnSpec(x.Local.Bandwidth),
		})
	}
	return out, nil
}

// DescribeVpnConnection implements Actions.
func (s *Service) DescribeVpnConnection(ctx context.Context, c identity.Caller, r *DescribeVpnConnectionRequest) (*DescribeVpnConnectionResponse, error) {
	x, err := s.vpn.Connection(ctx, c, r.RegionId, r.VpnConnectionId)
	if err != nil {
		return nil, err
	}
	return &DescribeVpnConnectionResponse{
		VpnConnectionId:    x.ID,
		CustomerGatewayId:  x.CustomerGateway,
		VpnGatewayId:       x.Gateway,
		Name:               x.Name,
		LocalSubnet:        blocks(x.Policies.Locals()),
		RemoteSubnet:       blocks(x.Policies.Remotes()),
		CreateTime:         x.CreatedAt.UnixMilli(),
		EffectImmediately:  x.EffectImmediately,
		Status:             negotiation(x),
		ResourceGroupId:    s.tags.Group(x.VPNConnection),
		Tags:               DescribeVpnConnectionTags{showTags[DescribeVpnConnectionTag](s.tags.Of(x.ID))},
		EnableDpd:          x.DPD,
		EnableNatTraversal: x.NATTraversal,
		IkeConfig:          ikeConfig(x),
		IpsecConfig:        ipsecConfig(x),
		VcoHealthCheck:     healthCheck(x),
		VpnBgpConfig:       bgpConfig(x),
		State:              vpnGatewayStatus(x.Phase),
		AttachType:         attachedToGateway,
		NetworkType:        networkPublic,
		InternetIp:         x.Local.Address.String(),
		Spec:               vpnSpec(x.Local.Bandwidth),
	}, nil
}

// DownloadVpnConnectionConfig implements Actions. The configuration is for the
// device at the other end, so that local and remote are as seen from there: so
// the documents' examples.
func (s *Service) DownloadVpnConnectionConfig(ctx context.Context, c identity.Caller, r *DownloadVpnConnectionConfigRequest) (*DownloadVpnConnectionConfigResponse, error) {
	x, err := s.vpn.Connection(ctx, c, r.RegionId, r.VpnConnectionId)
	if err != nil {
		return nil, err
	}
	ike := ikeConfig(x)
	ike.LocalId, ike.RemoteId = ike.RemoteId, ike.LocalId
	return &DownloadVpnConnectionConfigResponse{VpnConnectionConfig: &DownloadVpnConnectionConfigVpnConnectionConfig{
		IkeConfig:    (*DownloadVpnConnectionConfigVpnConnectionConfigIkeConfig)(ike),
		IpsecConfig:  (*DownloadVpnConnectionConfigVpnConnectionConfigIpsecConfig)(ipsecConfig(x)),
		Local:        x.Peer.Address.String(),
		LocalSubnet:  blocks(x.Policies.Remotes()),
		Remote:       x.Local.Address.String(),
		RemoteSubnet: blocks(x.Policies.Locals()),
	}}, nil
}

// DeleteVpnConnection implements Actions.
func (s *Service) DeleteVpnConnection(ctx context.Context, c identity.Caller, r *DeleteVpnConnectionRequest) (*DeleteVpnConnectionResponse, error) {
	return &DeleteVpnConnectionResponse{}, s.vpn.DeleteConnection(ctx, c, r.RegionId, r.VpnConnectionId)
}

// The settings of a request; nil, where the parameter was not given, has none.

func ikeSettings(r *CreateVpnConnectionRequestIkeConfig) vpn.IKESettings {
	if r == nil {
		return vpn.IKESettings{}
	}
	return vpn.IKESettings{
		PSK: r.Psk, Version: ikeVersionWords.of(r.IkeVersion), Aggressive: ikeModeWords.of(r.IkeMode), Proposal: proposal(r.IkeEncAlg, r.IkeAuthAlg, r.IkePfs),
		Lifetime: (*dataplane.Seconds)(r.IkeLifetime), LocalID: r.LocalId, RemoteID: r.RemoteId,
	}
}

func ipsecSettings(r *CreateVpnConnectionRequestIpsecConfig) vpn.IPsecSettings {
	if r == nil {
		return vpn.IPsecSettings{}
	}
	return vpn.IPsecSettings{Proposal: proposal(r.IpsecEncAlg, r.IpsecAuthAlg, r.IpsecPfs), Lifetime: (*dataplane.Seconds)(r.IpsecLifetime)}
}

func proposal(encryption, integrity, group *string) vpn.ProposalSettings {
	return vpn.ProposalSettings{Encryption: encryptionWords.of(encryption), Integrity: integrityWords.of(integrity), Group: groupWords.of(group)}
}

func healthSettings(r *CreateVpnConnectionRequestHealthCheckConfig) vpn.HealthCheckSettings {
	if r == nil {
		return vpn.HealthCheckSettings{}
	}
	return vpn.HealthCheckSettings{Enabled: r.Enable, Source: r.Sip, Destination: r.Dip, Interval: r.Interval, Retries: r.Retry}
}

func bgpSettings(r *CreateVpnConnectionRequestBgpConfig) vpn.BGPSettings {
	if r == nil {
		return vpn.BGPSettings{}
	}
	out := vpn.BGPSettings{Enabled: r.EnableBgp, Tunnel: r.TunnelCidr, LocalIP: r.LocalBgpIp}
	if r.LocalAsn != nil {
		n := uint32(*r.LocalAsn)
		out.LocalASN = &n
	}
	return out
}

func blocks(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ",")
}

// negotiation is the state of a connection.
func negotiation(x vpn.ConnectionStatus) string {
	switch x.Negotiation() {
	case vpn.Complete:
		return "ipsec_sa_established"
	case vpn.NoChild:
		return "ipsec_sa_not_established"
	case vpn.IKE:
		return "ike_sa_established"
	}
	return "ike_sa_not_established"
}

func ikeConfig(x vpn.ConnectionStatus) *DescribeVpnConnectionIkeConfig {
	return &DescribeVpnConnectionIkeConfig{
		IkeAuthAlg:  integrityWords.wire(x.IKE.Proposal.Integrity),
		IkeEncAlg:   encryptionWords.wire(x.IKE.Proposal.Encryption),
		IkeLifetime: int64(x.IKE.Lifetime),
		IkeMode:     ikeModeWords.wire(x.IKE.Aggressive),
		IkePfs:      groupWords.wire(x.IKE.Proposal.Group),
		IkeVersion:  ikeVersionWords.wire(x.IKE.Version),
		LocalId:     x.IKE.LocalID,
		Psk:         string(x.PSK),
		RemoteId:    x.IKE.RemoteID,
	}
}

func ipsecConfig(x vpn.ConnectionStatus) *DescribeVpnConnectionIpsecConfig {
	return &DescribeVpnConnectionIpsecConfig{
		IpsecAuthAlg:  integrityWords.wire(x.IPsec.Proposal.Integrity),
		IpsecEncAlg:   encryptionWords.wire(x.IPsec.Proposal.Encryption),
		IpsecLifetime: int64(x.IPsec.Lifetime),
		IpsecPfs:      groupWords.wire(x.IPsec.Proposal.Group),
	}
}

// healthCheck shows a health check that is off as the documents' example does:
// empty. A result is there only once there was one.
func healthCheck(x vpn.ConnectionStatus) *DescribeVpnConnectionVcoHealthCheck {
	h := x.HealthCheck
	if !h.Enabled {
		return &DescribeVpnConnectionVcoHealthCheck{Enable: "false"}
	}
	out := &DescribeVpnConnectionVcoHealthCheck{
		Enable: "true", Dip: h.Destination.String(), Sip: h.Source.String(), Interval: h.Interval, Retry: h.Retries,
	}
	switch {
	case x.Live.Failed:
		out.Status = "failed"
	case x.Live.Checked:
		out.Status = "success"
	}
	return out
}

// bgpConfig shows BGP settings that are off as empty, too. The documents' words
// for the two results are success and false.
func bgpConfig(x vpn.ConnectionStatus) *DescribeVpnConnectionVpnBgpConfig {
	b := x.BGP
	if !b.Enabled {
		return &DescribeVpnConnectionVpnBgpConfig{EnableBgp: "false", Status: "false"}
	}
	out := &DescribeVpnConnectionVpnBgpConfig{
		EnableBgp:  "true",
		LocalAsn:   int(b.LocalASN),
		LocalBgpIp: b.LocalIP.String(),
		PeerAsn:    int(x.Peer.ASN),
		PeerBgpIp:  resource.PeerAddress(b.Tunnel, b.LocalIP).String(),
		Status:     "false",
		TunnelCidr: b.Tunnel.String(),
	}
	if x.Live.BGP {
		out.Status = "success"
	}
	return out
}
