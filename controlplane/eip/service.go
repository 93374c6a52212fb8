package eip

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on elastic IPs. Its methods may be called
// concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
	random   io.Reader
	rules    Rules
}

// Rules are what a cloud's documents ask of elastic IPs that are made by its actions, where
// those of several clouds differ.
type Rules struct {
	IDs       *resource.IDs // nil: as change.NewWriter has them
	Bandwidth int           // Mbit/s of one for which none was asked
	Daily     bool          // allocations are counted by the day, and have a quota
}

// Under returns the service under other rules.
func (s *Service) Under(r Rules) *Service {
	c := *s
	c.rules = r
	if r.IDs != nil {
		c.writer.IDs = *r.IDs
	}
	return &c
}

// New returns the service over db. now is the clock that creation times and
// receipts are taken from; random is crypto/rand.Reader outside tests, and may
// be read concurrently.
func New(db *state.DB, set *settings.Settings, now func() time.Time, random io.Reader, log *slog.Logger) *Service {
	return &Service{
		db: db, settings: set, random: random,
		writer: change.NewWriter(db, set, now, log),
	}
}

// The range of a bandwidth in Mbit/s, both ends included. The documents give
// none for elastic IPs; this is that of a bandwidth package.
const bandwidthMin, bandwidthMax = 1, 5000

func checkBandwidth(mbit int) error {
	if mbit < bandwidthMin || mbit > bandwidthMax {
		return fault.New(fault.BandwidthInvalid, "%d Mbit/s; write %d to %d", mbit, bandwidthMin, bandwidthMax)
	}
	return nil
}

// The longest period that can be paid for in advance.
const monthsMax, yearsMax = 9, 3

// Request is what is asked for.
type Request struct {
	Region    string
	Name      string
	Address   netip.Addr // that is asked for; invalid: one picked at random
	Bandwidth int        // Mbit/s, 1 to 5000
	ByTraffic bool       // kept and shown, as what follows: nothing is charged here
	Prepaid   bool       // else by use
	Years     bool       // Period counts years, not months
	Period    int        // if prepaid: 1 to 9 months or 1 to 3 years; 0: not given

	Description string
	Labels      resource.Labels
}

// Allocated is what Allocate made.
type Allocated struct {
	ID      string     `json:"id"`
	Address netip.Addr `json:"address"`
	Order   string     `json:"order,omitempty"` // number of the order, if prepaid
}

// Allocate gives the caller a free address of the region's public network, one
// picked at random unless it asks for one (VPC API reference, AllocateEipAddress). An
// order of a prepaid one counts as paid at once: nothing is charged here.
//
// Reasons: RegionNotFound, BandwidthInvalid, PeriodInvalid, QuotaElasticIP,
// QuotaDayAllocated, NoFreeElasticIP, TagDuplicate, QuotaTag.
func (s *Service) Allocate(ctx context.Context, c identity.Caller, in Request) (Allocated, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (Allocated, error) {
		made, err := s.allocate(tx, c, in)
		if err == nil {
			tx.Done("elastic IP allocated", "eip", made.ID, "address", made.Address, "region", in.Region)
		}
		return made, err
	})
}

// AllocateSome is Allocate for several alike, all or none of which the caller is given.
func (s *Service) AllocateSome(ctx context.Context, c identity.Caller, in Request, count int) ([]Allocated, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (all []Allocated, err error) {
		var ids []string
		for range count {
			made, err := s.allocate(tx, c, in)
			if err != nil {
				return nil, err
			}
			all, ids = append(all, made), append(ids, made.ID)
		}
		tx.Done("elastic IPs allocated", "eips", ids, "region", in.Region)
		return all, nil
	})
}

func (s *Service) allocate(tx *change.Tx, c identity.Caller, in Request) (Allocated, error) {
	if in.Bandwidth == 0 {
		in.Bandwidth = s.rules.Bandwidth
	}
	if err := s.settings.CheckRegion(in.Region); err != nil {
		return Allocated{}, err
	}
	if err := checkBandwidth(in.Bandwidth); err != nil {
		return Allocated{}, err
	}
	if err := checkPeriod(in); err != nil {
		return Allocated{}, err
	}
	e := &resource.ElasticIP{
		Meta: resource.Meta{ID: tx.NewID("eip"), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()},
		Name: in.Name, Description: in.Description,
		Bandwidth: in.Bandwidth, ByTraffic: in.ByTraffic, Prepaid: in.Prepaid,
	}
	if err := tx.Room(e); err != nil {
		return Allocated{}, err
	}
	if s.rules.Daily {
		if err := s.count(tx, c.Account, in.Region, func(u *resource.AddressUse) { u.Allocated++ }); err != nil {
			return Allocated{}, err
		}
	}
	if err := s.draw(tx, e, in.Address); err != nil {
		return Allocated{}, err
	}
	made := Allocated{ID: e.ID, Address: e.Address}
	if in.Prepaid {
		var err error
		if made.Order, err = orderNumber(s.random); err != nil {
			return Allocated{}, err
		}
		e.Expires = expiry(e.CreatedAt, in)
	}
	if err := tx.Label(e, in.Labels); err != nil {
		return Allocated{}, err
	}
	tx.Put(e)
	return made, nil
}

