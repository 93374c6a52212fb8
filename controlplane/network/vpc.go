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

// NewVPC is what a VPC is made of.
type NewVPC struct {
	Region      string
	CIDR        netip.Prefix // 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or part of one, 8 to 24 bits, without host bits
	Name        string
	Description string
	UserCIDRs   []netip.Prefix // at most 3, none overlapping 100.64.0.0/10
	DNS         DNS
	Multicast   bool
	Labels      resource.Labels
	def         bool // the account's default one in the region
}

// DNS is what the hosts of a VPC are to know of names.
type DNS struct {
	Servers []netip.Addr // at most 4, the first one first
	Domain  string
}

// CreatedVPC is what CreateVPC made.
type CreatedVPC struct {
	VPC        string `json:"vpc"`
	VRouter    string `json:"vrouter"`
	RouteTable string `json:"routeTable"`
}

// CreateVPC makes a VPC with its router and its route table (VPC API reference,
// CreateVpc).
//
// Reasons: RegionNotFound, ResourceNotAvailable, VPCCIDRInvalid, UserCIDR…,
// QuotaVPC, TagDuplicate, QuotaTag.
func (s *Service) CreateVPC(ctx context.Context, c identity.Caller, in NewVPC) (CreatedVPC, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedVPC, error) {
		region, err := s.region(in.Region)
		if err != nil {
			return CreatedVPC{}, err
		}
		if len(region.Zones) == 0 {
			return CreatedVPC{}, fault.New(fault.ResourceNotAvailable, "region %s has no zone", in.Region)
		}
		if err := s.checkVPCBlock(in.CIDR, fault.VPCCIDRInvalid); err != nil {
			return CreatedVPC{}, err
		}
		_, made, err := s.makeVPC(tx, c, in)
		return made, err
	})
}

// makeVPC puts a VPC with its router and its route table. Reasons: UserCIDR…, QuotaVPC,
// TagDuplicate, QuotaTag.
func (s *Service) makeVPC(tx *change.Tx, c identity.Caller, in NewVPC) (*resource.VPC, CreatedVPC, error) {
	made := CreatedVPC{VPC: tx.NewID("vpc"), VRouter: tx.NewID("vrt"), RouteTable: tx.NewID("vtb")}
	meta := resource.Meta{Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()}
	with := func(id string) resource.Meta { m := meta; m.ID = id; return m }
	vpc := &resource.VPC{
		Meta: with(made.VPC), Owner: s.settings.Machine, CIDR: in.CIDR, Name: in.Name, Description: in.Description,
		UserCIDRs: slices.Clone(in.UserCIDRs), VRouter: made.VRouter, RouteTable: made.RouteTable,
		DNSServers: slices.Clone(in.DNS.Servers), DomainName: in.DNS.Domain, Multicast: in.Multicast, Default: in.def,
	}
	if err := checkUserCIDRs(tx, vpc); err != nil {
		return nil, CreatedVPC{}, err
	}
	if err := tx.Room(vpc); err != nil {
		return nil, CreatedVPC{}, err
	}
	if err := tx.Label(vpc, in.Labels); err != nil {
		return nil, CreatedVPC{}, err
	}
	tx.Put(vpc)
	tx.Put(&resource.VRouter{Meta: with(made.VRouter), VPC: made.VPC, RouteTable: made.RouteTable})
	tx.Put(&resource.RouteTable{Meta: with(made.RouteTable), VPC: made.VPC, VRouter: made.VRouter})
	tx.Done("VPC created", "vpc", made.VPC, "cidr", in.CIDR)
	return vpc, made, nil
}

// DeleteVPC deletes a VPC that nothing is left in, with its router and route
// table (DeleteVpc).
//
// Reasons, in this order: VPCNotFound, VPCHasRouteEntries, VPCHasNATGateway,
// VPCHasVPNGateway, VPCHasInstances, VPCHasVSwitches, VPCHasRouteTables,
// VPCInTransition.
func (s *Service) DeleteVPC(ctx context.Context, c identity.Caller, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		vpc, err := lookup.Own(c, tx.VPCs, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(vpc); err != nil {
			return err
		}
		if err := state.Ready(s.db.Observed, tx.VPCs, vpc); err != nil {
			return err
		}
		if s.db.Observed.Deleting(id, resource.KindClassicLink) {
			return fault.InTransition(fault.VPCInTransition, id, "its link to the classic network is still being taken away; its address there is another's then")
		}
		if r, ok := tx.VRouters.Get(vpc.VRouter); ok {
			tx.Delete(r)
		}
		if t, ok := tx.RouteTables.Get(vpc.RouteTable); ok {
			tx.Delete(t)
		}
		tx.Delete(vpc)
		tx.Done("VPC deleted", "vpc", id)
		return nil
	})
}

