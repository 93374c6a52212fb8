package network

import (
	"context"
	"net/netip"

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
}

// CreateRouteEntry adds a custom entry to a VPC's route table (VPC API
// reference, CreateRouteEntry).
//
// Reasons, in this order: RouteTableNotFound, CIDRMalformed, those of the next
// hops (see nextHops), RouteDestination, RouteSame, RouteDuplicate,
// QuotaRouteEntry, HaVipRouteQuota, VPCInTransition, VSwitchInTransition,
// RouteInTransition.
func (s *Service) CreateRouteEntry(ctx context.Context, c identity.Caller, in NewRouteEntry) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		vpc, err := vpcOfTable(tx.View, c, in.Table)
		if err != nil {
			return err
		}
		if !canonical(in.Destination) {
			return fault.New(fault.CIDRMalformed, "%s; write a network without host bits", in.Destination)
		}
		hops, err := nextHops(tx.View, vpc, in)
		if err != nil {
			return err
		}
		if err := checkDestination(tx.View, vpc, in.Destination); err != nil {
			return err
		}
		e := &resource.RouteEntry{
			Meta: resource.Meta{ID: resource.RouteEntryID(in.Table, in.Destination), Account: c.Account, Region: vpc.Region, CreatedAt: s.writer.Now()},
			VPC:  vpc.ID, Table: in.Table, Destination: in.Destination, NextHops: hops,
		}
		if old, ok := tx.RouteEntries.Get(e.ID); ok {
			if !old.System && sameHops(old.NextHops, hops) {
				return fault.New(fault.RouteSame, "route table %s has that entry for %s", in.Table, in.Destination)
			}
			return fault.New(fault.RouteDuplicate, "route table %s has another entry for %s", in.Table, in.Destination)
		}
		if isPublished(tx.View, vpc.ID, in.Destination) {
			return fault.New(fault.RouteDuplicate, "a VPN gateway has published a route for %s", in.Destination)
		}
		if err := tx.Room(e); err != nil {
			return err
		}
		if err := s.ready(tx.View, vpc); err != nil {
			return err
		}
		tx.Put(e)
		tx.Done("route entry created", "vpc", vpc.ID, "destination", e.Destination, "hops", len(e.NextHops))
		return nil
	})
}

// OldRouteEntry names an entry to delete: a plain one by NextHopID, one with
// several hops by NextHops, whose order does not count.
type OldRouteEntry struct {
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
		vpc, err := vpcOfTable(tx.View, c, in.Table)
		if err != nil {
			return err
		}
		e, ok := tx.RouteEntries.Get(resource.RouteEntryID(in.Table, in.Destination))
		if ok && e.System || isDerived(tx.View, vpc, in.Destination) {
			return fault.New(fault.RouteSystem, "the entry for %s is a system entry", in.Destination)
		}
		if !ok {
			return fault.New(fault.RouteEntryNotFound, "route table %s has no entry for %s", in.Table, in.Destination)
		}
		if err := in.matches(e); err != nil {
			return err
		}
		if err := s.routesReady(tx.View, vpc.ID); err != nil {
			return err
		}
		if err := s.vswitchesReady(tx.View, vpc.ID); err != nil {
			return err
		}
		tx.Delete(e)
		tx.Done("route entry deleted", "vpc", vpc.ID, "destination", in.Destination)
		return nil
	})
}

func (in OldRouteEntry) matches(e *resource.RouteEntry) error {
	hops := in.NextHops
	switch {
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

// RouteTableFilter says which route tables a listing shows. All conditions
// apply at once.
type RouteTableFilter struct {
	IDs      state.OneOf[string]
	VRouters state.OneOf[string]
	Routers  state.OneOf[string] // ids of VRouters or of VBRs
	VBR      bool                // only the tables of VBRs, of which there are none
}

// RouteTable is a route table as a listing shows it.
type RouteTable struct {
	*resource.RouteTable
	Entries []RouteEntry
}

// RouteEntry is a route entry as a listing shows it.
type RouteEntry struct {
	Destination netip.Prefix
	System      bool
	NextHops    []resource.NextHop // none: an entry that comes with a VSwitch or the VPC
	Phase       resource.Phase
}

// RouteTables returns one page of the caller's route tables, in order of
// creation and with all their entries (DescribeRouteTables). A router of
// another kind than asked for, or of another account, leaves nothing to list.
func (s *Service) RouteTables(c identity.Caller, f RouteTableFilter, p state.Page) state.Listing[RouteTable] {
	v := s.db.View()
	item := func(t *resource.RouteTable) RouteTable { return RouteTable{RouteTable: t, Entries: s.entries(v, t)} }
	keep := func(t *resource.RouteTable) bool {
		return t.Account == c.Account && f.VRouters.Allows(t.VRouter) && f.Routers.Allows(t.VRouter)
	}
	if f.VBR {
		return state.Listing[RouteTable]{}
	}
	if len(f.IDs) > 0 {
		return state.Select(v.RouteTables.ByID(f.IDs...), p, keep, item)
	}
	for _, routers := range [][]string{f.VRouters, f.Routers} {
		if len(routers) > 0 {
			return state.Select(v.RouteTables.ByID(tablesOf(v, routers)...), p, keep, item)
		}
	}
	return state.Select(v.RouteTables.By(state.ByAccount, c.Account), p, nil, item)
}

// tablesOf returns the ids of the routers' tables, of which each has one.
func tablesOf(v *state.View, routers []string) []string {
	var out []string
	for _, id := range routers {
		if r, ok := v.VRouters.Get(id); ok {
			out = append(out, r.RouteTable)
		}
	}
	return out
}

// entries returns the entries of a table: the stored ones in order of creation,
// then the routes that a VPN gateway has published, one for each destination,
// then those that come with the VSwitches, then the one for the cloud's own
// services.
func (s *Service) entries(v *state.View, t *resource.RouteTable) []RouteEntry {
	var list []RouteEntry
	for e := range v.RouteEntries.By(state.ByTable, t.ID).All() {
		list = append(list, RouteEntry{Destination: e.Destination, System: e.System, NextHops: e.NextHops, Phase: s.phase(&e.Meta, t.VPC)})
	}
	published := make(map[netip.Prefix]bool)
	for r := range v.VPNRoutes.By(state.ByVPC, t.VPC).All() {
		if r.Published && !published[r.Destination] {
			published[r.Destination] = true
			hop := resource.NextHop{Type: resource.NextHopVPNGateway, ID: r.Gateway}
			list = append(list, RouteEntry{Destination: r.Destination, System: true, NextHops: []resource.NextHop{hop}, Phase: s.phase(&r.Meta, t.VPC)})
		}
	}
	for x := range v.VSwitches.By(state.ByVPC, t.VPC).All() {
		list = append(list, RouteEntry{Destination: x.CIDR, System: true, Phase: s.phase(&x.Meta, t.VPC)})
	}
	own := RouteEntry{Destination: CarrierGrade, System: true}
	if vpc, ok := v.VPCs.Get(t.VPC); ok {
		own.Phase = s.phase(&vpc.Meta, t.VPC)
	}
	return append(list, own)
}

// vpcOfTable returns the VPC of one of the caller's route tables.
func vpcOfTable(v *state.View, c identity.Caller, table string) (*resource.VPC, error) {
	t, err := lookup.Own(c, v.RouteTables, table)
	if err != nil {
		return nil, err
	}
	return lookup.Own(c, v.VPCs, t.VPC)
}
