package aliyun

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
)

// CreateSslVpnServer implements Actions.
func (s *Service) CreateSslVpnServer(ctx context.Context, c identity.Caller, r *CreateSslVpnServerRequest) (*CreateSslVpnServerResponse, error) {
	port := uint16(r.Port)
	x, err := s.vpn.CreateSSLServer(ctx, c, vpn.NewSSLServer{
		Region:  r.RegionId,
		Gateway: r.VpnGatewayId,
		Settings: vpn.SSLSettings{
			Name:     r.Name,
			Pool:     &r.ClientIpPool,
			Local:    r.LocalSubnet,
			Protocol: protocolWords.of(&r.Proto),
			Port:     &port,
			Cipher:   sslCipherWords.of(&r.Cipher),
			Compress: &r.Compress,
		},
	})
	if err != nil {
		return nil, err
	}
	return &CreateSslVpnServerResponse{SslVpnServerId: x.ID, Name: x.Name}, nil
}

// ModifySslVpnServer implements Actions.
func (s *Service) ModifySslVpnServer(ctx context.Context, c identity.Caller, r *ModifySslVpnServerRequest) (*ModifySslVpnServerResponse, error) {
	in := vpn.SSLSettings{Name: r.Name, Pool: r.ClientIpPool, Local: r.LocalSubnet, Protocol: protocolWords.of(r.Proto), Cipher: sslCipherWords.of(r.Cipher), Compress: r.Compress}
	if r.Port != nil {
		port := uint16(*r.Port)
		in.Port = &port
	}
	st, err := s.vpn.ModifySSLServer(ctx, c, vpn.SSLServerChange{Region: r.RegionId, ID: r.SslVpnServerId, Settings: in})
	if err != nil {
		return nil, err
	}
	x := s.sslServer(st)
	return &ModifySslVpnServerResponse{
		RegionId: x.RegionId, SslVpnServerId: x.SslVpnServerId, VpnGatewayId: x.VpnGatewayId, Name: x.Name, ClientIpPool: x.ClientIpPool, LocalSubnet: x.LocalSubnet,
		Proto: x.Proto, Port: x.Port, Cipher: x.Cipher, Compress: x.Compress, CreateTime: x.CreateTime, Connections: x.Connections, MaxConnections: x.MaxConnections,
		InternetIp: x.InternetIp, EnableMultiFactorAuth: x.EnableMultiFactorAuth, ResourceGroupId: x.ResourceGroupId,
	}, nil
}

