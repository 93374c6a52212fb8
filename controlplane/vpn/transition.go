package vpn

import (
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// gatewayReady refuses a change of a gateway that the dataplane is still making
// or changing.
func (s *Service) gatewayReady(v *state.View, g *resource.VPNGateway) error {
	return state.Ready(s.db.Observed, v.VPNGateways, g)
}

// configured refuses a change while the dataplane still follows one of the gateway,
// of a connection of it, of a route, an SSL-VPN server or a certificate of one.
func (s *Service) configured(v *state.View, g *resource.VPNGateway) error {
	if err := s.gatewayReady(v, g); err != nil {
		return err
	}
	if err := state.AllReady(s.db.Observed, v.VPNConnections, g.VPC, v.VPNConnections.By(state.ByGateway, g.ID)); err != nil {
		return err
	}
	if err := state.AllReady(s.db.Observed, v.VPNRoutes, g.VPC, v.VPNRoutes.By(state.ByGateway, g.ID)); err != nil {
		return err
	}
	return s.sslReady(v, g)
}

// sslReady refuses a change while the dataplane still follows one of an SSL-VPN server of the
// gateway, or of a certificate of one.
func (s *Service) sslReady(v *state.View, g *resource.VPNGateway) error {
	servers := v.SSLServers.By(state.ByGateway, g.ID)
	if err := state.AllReady(s.db.Observed, v.SSLServers, g.VPC, servers); err != nil {
		return err
	}
	for x := range servers.All() {
		if err := state.AllReady(s.db.Observed, v.SSLCertificates, g.VPC, v.SSLCertificates.By(state.ByServer, x.ID)); err != nil {
			return err
		}
	}
	return nil
}
