package vpn

import (
	"context"
	"errors"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/pki"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// maxRevoked is how many deleted certificates a server keeps until they would have expired:
// each is a file for OpenVPN. Beyond, no further ones are made; deletion is never refused.
const maxRevoked = 4000

// NewSSLCertificate is what a new client certificate should be.
type NewSSLCertificate struct {
	Region string
	Server string
	Name   string
}

// CreatedSSLCertificate is what CreateSSLCertificate made. It holds no secret: it is kept for
// the client's token.
type CreatedSSLCertificate struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// CreateSSLCertificate makes a client certificate of an SSL-VPN server, and its key (VPN
// Gateway API reference, CreateSslVpnClientCert).
//
// Reasons, in this order: RegionNotFound, SSLServerNotFound, QuotaSSLCertificate,
// QuotaSSLRevocations, SSLAuthorityExpired, VPNGatewayConfiguring.
func (s *Service) CreateSSLCertificate(ctx context.Context, c identity.Caller, in NewSSLCertificate) (CreatedSSLCertificate, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedSSLCertificate, error) {
		server, g, err := s.sslServer(tx.View, c, in.Region, in.Server)
		if err != nil {
			return CreatedSSLCertificate{}, err
		}
		x := &resource.SSLCertificate{
			Meta: resource.Meta{ID: tx.NewID("vsc"), Account: c.Account, Region: server.Region, CreatedAt: s.now()},
			VPC:  server.VPC, Server: server.ID, Name: in.Name,
		}
		if err := tx.Room(x); err != nil {
			return CreatedSSLCertificate{}, err
		}
		if n := len(server.Revoked); n >= maxRevoked {
			return CreatedSSLCertificate{}, fault.New(fault.QuotaSSLRevocations, "%d certificates of %s were deleted and have not expired yet, at most %d are kept; make another server", n, server.ID, maxRevoked)
		}
		key, err := s.sealer.Open(resource.SSLAuthorityName(server.ID), server.Keys.AuthorityKey)
		if err != nil {
			return CreatedSSLCertificate{}, err
		}
		authority := pki.Pair{Certificate: server.Keys.Authority, Key: key}
		made, err := authority.NewClient(s.random, s.now(), x.ID)
		if errors.Is(err, pki.ErrExpired) {
			return CreatedSSLCertificate{}, fault.Explained(fault.SSLAuthorityExpired, "SSL-VPN server %s ends on %s with its certificate; make another server", server.ID, server.Keys.Expires.UTC().Format("2006-01-02"))
		}
		if err != nil {
			return CreatedSSLCertificate{}, err
		}
		x.Serial, x.Certificate, x.Expires = made.Serial, made.Certificate, made.Expires
		if x.Key, err = s.sealer.Seal(x.ID, made.Key); err != nil {
			return CreatedSSLCertificate{}, err
		}
		if err := s.configured(tx.View, g); err != nil {
			return CreatedSSLCertificate{}, err
		}
		tx.Put(x)
		tx.Done("SSL-VPN client certificate created", sslCertificateAttrs(x)...)
		return CreatedSSLCertificate{ID: x.ID, Name: x.Name}, nil
	})
}

// SSLCertificateName renames a client certificate.
type SSLCertificateName struct {
	Region string
	ID     string
	Name   *string // nil leaves it as it is
}

// ModifySSLCertificate changes a client certificate's name, and returns it as it is then
// (ModifySslVpnClientCert). Reasons: RegionNotFound, SSLCertificateNotFound.
func (s *Service) ModifySSLCertificate(ctx context.Context, c identity.Caller, in SSLCertificateName) (CreatedSSLCertificate, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedSSLCertificate, error) {
		old, err := lookup.In(s.settings, c, tx.SSLCertificates, in.Region, in.ID)
		if err != nil {
			return CreatedSSLCertificate{}, err
		}
		if in.Name == nil || *in.Name == old.Name {
			return CreatedSSLCertificate{ID: old.ID, Name: old.Name}, nil
		}
		x := old.Clone().(*resource.SSLCertificate)
		x.Name = *in.Name
		tx.PutAttributes(x)
		tx.Done("SSL-VPN client certificate renamed", append(sslCertificateAttrs(x), "name", x.Name)...)
		return CreatedSSLCertificate{ID: x.ID, Name: x.Name}, nil
	})
}

// DeleteSSLCertificate deletes a client certificate: its session ends, and it never logs in
// again (DeleteSslVpnClientCert).
//
// Reasons, in this order: RegionNotFound, SSLCertificateNotFound, VPNGatewayConfiguring.
func (s *Service) DeleteSSLCertificate(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		x, err := lookup.In(s.settings, c, tx.SSLCertificates, region, id)
		if err != nil {
			return err
		}
		old, g, err := s.sslServer(tx.View, c, region, x.Server)
		if err != nil {
			return err
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		server := old.Clone().(*resource.SSLServer)
		server.Revoked = append(server.Revoked, resource.RevokedCertificate{Serial: x.Serial, Until: x.Expires})
		s.forgetRevoked(server)
		tx.Put(server)
		tx.Delete(x)
		tx.Done("SSL-VPN client certificate deleted", sslCertificateAttrs(x)...)
		return nil
	})
}

// forgetRevoked drops what has expired from a server's revoked certificates: nobody accepts
// that any more.
func (s *Service) forgetRevoked(x *resource.SSLServer) {
	now := s.now()
	x.Revoked = slices.DeleteFunc(x.Revoked, func(r resource.RevokedCertificate) bool { return r.Until.Before(now) })
}

func sslCertificateAttrs(x *resource.SSLCertificate) []any {
	return []any{"certificate", x.ID, "server", x.Server, "vpc", x.VPC, "serial", x.Serial, "expires", x.Expires}
}

// certificates returns the client certificates of a server, in the order in which they were
// made.
func certificates(v *state.View, server string) []*resource.SSLCertificate {
	return slices.Collect(v.SSLCertificates.By(state.ByServer, server).All())
}
