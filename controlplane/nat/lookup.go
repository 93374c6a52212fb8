package nat

import (
	"net/netip"

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

func (s *Service) vpc(v *state.View, c identity.Caller, region, id string) (*resource.VPC, error) {
	if err := s.region(region); err != nil {
		return nil, err
	}
	vpc, ok := v.VPCs.Get(id)
	if !ok || !mine(c, region, &vpc.Meta) {
		return nil, fault.New(fault.VPCNotFound, "VPC %q in region %s", id, region)
	}
	return vpc, nil
}

func (s *Service) gateway(v *state.View, c identity.Caller, region, id string) (*resource.NATGateway, error) {
	if err := s.region(region); err != nil {
		return nil, err
	}
	g, ok := v.NATGateways.Get(id)
	if !ok || !mine(c, region, &g.Meta) {
		return nil, fault.New(fault.NATGatewayNotFound, "NAT gateway %q in region %s", id, region)
	}
	return g, nil
}

// forwardTable returns the gateway that a DNAT table belongs to.
func (s *Service) forwardTable(v *state.View, c identity.Caller, region, table string) (*resource.NATGateway, error) {
	if err := s.region(region); err != nil {
		return nil, err
	}
	g, ok := gatewayOfTable(v, table)
	if !ok || g.ForwardTable != table || !mine(c, region, &g.Meta) {
		return nil, fault.New(fault.ForwardTableNotFound, "DNAT table %q in region %s", table, region)
	}
	return g, nil
}

// snatTable returns the gateway that an SNAT table belongs to.
func (s *Service) snatTable(v *state.View, c identity.Caller, region, table string) (*resource.NATGateway, error) {
	if err := s.region(region); err != nil {
		return nil, err
	}
	g, ok := gatewayOfTable(v, table)
	if !ok || g.SNATTable != table || !mine(c, region, &g.Meta) {
		return nil, fault.New(fault.SNATTableNotFound, "SNAT table %q in region %s", table, region)
	}
	return g, nil
}

func gatewayOfTable(v *state.View, table string) (*resource.NATGateway, bool) {
	return first(v.NATGateways.By(state.ByTableID, table))
}

func first[R resource.Resource](r *state.Range[R]) (R, bool) {
	if r.Len() == 0 {
		var none R
		return none, false
	}
	return r.At(0), true
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
	return e.Binding != nil && e.Binding.Type == resource.BoundToNAT && e.Binding.ID == g.ID
}

// instanceAt returns the instance of the inventory that holds an address of a
// VPC. An address that the inventory doesn't know counts as an ordinary ECS
// instance.
func instanceAt(v *state.View, vpc string, a netip.Addr) (*resource.Instance, bool) {
	return first(v.Instances.By(state.ByAddress, state.AddrKey(vpc, a)))
}

// hasElasticIP says whether the ECS instance at an address has an elastic IP
// of its own.
func hasElasticIP(v *state.View, vpc string, a netip.Addr) (*resource.Instance, bool) {
	i, ok := instanceAt(v, vpc, a)
	if !ok || i.Type != resource.InstanceECS {
		return nil, false
	}
	return i, v.ElasticIPs.By(state.ByBinding, i.ID).Len() > 0
}
