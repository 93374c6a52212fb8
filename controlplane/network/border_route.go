package network

import (
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// The route table of a border router has plain entries, which lead to its line or to one of
// its router interfaces, and takes new ones only while it can be used (VPC API reference,
// CreateRouteEntry).

// createBorderRoute adds an entry to the table of a border router.
//
// Reasons, in this order: BorderRouterNotFound, CIDRMalformed, BorderRouteListed,
// NextHopMissing, NextHopBothNull, NextHopNotFound, BorderRouteState, RouteDestination,
// RouteSame, RouteDuplicate, QuotaRouteEntry, RouteInTransition.
func (s *Service) createBorderRoute(tx *change.Tx, c identity.Caller, t *resource.RouteTable, in NewRouteEntry) (made CreatedRouteEntry, err error) {
	b, err := lookup.Own(c, tx.BorderRouters, t.BorderRouter)
	if err != nil {
		return made, err
	}
	if !canonical(in.Destination) {
		return made, fault.New(fault.CIDRMalformed, "%s; write a network without host bits", in.Destination)
	}
	hop, err := borderHop(tx.View, b, in)
	if err != nil {
		return made, err
	}
	if l, ok := tx.PhysicalConnections.Get(b.Line); !ok || b.State != resource.BorderEnabled || l.State != resource.LineEnabled {
		return made, fault.New(fault.BorderRouteState, "border router %s or its physical connection is not enabled", b.ID)
	}
	if err := Routable(in.Destination); err != nil {
		return made, err
	}
	if within(in.Destination, b.Subnet) {
		return made, fault.Explained(fault.RouteDestination, "%s lies in %s, the subnet on the line, which no route leads away from", in.Destination, b.Subnet)
	}
	e := &resource.RouteEntry{
		Meta:         resource.Meta{ID: resource.RouteEntryID(t.ID, in.Destination), Account: c.Account, Region: b.Region, CreatedAt: s.writer.Now()},
		BorderRouter: b.ID, Table: t.ID, Destination: in.Destination, NextHops: []resource.NextHop{hop}, Name: in.Name, Description: in.Description,
	}
	if old, ok := tx.RouteEntries.Get(e.ID); ok {
		if sameHops(old.NextHops, e.NextHops) {
			return made, fault.New(fault.RouteSame, "route table %s has that entry for %s", t.ID, in.Destination)
		}
		return made, fault.New(fault.RouteDuplicate, "route table %s has another entry for %s", t.ID, in.Destination)
	}
	if err := tx.Room(e); err != nil {
		return made, err
	}
	if err := s.borderRoutesReady(tx.View, b.ID); err != nil {
		return made, err
	}
	tx.Put(e)
	tx.Done("route entry created", "borderRouter", b.ID, "table", t.ID, "destination", e.Destination)
	return CreatedRouteEntry{resource.EntryID(e.Table, e.Destination, tx.Revision())}, nil
}

// modifyBorderRoute puts a changed entry of a border router. Reasons: those of borderHop,
// RouteInTransition.
func (s *Service) modifyBorderRoute(tx *change.Tx, old, e *resource.RouteEntry, in RouteEntryChange) error {
	if in.NextHopID != "" {
		b, ok := tx.BorderRouters.Get(old.BorderRouter)
		if !ok {
			return fault.New(fault.BorderRouterNotFound, "border router %s", old.BorderRouter)
		}
		hop, err := borderHop(tx.View, b, NewRouteEntry{NextHopType: in.NextHopType, NextHopID: in.NextHopID})
		if err != nil {
			return err
		}
		e.NextHops = []resource.NextHop{hop}
	}
	if slices.Equal(e.NextHops, old.NextHops) {
		tx.PutAttributes(e)
	} else {
		if err := s.borderRoutesReady(tx.View, e.BorderRouter); err != nil {
			return err
		}
		tx.Put(e)
	}
	tx.Done("route entry changed", "borderRouter", e.BorderRouter, "table", e.Table, "destination", e.Destination)
	return nil
}

// borderHop returns the next hop of an entry of a border router: its interface to the line, or
// one of its router interfaces.
// Reasons: BorderRouteListed, NextHopBothNull, NextHopMissing, NextHopNotFound.
func borderHop(v *state.View, b *resource.VirtualBorderRouter, in NewRouteEntry) (resource.NextHop, error) {
	none := resource.NextHop{}
	switch {
	case len(in.NextHops) > 0:
		return none, fault.New(fault.BorderRouteListed, "route table %s is a border router's", b.RouteTable)
	case in.NextHopID == "" && in.NextHopType == "":
		return none, fault.New(fault.NextHopBothNull, "name a next hop")
	case in.NextHopID == "":
		return none, fault.New(fault.NextHopMissing, "name the next hop of type %s", in.NextHopType)
	case in.NextHopType == resource.NextHopRouterInterface && in.NextHopID == b.LineInterface:
		return resource.NextHop{Type: resource.NextHopLine, ID: b.LineInterface}, nil
	case in.NextHopType == resource.NextHopRouterInterface:
		if r, ok := v.RouterInterfaces.Get(in.NextHopID); ok && r.Router == b.ID {
			return resource.NextHop{Type: resource.NextHopRouterInterface, ID: r.ID}, nil
		}
	}
	return none, fault.New(fault.NextHopNotFound, "%s %q of border router %s", in.NextHopType, in.NextHopID, b.ID)
}

// borderRoutesReady refuses changes of a border router's routes while one is under way.
// Reason: RouteInTransition.
func (s *Service) borderRoutesReady(v *state.View, router string) error {
	return state.AllReady(s.db.Observed, v.RouteEntries, router, v.RouteEntries.By(state.ByBorderRouter, router))
}
