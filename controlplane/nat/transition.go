package nat

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// The documents refuse changes of a gateway or a table that is in transition.
// That is asked only while the dataplane has not answered to the newest change
// of the network: one that it refuses leaves its entry Pending, but must not
// bar the way to the change that mends it. A refusal for a transition is what
// package change waits for before it tries once more; hence it comes after
// all other checks, so that nobody waits to hear of a mistake.

// vpcReady refuses to put a gateway into a VPC that the dataplane has not made
// yet, or of which it still holds an earlier gateway.
func (s *Service) vpcReady(vpc *resource.VPC) error {
	o := s.db.Observed
	if o.Settled(vpc.ID) || vpc.Phase(o.Applied(vpc.ID)) != resource.Creating && !o.Deleting(vpc.ID, resource.KindNATGateway) {
		return nil
	}
	return fault.InTransition(fault.VPCInTransition, vpc.ID, "VPC %s is not ready for a NAT gateway yet; try again when it is Available", vpc.ID)
}

// gatewayReady refuses a change of a gateway that the dataplane is still making
// or changing.
func (s *Service) gatewayReady(g *resource.NATGateway) error {
	if s.db.Observed.Settled(g.VPC) || g.Phase(s.db.Observed.Applied(g.VPC)) == resource.Ready {
		return nil
	}
	return fault.InTransition(fault.GatewayInTransition, g.VPC, "NAT gateway %s is still being made or changed; try again when it is Available", g.ID)
}

// forwardTableReady refuses a change of a DNAT table while its gateway or an
// entry of it is in transition.
func (s *Service) forwardTableReady(v *state.View, g *resource.NATGateway) error {
	return tableReady(s, g, v.ForwardEntries.By(state.ByTable, g.ForwardTable), resource.KindForwardEntry, fault.ForwardEntryInTransition)
}

// snatTableReady is the same for an SNAT table.
func (s *Service) snatTableReady(v *state.View, g *resource.NATGateway) error {
	return tableReady(s, g, v.SNATEntries.By(state.ByTable, g.SNATTable), resource.KindSNATEntry, fault.SNATEntryInTransition)
}

// tableReady walks the table, but only while the network has not settled.
func tableReady[R resource.Resource](s *Service, g *resource.NATGateway, entries *state.Range[R], kind resource.Kind, reason fault.Reason) error {
	if s.db.Observed.Settled(g.VPC) {
		return nil
	}
	if err := s.gatewayReady(g); err != nil {
		return err
	}
	if s.db.Observed.Deleting(g.VPC, kind) {
		return fault.InTransition(reason, g.VPC, "an entry of the table is still being deleted; try again when it is gone")
	}
	applied := s.db.Observed.Applied(g.VPC)
	for e := range entries.All() {
		if m := e.Metadata(); m.Phase(applied) != resource.Ready {
			return fault.InTransition(reason, g.VPC, "entry %s of the table is still being made or changed; try again when it is Available", m.ID)
		}
	}
	return nil
}
