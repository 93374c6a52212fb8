package vpn

import (
	"context"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// SSLEnd is an SSL-VPN server as the operator sees it, with its clients.
type SSLEnd struct {
	SSLServerStatus
	Certificates []SSLCertificateStatus // in the order in which they were made
	Revoked      int                    // certificates that were deleted and would not have expired yet
	Phase        resource.Phase
}

// SSLEnds returns all SSL-VPN servers, in the order in which they were made. It is for the
// operator: whose they are does not count.
func (s *Service) SSLEnds(ctx context.Context) ([]SSLEnd, error) {
	v, now, live := s.db.View(), s.now(), s.liveSSL(ctx)
	var out []SSLEnd
	for x := range v.SSLServers.All() {
		st, err := sslStatus(v, x, live)
		if err != nil {
			return nil, err
		}
		e := SSLEnd{SSLServerStatus: st, Revoked: len(x.Revoked), Phase: x.Phase(s.db.Observed.Applied(x.VPC))}
		for _, c := range certificates(v, x.ID) {
			e.Certificates = append(e.Certificates, SSLCertificateStatus{c, validity(c.Expires, now)})
		}
		out = append(out, e)
	}
	return out, nil
}

// DisconnectSSL ends the session of a client, which may come again. It is for the operator:
// whose the certificate is does not count.
//
// Reasons: SSLCertificateNotFound, SSLClientNotConnected.
func (s *Service) DisconnectSSL(ctx context.Context, certificate string) error {
	v := s.db.View()
	x, ok := v.SSLCertificates.Get(certificate)
	if !ok {
		return fault.New(fault.SSLCertificateNotFound, "SSL-VPN client certificate %q", certificate)
	}
	for _, session := range s.liveSSL(ctx)(x.VPC)[x.Server].Clients {
		if session.Certificate != x.ID {
			continue
		}
		if err := s.plane.SSLDisconnect(ctx, x.VPC, x.Server, x.ID); err != nil {
			return err
		}
		s.writer.Log.Info("SSL-VPN client disconnected", "certificate", x.ID, "server", x.Server, "vpc", x.VPC, "remote", session.Remote)
		return nil
	}
	return fault.New(fault.SSLClientNotConnected, "client %s of %s", x.ID, x.Server)
}

// ClientConfig writes what a client runs, its private key included, in one of
// client.Formats. It is for the operator: whose the certificate is does not count.
//
// Reasons: SSLCertificateNotFound, ParameterInvalid.
func (s *Service) ClientConfig(id, format string) ([]byte, error) {
	v := s.db.View()
	x, ok := v.SSLCertificates.Get(id)
	if !ok {
		return nil, fault.New(fault.SSLCertificateNotFound, "SSL-VPN client certificate %q", id)
	}
	p, err := s.profile(v, x)
	if err != nil {
		return nil, err
	}
	return p.Render(format)
}
