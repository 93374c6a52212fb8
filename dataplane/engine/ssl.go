package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// sslServers runs the OpenVPNs of SSL-VPN servers, which open the TUN devices that are there:
// openvpn.Servers.
type sslServers interface {
	Apply(ctx context.Context, ns *netns.Namespace, network string, want []dataplane.VPNGateway) error
	Close()
	Available() error
	Status(network string) map[string]dataplane.SSLStatus
	Log(network, server string, from, to time.Time) ([]dataplane.SSLLine, error)
	Disconnect(ctx context.Context, network, server, certificate string) error
}

// applySSL makes OpenVPNs what a network asks for. ns may be nil where that is none.
func (v *vpn) applySSL(ctx context.Context, ns *netns.Namespace, id string, want *dataplane.Network) error {
	if v.ssl != nil {
		return v.ssl.Apply(ctx, ns, id, want.VPNGateways)
	}
	var errs []error
	for _, s := range want.AllSSL() {
		errs = append(errs, fmt.Errorf("SSL-VPN server %s: %w", s.ID, v.noSSL))
	}
	return errors.Join(errs...)
}

// SSLAvailable says what keeps this machine from running SSL-VPN servers, and what to do;
// nil if nothing does.
func (e *Engine) SSLAvailable() error {
	if e.vpn.ssl == nil {
		return e.vpn.noSSL
	}
	return e.vpn.ssl.Available()
}

// SSL returns the live state of the SSL-VPN servers of a network, by server id.
func (e *Engine) SSL(_ context.Context, network string) (map[string]dataplane.SSLStatus, error) {
	if e.vpn.ssl == nil {
		return nil, e.vpn.noSSL
	}
	return e.vpn.ssl.Status(network), nil
}

// SSLLog returns what an SSL-VPN server has logged from one time until another, both included.
func (e *Engine) SSLLog(_ context.Context, network, server string, from, to time.Time) ([]dataplane.SSLLine, error) {
	if e.vpn.ssl == nil {
		return nil, e.vpn.noSSL
	}
	return e.vpn.ssl.Log(network, server, from, to)
}

// SSLDisconnect ends the session of a client of an SSL-VPN server, if it has one. It may
// log in again.
func (e *Engine) SSLDisconnect(ctx context.Context, network, server, certificate string) error {
	if e.vpn.ssl == nil {
		return e.vpn.noSSL
	}
	return e.vpn.ssl.Disconnect(ctx, network, server, certificate)
}
