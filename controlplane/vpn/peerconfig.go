package vpn

import (
	"context"
	"slices"

	"sluice/controlplane/compile"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/vpn/peer"
)

// PeerConfig writes what the device at the other end of a connection has to be
// told, the pre-shared key included, in one of peer.Formats. It is for the
// operator: whose the connection is does not count.
//
// Reasons: VPNConnectionNotFound, ParameterInvalid.
func (s *Service) PeerConfig(id, format string) (string, error) {
	if !slices.Contains(peer.Formats(), format) {
		return "", fault.New(fault.ParameterInvalid, "format %q; it is one of %v", format, peer.Formats())
	}
	v := s.db.View()
	x, ok := v.VPNConnections.Get(id)
	if !ok {
		return "", fault.New(fault.VPNConnectionNotFound, "VPN connection %q", id)
	}
	st, err := s.status(v, x, nil)
	if err != nil {
		return "", err
	}
	text, err := peer.Render(format, compile.Connection(x, st.Local, st.Peer, string(st.PSK)), st.Local.Address)
	if err != nil {
		return "", fault.New(fault.ParameterInvalid, "%v", err)
	}
	return text, nil
}

// VendorConfig writes what a device of a vendor at the other end of one of the caller's
// connections has to be told (Tencent Cloud's API 3.0, DownloadCustomerGatewayConfiguration).
// link is the device's interface to the Internet.
//
// Reasons: RegionNotFound, VPNConnectionNotFound, ParameterInvalid.
func (s *Service) VendorConfig(ctx context.Context, c identity.Caller, region, id string, v peer.Vendor, link string) (string, error) {
	st, err := s.Connection(ctx, c, region, id)
	if err != nil {
		return "", err
	}
	text, err := peer.Configure(v, compile.Connection(st.VPNConnection, st.Local, st.Peer, string(st.PSK)), st.Local.Address, link)
	if err != nil {
		return "", fault.Explained(fault.ParameterInvalid, "%v", err)
	}
	return text, nil
}
