package nat

import (
	"context"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// addressesOf returns a package's addresses, in the order in which they were allocated.
func addressesOf(v *state.View, p *resource.NATPackage) []*resource.ElasticIP {
	return slices.Collect(v.ElasticIPs.By(state.ByNATPackage, p.ID).All())
}

// GrowPackage allocates further addresses for a package, until it has so many
// (AddBandwidthPackageIps).
//
// Reasons: RegionNotFound, NATPackageNotFound, NATPackageIPCount unless there are more than
// it has, QuotaNATPackageIPs, NoFreeElasticIP.
func (s *Service) GrowPackage(ctx context.Context, c identity.Caller, region, id string, addresses int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, err := lookup.In(s.settings, c, tx.NATPackages, region, id)
		if err != nil {
			return err
		}
		has := len(addressesOf(tx.View, p))
		if addresses <= has {
			return fault.New(fault.NATPackageIPCount, "%d addresses; package %s has %d, write how many it is to have then", addresses, id, has)
		}
		if err := s.addAddresses(tx, p, addresses-has); err != nil {
			return err
		}
		tx.Done("addresses added to a NAT bandwidth package", "package", id, "gateway", p.Gateway, "vpc", p.VPC, "added", addresses-has)
		return nil
	})
}

// ShrinkPackage gives addresses of a package back, which are named by id or address: all or
// none (RemoveBandwidthPackageIps). One stays.
//
// Reasons, in this order: RegionNotFound, NATPackageNotFound, NATPackageNoAddress for what
// is no package's, NATPackageOtherIP for another one's, NATPackageEmpty,
// NATPackageUsedByDNAT, NATPackageUsedBySNAT.
func (s *Service) ShrinkPackage(ctx context.Context, c identity.Caller, region, id string, names []string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, err := lookup.In(s.settings, c, tx.NATPackages, region, id)
		if err != nil {
			return err
		}
		var gone []*resource.ElasticIP
		for _, name := range names {
			e, ok := natAddress(tx.View, c, name)
			if !ok {
				return fault.New(fault.NATPackageNoAddress, "%q is no address of a NAT bandwidth package, and the id of none", name)
			}
			if !slices.Contains(gone, e) {
				gone = append(gone, e)
			}
		}
		for _, e := range gone {
			if e.NATPackage != p.ID {
				return fault.New(fault.NATPackageOtherIP, "%s (%s) is in package %s", e.Address, e.ID, e.NATPackage)
			}
		}
		if len(gone) == len(addressesOf(tx.View, p)) {
			return fault.New(fault.NATPackageEmpty, "package %s would have no address; delete it instead", id)
		}
		if err := unused(tx.View, gone); err != nil {
			return err
		}
		for _, e := range gone {
			tx.Delete(e)
		}
		tx.Done("addresses removed from a NAT bandwidth package", "package", id, "gateway", p.Gateway, "vpc", p.VPC, "removed", len(gone))
		return nil
	})
}

// natAddress returns the address of one of the caller's NAT bandwidth packages that is named
// by its id or by itself.
func natAddress(v *state.View, c identity.Caller, name string) (*resource.ElasticIP, bool) {
	e, ok := v.ElasticIPs.Get(name)
	if !ok {
		e, ok = v.ElasticIPs.By(state.ByAddress, name).First()
	}
	return e, ok && e.Account == c.Account && e.IsPart()
}

// ConvertPackage makes a common bandwidth package of a package, with the same bandwidth, and
// elastic IPs of its addresses, which stay bound to the gateway and in its tables
// (ConvertBandwidthPackage). It returns the id of the new one; all ids are new.
//
// Reasons: RegionNotFound, NATPackageNotFound, QuotaElasticIP, QuotaPackage,
// QuotaPackageElasticIP.
func (s *Service) ConvertPackage(ctx context.Context, c identity.Caller, region, id string) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		p, err := lookup.In(s.settings, c, tx.NATPackages, region, id)
		if err != nil {
			return "", err
		}
		common := &resource.CommonPackage{
			Meta: resource.Meta{ID: tx.NewID("cbwp"), Account: p.Account, Region: p.Region, CreatedAt: s.now()},
			Name: p.Name, Description: p.Description, Bandwidth: p.Bandwidth, Charge: resource.ByBandwidth, Ratio: 100,
		}
		if p.ByTraffic {
			common.Charge = resource.ByVolume
		}
		old := addressesOf(tx.View, p)
		made := []resource.Resource{common}
		for _, e := range old {
			made = append(made, &resource.ElasticIP{
				Meta:    resource.Meta{ID: tx.NewID("eip"), Account: e.Account, Region: e.Region, CreatedAt: e.CreatedAt},
				Address: e.Address, PublicNetwork: e.PublicNetwork, Bandwidth: convertedBandwidth, ByTraffic: p.ByTraffic,
				Binding: e.Binding, VPC: e.VPC, Package: common.ID, PackageSince: tx.Revision(),
			})
		}
		if err := tx.Room(made...); err != nil {
			return "", err
		}
		for _, e := range old {
			tx.Delete(e)
		}
		tx.Delete(p)
		for _, r := range made {
			tx.PutLive(r) // the addresses are in use, and stay so
		}
		tx.Done("NAT bandwidth package converted", "package", id, "gateway", p.Gateway, "vpc", p.VPC, "common", common.ID, "addresses", len(old))
		return common.ID, nil
	})
}

// convertedBandwidth is an elastic IP's own bandwidth in Mbit/s that was an address of a
// package: the default of those for which none is asked. It holds once the elastic IP is out
// of the common package.
const convertedBandwidth = 5
