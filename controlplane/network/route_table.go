package network

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// NewRouteTable is what a custom route table is made of.
type NewRouteTable struct {
	Region      string
	VPC         string
	Name        string
	Description string
	Labels      resource.Labels
}

// CreatedRouteTable is what CreateRouteTable made.
type CreatedRouteTable struct {
	ID string `json:"id"`
}

// CreateRouteTable makes a custom route table of a VPC, which has no entries but those of
// the system (CreateRouteTable). Nothing goes by it before a VSwitch
// is bound to it, so that it is there at once.
//
// Reasons, in this order: RegionNotFound, VPCNotFound, QuotaRouteTable, TagDuplicate,
// QuotaTag.
func (s *Service) CreateRouteTable(ctx context.Context, c identity.Caller, in NewRouteTable) (made CreatedRouteTable, err error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedRouteTable, error) {
		vpc, err := lookup.In(s.settings, c, tx.VPCs, in.Region, in.VPC)
		if err != nil {
			return made, err
		}
		t := &resource.RouteTable{
			Meta: resource.Meta{ID: tx.NewID("vtb"), Account: c.Account, Region: vpc.Region, CreatedAt: s.writer.Now()},
			VPC:  vpc.ID, VRouter: vpc.VRouter, Name: in.Name, Description: in.Description, Custom: true,
		}
		if err := tx.Room(t); err != nil {
			return made, err
		}
		if err := tx.Label(t, in.Labels); err != nil {
			return made, err
		}
		tx.Put(t)
		tx.Done("route table created", "table", t.ID, "vpc", vpc.ID)
		return CreatedRouteTable{t.ID}, nil
	})
}

// RouteTableChange is what ModifyRouteTable changes; nil leaves a thing as it is.
type RouteTableChange struct {
	resource.Naming
	Learns *bool // whether what VPN gateways learn may go into it: of the VPC's own table alone
}

// ModifyRouteTable changes a route table's name or description
// (ModifyRouteTableAttributes). Reasons: RegionNotFound, RouteTableNotFound,
// ParameterNotApplicable.
func (s *Service) ModifyRouteTable(ctx context.Context, c identity.Caller, region, id string, in RouteTableChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.table(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if in.Learns != nil && *in.Learns == old.Custom {
			return fault.New(fault.ParameterNotApplicable, "what VPN gateways learn goes into the route table that a VPC has from the beginning, and into no other")
		}
		t := old.Clone().(*resource.RouteTable)
		in.Apply(&t.Name, &t.Description, "")
		tx.PutAttributes(t)
		tx.Done("route table changed", "table", id, "vpc", t.VPC)
		return nil
	})
}

// DeleteRouteTable deletes a custom route table that no VSwitch is bound to and that has no
// entries (DeleteRouteTable).
//
// Reasons, in this order: RegionNotFound, RouteTableNotFound, RouteTableSystem,
// RouteTableHasVSwitches, RouteTableHasEntries, VSwitchInTransition, RouteInTransition.
func (s *Service) DeleteRouteTable(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		t, err := s.customTable(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(t); err != nil {
			return err
		}
		// The dataplane may still have it for a VSwitch or an entry that is gone.
		if err := s.shapeReady(tx.View, t.VPC); err != nil {
			return err
		}
		tx.Delete(t)
		tx.Done("route table deleted", "table", id, "vpc", t.VPC)
		return nil
	})
}

// AssociateRouteTable binds a VSwitch of its VPC to a custom route table: what comes from
// the VSwitch goes by that from then on (AssociateRouteTable).
//
// Reasons, in this order: RegionNotFound, RouteTableNotFound, RouteTableSystem,
// VSwitchNotFound, RouteTableBound, VSwitchInTransition, RouteInTransition.
func (s *Service) AssociateRouteTable(ctx context.Context, c identity.Caller, region, table, vswitch string) error {
	return s.rebind(ctx, c, region, table, vswitch, func(x *resource.VSwitch) error {
		if x.RouteTable != "" {
			return fault.New(fault.RouteTableBound, "VSwitch %s is bound to route table %s; unbind it first", x.ID, x.RouteTable)
		}
		x.RouteTable = table
		return nil
	})
}

// UnassociateRouteTable gives a VSwitch the VPC's own route table again
// (UnassociateRouteTable).
//
// Reasons, in this order: RegionNotFound, RouteTableNotFound, RouteTableSystem,
// VSwitchNotFound, RouteTableNotBound, VSwitchInTransition, RouteInTransition.
func (s *Service) UnassociateRouteTable(ctx context.Context, c identity.Caller, region, table, vswitch string) error {
	return s.rebind(ctx, c, region, table, vswitch, func(x *resource.VSwitch) error {
		if x.RouteTable != table {
			return fault.New(fault.RouteTableNotBound, "VSwitch %s is not bound to route table %s", x.ID, table)
		}
		x.RouteTable = ""
		return nil
	})
}

// rebind puts what edit makes of a VSwitch of a custom table's VPC.
func (s *Service) rebind(ctx context.Context, c identity.Caller, region, table, vswitch string, edit func(*resource.VSwitch) error) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		t, err := s.customTable(tx.View, c, region, table)
		if err != nil {
			return err
		}
		old, err := lookup.Own(c, tx.VSwitches, vswitch)
		if err != nil {
			return err
		}
		if old.VPC != t.VPC {
			return fault.New(fault.VSwitchNotFound, "VSwitch %s is in VPC %s, route table %s in %s", vswitch, old.VPC, table, t.VPC)
		}
		x := old.Clone().(*resource.VSwitch)
		if err := edit(x); err != nil {
			return err
		}
		if err := s.shapeReady(tx.View, t.VPC); err != nil {
			return err
		}
		tx.Put(x)
		tx.Done("VSwitch bound to a route table", "vswitch", x.ID, "vpc", x.VPC, "table", tableOf(tx.View, x).ID)
		return nil
	})
}

// customTable returns the caller's custom route table of that id. Reasons: RegionNotFound,
// RouteTableNotFound, RouteTableSystem.
func (s *Service) customTable(v *state.View, c identity.Caller, region, id string) (*resource.RouteTable, error) {
	t, err := s.table(v, c, region, id)
	if err != nil {
		return nil, err
	}
	if !t.Custom {
		return nil, fault.New(fault.RouteTableSystem, "route table %s is the one that VPC %s has from the beginning", id, t.VPC)
	}
	return t, nil
}

// table returns the caller's route table of that id; an empty region is any. Reasons:
// RegionNotFound, RouteTableNotFound.
func (s *Service) table(v *state.View, c identity.Caller, region, id string) (*resource.RouteTable, error) {
	return inRegion(s, c, v.RouteTables, region, id)
}

// inRegion returns the caller's resource of that id; an empty region is any. Reasons:
// RegionNotFound, the kind's NotFound.
func inRegion[R resource.Resource](s *Service, c identity.Caller, t *state.Table[R], region, id string) (R, error) {
	if region == "" {
		return lookup.Own(c, t, id)
	}
	return lookup.In(s.settings, c, t, region, id)
}

// tableOf returns the route table that what comes from a VSwitch goes by.
func tableOf(v *state.View, x *resource.VSwitch) *resource.RouteTable {
	id := x.RouteTable
	if vpc, ok := v.VPCs.Get(x.VPC); id == "" && ok {
		id = vpc.RouteTable
	}
	if t, ok := v.RouteTables.Get(id); ok {
		return t
	}
	return &resource.RouteTable{Meta: resource.Meta{ID: id}, VPC: x.VPC}
}