// draw gives a new elastic IP an address of its region's public network: the one that is
// asked for, if any. Reason: NoFreeElasticIP.
func (s *Service) draw(tx *change.Tx, e *resource.ElasticIP, asked netip.Addr) (err error) {
	public, ok := s.settings.PublicNetworkOf(e.Region)
	if !ok {
		return fault.New(fault.NoFreeElasticIP, "region %s has no public network", e.Region)
	}
	e.PublicNetwork = public.Name
	e.Address, err = pick(tx.View, s.db.Observed, public, asked, s.random)
	return err
}

// Change changes an elastic IP; nil leaves a value as it is.
type Change struct {
	resource.Naming
	Bandwidth *int // Mbit/s, 1 to 5000
}

// Modify changes the bandwidth, the name and the description of an elastic IP
// (ModifyEipAddressAttribute). Reasons: ElasticIPNotFound, BandwidthInvalid.
func (s *Service) Modify(ctx context.Context, c identity.Caller, id string, in Change) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.ElasticIPs, id)
		if err != nil {
			return err
		}
		e := old.Clone().(*resource.ElasticIP)
		in.Naming.Apply(&e.Name, &e.Description, "")
		if in.Bandwidth != nil {
			if err := checkBandwidth(*in.Bandwidth); err != nil {
				return err
			}
			e.Bandwidth = *in.Bandwidth
		}
		if e.Bandwidth == old.Bandwidth && e.Name == old.Name && e.Description == old.Description {
			return nil
		}
		if e.Binding != nil && e.Bandwidth != old.Bandwidth {
			tx.PutLive(e) // it stays InUse
		} else {
			tx.PutAttributes(e)
		}
		tx.Done("elastic IP changed", "eip", id, "name", e.Name, "bandwidth", e.Bandwidth)
		return nil
	})
}

// Protect protects an elastic IP from being released, or no longer (DeletionProtection).
// Reasons: RegionNotFound, ElasticIPNotFound.
func (s *Service) Protect(ctx context.Context, c identity.Caller, region, id string, on bool) error {
	return change.Protect(ctx, s.writer, c, func(tx *change.Tx) (*resource.ElasticIP, error) {
		return lookup.In(s.settings, c, tx.ElasticIPs, region, id)
	}, on)
}

// ByID returns one of the caller's elastic IPs in a region. Reasons: RegionNotFound,
// ElasticIPNotFound.
func (s *Service) ByID(c identity.Caller, region, id string) (*resource.ElasticIP, error) {
	return lookup.In(s.settings, c, s.db.View().ElasticIPs, region, id)
}

// Release gives an elastic IP back to the pool (ReleaseEipAddress). Reasons:
// ElasticIPNotFound, ElasticIPStatus, DeletionProtected.
func (s *Service) Release(ctx context.Context, c identity.Caller, id string) error {
	return s.ReleaseSome(ctx, c, []string{id})
}

// ReleaseSome is Release for several, all or none of which are given back.
func (s *Service) ReleaseSome(ctx context.Context, c identity.Caller, ids []string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		for _, id := range ids {
			e, err := lookup.Own(c, tx.ElasticIPs, id)
			if err != nil {
				return err
			}
			if err := s.available(e); err != nil {
				return err
			}
			tx.Delete(e)
			tx.Done("elastic IP released", "eip", id, "address", e.Address)
		}
		if len(ids) > 1 {
			tx.Done("elastic IPs released", "eips", ids)
		}
		return nil
	})
}

// available refuses an elastic IP that is not Available. One that is becoming
// so is worth waiting for.
func (s *Service) available(e *resource.ElasticIP) error {
	switch StatusOf(s.db.Observed, e) {
	case Available:
		return nil
	case Unassociating:
		if !s.db.Observed.Settled(e.VPC) {
			return fault.InTransition(fault.ElasticIPStatus, e.VPC, "elastic IP %s is still being unbound", e.ID)
		}
		return fault.New(fault.ElasticIPStatus, "elastic IP %s is still in network %s, which refuses to let it go", e.ID, e.VPC)
	default:
		return fault.New(fault.ElasticIPStatus, "elastic IP %s is bound to %s", e.ID, e.Binding.ID)
	}
}
