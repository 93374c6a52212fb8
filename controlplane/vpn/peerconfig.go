package vpn

import (
	"slices"

	"sluice/controlplane/compile"
	"sluice/controlplane/fault"
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
