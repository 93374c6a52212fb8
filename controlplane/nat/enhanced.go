package nat

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// room says whether a VPC has room for another gateway, and whether that gets a route for
// 0.0.0.0/0 in the VPC's own table. Of enhanced gateways the first one gets it, where
// nothing else is the way to everywhere: others are led to by routes that are made for them.
//
// Reasons: NATVSwitchMissing, NATVSwitchNotApplicable, VSwitchNotFound, GatewayExists,
// DefaultRouteExists.
func room(tx *change.Tx, vpc *resource.VPC, in Gateway) (route bool, err error) {
	gateways := tx.NATGateways.By(state.ByVPC, vpc.ID)
	led := func() error {
		if _, ok := tx.RouteEntries.Get(resource.RouteEntryID(vpc.RouteTable, everywhere)); ok {
			return fault.New(fault.DefaultRouteExists, "route table %s has an entry for 0.0.0.0/0; delete it first", vpc.RouteTable)
		}
		if tx.VPNRoutes.By(state.ByPublished, state.PublishedKey(vpc.ID, everywhere)).Len() > 0 {
			return fault.New(fault.DefaultRouteExists, "a VPN gateway has published a route for 0.0.0.0/0; withdraw it first")
		}
		return nil
	}
	if !in.Enhanced {
		if in.VSwitch != "" {
			return false, fault.New(fault.NATVSwitchNotApplicable, "VSwitch %q of a NAT gateway that is not enhanced", in.VSwitch)
		}
		if g, ok := gateways.First(); ok {
			return false, fault.New(fault.GatewayExists, "VPC %s has NAT gateway %s; beside it there may be enhanced ones only", vpc.ID, g.ID)
		}
		return true, led()
	}
	if err := inVSwitch(tx.View, vpc.ID, vpc.Account, in.VSwitch); err != nil {
		return false, err
	}
	if gateways.Len() >= dataplane.MostNATGateways {
		return false, fault.New(fault.GatewayExists, "VPC %s has %d NAT gateways, as many as there can be", vpc.ID, gateways.Len())
	}
	if err := tx.Room(&resource.NATGateway{Meta: resource.Meta{Account: vpc.Account}, VPC: vpc.ID}); err != nil {
		return false, err
	}
	// A route table leads to one gateway.
	for e := range tx.RouteEntries.By(state.ByTable, vpc.RouteTable).All() {
		in.NoRoute = in.NoRoute || e.LeadsTo(resource.NextHopNATGateway)
	}
	return !in.NoRoute && led() == nil, nil
}

// inVSwitch refuses what is no VSwitch of the VPC for an enhanced gateway.
func inVSwitch(v *state.View, vpc, account, id string) error {
	if id == "" {
		return fault.New(fault.NATVSwitchMissing, "an enhanced NAT gateway is in a VSwitch")
	}
	if s, ok := v.VSwitches.Get(id); !ok || s.Account != account || s.VPC != vpc {
		return fault.New(fault.VSwitchNotFound, "VSwitch %q in VPC %s", id, vpc)
	}
	return nil
}

// limits returns those that hold for a gateway.
func (s *Service) limits(g *resource.NATGateway) dataplane.Limits {
	if g.ByUse {
		return s.settings.ByUse
	}
	return g.Limits
}

// Enhance makes an enhanced gateway of an ordinary one (UpdateNatGatewayNatType): the VPC
// may have further ones then. All else stays as it is. With try nothing is changed.
//
// Reasons: RegionNotFound, NATGatewayNotFound, NATTypeUnchanged, NATVSwitchMissing,
// VSwitchNotFound, GatewayInTransition.
func (s *Service) Enhance(ctx context.Context, c identity.Caller, region, id, vswitch string, try bool) error {
	check := func(v *state.View) (*resource.NATGateway, error) {
		g, err := lookup.In(s.settings, c, v.NATGateways, region, id)
		if err != nil {
			return nil, err
		}
		if g.Enhanced() {
			return nil, fault.New(fault.NATTypeUnchanged, "NAT gateway %s is in VSwitch %s", g.ID, g.VSwitch)
		}
		if err := inVSwitch(v, g.VPC, g.Account, vswitch); err != nil {
			return nil, err
		}
		return g, s.gatewayReady(v, g)
	}
	if try {
		_, err := check(s.db.View())
		return err
	}
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := check(tx.View)
		if err != nil {
			return err
		}
		g := old.Clone().(*resource.NATGateway)
		g.VSwitch = vswitch
		tx.PutAttributes(g)
		tx.Done("NAT gateway enhanced", "gateway", g.ID, "vpc", g.VPC, "vswitch", vswitch)
		return nil
	})
}

// Protect protects a gateway from deletion, or no longer (DeletionProtection). Reasons:
// RegionNotFound, NATGatewayNotFound.
func (s *Service) Protect(ctx context.Context, c identity.Caller, region, id string, on bool) error {
	return change.Protect(ctx, s.writer, c, func(tx *change.Tx) (*resource.NATGateway, error) {
		return lookup.In(s.settings, c, tx.NATGateways, region, id)
	}, on)
}
