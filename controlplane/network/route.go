package network

import (
	"context"
	"net/netip"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// NewRouteEntry is what a custom route entry is made of: either NextHopID, with
// NextHopType or without, or NextHops.
type NewRouteEntry struct {
	Table       string
	Destination netip.Prefix         // without host bits
	NextHopType resource.NextHopType // empty: Instance
	NextHopID   string
	NextHops    []resource.NextHop // 2 to 4 router interfaces that lead to VBRs
	Name        string
	Description string
}

// CreatedRouteEntry is what CreateRouteEntry made.
type CreatedRouteEntry struct {
	ID string `json:"id"`
}

// CreateRouteEntry adds a custom entry to a VPC's route table (VPC API
// reference, CreateRouteEntry).
//
// Reasons, in this order: RouteTableNotFound, CIDRMalformed, those of the next
// hops (see nextHops), RouteDestination, RouteSame, RouteDuplicate,
// QuotaRouteEntry, HaVipRouteQuota, HaVipStatus, VPCInTransition, VSwitchInTransition,
// RouteInTransition.
func (s *Service) CreateRouteEntry(ctx context.Context, c identity.Caller, in NewRouteEntry) (made CreatedRouteEntry, err error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedRouteEntry, error) {
		t, err := lookup.Own(c, tx.RouteTables, in.Table)
		if err != nil {
			return made, err
		}
		if t.BorderRouter != "" {
			return s.createBorderRoute(tx, c, t, in)
		}
		vpc, err := lookup.Own(c, tx.VPCs, t.VPC)
		if err != nil {
			return made, err
		}
		e, err := s.newEntry(tx, c, vpc, in)
		if err != nil {
			return made, err
		}
		if err := s.ready(tx.View, vpc); err != nil {
			return made, err
		}
		tx.Put(e)
		tx.Done("route entry created", "vpc", vpc.ID, "table", e.Table, "destination", e.Destination, "hops", len(e.NextHops))
		return CreatedRouteEntry{resource.EntryID(e.Table, e.Destination, tx.Revision())}, nil
	})
}

// newEntry returns a custom entry of a VPC's table, which is not put yet.
//
// Reasons, in this order: CIDRMalformed, those of the next hops, RouteDestination, RouteSame,
// RouteDuplicate, RouteOtherNATGateway, QuotaRouteEntry, HaVipRouteQuota, HaVipStatus.
func (s *Service) newEntry(tx *change.Tx, c identity.Caller, vpc *resource.VPC, in NewRouteEntry) (*resource.RouteEntry, error) {
	if !canonical(in.Destination) {
		return nil, fault.New(fault.CIDRMalformed, "%s; write a network without host bits", in.Destination)
	}
	hops, err := nextHops(tx.View, vpc, in)
	if err != nil {
		return nil, err
	}
	if err := checkDestination(tx.View, vpc, in.Destination); err != nil {
		return nil, err
	}
	e := &resource.RouteEntry{
		Meta: resource.Meta{ID: resource.RouteEntryID(in.Table, in.Destination), Account: c.Account, Region: vpc.Region, CreatedAt: s.writer.Now()},
		VPC:  vpc.ID, Table: in.Table, Destination: in.Destination, NextHops: hops,
		Name: in.Name, Description: in.Description,
	}
	if old, ok := tx.RouteEntries.Get(e.ID); ok {
		if !old.System && sameHops(old.NextHops, hops) {
			return nil, fault.New(fault.RouteSame, "route table %s has that entry for %s", in.Table, in.Destination)
		}
		return nil, fault.New(fault.RouteDuplicate, "route table %s has another entry for %s", in.Table, in.Destination)
	}
	if in.Table == vpc.RouteTable && isPublished(tx.View, vpc.ID, in.Destination) {
		return nil, fault.New(fault.RouteDuplicate, "a VPN gateway has published a route for %s", in.Destination)
	}
	if err := oneNATGateway(tx.View, e); err != nil {
		return nil, err
	}
	if err := tx.Room(e); err != nil {
		return nil, err
	}
	return e, s.haVipsReady(tx.View, hops)
}

// OldRouteEntry names an entry to delete: by its id, or by table and destination, a plain
// one with NextHopID, one with several hops with NextHops, whose order does not count.
// What is given beside an id has to be right.
type OldRouteEntry struct {
	ID          string
	Table       string
	Destination netip.Prefix
	NextHopID   string
	NextHops    []resource.NextHop // empty types match any
}

