package vpn

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// What belongs to another account, or stands in another region than the one
// named, is not found: its existence is nobody else's business.

func (s *Service) region(id string) error {
	if _, ok := s.settings.Region(id); !ok {
		return fault.New(fault.RegionNotFound, "region %q is not configured", id)
	}
	return nil
}

func mine(c identity.Caller, region string, m *resource.Meta) bool {
	return m.Account == c.Account && m.Region == region
}

func (s *Service) gateway(v *state.View, c identity.Caller, region, id string) (*resource.VPNGateway, error) {
	if err := s.region(region); err != nil {
		return nil, err
	}
	g, ok := v.VPNGateways.Get(id)
	if !ok || !mine(c, region, &g.Meta) {
		return nil, fault.New(fault.VPNGatewayNotFound, "VPN gateway %q in region %s", id, region)
	}
	return g, nil
}

func (s *Service) customerGateway(v *state.View, c identity.Caller, region, id string) (*resource.CustomerGateway, error) {
	if err := s.region(region); err != nil {
		return nil, err
	}
	g, ok := v.CustomerGateways.Get(id)
	if !ok || !mine(c, region, &g.Meta) {
		return nil, fault.New(fault.CustomerGatewayNotFound, "customer gateway %q in region %s", id, region)
	}
	return g, nil
}
