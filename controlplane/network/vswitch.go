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

// NewVSwitch is what a VSwitch is made of.
type NewVSwitch struct {
	VPC         string
	Zone        string       // of the VPC's region
	CIDR        netip.Prefix // within one of the VPC's, 16 to 29 bits, without host bits
	Name        string
	Description string
	Labels      resource.Labels
}

// CreateVSwitch makes a VSwitch and returns its id (VPC API reference,
// CreateVSwitch).
//
// Reasons, in this order: ZoneNotFound, VPCNotFound, ResourceNotAvailable,
// CIDRMalformed, VSwitchCIDRMask, VSwitchCIDROutside, QuotaVSwitch,
// VSwitchCIDROverlap, VSwitchCIDRRoute, TagDuplicate, QuotaTag, VPCInTransition, VSwitchInTransition,
// RouteInTransition.
func (s *Service) CreateVSwitch(ctx context.Context, c identity.Caller, in NewVSwitch) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		region, ok := s.settings.ZoneRegion(in.Zone)
		if !ok {
			return "", fault.New(fault.ZoneNotFound, "zone %q is not configured", in.Zone)
		}
		vpc, err := lookup.Own(c, tx.VPCs, in.VPC)
		if err != nil {
			return "", err
		}
		if region != vpc.Region {
			return "", fault.New(fault.ResourceNotAvailable, "zone %s is in region %s, VPC %s in %s", in.Zone, region, vpc.ID, vpc.Region)
		}
		if err := s.checkVSwitchBlock(in.CIDR, vpc); err != nil {
			return "", err
		}
		x := &resource.VSwitch{
			Meta: resource.Meta{ID: tx.NewID("vsw"), Account: c.Account, Region: vpc.Region, CreatedAt: s.writer.Now()},
			VPC:  vpc.ID, Zone: in.Zone, CIDR: in.CIDR, Name: in.Name, Description: in.Description, Plan: s.rules.Plan,
		}
		if err := tx.Room(x); err != nil {
			return "", err
		}
		if err := freeBlock(tx.View, vpc, in.CIDR); err != nil {
			return "", err
		}
		if err := tx.Label(x, in.Labels); err != nil {
			return "", err
		}
		if err := s.ready(tx.View, vpc); err != nil {
			return "", err
		}
		tx.Put(x)
		tx.Done("VSwitch created", "vswitch", x.ID, "vpc", vpc.ID, "cidr", x.CIDR)
		return x.ID, nil
	})
}

// freeBlock refuses a block that collides with another VSwitch, or that equals or
// contains the destination of a route, be it a custom entry or a VPN gateway's:
// no packet would take that any more. It may lie within the destination.
func freeBlock(v *state.View, vpc *resource.VPC, p netip.Prefix) error {
	for x := range v.VSwitches.By(state.ByVPC, vpc.ID).All() {
		if x.CIDR.Overlaps(p) {
			return fault.New(fault.VSwitchCIDROverlap, "%s overlaps %s of VSwitch %s", p, x.CIDR, x.ID)
		}
	}
	if what, ok := LedInto(v, vpc.ID, p); ok {
		return fault.New(fault.VSwitchCIDRRoute, "%s contains the destination of %s", p, what)
	}
	return nil
}

// ready refuses a change of a VPC's shape while the VPC, a VSwitch or a route
// entry of it is in transition. It is asked last: a refusal for a transition is
// waited for, and nobody should wait to hear of a mistake.
func (s *Service) ready(v *state.View, vpc *resource.VPC) error {
	if err := state.Ready(s.db.Observed, v.VPCs, vpc); err != nil {
		return err
	}
	return s.shapeReady(v, vpc.ID)
}

// DeleteVSwitch deletes a VSwitch that nothing is left in (DeleteVSwitch). What
// an SNAT or a DNAT entry refers to counts as left: an address that the
// inventory doesn't know is taken for an ECS instance's. So does a VPN gateway
// that was made in the VSwitch.
//
// Reasons, in this order: VSwitchNotFound, VSwitchHasHaVips,
// VSwitchHasDependents, VSwitchInTransition, RouteInTransition.
func (s *Service) DeleteVSwitch(ctx context.Context, c identity.Caller, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		x, err := lookup.Own(c, tx.VSwitches, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(x); err != nil {
			return err
		}
		if err := s.shapeReady(tx.View, x.VPC); err != nil {
			return err
		}
		tx.Delete(x)
		tx.Done("VSwitch deleted", "vswitch", id, "vpc", x.VPC)
		return nil
	})
}

