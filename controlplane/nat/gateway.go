package nat

import (
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// everywhere is the destination of a NAT gateway's route.
var everywhere = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// Gateway is what a new NAT gateway should be.
type Gateway struct {
	Region            string
	VPC               string
	Enhanced          bool
	VSwitch           string           // that an enhanced one is in
	Limits            dataplane.Limits // zeros with ByUse
	ByUse             bool
	EchoReply         bool
	AddressEach       bool
	NoRoute           bool   // without a route for 0.0.0.0/0; only an enhanced one
	Name              string // empty: the gateway's id
	Description       string
	BandwidthPackages []BandwidthPackage
	Labels            resource.Labels
}

// NewGateway is what CreateGateway made.
type NewGateway struct {
	ID           string `json:"id"`
	ForwardTable string `json:"forwardTable"`
	SNATTable    string `json:"snatTable"`

	Packages []string `json:"packages,omitempty"` // ids of its NAT bandwidth packages
}

// CreateGateway makes a NAT gateway of a VPC, with its two tables and its
// route for 0.0.0.0/0 (VPC API reference, CreateNatGateway). A VPC has one, or several
// enhanced ones, which route tables tell apart: the route is that of the first.
func (s *Service) CreateGateway(ctx context.Context, c identity.Caller, in Gateway) (NewGateway, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (NewGateway, error) {
		vpc, err := lookup.In(s.settings, c, tx.VPCs, in.Region, in.VPC)
		if err != nil {
			return NewGateway{}, err
		}
		if err := s.packagesWith(tx, c, in); err != nil {
			return NewGateway{}, err
		}
		route, err := room(tx, vpc, in)
		if err != nil {
			return NewGateway{}, err
		}
		if !in.ByUse && !in.Limits.Limited() {
			return NewGateway{}, fault.New(fault.ParameterInvalid, "%+v; a NAT gateway has a limit on both", in.Limits)
		}
		if err := state.Vacant(s.db.Observed, tx.NATGateways, vpc); err != nil {
			return NewGateway{}, err
		}
		g := &resource.NATGateway{
			Meta:         resource.Meta{ID: tx.NewID("ngw"), Account: c.Account, Region: vpc.Region, CreatedAt: s.now()},
			VPC:          vpc.ID,
			Limits:       in.Limits,
			VSwitch:      in.VSwitch,
			ByUse:        in.ByUse,
			EchoReply:    in.EchoReply,
			AddressEach:  in.AddressEach,
			Name:         in.Name,
			Description:  in.Description,
			ForwardTable: tx.NewID("ftb"),
			SNATTable:    tx.NewID("stb"),
		}
		if g.Name == "" {
			g.Name = g.ID
		}
		if err := tx.Label(g, in.Labels); err != nil {
			return NewGateway{}, err
		}
		tx.Put(g)
		made := NewGateway{ID: g.ID, ForwardTable: g.ForwardTable, SNATTable: g.SNATTable}
		for _, x := range in.BandwidthPackages {
			p, err := s.addPackage(tx, g, x)
			if err != nil {
				return NewGateway{}, err
			}
			made.Packages = append(made.Packages, p.ID)
		}
		if route {
			tx.Put(&resource.RouteEntry{
				Meta:        resource.Meta{ID: resource.RouteEntryID(vpc.RouteTable, everywhere), Account: c.Account, Region: vpc.Region, CreatedAt: g.CreatedAt},
				VPC:         vpc.ID,
				Table:       vpc.RouteTable,
				Destination: everywhere,
				NextHops:    []resource.NextHop{{Type: resource.NextHopNATGateway, ID: g.ID}},
				System:      true,
			})
		}
		limits := s.limits(g)
		tx.Done("NAT gateway created", "gateway", g.ID, "vpc", vpc.ID, "sessions", limits.Connections, "newASecond", limits.NewPerSecond, "packages", len(made.Packages))
		return made, nil
	})
}

// packagesWith refuses NAT bandwidth packages that a new gateway can't have. Reasons:
// TooManyBandwidthPackages, those of checkPackage.
func (s *Service) packagesWith(tx *change.Tx, c identity.Caller, in Gateway) error {
	asked := make([]resource.Resource, len(in.BandwidthPackages))
	for i := range asked {
		asked[i] = &resource.NATPackage{Meta: resource.Meta{Account: c.Account}, Gateway: "of the new gateway"}
	}
	if err := tx.Room(asked...); err != nil {
		return err
	}
	for _, p := range in.BandwidthPackages {
		if err := s.checkPackage(c, in.Region, p); err != nil {
			return err
		}
	}
	return nil
}

// GatewayAttributes is a change of a gateway's attributes; nil
// leaves one as it is.
type GatewayAttributes struct {
	Region      string
	ID          string
	Name        *string // empty: the gateway's id again
	Description *string
	EchoReply   *bool
	AddressEach *bool // once asked for, it stays
}

