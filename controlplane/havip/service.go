package havip

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/inventory"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// MostPerInstance is how many HaVips an instance may be bound to (today's API).
const MostPerInstance = 5

// Plane tells who was seen to have HaVips' addresses: *engine.Engine does.
type Plane interface {
	// HaVips returns of a network's HaVips, by address, who has it; without those that
	// nobody was seen to have.
	HaVips(network string) map[netip.Addr]dataplane.HaVipHolder
}

// Service keeps HaVips. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	plane    Plane
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times.
func New(db *state.DB, set *settings.Settings, plane Plane, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, plane: plane, writer: change.NewWriter(db, set, now, log)}
}

// NewHaVip is what a new HaVip should be.
type NewHaVip struct {
	Region      string
	VSwitch     string
	PrivateIP   netip.Addr // invalid: the lowest that is free in the VSwitch
	Name        string
	Description string
	AnyHost     bool // for the operator: every host of the VSwitch may have it
	Labels      resource.Labels
}

// Create makes a HaVip, bound to nothing (CreateHaVip).
//
// Reasons, in this order: RegionNotFound, VSwitchNotFound, QuotaHaVip,
// HaVipAddressOutside, HaVipAddressReserved, HaVipAddressInUse, NoFreeAddress,
// TagDuplicate, QuotaTag, VSwitchInTransition.
func (s *Service) Create(ctx context.Context, c identity.Caller, in NewHaVip) (*resource.HaVip, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.HaVip, error) {
		x, err := lookup.In(s.settings, c, tx.VSwitches, in.Region, in.VSwitch)
		if err != nil {
			return nil, err
		}
		h := &resource.HaVip{
			Meta: resource.Meta{ID: tx.NewID("havip"), Account: x.Account, Region: x.Region, CreatedAt: s.writer.Now()},
			VPC:  x.VPC, VSwitch: x.ID, PrivateIP: in.PrivateIP, Name: in.Name, Description: in.Description, AnyHost: in.AnyHost,
		}
		if err := tx.Room(h); err != nil {
			return nil, err
		}
		if err := place(tx.View, h, x); err != nil {
			return nil, err
		}
		if err := tx.Label(h, in.Labels); err != nil {
			return nil, err
		}
		if err := state.Ready(s.db.Observed, tx.VSwitches, x); err != nil {
			return nil, err
		}
		tx.Put(h)
		tx.Done("HaVip created", "havip", h.ID, "vswitch", x.ID, "address", h.PrivateIP)
		return h, nil
	})
}

// place checks the address of a HaVip, or finds it one.
func place(v *state.View, h *resource.HaVip, x *resource.VSwitch) error {
	if !h.PrivateIP.IsValid() {
		a, ok := inventory.FreeAddress(v, x)
		if !ok {
			return fault.New(fault.NoFreeAddress, "every address of VSwitch %s is taken", x.ID)
		}
		h.PrivateIP = a
		return nil
	}
	if !x.CIDR.Contains(h.PrivateIP) {
		return fault.New(fault.HaVipAddressOutside, "%s; take one of %s", h.PrivateIP, x.CIDR)
	}
	if x.Reserved(h.PrivateIP) {
		return fault.New(fault.HaVipAddressReserved, "%s; of %s those from %s to %s are for others than the system", h.PrivateIP, x.CIDR, x.Plan.First(x.CIDR), x.Plan.Last(x.CIDR))
	}
	if other, taken := inventory.Holder(v, x.VPC, h.PrivateIP); taken {
		return fault.New(fault.HaVipAddressInUse, "%s is that of %s", h.PrivateIP, other)
	}
	return nil
}

// Modify changes the name or the description (ModifyHaVipAttribute). Reasons:
// RegionNotFound, HaVipNotFound.
func (s *Service) Modify(ctx context.Context, c identity.Caller, region, id string, in resource.Naming) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.HaVips, region, id)
		if err != nil {
			return err
		}
		h := old.Clone().(*resource.HaVip)
		in.Apply(&h.Name, &h.Description, "")
		tx.PutAttributes(h)
		tx.Done("HaVip changed", "havip", id, "name", h.Name)
		return nil
	})
}

// Delete deletes a HaVip that is bound to nothing, and that nothing leads to (DeleteHaVip).
//
// Reasons, in this order: RegionNotFound, HaVipNotFound, HaVipHasRouteEntries,
// HaVipHasElasticIP, HaVipHasInstances, HaVipStatus.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		h, err := lookup.In(s.settings, c, tx.HaVips, region, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(h); err != nil {
			return err
		}
		if len(h.Instances) > 0 {
			return fault.New(fault.HaVipHasInstances, "HaVip %s is bound to instance %s; unbind it first", id, h.Instances[0])
		}
		if err := state.Ready(s.db.Observed, tx.HaVips, h); err != nil {
			return err
		}
		tx.Delete(h)
		tx.Done("HaVip deleted", "havip", id, "vswitch", h.VSwitch, "address", h.PrivateIP)
		return nil
	})
}
