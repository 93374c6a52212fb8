package vpn

import (
	"context"
	"fmt"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn/client"
	"sluice/dataplane"
)

// SSLServerStatus is an SSL-VPN server with what is not kept in it.
type SSLServerStatus struct {
	*resource.SSLServer
	At   *resource.VPNGateway // that it is a server of
	Live dataplane.SSLStatus  // as the dataplane reports it at the time of asking
}

// SSLServerQuery selects SSL-VPN servers of a region.
type SSLServerQuery struct {
	Region   string
	IDs      state.OneOf[string]
	Gateways state.OneOf[string]
	Names    state.OneOf[string]
	state.Labelled
	Page state.Page
}

// SSLServers lists the caller's SSL-VPN servers in the order in which they were made
// (DescribeSslVpnServers). Reason: RegionNotFound.
func (s *Service) SSLServers(ctx context.Context, c identity.Caller, q SSLServerQuery) (state.Listing[SSLServerStatus], error) {
	var none state.Listing[SSLServerStatus]
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return none, err
	}
	v := s.db.View()
	keep := state.Filed(v, q.Labelled, func(x *resource.SSLServer) bool {
		return q.Gateways.Allows(x.Gateway) && q.Names.Allows(x.Name)
	})
	page := state.SelectOwn(v.SSLServers, c.Account, q.Region, q.Page, keep, state.Itself,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByGateway, Keys: q.Gateways})
	out := state.Listing[SSLServerStatus]{Total: page.Total}
	live := s.liveSSL(ctx)
	for _, x := range page.Items {
		st, err := sslStatus(v, x, live)
		if err != nil {
			return none, err
		}
		out.Items = append(out.Items, st)
	}
	return out, nil
}

// SSLServer returns one of the caller's SSL-VPN servers. Reasons: RegionNotFound,
// SSLServerNotFound.
func (s *Service) SSLServer(ctx context.Context, c identity.Caller, region, id string) (SSLServerStatus, error) {
	v := s.db.View()
	x, _, err := s.sslServer(v, c, region, id)
	if err != nil {
		return SSLServerStatus{}, err
	}
	return sslStatus(v, x, s.liveSSL(ctx))
}

// sslLive tells how the SSL-VPN servers of a network are.
type sslLive func(network string) map[string]dataplane.SSLStatus

func sslStatus(v *state.View, x *resource.SSLServer, live sslLive) (SSLServerStatus, error) {
	g, ok := v.VPNGateways.Get(x.Gateway)
	if !ok {
		return SSLServerStatus{}, fmt.Errorf("SSL-VPN server %s: its VPN gateway %s is gone", x.ID, x.Gateway)
	}
	return SSLServerStatus{SSLServer: x, At: g, Live: live(x.VPC)[x.ID]}, nil
}

// liveSSL asks the dataplane, once a network. What it can't tell counts as without clients: a
// network that is not there has none, and queries are answered in every state.
func (s *Service) liveSSL(ctx context.Context) sslLive {
	known := map[string]map[string]dataplane.SSLStatus{}
	return func(network string) map[string]dataplane.SSLStatus {
		if all, ok := known[network]; ok {
			return all
		}
		all, err := s.plane.SSL(ctx, network)
		if err != nil {
			s.writer.Log.Debug("the state of SSL-VPN servers can't be read", "vpc", network, "error", err)
		}
		known[network] = all
		return all
	}
}

// Validity is how far from its end a certificate is.
type Validity int

// The states of a certificate.
const (
	Valid        Validity = iota
	ExpiringSoon          // within a week
	Expired
)

// soon is how long before its end a certificate expires soon.
const soon = 7 * 24 * time.Hour

func validity(expires, now time.Time) Validity {
	switch {
	case !now.Before(expires):
		return Expired
	case !now.Before(expires.Add(-soon)):
		return ExpiringSoon
	}
	return Valid
}

// SSLCertificateStatus is a client certificate with what is not kept in it.
type SSLCertificateStatus struct {
	*resource.SSLCertificate
	Validity Validity
}

// SSLCertificateQuery selects client certificates of a region.
type SSLCertificateQuery struct {
	Region  string
	IDs     state.OneOf[string]
	Servers state.OneOf[string]
	Names   state.OneOf[string]
	state.Labelled
	Page state.Page
}

