package bandwidth

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

// elasticIP returns the caller's elastic IP in a region. Reason: PackageElasticIP.
func elasticIP(tx *change.Tx, c identity.Caller, region, id string) (*resource.ElasticIP, error) {
	e, err := tx.ElasticIPs.Own(c.Account, region, id)
	if err != nil {
		return nil, fault.New(fault.PackageElasticIP, "elastic IP %q in region %s", id, region)
	}
	return e, nil
}

// member returns the caller's package, and an elastic IP that is in it. Reasons:
// RegionNotFound, PackageNotFound, PackageElasticIP, NotInPackage.
func (s *Service) member(tx *change.Tx, c identity.Caller, region, id, eip string) (*resource.CommonPackage, *resource.ElasticIP, error) {
	p, err := lookup.In(s.settings, c, tx.CommonPackages, region, id)
	if err != nil {
		return nil, nil, err
	}
	e, err := elasticIP(tx, c, region, eip)
	if err != nil {
		return nil, nil, err
	}
	if e.Package != p.ID {
		return nil, nil, fault.New(fault.NotInPackage, "elastic IP %s is not in package %s", eip, id)
	}
	return p, e, nil
}

// put writes an elastic IP of which another bandwidth holds. One that is bound stays so.
func put(tx *change.Tx, e *resource.ElasticIP) {
	if e.Binding == nil {
		tx.PutAttributes(e)
		return
	}
	tx.PutLive(e)
}

// Add puts postpaid elastic IPs of the package's region into it
// (AddCommonBandwidthPackageIp, AddCommonBandwidthPackageIps): whether they are bound or not,
// and to what. All are put there, or none is; one that is given twice counts once.
//
// Reasons, in this order: RegionNotFound, PackageNotFound; of each PackageElasticIP, InPackage,
// PackagePrepaid; QuotaPackageElasticIP.
func (s *Service) Add(ctx context.Context, c identity.Caller, region, id string, eips ...string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, err := lookup.In(s.settings, c, tx.CommonPackages, region, id)
		if err != nil {
			return err
		}
		for i, eip := range eips {
			if slices.Contains(eips[:i], eip) {
				continue
			}
			if err := add(tx, c, region, eip, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// add puts an elastic IP into a package.
func add(tx *change.Tx, c identity.Caller, region, eip string, p *resource.CommonPackage) error {
	old, err := elasticIP(tx, c, region, eip)
	if err != nil {
		return err
	}
	if old.Package != "" {
		return fault.New(fault.InPackage, "elastic IP %s is in package %s", eip, old.Package)
	}
	if old.Prepaid {
		return fault.New(fault.PackagePrepaid, "elastic IP %s is prepaid; a package takes those that are charged by use", eip)
	}
	e := old.Clone().(*resource.ElasticIP)
	e.Package, e.PackageSince = p.ID, tx.Revision()
	put(tx, e)
	tx.Done("elastic IP put into a common bandwidth package", "eip", eip, "address", e.Address, "package", p.ID)
	return nil
}

// Remove takes an elastic IP out of a package (RemoveCommonBandwidthPackageIp): its own
// bandwidth holds again. Reasons: those of member.
func (s *Service) Remove(ctx context.Context, c identity.Caller, region, id, eip string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		_, old, err := s.member(tx, c, region, id, eip)
		if err != nil {
			return err
		}
		take(tx, old)
		tx.Done("elastic IP taken out of a common bandwidth package", "eip", eip, "address", old.Address, "package", id)
		return nil
	})
}

// take takes an elastic IP out of its package.
func take(tx *change.Tx, old *resource.ElasticIP) {
	e := old.Clone().(*resource.ElasticIP)
	e.Package, e.PackageSince, e.Cap = "", 0, 0
	put(tx, e)
}

// takeAll takes all elastic IPs out of a package, and returns how many they were.
func takeAll(tx *change.Tx, p *resource.CommonPackage) int {
	// Collected before the first change: ranges don't stand still under it.
	all := slices.Collect(tx.ElasticIPs.By(state.ByPackage, p.ID).All())
	for _, e := range all {
		take(tx, e)
	}
	return len(all)
}

// Cap lets an elastic IP have so many Mbit/s of its package's bandwidth at most
// (ModifyCommonBandwidthPackageIpBandwidth); 0 Mbit/s: all
// (CancelCommonBandwidthPackageIpBandwidth).
//
// Reasons: those of member, PackageBandwidth for more than the package has.
func (s *Service) Cap(ctx context.Context, c identity.Caller, region, id, eip string, mbit int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, old, err := s.member(tx, c, region, id, eip)
		if err != nil {
			return err
		}
		if mbit < 0 || mbit > p.Bandwidth {
			return fault.Explained(fault.PackageBandwidth, "%d Mbit/s; package %s has %d", mbit, id, p.Bandwidth)
		}
		if old.Cap == mbit {
			return nil
		}
		e := old.Clone().(*resource.ElasticIP)
		e.Cap = mbit
		put(tx, e)
		tx.Done("elastic IP capped in a common bandwidth package", "eip", eip, "address", e.Address, "package", id, "bandwidth", mbit)
		return nil
	})
}
