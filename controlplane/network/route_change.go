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

// RouteChanges are changes of a VPC's route table that are made at once: first of all entries
// go, then others come.
type RouteChanges struct {
	Region string // of the table; empty: any
	Table  string
	Name   *string         // of the table; nil leaves it as it is
	All    bool            // all custom entries go
	Remove []int64         // numbers of custom entries that go (resource.EntryNumber)
	Add    []NewRouteEntry // of that table, whatever they say
}

// ChangeRoutes changes a route table, whole or not at all: the kernel has each destination's
// old next hop or its new one, and none in between (Tencent Cloud, CreateRoutes, DeleteRoutes,
// ReplaceRoutes, ResetRoutes).
//
// Reasons, in this order: RegionNotFound, RouteTableNotFound, RouteEntryNotFound, RouteSystem, those of
// CreateRouteEntry for each entry.
func (s *Service) ChangeRoutes(ctx context.Context, c identity.Caller, in RouteChanges) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		t, err := s.table(tx.View, c, in.Region, in.Table)
		if err != nil {
			return err
		}
		if t.BorderRouter != "" {
			return fault.New(fault.RouteTableNotFound, "%s is that of border router %s", t.ID, t.BorderRouter)
		}
		vpc, err := lookup.Own(c, tx.VPCs, t.VPC)
		if err != nil {
			return err
		}
		gone, err := in.removed(tx.View)
		if err != nil {
			return err
		}
		for _, e := range gone {
			tx.Delete(e)
		}
		for _, n := range in.Add {
			n.Table = t.ID
			e, err := s.newEntry(tx, c, vpc, n)
			if err != nil {
				return err
			}
			tx.Put(e)
		}
		// Asked last, as always, and of what there was before: what is put here is in transition.
		if err := s.ready(s.db.View(), vpc); err != nil {
			return err
		}
		if in.Name != nil && *in.Name != t.Name {
			t = t.Clone().(*resource.RouteTable)
			t.Name = *in.Name
			tx.PutAttributes(t)
		}
		tx.Done("route entries changed", "vpc", vpc.ID, "table", t.ID, "removed", len(gone), "added", len(in.Add))
		return nil
	})
}

// removed returns the entries that go.
func (in RouteChanges) removed(v *state.View) (gone []*resource.RouteEntry, err error) {
	byNumber := map[int64]*resource.RouteEntry{}
	for e := range v.RouteEntries.By(state.ByTable, in.Table).All() {
		if in.All && !e.System {
			gone = append(gone, e)
		}
		byNumber[resource.EntryNumber(e.Table, e.Destination, e.Created)] = e
	}
	for _, n := range in.Remove {
		e, ok := byNumber[n]
		switch {
		case !ok:
			return nil, fault.New(fault.RouteEntryNotFound, "route table %s has no entry %d", in.Table, n)
		case e.System:
			return nil, fault.New(fault.RouteSystem, "the entry for %s is a system entry", e.Destination)
		}
		delete(byNumber, n) // named twice, it is not there the second time
		gone = append(gone, e)
	}
	return gone, nil
}

// ReplaceRouteTable has a VSwitch go by a route table of its VPC, whichever it went by before
// (Tencent Cloud, ReplaceRouteTableAssociation).
//
// Reasons, in this order: VSwitchNotFound, RouteTableNotFound, VSwitchInTransition,
// RouteInTransition.
func (s *Service) ReplaceRouteTable(ctx context.Context, c identity.Caller, vswitch, table string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.VSwitches, vswitch)
		if err != nil {
			return err
		}
		t, err := lookup.Own(c, tx.RouteTables, table)
		if err != nil {
			return err
		}
		if t.VPC != old.VPC {
			return fault.New(fault.RouteTableNotFound, "route table %s is in VPC %s, VSwitch %s in %s", table, t.VPC, vswitch, old.VPC)
		}
		x := old.Clone().(*resource.VSwitch)
		if x.RouteTable = ""; t.Custom {
			x.RouteTable = t.ID
		}
		if x.RouteTable == old.RouteTable {
			return nil
		}
		if err := s.shapeReady(tx.View, t.VPC); err != nil {
			return err
		}
		tx.Put(x)
		tx.Done("VSwitch bound to a route table", "vswitch", x.ID, "vpc", x.VPC, "table", t.ID)
		return nil
	})
}

// HopKind is what a next hop is, seen from a VPC.
type HopKind int

// The kinds of next hops.
const (
	HopOther HopKind = iota
	HopHost
	HopVPNGateway
	HopNATGateway
	HopPeer // a router interface to a VPC
	HopLine // a router interface to a border router
	HopVirtualIP
)

// Hop returns what a next hop is, and what it is known by: a host by its private address,
// anything else by its id.
func (s *Service) Hop(h resource.NextHop) (HopKind, string) {
	v := s.db.View()
	switch h.Type {
	case resource.NextHopHost:
		if i, ok := v.Instances.Get(h.ID); ok {
			return HopHost, i.PrivateIP.String()
		}
		return HopHost, h.ID
	case resource.NextHopVPNGateway:
		return HopVPNGateway, h.ID
	case resource.NextHopNATGateway:
		return HopNATGateway, h.ID
	case resource.NextHopVirtualIP:
		return HopVirtualIP, h.ID
	case resource.NextHopRouterInterface:
		if r, ok := v.RouterInterfaces.Get(h.ID); ok && r.Opposite.RouterKind == resource.BorderRouter {
			return HopLine, h.ID
		}
		return HopPeer, h.ID
	}
	return HopOther, h.ID
}

// HostAt returns the id of the instance that has an address of the VPC of the caller's route
// table. Reasons: RouteTableNotFound, InstanceNotFound.
func (s *Service) HostAt(c identity.Caller, table string, a netip.Addr) (string, error) {
	v := s.db.View()
	t, err := lookup.Own(c, v.RouteTables, table)
	if err != nil {
		return "", err
	}
	if i, ok := v.InstanceAt(t.VPC, a); ok {
		return i.ID, nil
	}
	return "", fault.New(fault.InstanceNotFound, "no instance of VPC %s has the address %s", t.VPC, a)
}