// SSLCertificates lists the caller's client certificates in the order in which they were made
// (DescribeSslVpnClientCerts). Reason: RegionNotFound.
func (s *Service) SSLCertificates(c identity.Caller, q SSLCertificateQuery) (state.Listing[SSLCertificateStatus], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[SSLCertificateStatus]{}, err
	}
	v, now := s.db.View(), s.now()
	keep := state.Filed(v, q.Labelled, func(x *resource.SSLCertificate) bool {
		return q.Servers.Allows(x.Server) && q.Names.Allows(x.Name)
	})
	item := func(x *resource.SSLCertificate) SSLCertificateStatus {
		return SSLCertificateStatus{x, validity(x.Expires, now)}
	}
	return state.SelectOwn(v.SSLCertificates, c.Account, q.Region, q.Page, keep, item,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByServer, Keys: q.Servers}), nil
}

// SSLClient is a client certificate with what its holder runs, the private key included,
// which is never to be logged or stored.
type SSLClient struct {
	SSLCertificateStatus
	Profile client.Profile
}

// SSLClient returns one of the caller's client certificates with what its holder runs; the
// keys are hidden from some callers (DescribeSslVpnClientCert). Reasons: RegionNotFound,
// SSLCertificateNotFound.
func (s *Service) SSLClient(c identity.Caller, region, id string) (SSLClient, error) {
	v := s.db.View()
	x, err := lookup.In(s.settings, c, v.SSLCertificates, region, id)
	if err != nil {
		return SSLClient{}, err
	}
	p, err := s.profile(v, x)
	if err != nil {
		return SSLClient{}, err
	}
	if c.DescribeOnly && s.settings.HidePSKs {
		p.Key, p.TLSCrypt = hidden, hidden
	}
	return SSLClient{SSLCertificateStatus{x, validity(x.Expires, s.now())}, p}, nil
}

// SSLClientQuery selects the clients that are connected to the SSL-VPN servers of a gateway.
type SSLClientQuery struct {
	Region  string
	Gateway string
	Page    state.Page
}

// SSLClients lists the clients that are connected to the SSL-VPN servers of one of the
// caller's gateways, by server in the order in which these were made, and by certificate
// (DescribeSslVpnClients). A gateway without SSL-VPN has none. Reasons: RegionNotFound,
// VPNGatewayNotFound.
func (s *Service) SSLClients(ctx context.Context, c identity.Caller, q SSLClientQuery) (state.Listing[dataplane.SSLSession], error) {
	var out state.Listing[dataplane.SSLSession]
	v := s.db.View()
	g, err := lookup.In(s.settings, c, v.VPNGateways, q.Region, q.Gateway)
	if err != nil {
		return out, err
	}
	live := s.liveSSL(ctx)
	for x := range v.SSLServers.By(state.ByGateway, g.ID).All() {
		for _, session := range live(x.VPC)[x.ID].Clients {
			if out.Total >= q.Page.Offset && len(out.Items) < q.Page.Limit {
				out.Items = append(out.Items, session)
			}
			out.Total++
		}
	}
	return out, nil
}

// profile opens what a client has to know.
func (s *Service) profile(v *state.View, x *resource.SSLCertificate) (client.Profile, error) {
	server, ok := v.SSLServers.Get(x.Server)
	if !ok {
		return client.Profile{}, fmt.Errorf("SSL-VPN client certificate %s: its server %s is gone", x.ID, x.Server)
	}
	g, ok := v.VPNGateways.Get(server.Gateway)
	if !ok {
		return client.Profile{}, fmt.Errorf("SSL-VPN server %s: its VPN gateway %s is gone", server.ID, server.Gateway)
	}
	key, err := s.sealer.Open(x.ID, x.Key)
	if err != nil {
		return client.Profile{}, err
	}
	crypt, err := s.sealer.Open(resource.SSLTLSCryptName(server.ID), server.Keys.TLSCrypt)
	if err != nil {
		return client.Profile{}, err
	}
	return client.Profile{
		Server: server.ID, Certificate: x.ID, Address: g.Address, Port: server.Port, Protocol: uint8(server.Protocol), Cipher: server.Cipher, Made: x.CreatedAt, Expires: x.Expires,
		CA: server.Keys.Authority, Cert: x.Certificate, Key: dataplane.Secret(key), TLSCrypt: dataplane.Secret(crypt),
	}, nil
}