// DescribeSslVpnServers implements Actions.
func (s *Service) DescribeSslVpnServers(ctx context.Context, c identity.Caller, r *DescribeSslVpnServersRequest) (*DescribeSslVpnServersResponse, error) {
	list, err := s.vpn.SSLServers(ctx, c, vpn.SSLServerQuery{
		Region:   r.RegionId,
		IDs:      one(r.SslVpnServerId),
		Gateways: one(r.VpnGatewayId),
		Names:    one(r.Name),
		Labelled: state.Labelled{Groups: one(r.ResourceGroupId)},
		Page:     pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeSslVpnServersResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, x := range list.Items {
		out.SslVpnServers.SslVpnServer = append(out.SslVpnServers.SslVpnServer, s.sslServer(x))
	}
	return out, nil
}

func (s *Service) sslServer(x vpn.SSLServerStatus) DescribeSslVpnServersSslVpnServer {
	return DescribeSslVpnServersSslVpnServer{
		RegionId:        x.Region,
		SslVpnServerId:  x.ID,
		VpnGatewayId:    x.Gateway,
		Name:            x.Name,
		ClientIpPool:    x.Pool.String(),
		LocalSubnet:     blocks(x.Local),
		Proto:           protocolWords.wire(x.Protocol),
		Port:            int(x.Port),
		Cipher:          sslCipherWords.wire(x.Cipher),
		Compress:        x.Compress,
		CreateTime:      epochMs(x.CreatedAt),
		Connections:     len(x.Live.Clients),
		MaxConnections:  x.At.SSLConnections,
		InternetIp:      x.At.Address.String(),
		ResourceGroupId: s.tags.Group(x.SSLServer),
	}
}

// DeleteSslVpnServer implements Actions.
func (s *Service) DeleteSslVpnServer(ctx context.Context, c identity.Caller, r *DeleteSslVpnServerRequest) (*DeleteSslVpnServerResponse, error) {
	return &DeleteSslVpnServerResponse{}, s.vpn.DeleteSSLServer(ctx, c, r.RegionId, r.SslVpnServerId)
}

// CreateSslVpnClientCert implements Actions.
func (s *Service) CreateSslVpnClientCert(ctx context.Context, c identity.Caller, r *CreateSslVpnClientCertRequest) (*CreateSslVpnClientCertResponse, error) {
	x, err := s.vpn.CreateSSLCertificate(ctx, c, vpn.NewSSLCertificate{Region: r.RegionId, Server: r.SslVpnServerId, Name: given(r.Name)})
	if err != nil {
		return nil, err
	}
	return &CreateSslVpnClientCertResponse{SslVpnClientCertId: x.ID, Name: x.Name}, nil
}

// ModifySslVpnClientCert implements Actions.
func (s *Service) ModifySslVpnClientCert(ctx context.Context, c identity.Caller, r *ModifySslVpnClientCertRequest) (*ModifySslVpnClientCertResponse, error) {
	x, err := s.vpn.ModifySSLCertificate(ctx, c, vpn.SSLCertificateName{Region: r.RegionId, ID: r.SslVpnClientCertId, Name: r.Name})
	if err != nil {
		return nil, err
	}
	return &ModifySslVpnClientCertResponse{SslVpnClientCertId: x.ID, Name: x.Name}, nil
}

// DescribeSslVpnClientCerts implements Actions.
func (s *Service) DescribeSslVpnClientCerts(_ context.Context, c identity.Caller, r *DescribeSslVpnClientCertsRequest) (*DescribeSslVpnClientCertsResponse, error) {
	list, err := s.vpn.SSLCertificates(c, vpn.SSLCertificateQuery{
		Region:   r.RegionId,
		IDs:      one(r.SslVpnClientCertId),
		Servers:  one(r.SslVpnServerId),
		Names:    one(r.Name),
		Labelled: state.Labelled{Groups: one(r.ResourceGroupId)},
		Page:     pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeSslVpnClientCertsResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, x := range list.Items {
		out.SslVpnClientCertificateKeys.SslVpnClientCertKey = append(out.SslVpnClientCertificateKeys.SslVpnClientCertKey, DescribeSslVpnClientCertsSslVpnClientCertKey{
			RegionId:           x.Region,
			SslVpnClientCertId: x.ID,
			SslVpnServerId:     x.Server,
			Name:               x.Name,
			CreateTime:         epochMs(x.CreatedAt),
			EndTime:            epochMs(x.Expires),
			Status:             validityWords.wire(x.Validity),
			ResourceGroupId:    s.tags.Group(x.SSLCertificate),
		})
	}
	return out, nil
}

// DescribeSslVpnClientCert implements Actions.
func (s *Service) DescribeSslVpnClientCert(_ context.Context, c identity.Caller, r *DescribeSslVpnClientCertRequest) (*DescribeSslVpnClientCertResponse, error) {
	x, err := s.vpn.SSLClient(c, r.RegionId, r.SslVpnClientCertId)
	if err != nil {
		return nil, err
	}
	return &DescribeSslVpnClientCertResponse{
		RegionId:           x.Region,
		SslVpnClientCertId: x.ID,
		SslVpnServerId:     x.Server,
		Name:               x.Name,
		CreateTime:         epochMs(x.CreatedAt),
		EndTime:            epochMs(x.Expires),
		Status:             validityWords.wire(x.Validity),
		CaCert:             x.Profile.CA,
		ClientCert:         x.Profile.Cert,
		ClientKey:          string(x.Profile.Key),
		ClientConfig:       x.Profile.Inline(),
		ResourceGroupId:    s.tags.Group(x.SSLCertificate),
	}, nil
}

// DescribeSslVpnClients implements Actions.
func (s *Service) DescribeSslVpnClients(ctx context.Context, c identity.Caller, r *DescribeSslVpnClientsRequest) (*DescribeSslVpnClientsResponse, error) {
	list, err := s.vpn.SSLClients(ctx, c, vpn.SSLClientQuery{Region: r.RegionId, Gateway: r.VpnGatewayId, Page: pageOf(r.PageNumber, r.PageSize)})
	if err != nil {
		return nil, err
	}
	out := &DescribeSslVpnClientsResponse{VpnGatewayId: r.VpnGatewayId, RegionId: r.RegionId, TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, x := range list.Items {
		out.ClientInfoList = append(out.ClientInfoList, DescribeSslVpnClientsClientInfoListItem{
			Status:        "online",
			CommonName:    "CN=" + x.Certificate,
			Ip:            x.Remote.Addr().String(),
			Port:          strconv.Itoa(int(x.Remote.Port())),
			PrivateIp:     x.Address.String(),
			ConnectedTime: epochMs(x.Since),
			SendBytes:     int64(x.Outbound.Bytes),
			ReceiveBytes:  int64(x.Inbound.Bytes),
		})
	}
	return out, nil
}

// DeleteSslVpnClientCert implements Actions. The document calls the id otherwise than the
// other actions and today's clients do.
func (s *Service) DeleteSslVpnClientCert(ctx context.Context, c identity.Caller, r *DeleteSslVpnClientCertRequest) (*DeleteSslVpnClientCertResponse, error) {
	id := cmp.Or(given(r.SslVpnClientCertId), given(r.SslVpnClientId))
	if id == "" {
		return nil, fault.New(fault.SSLCertificateMissing, "name the certificate by SslVpnClientCertId")
	}
	if r.SslVpnClientId != nil && *r.SslVpnClientId != id {
		return nil, fault.New(fault.ParameterInvalid, "SslVpnClientId %s and SslVpnClientCertId %s: give one", *r.SslVpnClientId, id)
	}
	return &DeleteSslVpnClientCertResponse{}, s.vpn.DeleteSSLCertificate(ctx, c, r.RegionId, id)
}

// DescribeVpnSslServerLogs implements Actions.
func (s *Service) DescribeVpnSslServerLogs(ctx context.Context, c identity.Caller, r *DescribeVpnSslServerLogsRequest) (*DescribeVpnSslServerLogsResponse, error) {
	q := vpn.SSLLogQuery{Region: r.RegionId, Server: r.VpnSslServerId, Certificate: given(r.SslVpnClientCertId), Page: pageOf(r.PageNumber, r.PageSize)}
	if r.From != nil {
		q.From, _ = logTime(*r.From)
	}
	if r.To != nil {
		_, q.To = logTime(*r.To)
	}
	if r.MinutePeriod != nil {
		q.Period = time.Duration(*r.MinutePeriod) * time.Minute
	}
	l, err := s.vpn.SSLServerLog(ctx, c, q)
	if err != nil {
		return nil, err
	}
	out := &DescribeVpnSslServerLogsResponse{Count: l.Total, IsCompleted: l.Whole, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, x := range l.Items {
		out.Data.Logs = append(out.Data.Logs, timestamp(x.Time)+" "+x.Text)
	}
	return out, nil
}

// logTime returns the first and the last moment of what a number means: an hour, written
// yyyymmddhh in UTC as in the document, or a second since 1970, as today's clients write it.
// What could be either is an hour; that is so for seconds of 2033 and later only.
func logTime(n int) (first, last time.Time) {
	const thisCentury, next = 2000_01_01_00, 2100_01_01_00
	if n >= thisCentury && n < next {
		year, month, day, hour := n/1_000_000, n/10_000%100, n/100%100, n%100
		t := time.Date(year, time.Month(month), day, hour, 0, 0, 0, time.UTC)
		if t.Year() == year && int(t.Month()) == month && t.Day() == day && t.Hour() == hour {
			return t, t.Add(time.Hour - 1)
		}
	}
	t := time.Unix(int64(n), 0)
	return t, t.Add(time.Second - 1)
}
