package nat

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// BandwidthPackage is what a new NAT bandwidth package should be.
type BandwidthPackage struct {
	Region      string // with a gateway: the gateway's
	Gateway     string // with a gateway: that
	Addresses   int    // how many public addresses it should hold, 1 to 50
	Bandwidth   int    // Mbit/s, 5 to 5000
	Zone        string // empty: the region's first
	Name        string
	Description string
	ByTraffic   bool
}

// The range of a package's bandwidth in Mbit/s, both ends included: the widest that the
// documents have.
const packageMin, packageMax = 5, 5000

func checkPackageBandwidth(mbit int) error {
	if mbit < packageMin || mbit > packageMax {
		return fault.New(fault.NATPackageBandwidth, "%d Mbit/s; write %d to %d", mbit, packageMin, packageMax)
	}
	return nil
}

// checkPackage refuses what a package can't be in a region, wherever its gateway is. Reasons:
// ZoneNotFound, NATPackageIPCount, NATPackageBandwidth, ParameterNotApplicable for an
// account that may not make any.
func (s *Service) checkPackage(c identity.Caller, region string, in BandwidthPackage) error {
	if in.Zone != "" {
		if of, ok := s.settings.ZoneRegion(in.Zone); !ok || of != region {
			return fault.New(fault.ZoneNotFound, "zone %q in region %s", in.Zone, region)
		}
	}
	if in.Addresses < 1 {
		return fault.New(fault.NATPackageIPCount, "%d addresses; a package has at least one", in.Addresses)
	}
	if err := checkPackageBandwidth(in.Bandwidth); err != nil {
		return err
	}
	if !s.settings.Bandwidth.MayPackage(c.Account) {
		return fault.New(fault.ParameterNotApplicable, "account %s makes no NAT bandwidth packages; bind elastic IPs to the NAT gateway instead", c.Account)
	}
	return nil
}

// CreatePackage makes a NAT bandwidth package of a gateway, with addresses of its own, and
// returns its id (NAT Gateway API reference, CreateBandwidthPackage). A gateway may have
// elastic IPs beside.
//
// Reasons, in this order: RegionNotFound, those of checkPackage, NATGatewayNotFound,
// TooManyBandwidthPackages, QuotaNATPackageIPs, NoFreeElasticIP, GatewayInTransition.
func (s *Service) CreatePackage(ctx context.Context, c identity.Caller, in BandwidthPackage) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return "", err
		}
		if err := s.checkPackage(c, in.Region, in); err != nil {
			return "", err
		}
		g, err := lookup.In(s.settings, c, tx.NATGateways, in.Region, in.Gateway)
		if err != nil {
			return "", err
		}
		p, err := s.addPackage(tx, g, in)
		if err != nil {
			return "", err
		}
		if err := s.gatewayReady(tx.View, g); err != nil {
			return "", err
		}
		tx.Done("NAT bandwidth package created", "package", p.ID, "gateway", g.ID, "vpc", g.VPC, "bandwidth", p.Bandwidth, "addresses", in.Addresses)
		return p.ID, nil
	})
}

// addPackage puts a package of a gateway with its addresses. Reasons:
// TooManyBandwidthPackages, QuotaNATPackageIPs, NoFreeElasticIP.
func (s *Service) addPackage(tx *change.Tx, g *resource.NATGateway, in BandwidthPackage) (*resource.NATPackage, error) {
	p := &resource.NATPackage{
		Meta: resource.Meta{ID: tx.NewID("bwp"), Account: g.Account, Region: g.Region, CreatedAt: s.now()},
		VPC:  g.VPC, Gateway: g.ID, Name: in.Name, Description: in.Description,
		Bandwidth: in.Bandwidth, ByTraffic: in.ByTraffic, Zone: in.Zone,
	}
	if region, ok := s.settings.Region(g.Region); ok && p.Zone == "" && len(region.Zones) > 0 {
		p.Zone = region.Zones[0].ID
	}
	if err := tx.Room(p); err != nil {
		return nil, err
	}
	tx.Put(p)
	return p, s.addAddresses(tx, p, in.Addresses)
}

