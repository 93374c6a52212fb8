package leasedline

import (
	"context"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// NewLine is what a physical connection is applied for with.
type NewLine struct {
	Region       string
	AccessPoint  string
	Carrier      resource.Carrier
	PeerLocation string
	Bandwidth    int // Mbit/s
	PortType     resource.PortType
	Redundant    string // id of the line that it is to stand in for; empty: none
	CircuitCode  string
	Name         string
	Description  string
}

// Create applies for a physical connection (VPC API reference, CreatePhysicalConnection).
//
// Reasons, in this order: RegionNotFound, AccessPointNotFound, AccessPointFull,
// LineRedundantNotFound, LineRedundantState, QuotaLine, QuotaLineNotEnabled.
func (s *Service) Create(ctx context.Context, c identity.Caller, in NewLine) (*resource.PhysicalConnection, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.PhysicalConnection, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return nil, err
		}
		point, ok := s.settings.AccessPoint(in.AccessPoint)
		if !ok || point.Region != in.Region {
			return nil, fault.New(fault.AccessPointNotFound, "access point %q in region %s", in.AccessPoint, in.Region)
		}
		if point.Use == settings.AccessPointFull {
			return nil, fault.New(fault.AccessPointFull, "access point %s is full", point.ID)
		}
		if err := s.redundant(tx.View, c, in.Redundant); err != nil {
			return nil, err
		}
		l := &resource.PhysicalConnection{
			Meta:        resource.Meta{ID: tx.NewID("pc"), Account: c.Account, Region: in.Region, CreatedAt: s.now()},
			AccessPoint: point.ID, State: resource.LineApplied, Carrier: in.Carrier, PeerLocation: in.PeerLocation,
			Bandwidth: in.Bandwidth, PortType: in.PortType, Redundant: in.Redundant, CircuitCode: in.CircuitCode,
			Name: in.Name, Description: in.Description,
		}
		if err := tx.Room(l); err != nil {
			return nil, err
		}
		tx.Put(l)
		tx.Done("physical connection applied for", "line", l.ID, "accessPoint", point.ID, "bandwidth", l.Bandwidth)
		return l, nil
	})
}

// redundant refuses a line that another can't stand in for. Reasons:
// LineRedundantNotFound, LineRedundantState.
func (s *Service) redundant(v *state.View, c identity.Caller, id string) error {
	if id == "" {
		return nil
	}
	other, ok := v.PhysicalConnections.Get(id)
	if !ok || !state.Owned(other, c.Account, "") {
		return fault.New(fault.LineRedundantNotFound, "physical connection %q", id)
	}
	switch shown := s.shown(v, other); shown {
	case resource.LineAllocated, resource.LineConfirmed, resource.LineEnabled:
		return nil
	default:
		return fault.New(fault.LineRedundantState, "physical connection %s is %s", id, shown)
	}
}

// LineChange is what Modify changes; nil leaves a thing as it is.
type LineChange struct {
	Carrier      *resource.Carrier
	PeerLocation *string
	Bandwidth    *int // Mbit/s
	PortType     *resource.PortType
	Redundant    *string
	CircuitCode  *string
	resource.Naming
}

// Modify changes a physical connection; one that was rejected is thereby applied for again
// (ModifyPhysicalConnectionAttribute).
//
// Reasons, in this order: RegionNotFound, LineNotFound, LineUnchangeable,
// LineRedundantFixed, LineRedundantNotFound, LineRedundantState, QuotaLine….
func (s *Service) Modify(ctx context.Context, c identity.Caller, region, id string, in LineChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.PhysicalConnections, region, id)
		if err != nil {
			return err
		}
		if shown := s.shown(tx.View, old); old.Over() || shown == Allocating {
			return fault.New(fault.LineUnchangeable, "physical connection %s is %s", id, shown)
		}
		l := old.Clone().(*resource.PhysicalConnection)
		if in.Redundant != nil && *in.Redundant != old.Redundant {
			if old.State != resource.LineApplied && old.State != resource.LineRejected {
				return fault.New(fault.LineRedundantFixed, "physical connection %s is %s", id, old.State)
			}
			if *in.Redundant == id {
				return fault.New(fault.LineRedundantNotFound, "physical connection %s cannot stand in for itself", id)
			}
			if err := s.redundant(tx.View, c, *in.Redundant); err != nil {
				return err
			}
			l.Redundant = *in.Redundant
		}
		set(&l.Carrier, in.Carrier)
		set(&l.PeerLocation, in.PeerLocation)
		set(&l.Bandwidth, in.Bandwidth)
		set(&l.PortType, in.PortType)
		set(&l.CircuitCode, in.CircuitCode)
		in.Apply(&l.Name, &l.Description, "")
		if l.State == resource.LineRejected {
			l.State = resource.LineApplied
		}
		if l.Bandwidth != old.Bandwidth {
			tx.Put(l)
		} else {
			tx.PutAttributes(l)
		}
		tx.Done("physical connection changed", "line", id, "state", l.State, "bandwidth", l.Bandwidth)
		return nil
	})
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Cancel takes the application for a line back before it is enabled
// (CancelPhysicalConnection). Reasons: RegionNotFound, LineNotFound, LineWrongState.
func (s *Service) Cancel(ctx context.Context, c identity.Caller, region, id string) error {
	return s.step(ctx, c, region, id, resource.LineCanceled, nil,
		resource.LineApplied, resource.LineApproved, resource.LineAllocated, resource.LineConfirmed)
}