// DeleteRouteEntry removes a custom entry (DeleteRouteEntry).
//
// Reasons, in this order: RouteTableNotFound, RouteSystem, RouteEntryNotFound,
// NextHopMissing, NextHopMismatch, RouteInTransition, VSwitchInTransition.
func (s *Service) DeleteRouteEntry(ctx context.Context, c identity.Caller, in OldRouteEntry) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		e, vpc, err := s.customEntry(tx.View, c, in.ID, in.Table, in.Destination)
		if err != nil {
			return err
		}
		if err := in.matches(e); err != nil {
			return err
		}
		if vpc == nil {
			err = s.borderRoutesReady(tx.View, e.BorderRouter)
		} else if err = s.routesReady(tx.View, vpc.ID); err == nil {
			err = s.vswitchesReady(tx.View, vpc.ID)
		}
		if err != nil {
			return err
		}
		tx.Delete(e)
		tx.Done("route entry deleted", "network", e.Network(), "table", e.Table, "destination", e.Destination)
		return nil
	})
}

// customEntry returns the caller's custom entry of that id, or where there is none that of
// a table for a destination, and its VPC, nil of a border router's. Reasons: RouteTableNotFound, RouteSystem,
// RouteEntryNotFound.
func (s *Service) customEntry(v *state.View, c identity.Caller, id, table string, destination netip.Prefix) (*resource.RouteEntry, *resource.VPC, error) {
	if id != "" {
		e, ok := v.RouteEntries.By(state.ByEntryID, id).First()
		if !ok || e.Account != c.Account || table != "" && e.Table != table || destination.IsValid() && e.Destination != destination {
			return nil, nil, fault.New(fault.RouteEntryNotFound, "route entry %q", id)
		}
		table, destination = e.Table, e.Destination
	}
	t, err := lookup.Own(c, v.RouteTables, table)
	if err != nil {
		return nil, nil, err
	}
	e, ok := v.RouteEntries.Get(resource.RouteEntryID(table, destination))
	if t.BorderRouter != "" {
		if !ok {
			return nil, nil, fault.New(fault.RouteEntryNotFound, "route table %s has no entry for %s", table, destination)
		}
		return e, nil, nil
	}
	vpc, err := lookup.Own(c, v.VPCs, t.VPC)
	if err != nil {
		return nil, nil, err
	}
	if ok && e.System || !ok && isDerived(v, vpc, table, destination) {
		return nil, nil, fault.New(fault.RouteSystem, "the entry for %s is a system entry", destination)
	}
	if !ok {
		return nil, nil, fault.New(fault.RouteEntryNotFound, "route table %s has no entry for %s", table, destination)
	}
	return e, vpc, nil
}

func (in OldRouteEntry) matches(e *resource.RouteEntry) error {
	hops := in.NextHops
	switch {
	case in.NextHopID == "" && len(hops) == 0 && in.ID != "":
		return nil
	case in.NextHopID == "" && len(hops) == 0:
		return fault.New(fault.NextHopMissing, "name the next hop of the entry for %s, or the list of its next hops", e.Destination)
	case in.NextHopID != "" && len(hops) > 0:
		return fault.New(fault.ParameterNotApplicable, "name one next hop or the list of them, not both")
	case in.NextHopID != "":
		hops = []resource.NextHop{{ID: in.NextHopID}}
	}
	if !sameHops(e.NextHops, hops) {
		return fault.New(fault.NextHopMismatch, "the entry for %s has other next hops", e.Destination)
	}
	return nil
}

// RouteEntryChange is a change of a custom entry, which is named as in OldRouteEntry.
type RouteEntryChange struct {
	ID          string
	Table       string
	Destination netip.Prefix
	resource.Naming
	NextHopType resource.NextHopType // empty: Instance
	NextHopID   string               // empty: the entry leads where it leads
}

// ModifyRouteEntry changes a custom entry's name, description and next hop
// (ModifyRouteEntry).
//
// Reasons, in this order: RouteTableNotFound, RouteSystem, RouteEntryNotFound, those of
// nextHop, HaVipRouteQuota, HaVipStatus, VPCInTransition, VSwitchInTransition, RouteInTransition.
func (s *Service) ModifyRouteEntry(ctx context.Context, c identity.Caller, in RouteEntryChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, vpc, err := s.customEntry(tx.View, c, in.ID, in.Table, in.Destination)
		if err != nil {
			return err
		}
		e := old.Clone().(*resource.RouteEntry)
		in.Naming.Apply(&e.Name, &e.Description, "")
		if vpc == nil {
			return s.modifyBorderRoute(tx, old, e, in)
		}
		if in.NextHopID != "" {
			if e.NextHops, err = nextHops(tx.View, vpc, NewRouteEntry{NextHopType: in.NextHopType, NextHopID: in.NextHopID}); err != nil {
				return err
			}
		}
		if slices.Equal(e.NextHops, old.NextHops) {
			tx.PutAttributes(e)
		} else {
			if err := oneNATGateway(tx.View, e); err != nil {
				return err
			}
			if err := s.haVipsReady(tx.View, e.NextHops); err != nil {
				return err
			}
			if err := s.ready(tx.View, vpc); err != nil {
				return err
			}
			tx.Put(e)
		}
		tx.Done("route entry changed", "vpc", vpc.ID, "table", e.Table, "destination", e.Destination)
		return nil
	})
}