// addAddresses allocates addresses for a package. Reasons: QuotaNATPackageIPs,
// NoFreeElasticIP.
func (s *Service) addAddresses(tx *change.Tx, p *resource.NATPackage, n int) error {
	// One more than there may be is enough to be refused.
	most := s.settings.Allowed(p.Account)["addresses_per_bandwidth_package"]
	made := make([]resource.Resource, min(n, most+1))
	for i := range made {
		made[i] = &resource.ElasticIP{
			Meta:       resource.Meta{ID: tx.NewID("nateip"), Account: p.Account, Region: p.Region, CreatedAt: s.now()},
			NATPackage: p.ID, Bandwidth: p.Bandwidth, VPC: p.VPC,
			Binding: &resource.Binding{Type: resource.BoundToNATGateway, ID: p.Gateway},
		}
	}
	if err := tx.Room(made...); err != nil {
		return err
	}
	public, ok := s.settings.PublicNetworkOf(p.Region)
	if !ok {
		return fault.New(fault.NoFreeElasticIP, "region %s has no public network", p.Region)
	}
	for _, r := range made {
		e := r.(*resource.ElasticIP)
		var err error
		if e.Address, err = eip.Draw(tx.View, s.db.Observed, public, s.random); err != nil {
			return err
		}
		e.PublicNetwork = public.Name
		tx.Put(e)
	}
	return nil
}

// ModifyPackage changes a package's name and description
// (ModifyBandwidthPackageAttribute). Reasons: RegionNotFound, NATPackageNotFound.
func (s *Service) ModifyPackage(ctx context.Context, c identity.Caller, region, id string, in resource.Naming) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NATPackages, region, id)
		if err != nil {
			return err
		}
		p := old.Clone().(*resource.NATPackage)
		in.Apply(&p.Name, &p.Description, "")
		if *p == *old {
			return nil
		}
		tx.PutAttributes(p)
		tx.Done("NAT bandwidth package changed", "package", id, "name", p.Name)
		return nil
	})
}

// ModifyPackageBandwidth changes a package's bandwidth, which holds for what is open, too
// (ModifyBandwidthPackageSpec). Reasons: RegionNotFound, NATPackageNotFound,
// NATPackageBandwidth.
func (s *Service) ModifyPackageBandwidth(ctx context.Context, c identity.Caller, region, id string, mbit int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NATPackages, region, id)
		if err != nil {
			return err
		}
		if err := checkPackageBandwidth(mbit); err != nil {
			return err
		}
		if old.Bandwidth == mbit {
			return nil
		}
		p := old.Clone().(*resource.NATPackage)
		p.Bandwidth = mbit
		tx.Put(p)
		tx.Done("NAT bandwidth package changed", "package", id, "vpc", p.VPC, "bandwidth", mbit)
		return nil
	})
}

// DeletePackage deletes a package with its addresses (DeleteBandwidthPackage). With force
// these are taken out of the gateway's tables first.
//
// Reasons: RegionNotFound, NATPackageNotFound, NATPackageUsedByDNAT, NATPackageUsedBySNAT.
func (s *Service) DeletePackage(ctx context.Context, c identity.Caller, region, id string, force bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, err := lookup.In(s.settings, c, tx.NATPackages, region, id)
		if err != nil {
			return err
		}
		all := addressesOf(tx.View, p)
		if force {
			for _, e := range all {
				eip.Withdraw(tx, e)
			}
		}
		if err := unused(tx.View, all); err != nil {
			return err
		}
		for _, e := range all {
			tx.Delete(e)
		}
		tx.Delete(p)
		tx.Done("NAT bandwidth package deleted", "package", id, "gateway", p.Gateway, "vpc", p.VPC, "addresses", len(all), "forced", force)
		return nil
	})
}

// unused refuses addresses that entries of their gateway use. Reasons:
// NATPackageUsedByDNAT, NATPackageUsedBySNAT.
func unused(v *state.View, addresses []*resource.ElasticIP) error {
	for _, e := range addresses {
		for x := range v.ForwardEntries.By(state.ByExternal, state.AddrKey(e.VPC, e.Address)).All() {
			return fault.New(fault.NATPackageUsedByDNAT, "DNAT entry %s uses %s", x.ID, e.Address)
		}
	}
	for _, e := range addresses {
		for x := range v.SNATEntries.By(state.ByExternal, state.AddrKey(e.VPC, e.Address)).All() {
			return fault.New(fault.NATPackageUsedBySNAT, "SNAT entry %s uses %s", x.ID, e.Address)
		}
	}
	return nil
}
