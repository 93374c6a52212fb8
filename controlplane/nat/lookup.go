package nat

import (
	"net/netip"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// forwardTable returns the gateway that a DNAT table belongs to.
func (s *Service) forwardTable(v *state.View, c identity.Caller, region, table string) (*resource.NATGateway, error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return nil, err
	}
	g, ok := gatewayOfTable(v, table)
	if !ok || g.ForwardTable != table || !state.Owned(g, c.Account, region) {
		return nil, fault.New(fault.ForwardTableNotFound, "DNAT table %q in region %s", table, region)
	}
	return g, nil
}

// snatTable returns the gateway that an SNAT table belongs to.
func (s *Service) snatTable(v *state.View, c identity.Caller, region, table string) (*resource.NATGateway, error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return nil, err
	}
	g, ok := gatewayOfTable(v, table)
	if !ok || g.SNATTable != table || !state.Owned(g, c.Account, region) {
		return nil, fault.New(fault.SNATTableNotFound, "SNAT table %q in region %s", table, region)
	}
	return g, nil
}

// tableOf returns the gateway of a table that is named by its own id, by that of its
// gateway, or by both; byID finds it by the table's. Reasons: RegionNotFound,
// NATGatewayNotFound, those of byID, which has to find the gateway that is named.
func (s *Service) tableOf(v *state.View, c identity.Caller, region, table, gateway string,
	byID func(*state.View, identity.Caller, string, string) (*resource.NATGateway, error)) (*resource.NATGateway, error) {
	if gateway == "" {
		return byID(v, c, region, table)
	}
	g, err := lookup.In(s.settings, c, v.NATGateways, region, gateway)
	if err != nil || table == "" || table == g.ForwardTable || table == g.SNATTable {
		return g, err
	}
	return byID(v, c, region, "")
}

func gatewayOfTable(v *state.View, table string) (*resource.NATGateway, bool) {
	return v.NATGateways.By(state.ByTableID, table).First()
}

// ownAddress returns the caller's elastic IP of that address.
func ownAddress(v *state.View, c identity.Caller, a netip.Addr) (*resource.ElasticIP, bool) {
	for e := range v.ElasticIPs.By(state.ByAddress, a.String()).All() {
		if e.Account == c.Account {
			return e, true
		}
	}
	return nil, false
}

// onGateway says whether an elastic IP is bound to the gateway.
func onGateway(e *resource.ElasticIP, g *resource.NATGateway) bool {
	return e.Binding != nil && e.Binding.Type == resource.BoundToNATGateway && e.Binding.ID == g.ID
}

// hasElasticIP says whether an address of an ECS instance has an elastic IP of its own.
func hasElasticIP(v *state.View, vpc string, a netip.Addr) (*resource.Instance, bool) {
	i, ok := v.InstanceAt(vpc, a)
	if !ok || i.Type != resource.Host {
		return nil, false
	}
	_, own := v.ElasticOf(vpc, a)
	return i, own
}
