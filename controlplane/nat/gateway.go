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

// maxBandwidthPackages is how many shared bandwidth packages a gateway may be
// made with (VPC API reference, CreateNatGateway).
const maxBandwidthPackages = 4

// Gateway is what a new NAT gateway should be.
type Gateway struct {
	Region      string
	VPC         string
	Limits      dataplane.Limits
	Name        string // empty: the gateway's id
	Description string
	// BandwidthPackages are documented for accounts that held one before
	// 2017-11-03. There are no such accounts here: a request with any is
	// refused, after what is documented about them has been checked.
	BandwidthPackages []BandwidthPackage
	Labels            resource.Labels
}

// BandwidthPackage is a shared bandwidth package asked for with a gateway.
type BandwidthPackage struct {
	Addresses int    // how many public addresses it should hold
	Bandwidth int    // Mbit/s
	Zone      string // empty: any
}

// NewGateway is what CreateGateway made.
type NewGateway struct {
	ID           string `json:"id"`
	ForwardTable string `json:"forwardTable"`
	SNATTable    string `json:"snatTable"`
}

// CreateGateway makes the NAT gateway of a VPC, with its two tables and its
// route for 0.0.0.0/0 (VPC API reference, CreateNatGateway).
func (s *Service) CreateGateway(ctx context.Context, c identity.Caller, in Gateway) (NewGateway, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (NewGateway, error) {
		vpc, err := lookup.In(s.settings, c, tx.VPCs, in.Region, in.VPC)
		if err != nil {
			return NewGateway{}, err
		}
		if err := s.bandwidthPackages(in); err != nil {
			return NewGateway{}, err
		}
		if g, ok := tx.NATGateways.By(state.ByVPC, vpc.ID).First(); ok {
			return NewGateway{}, fault.New(fault.GatewayExists, "VPC %s has NAT gateway %s; a VPC has at most one", vpc.ID, g.ID)
		}
		if _, ok := tx.RouteEntries.Get(resource.RouteEntryID(vpc.RouteTable, everywhere)); ok {
			return NewGateway{}, fault.New(fault.DefaultRouteExists, "route table %s has an entry for 0.0.0.0/0; delete it first", vpc.RouteTable)
		}
		if tx.VPNRoutes.By(state.ByPublished, state.PublishedKey(vpc.ID, everywhere)).Len() > 0 {
			return NewGateway{}, fault.New(fault.DefaultRouteExists, "a VPN gateway has published a route for 0.0.0.0/0; withdraw it first")
		}
		if !in.Limits.Limited() {
			return NewGateway{}, fault.New(fault.ParameterInvalid, "%+v; a NAT gateway has a limit on both", in.Limits)
		}
		if err := state.Vacant(s.db.Observed, tx.NATGateways, vpc); err != nil {
			return NewGateway{}, err
		}
		g := &resource.NATGateway{
			Meta:         resource.Meta{ID: tx.NewID("ngw"), Account: c.Account, Region: vpc.Region, CreatedAt: s.now()},
			VPC:          vpc.ID,
			Limits:       in.Limits,
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
		tx.Put(&resource.RouteEntry{
			Meta:        resource.Meta{ID: resource.RouteEntryID(vpc.RouteTable, everywhere), Account: c.Account, Region: vpc.Region, CreatedAt: g.CreatedAt},
			VPC:         vpc.ID,
			Table:       vpc.RouteTable,
			Destination: everywhere,
			NextHops:    []resource.NextHop{{Type: resource.NextHopNATGateway, ID: g.ID}},
			System:      true,
		})
		tx.Done("NAT gateway created", "gateway", g.ID, "vpc", vpc.ID, "sessions", g.Limits.Connections, "newASecond", g.Limits.NewPerSecond)
		return NewGateway{ID: g.ID, ForwardTable: g.ForwardTable, SNATTable: g.SNATTable}, nil
	})
}

func (s *Service) bandwidthPackages(in Gateway) error {
	if len(in.BandwidthPackages) > maxBandwidthPackages {
		return fault.New(fault.TooManyBandwidthPackages, "%d bandwidth packages; at most %d", len(in.BandwidthPackages), maxBandwidthPackages)
	}
	for _, p := range in.BandwidthPackages {
		if p.Zone == "" {
			continue
		}
		if region, ok := s.settings.ZoneRegion(p.Zone); !ok || region != in.Region {
			return fault.New(fault.ZoneNotFound, "zone %q in region %s", p.Zone, in.Region)
		}
	}
	if len(in.BandwidthPackages) > 0 {
		return fault.New(fault.ParameterNotApplicable, "bandwidth packages with a new NAT gateway are for accounts that held one before 2017-11-03; bind elastic IPs to the gateway instead")
	}
	return nil
}

// GatewayAttributes is a change of a gateway's name and description; nil
// leaves it as it is.
type GatewayAttributes struct {
	Region      string
	ID          string
	Name        *string // empty: the gateway's id again
	Description *string
}

// ModifyGatewayAttributes changes name and description. The dataplane has no
// part in it, so that it is done at once, in whatever state the gateway is.
func (s *Service) ModifyGatewayAttributes(ctx context.Context, c identity.Caller, in GatewayAttributes) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NATGateways, in.Region, in.ID)
		if err != nil {
			return err
		}
		g := old.Clone().(*resource.NATGateway)
		resource.Naming{Name: in.Name, Description: in.Description}.Apply(&g.Name, &g.Description, g.ID)
		if *g == *old {
			return nil
		}
		tx.PutAttributes(g)
		tx.Done("NAT gateway renamed", "gateway", g.ID, "vpc", g.VPC, "name", g.Name)
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
// force it is refused while the tables have entries or elastic IPs are bound
// to the gateway; with force the entries go too and the elastic IPs are
// unbound (they stay the account's).
func (s *Service) DeleteGateway(ctx context.Context, c identity.Caller, region, id string, force bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := lookup.In(s.settings, c, tx.NATGateways, region, id)
		if err != nil {
			return err
		}
		forward := tx.ForwardEntries.By(state.ByTable, g.ForwardTable)
		snat := tx.SNATEntries.By(state.ByTable, g.SNATTable)
		bound := tx.ElasticIPs.By(state.ByBinding, g.ID)
		if n := forward.Len() + snat.Len() + bound.Len(); n > 0 && !force {
			return fault.New(fault.GatewayHasDependents, "NAT gateway %s has %d DNAT entries, %d SNAT entries and %d elastic IPs; remove them first, or delete it with force", g.ID, forward.Len(), snat.Len(), bound.Len())
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
		var unbound []*resource.ElasticIP
		for e := range bound.All() {
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