// ModifyGatewayAttributes changes attributes. The dataplane has a part only in whether
// elastic IPs answer echo requests: names are changed at once, in whatever state the
// gateway is.
func (s *Service) ModifyGatewayAttributes(ctx context.Context, c identity.Caller, in GatewayAttributes) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NATGateways, in.Region, in.ID)
		if err != nil {
			return err
		}
		g := old.Clone().(*resource.NATGateway)
		resource.Naming{Name: in.Name, Description: in.Description}.Apply(&g.Name, &g.Description, g.ID)
		set(&g.EchoReply, in.EchoReply)
		set(&g.AddressEach, in.AddressEach)
		if old.AddressEach && !g.AddressEach {
			return fault.New(fault.ParameterInvalid, "NAT gateway %s has a private address asked for beside each elastic IP, which stays", g.ID)
		}
		switch {
		case *g == *old:
			return nil
		case g.EchoReply != old.EchoReply:
			if err := s.gatewayReady(tx.View, old); err != nil {
				return err
			}
			tx.Put(g)
		default:
			tx.PutAttributes(g)
		}
		tx.Done("NAT gateway changed", "gateway", g.ID, "vpc", g.VPC, "name", g.Name, "echoReply", g.EchoReply)
		return nil
	})
}

// ModifyLimits changes a gateway's limits; those that it has are refused
// with fault.SpecUnchanged.
func (s *Service) ModifyLimits(ctx context.Context, c identity.Caller, region, id string, to dataplane.Limits) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NATGateways, region, id)
		if err != nil {
			return err
		}
		if old.ByUse {
			return fault.New(fault.SpecNotApplicable, "NAT gateway %s is charged by what goes through it", id)
		}
		if !to.Limited() {
			return fault.New(fault.ParameterInvalid, "%+v; a NAT gateway has a limit on both", to)
		}
		if old.Limits == to {
			return fault.New(fault.SpecUnchanged, "NAT gateway %s has %d sessions and %d new ones a second already", id, to.Connections, to.NewPerSecond)
		}
		if err := s.gatewayReady(tx.View, old); err != nil {
			return err
		}
		g := old.Clone().(*resource.NATGateway)
		g.Limits = to
		tx.Put(g)
		tx.Done("NAT gateway limits changed", "gateway", g.ID, "vpc", g.VPC, "sessions", to.Connections, "newASecond", to.NewPerSecond)
		return nil
	})
}

// DeleteGateway deletes a gateway with its tables and its route. Without
// force it is refused while the tables have entries, elastic IPs are bound
// to the gateway, it has NAT bandwidth packages or custom routes lead to it; with force
// entries and packages go too and the elastic IPs are unbound (they stay the account's).
func (s *Service) DeleteGateway(ctx context.Context, c identity.Caller, region, id string, force bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := lookup.In(s.settings, c, tx.NATGateways, region, id)
		if err != nil {
			return err
		}
		custom := 0
		for e := range tx.RouteEntries.By(state.ByNextHop, g.ID).All() {
			if !e.System {
				custom++
			}
		}
		forward := tx.ForwardEntries.By(state.ByTable, g.ForwardTable)
		snat := tx.SNATEntries.By(state.ByTable, g.SNATTable)
		bound := tx.ElasticIPs.By(state.ByBinding, g.ID)
		packages := tx.NATPackages.By(state.ByGateway, g.ID)
		if n := forward.Len() + snat.Len() + bound.Len() + packages.Len() + custom; n > 0 && !force {
			return fault.New(fault.GatewayHasDependents, "NAT gateway %s has %d DNAT entries, %d SNAT entries, %d NAT bandwidth packages, %d public addresses and %d custom route entries; remove them first, or delete it with force",
				g.ID, forward.Len(), snat.Len(), packages.Len(), bound.Len(), custom)
		}
		if !force {
			if err := s.gatewayReady(tx.View, g); err != nil {
				return err
			}
		}
		tx.Done("NAT gateway deleted", "gateway", g.ID, "vpc", g.VPC, "forced", force, "dnat", forward.Len(), "snat", snat.Len(), "elasticIPs", bound.Len())
		// Collected before the first change: ranges don't stand still under it.
		var gone []resource.Resource
		for e := range forward.All() {
			gone = append(gone, e)
		}
		for e := range snat.All() {
			gone = append(gone, e)
		}
		for e := range tx.RouteEntries.By(state.ByNextHop, g.ID).All() {
			gone = append(gone, e)
		}
		for p := range packages.All() {
			gone = append(gone, p)
		}
		var unbound []*resource.ElasticIP
		for e := range bound.All() {
			if e.IsPart() {
				gone = append(gone, e)
				continue
			}
			u := e.Clone().(*resource.ElasticIP)
			u.Binding = nil
			unbound = append(unbound, u)
		}
		for _, r := range gone {
			tx.Delete(r)
		}
		for _, e := range unbound {
			tx.Put(e)
		}
		tx.Delete(g)
		return nil
	})
}