// Enable puts a line that is built into service (EnablePhysicalConnection). Reasons:
// RegionNotFound, LineNotFound, LineWrongState.
func (s *Service) Enable(ctx context.Context, c identity.Caller, region, id string) error {
	return s.step(ctx, c, region, id, resource.LineEnabled, func(_ *change.Tx, l *resource.PhysicalConnection) error {
		l.EnabledAt = s.now()
		return nil
	}, resource.LineConfirmed)
}

// Terminate ends the service of a line. It is over when the dataplane has nothing of it any
// more (TerminatePhysicalConnection).
//
// Reasons, in this order: RegionNotFound, LineNotFound, LineWrongState, LineHasRouters.
func (s *Service) Terminate(ctx context.Context, c identity.Caller, region, id string) error {
	return s.step(ctx, c, region, id, resource.LineTerminated, func(tx *change.Tx, l *resource.PhysicalConnection) error {
		for b := range tx.BorderRouters.By(state.ByLine, id).All() {
			if b.Account == l.Account || b.State != resource.BorderTerminated {
				return fault.New(fault.LineHasRouters, "physical connection %s has border router %s", id, b.ID)
			}
		}
		return nil
	}, resource.LineEnabled)
}

// step brings one of the caller's lines into a state from one of others, if check, which may
// be nil, does not refuse it.
func (s *Service) step(ctx context.Context, c identity.Caller, region, id string, to resource.LineState, check func(*change.Tx, *resource.PhysicalConnection) error, from ...resource.LineState) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		l, err := lookup.In(s.settings, c, tx.PhysicalConnections, region, id)
		if err != nil {
			return err
		}
		return s.turn(tx, l, to, check, from...)
	})
}

// turn brings a line into a state. Reasons: LineWrongState, and those of check.
func (s *Service) turn(tx *change.Tx, old *resource.PhysicalConnection, to resource.LineState, check func(*change.Tx, *resource.PhysicalConnection) error, from ...resource.LineState) error {
	if shown := s.shown(tx.View, old); !slices.Contains(from, shown) {
		return fault.New(fault.LineWrongState, "physical connection %s is %s; that is done with one that is %s", old.ID, shown, words(from))
	}
	l := old.Clone().(*resource.PhysicalConnection)
	if check != nil {
		if err := check(tx, l); err != nil {
			return err
		}
	}
	l.State = to
	tx.Put(l)
	tx.Done("physical connection "+string(to), "line", l.ID, "owner", l.Account, "was", old.State, "port", l.Port)
	return nil
}

// Delete deletes a line that is over, or was rejected (DeletePhysicalConnection).
//
// Reasons, in this order: RegionNotFound, LineNotFound, LineWrongState, LineHasOwnRouters,
// LineHasOthersRouters.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		l, err := lookup.In(s.settings, c, tx.PhysicalConnections, region, id)
		if err != nil {
			return err
		}
		if shown := s.shown(tx.View, l); !l.Over() && shown != resource.LineRejected || shown == Terminating {
			return fault.New(fault.LineWrongState, "physical connection %s is %s", id, shown)
		}
		if err := tx.Blocked(l); err != nil {
			return err
		}
		tx.Delete(l)
		tx.Done("physical connection deleted", "line", id)
		return nil
	})
}
