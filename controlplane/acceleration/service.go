package acceleration

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on global acceleration instances. Its methods may be
// called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
	random   io.Reader
}

// New returns the service over db. now is the clock that creation times and receipts are
// taken from; random is crypto/rand.Reader outside tests, and may be read concurrently.
func New(db *state.DB, set *settings.Settings, now func() time.Time, random io.Reader, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, random: random, writer: change.NewWriter(db, set, now, log)}
}

// checkBandwidth refuses what is no bandwidth of an instance: 10 to 100 Mbit/s in steps of
// 10, and up to 1000 in steps of 100. Reason: AccelerationBandwidth.
func checkBandwidth(mbit int) error {
	if mbit >= 10 && mbit <= 100 && mbit%10 == 0 || mbit > 100 && mbit <= 1000 && mbit%100 == 0 {
		return nil
	}
	return fault.New(fault.AccelerationBandwidth, "%d Mbit/s; write 10 to 100 in steps of 10, or 200 to 1000 in steps of 100", mbit)
}

// NewInstance is what an instance is made of.
type NewInstance struct {
	Region      string
	Service     resource.Area // in which its backends are to be
	Bandwidth   int           // Mbit/s in each direction
	Name        string
	Description string
}

// Created is what Create made.
type Created struct {
	ID      string     `json:"id"`
	Address netip.Addr `json:"address"`
}

// Create makes an instance without a backend, with a free address of its region's public
// network (VPC API reference, CreateGlobalAccelerationInstance).
//
// Reasons, in this order: RegionNotFound, AccelerationBandwidth, AccelerationService,
// QuotaAcceleration, NoFreeElasticIP.
func (s *Service) Create(ctx context.Context, c identity.Caller, in NewInstance) (Created, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (made Created, err error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return made, err
		}
		if err := checkBandwidth(in.Bandwidth); err != nil {
			return made, err
		}
		if !slices.ContainsFunc(s.settings.Regions, func(r settings.Region) bool { return r.ID != in.Region && r.Lies() == in.Service }) {
			return made, fault.New(fault.AccelerationService, "no region but %s lies in %q, so that no backend could be there", in.Region, in.Service)
		}
		a := &resource.AccelerationInstance{
			Meta:  resource.Meta{ID: tx.NewID("ga"), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()},
			Owner: s.settings.Machine, Service: in.Service, Bandwidth: in.Bandwidth, Name: in.Name, Description: in.Description,
		}
		if err := tx.Room(a); err != nil {
			return made, err
		}
		public, ok := s.settings.PublicNetworkOf(in.Region)
		if !ok {
			return made, fault.New(fault.NoFreeElasticIP, "region %s has no public network", in.Region)
		}
		if a.Address, err = eip.Draw(tx.View, s.db.Observed, public, s.random); err != nil {
			return made, err
		}
		a.PublicNetwork = public.Name
		tx.Put(a)
		tx.Done("global acceleration instance created", "acceleration", a.ID, "address", a.Address, "region", a.Region, "service", a.Service, "bandwidth", a.Bandwidth)
		return Created{ID: a.ID, Address: a.Address}, nil
	})
}

// own returns one of the caller's instances. Reasons: RegionNotFound, AccelerationNotFound.
func (s *Service) own(v *state.View, c identity.Caller, region, id string) (*resource.AccelerationInstance, error) {
	return lookup.In(s.settings, c, v.Accelerations, region, id)
}

// Modify changes an instance's name and description
// (ModifyGlobalAccelerationInstanceAttributes). Reasons: RegionNotFound,
// AccelerationNotFound.
func (s *Service) Modify(ctx context.Context, c identity.Caller, region, id string, in resource.Naming) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		a := old.Clone().(*resource.AccelerationInstance)
		in.Apply(&a.Name, &a.Description, "")
		if a.Name == old.Name && a.Description == old.Description {
			return nil
		}
		tx.PutAttributes(a)
		tx.Done("global acceleration instance changed", "acceleration", id, "name", a.Name)
		return nil
	})
}

// ModifyBandwidth changes an instance's bandwidth in Mbit/s, in whatever state it is, which
// stays as it is (ModifyGlobalAccelerationInstanceSpec). Reasons: RegionNotFound,
// AccelerationNotFound, AccelerationBandwidth.
func (s *Service) ModifyBandwidth(ctx context.Context, c identity.Caller, region, id string, mbit int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := checkBandwidth(mbit); err != nil {
			return err
		}
		if old.Bandwidth == mbit {
			return nil
		}
		a := old.Clone().(*resource.AccelerationInstance)
		a.Bandwidth = mbit
		tx.PutLive(a)
		tx.Done("bandwidth of a global acceleration instance changed", "acceleration", id, "from", old.Bandwidth, "to", mbit)
		return nil
	})
}

// Delete deletes an instance without a backend, and gives its address back
// (DeleteGlobalAccelerationInstance). Reasons, in this order: RegionNotFound,
// AccelerationNotFound, AccelerationStatus, AccelerationInTransition.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		a, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := s.available(a); err != nil {
			return err
		}
		tx.Delete(a)
		tx.Done("global acceleration instance deleted", "acceleration", id, "address", a.Address)
		return nil
	})
}