// VSwitchChange is what ModifyVSwitch changes; nil leaves a thing as it is.
type VSwitchChange struct {
	resource.Naming
	Broadcast *bool
}

// ModifyVSwitch changes a VSwitch's name or description
// (ModifyVSwitchAttribute). Reason: VSwitchNotFound.
//
// The name may choose the VSwitch's attachment in the configuration, so that
// the dataplane has to look, although the VSwitch is not in transition.
func (s *Service) ModifyVSwitch(ctx context.Context, c identity.Caller, id string, in VSwitchChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.VSwitches, id)
		if err != nil {
			return err
		}
		x := old.Clone().(*resource.VSwitch)
		in.Apply(&x.Name, &x.Description, "")
		if in.Broadcast != nil {
			x.Broadcast = *in.Broadcast
		}
		tx.PutAttributes(x)
		if x.Name != old.Name {
			tx.Dirty(x.VPC)
		}
		tx.Done("VSwitch changed", "vswitch", id, "vpc", x.VPC)
		return nil
	})
}

// VSwitch is a VSwitch as a listing shows it.
type VSwitch struct {
	*resource.VSwitch
	Phase resource.Phase
	Free  int                  // addresses that neither an instance of the inventory nor a HaVip has
	Table *resource.RouteTable // that it goes by
}

// VSwitchFilter says which VSwitches a listing shows. All conditions apply at
// once.
type VSwitchFilter struct {
	Region  string
	VPCs    state.OneOf[string]
	IDs     state.OneOf[string]
	Zones   state.OneOf[string]
	Names   state.OneOf[string]
	Tables  state.OneOf[string] // ids of the route tables that they go by
	Default *bool
	Blocks  Blocks
	None    bool // a filter that none can match was given
	state.Labelled
}

// VSwitches returns one page of the caller's VSwitches, in order of creation
// (DescribeVSwitches). Reasons: RegionNotFound, VPCNotFound.
func (s *Service) VSwitches(c identity.Caller, f VSwitchFilter, p state.Page) (state.Listing[VSwitch], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[VSwitch]{}, err
	}
	v := s.db.View()
	for _, id := range f.VPCs {
		if _, err := lookup.Own(c, v.VPCs, id); err != nil {
			return state.Listing[VSwitch]{}, err
		}
	}
	if f.None {
		return state.Listing[VSwitch]{}, nil
	}
	item := func(x *resource.VSwitch) VSwitch { return s.showVSwitch(v, x) }
	var keep func(x *resource.VSwitch) bool
	if len(f.VPCs)+len(f.Zones)+len(f.Names)+len(f.Tables)+len(f.Blocks) > 0 || f.Default != nil {
		keep = func(x *resource.VSwitch) bool {
			return f.VPCs.Allows(x.VPC) && f.Zones.Allows(x.Zone) && f.Names.Allows(x.Name) && f.Blocks.Allows(x.CIDR) &&
				(f.Default == nil || *f.Default == x.Default) &&
				(len(f.Tables) == 0 || f.Tables.Allows(tableOf(v, x).ID))
		}
	}
	return state.SelectOwn(v.VSwitches, c.Account, f.Region, p, state.Filed(v, f.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: f.IDs}, state.Under{Index: state.ByVPC, Keys: f.VPCs}), nil
}

func (s *Service) showVSwitch(v *state.View, x *resource.VSwitch) VSwitch {
	return VSwitch{
		VSwitch: x, Phase: s.phase(&x.Meta, x.VPC), Table: tableOf(v, x),
		Free: x.Plan.Usable(x.CIDR) - v.Instances.By(state.ByVSwitch, x.ID).Len() - further(v, x.ID) - v.HaVips.By(state.ByVSwitch, x.ID).Len(),
	}
}

// further returns how many addresses of a VSwitch network interfaces have beside those of
// instances.
func further(v *state.View, vswitch string) (count int) {
	for n := range v.NetworkInterfaces.By(state.ByVSwitch, vswitch).All() {
		count += len(n.Further())
	}
	return count
}