// VPCChange is what ModifyVPC changes; nil leaves a thing as it is.
type VPCChange struct {
	Name        *string
	Description *string
	UserCIDRs   *[]netip.Prefix // replaces all; empty clears them
	DNSServers  *[]netip.Addr   // likewise
	DomainName  *string
	Multicast   *bool
}

// ModifyVPC changes a VPC's name, description or user-side networks
// (ModifyVpcAttribute).
//
// Reasons: VPCNotFound, UserCIDR….
func (s *Service) ModifyVPC(ctx context.Context, c identity.Caller, id string, in VPCChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.VPCs, id)
		if err != nil {
			return err
		}
		vpc := old.Clone().(*resource.VPC)
		resource.Naming{Name: in.Name, Description: in.Description}.Apply(&vpc.Name, &vpc.Description, "")
		if in.DNSServers != nil {
			vpc.DNSServers = slices.Clone(*in.DNSServers)
		}
		if in.DomainName != nil {
			vpc.DomainName = *in.DomainName
		}
		if in.Multicast != nil {
			vpc.Multicast = *in.Multicast
		}
		if in.UserCIDRs == nil || slices.Equal(*in.UserCIDRs, old.UserCIDRs) {
			tx.PutAttributes(vpc)
		} else {
			vpc.UserCIDRs = slices.Clone(*in.UserCIDRs)
			if err := checkUserCIDRs(tx, vpc); err != nil {
				return err
			}
			if err := state.ReadyFor(s.db.Observed, tx.VPCs, old, fault.UserCIDRInTransition); err != nil {
				return err
			}
			tx.Put(vpc)
		}
		tx.Done("VPC changed", "vpc", id)
		return nil
	})
}

// VPC is a VPC as a listing shows it.
type VPC struct {
	*resource.VPC
	Phase resource.Phase
	view  *state.View
}

// VSwitches returns the ids of its VSwitches, in order of creation.
func (v VPC) VSwitches() []string { return idsOf(v.view.VSwitches.By(state.ByVPC, v.ID)) }

// RouteTables returns the ids of its route tables, in order of creation: its own first.
func (v VPC) RouteTables() []string { return idsOf(v.view.RouteTables.By(state.ByVPC, v.ID)) }

// NATGateways returns the ids of its NAT gateways, in order of creation.
func (v VPC) NATGateways() []string { return idsOf(v.view.NATGateways.By(state.ByVPC, v.ID)) }

// VPCFilter says which VPCs a listing shows. All conditions apply at once.
type VPCFilter struct {
	Region  string
	IDs     state.OneOf[string]
	Names   state.OneOf[string]
	Default *bool
	Blocks  Blocks // of its first one
	None    bool   // a filter that none can match was given
	state.Labelled
}

// VPCs returns one page of the caller's VPCs, in order of creation
// (DescribeVpcs). Reason: RegionNotFound.
func (s *Service) VPCs(c identity.Caller, f VPCFilter, p state.Page) (state.Listing[VPC], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[VPC]{}, err
	}
	v := s.db.View()
	item := func(vpc *resource.VPC) VPC { return s.showVPC(v, vpc) }
	if f.None {
		return state.Listing[VPC]{}, nil
	}
	var keep func(*resource.VPC) bool
	if len(f.Names)+len(f.Blocks) > 0 || f.Default != nil {
		keep = func(vpc *resource.VPC) bool {
			return f.Names.Allows(vpc.Name) && f.Blocks.Allows(vpc.CIDR) && (f.Default == nil || *f.Default == vpc.Default)
		}
	}
	return state.SelectOwn(v.VPCs, c.Account, f.Region, p, state.Filed(v, f.Labelled, keep), item, state.Under{Index: state.ByID, Keys: f.IDs}), nil
}

func (s *Service) showVPC(v *state.View, vpc *resource.VPC) VPC {
	return VPC{VPC: vpc, Phase: s.phase(&vpc.Meta, vpc.ID), view: v}
}

func idsOf[R resource.Resource](r state.Range[R]) (list []string) {
	for x := range r.All() {
		list = append(list, x.Metadata().ID)
	}
	return list
}
