package vpn

import (
	"context"
	"net/netip"
	"reflect"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/pki"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// The defaults of an SSL-VPN server (VPN Gateway API reference, CreateSslVpnServer).
const (
	defaultSSLProtocol = resource.UDP
	defaultSSLPort     = 1194
	defaultSSLCipher   = dataplane.SSLAES128
	defaultSSLCompress = true
)

// SSLSettings are what of an SSL-VPN server can be chosen and changed; nil leaves a value
// as it is, which for a new server is the default.
type SSLSettings struct {
	Name     *string
	Pool     *netip.Prefix
	Local    []netip.Prefix
	Protocol *resource.Protocol // TCP or UDP
	Port     *uint16
	Cipher   *dataplane.SSLCipher
	Compress *bool
}

func (in SSLSettings) apply(x *resource.SSLServer) {
	set(&x.Name, in.Name)
	set(&x.Pool, in.Pool)
	if in.Local != nil {
		x.Local = in.Local
	}
	set(&x.Protocol, in.Protocol)
	set(&x.Port, in.Port)
	set(&x.Cipher, in.Cipher)
	set(&x.Compress, in.Compress)
}

// NewSSLServer is what a new SSL-VPN server should be.
type NewSSLServer struct {
	Region   string
	Gateway  string
	Settings SSLSettings // Pool and Local are needed
}

// CreatedSSLServer is what CreateSSLServer made. It holds no secret: it is kept for the
// client's token.
type CreatedSSLServer struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// CreateSSLServer makes an SSL-VPN server of a VPN gateway, with an authority of its own (VPN
// Gateway API reference, CreateSslVpnServer).
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound, SSLOff, those of checkSSLServer,
// SSLUnavailable, QuotaSSLServer, VPNGatewayConfiguring.
func (s *Service) CreateSSLServer(ctx context.Context, c identity.Caller, in NewSSLServer) (CreatedSSLServer, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedSSLServer, error) {
		g, err := lookup.In(s.settings, c, tx.VPNGateways, in.Region, in.Gateway)
		if err != nil {
			return CreatedSSLServer{}, err
		}
		if !g.SSL {
			return CreatedSSLServer{}, fault.New(fault.SSLOff, "VPN gateway %s has SSL-VPN off", g.ID)
		}
		vpc, err := s.vpcOf(tx.View, c, g)
		if err != nil {
			return CreatedSSLServer{}, err
		}
		x := &resource.SSLServer{
			Meta: resource.Meta{ID: tx.NewID("vss"), Account: c.Account, Region: g.Region, CreatedAt: s.now()},
			VPC:  g.VPC, Gateway: g.ID, Protocol: defaultSSLProtocol, Port: defaultSSLPort, Cipher: defaultSSLCipher, Compress: defaultSSLCompress,
		}
		in.Settings.apply(x)
		if err := s.checkSSLServer(tx.View, x, g, vpc); err != nil {
			return CreatedSSLServer{}, err
		}
		if err := s.plane.SSLAvailable(); err != nil {
			return CreatedSSLServer{}, fault.Explained(fault.SSLUnavailable, "%v", err)
		}
		if err := tx.Room(x); err != nil {
			return CreatedSSLServer{}, err
		}
		if err := s.configured(tx.View, g); err != nil {
			return CreatedSSLServer{}, err
		}
		if x.Keys, err = s.newSSLKeys(x.ID); err != nil {
			return CreatedSSLServer{}, err
		}
		tx.Put(x)
		tx.Done("SSL-VPN server created", sslServerAttrs(x)...)
		return CreatedSSLServer{ID: x.ID, Name: x.Name}, nil
	})
}

// newSSLKeys makes a server's authority, certificate and keys, and seals what is private.
func (s *Service) newSSLKeys(server string) (resource.SSLKeys, error) {
	made, err := pki.NewServer(s.random, s.now(), server)
	if err != nil {
		return resource.SSLKeys{}, err
	}
	keys := resource.SSLKeys{Authority: made.Authority.Certificate, Certificate: made.Own.Certificate, Expires: made.Own.Expires}
	for _, k := range []struct {
		to     *[]byte
		name   string
		secret []byte
	}{
		{&keys.AuthorityKey, resource.SSLAuthorityName(server), made.Authority.Key},
		{&keys.Key, resource.SSLKeyName(server), made.Own.Key},
		{&keys.TLSCrypt, resource.SSLTLSCryptName(server), made.TLSCrypt},
	} {
		if *k.to, err = s.sealer.Seal(k.name, k.secret); err != nil {
			return resource.SSLKeys{}, err
		}
	}
	return keys, nil
}

