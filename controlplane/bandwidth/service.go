package bandwidth

import (
	"context"
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on common bandwidth packages. Its methods may be
// called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock that creation times and receipts are
// taken from.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// The range of a package's bandwidth in Mbit/s, both ends included. The document gives
// none; this is that of an elastic IP.
const bandwidthMin, bandwidthMax = 1, 5000

func checkBandwidth(mbit int) error {
	if mbit < bandwidthMin || mbit > bandwidthMax {
		return fault.Explained(fault.PackageBandwidth, "%d Mbit/s; write %d to %d", mbit, bandwidthMin, bandwidthMax)
	}
	return nil
}

// The range of a package's ratio in percent, both ends included.
const ratioMin, ratioMax = 10, 100

// Package is what a new common bandwidth package should be.
type Package struct {
	Region      string
	Name        string
	Description string
	Bandwidth   int // Mbit/s, 1 to 5000
	Charge      resource.PackageCharge
	Ratio       int // percent, 10 to 100; by bandwidth only 100. 0: 100
	Labels      resource.Labels
}

// Create makes a package without elastic IPs and returns its id
// (CreateCommonBandwidthPackage).
//
// Reasons: RegionNotFound, PackageBandwidth, PackageRatio, QuotaPackage, TagDuplicate,
// QuotaTag.
func (s *Service) Create(ctx context.Context, c identity.Caller, in Package) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return "", err
		}
		if err := checkBandwidth(in.Bandwidth); err != nil {
			return "", err
		}
		p := &resource.CommonPackage{
			Meta: resource.Meta{ID: tx.NewID("cbwp"), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()},
			Name: in.Name, Description: in.Description, Bandwidth: in.Bandwidth, Charge: in.Charge, Ratio: in.Ratio,
		}
		switch {
		case p.Ratio == 0:
			p.Ratio = ratioMax
		case p.Ratio < ratioMin || p.Ratio > ratioMax:
			return "", fault.Explained(fault.PackageRatio, "%d percent; write %d to %d", p.Ratio, ratioMin, ratioMax)
		case p.Charge == resource.ByBandwidth && p.Ratio != ratioMax:
			return "", fault.Explained(fault.PackageRatio, "%d percent; a package that is charged by bandwidth has 100", p.Ratio)
		}
		if err := tx.Room(p); err != nil {
			return "", err
		}
		if err := tx.Label(p, in.Labels); err != nil {
			return "", err
		}
		tx.Put(p)
		tx.Done("common bandwidth package created", "package", p.ID, "region", p.Region, "bandwidth", p.Bandwidth)
		return p.ID, nil
	})
}

// Modify changes a package's name and description (ModifyCommonBandwidthPackageAttribute).
// Reasons: RegionNotFound, PackageNotFound.
func (s *Service) Modify(ctx context.Context, c identity.Caller, region, id string, in resource.Naming) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.CommonPackages, region, id)
		if err != nil {
			return err
		}
		p := old.Clone().(*resource.CommonPackage)
		in.Apply(&p.Name, &p.Description, "")
		if *p == *old {
			return nil
		}
		tx.PutAttributes(p)
		tx.Done("common bandwidth package changed", "package", id, "name", p.Name)
		return nil
	})
}

// ModifyBandwidth changes a package's bandwidth, which holds for what is open, too
// (ModifyCommonBandwidthPackageSpec). What its elastic IPs may have of it at most stays.
// Reasons: RegionNotFound, PackageNotFound, PackageBandwidth.
func (s *Service) ModifyBandwidth(ctx context.Context, c identity.Caller, region, id string, mbit int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.CommonPackages, region, id)
		if err != nil {
			return err
		}
		if err := checkBandwidth(mbit); err != nil {
			return err
		}
		if old.Bandwidth == mbit {
			return nil
		}
		p := old.Clone().(*resource.CommonPackage)
		p.Bandwidth = mbit
		tx.Put(p)
		tx.Done("common bandwidth package changed", "package", id, "bandwidth", mbit)
		return nil
	})
}

// Delete deletes a package (DeleteCommonBandwidthPackage). With force its elastic IPs are
// taken out first; their own bandwidths hold again.
//
// Reasons: RegionNotFound, PackageNotFound, PackageHasElasticIPs, DeletionProtected.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string, force bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, err := lookup.In(s.settings, c, tx.CommonPackages, region, id)
		if err != nil {
			return err
		}
		taken := 0
		if force {
			taken = takeAll(tx, p)
		}
		if err := tx.Blocked(p); err != nil {
			return err
		}
		tx.Delete(p)
		tx.Done("common bandwidth package deleted", "package", id, "forced", force, "elasticIPs", taken)
		return nil
	})
}

// Protect protects a package from being deleted, or no longer (DeletionProtection).
// Reasons: RegionNotFound, PackageNotFound.
func (s *Service) Protect(ctx context.Context, c identity.Caller, region, id string, on bool) error {
	return change.Protect(ctx, s.writer, c, func(tx *change.Tx) (*resource.CommonPackage, error) {
		return lookup.In(s.settings, c, tx.CommonPackages, region, id)
	}, on)
}