// SSLServerChange changes an SSL-VPN server.
type SSLServerChange struct {
	Region   string
	ID       string
	Settings SSLSettings
}

// ModifySSLServer changes an SSL-VPN server and returns it as it is then
// (ModifySslVpnServer). What is not given stays as it is; what it comes to has to be
// acceptable as a whole. The dataplane has no part in the name, nor in Compress.
//
// Reasons, in this order: RegionNotFound, SSLServerNotFound, those of checkSSLServer,
// VPNGatewayConfiguring.
func (s *Service) ModifySSLServer(ctx context.Context, c identity.Caller, in SSLServerChange) (SSLServerStatus, error) {
	err := change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, g, err := s.sslServer(tx.View, c, in.Region, in.ID)
		if err != nil {
			return err
		}
		x := old.Clone().(*resource.SSLServer)
		in.Settings.apply(x)
		shown := old.Clone().(*resource.SSLServer)
		shown.Name, shown.Compress = x.Name, x.Compress
		switch {
		case reflect.DeepEqual(old, x):
			return nil
		case reflect.DeepEqual(shown, x):
			tx.PutAttributes(x)
			tx.Done("SSL-VPN server renamed", sslServerAttrs(x)...)
			return nil
		}
		vpc, err := s.vpcOf(tx.View, c, g)
		if err != nil {
			return err
		}
		if err := s.checkSSLServer(tx.View, x, g, vpc); err != nil {
			return err
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		s.forgetRevoked(x)
		tx.Put(x)
		tx.Done("SSL-VPN server changed", append(sslServerAttrs(x), "disconnects", disconnects(old, x))...)
		return nil
	})
	if err != nil {
		return SSLServerStatus{}, err
	}
	return s.SSLServer(ctx, c, in.Region, in.ID)
}

// disconnects says whether a change of a server ends the sessions of its clients: OpenVPN has
// to be started anew for another port, protocol, cipher or pool.
func disconnects(old, x *resource.SSLServer) bool {
	return old.Protocol != x.Protocol || old.Port != x.Port || old.Cipher != x.Cipher || old.Pool != x.Pool
}

// DeleteSSLServer deletes an SSL-VPN server with all certificates of its clients
// (DeleteSslVpnServer): nothing else accepts those.
//
// Reasons, in this order: RegionNotFound, SSLServerNotFound, VPNGatewayConfiguring.
func (s *Service) DeleteSSLServer(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		x, g, err := s.sslServer(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		issued := certificates(tx.View, x.ID)
		for _, cert := range issued {
			tx.Delete(cert)
		}
		tx.Delete(x)
		tx.Done("SSL-VPN server deleted", append(sslServerAttrs(x), "certificates", len(issued))...)
		return nil
	})
}

// sslServer returns one of the caller's servers with its gateway.
func (s *Service) sslServer(v *state.View, c identity.Caller, region, id string) (*resource.SSLServer, *resource.VPNGateway, error) {
	x, err := lookup.In(s.settings, c, v.SSLServers, region, id)
	if err != nil {
		return nil, nil, err
	}
	g, err := lookup.In(s.settings, c, v.VPNGateways, region, x.Gateway)
	return x, g, err
}

// vpcOf returns the VPC of a gateway.
func (s *Service) vpcOf(v *state.View, c identity.Caller, g *resource.VPNGateway) (*resource.VPC, error) {
	return lookup.In(s.settings, c, v.VPCs, g.Region, g.VPC)
}

func sslServerAttrs(x *resource.SSLServer) []any {
	return []any{"server", x.ID, "gateway", x.Gateway, "vpc", x.VPC, "protocol", x.Protocol, "port", x.Port, "pool", x.Pool, "local", x.Local, "cipher", x.Cipher}
}
