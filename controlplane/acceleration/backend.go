package acceleration

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Backend names a backend.
type Backend struct {
	Type   resource.InstanceKind // a host or a load balancer
	ID     string
	Region string // that it is in
}

// mostOfVPC is how many instances may have backends in one VPC, which is linked with each:
// the other half of a network's router interfaces are those between routers.
const mostOfVPC = dataplane.MostRouterInterfaces / 2

// Associate gives an instance its backend, a host or load balancer of the caller's in
// another region, which lies in the area that the instance serves
// (AssociateGlobalAccelerationInstance).
//
// Reasons, in this order: RegionNotFound, AccelerationNotFound, BackendRegionNotFound,
// BackendRegionSame, BackendRegionOutside, BackendNotFound, AccelerationStatus,
// QuotaAccelerationsOfServer, AccelerationInTransition.
func (s *Service) Associate(ctx context.Context, c identity.Caller, region, id string, b Backend) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		i, err := s.backend(tx.View, c, old, b)
		if err != nil {
			return err
		}
		a := old.Clone().(*resource.AccelerationInstance)
		a.VPC = i.VPC
		a.Backend = &resource.AccelerationBackend{Type: i.Type, ID: i.ID, Region: i.Region, Address: i.PrivateIP}
		if old.Backend == nil {
			if err := room(tx, old, a); err != nil {
				return err
			}
		}
		if err := s.available(old); err != nil {
			return err
		}
		tx.Put(a)
		tx.Done("backend of a global acceleration instance bound", "acceleration", id, "address", a.Address, "backend", i.ID, "vpc", a.VPC)
		return nil
	})
}

// room refuses a backend of which the inventory or the dataplane would have too many
// instances. Reason: QuotaAccelerationsOfServer.
func room(tx *change.Tx, old, a *resource.AccelerationInstance) error {
	n := 0
	for other := range tx.Accelerations.By(state.ByVPC, a.VPC).All() {
		if other.Backend != nil {
			n++
		}
	}
	if n >= mostOfVPC {
		return fault.New(fault.QuotaAccelerationsOfServer, "VPC %s has the backends of %d global acceleration instances, as many as there can be", a.VPC, n)
	}
	return tx.RoomWithout([]resource.Resource{old}, a)
}

// backend finds what is to be an instance's backend. Reasons, in this order:
// BackendRegionNotFound, BackendRegionSame, BackendRegionOutside, BackendNotFound.
func (s *Service) backend(v *state.View, c identity.Caller, a *resource.AccelerationInstance, b Backend) (*resource.Instance, error) {
	r, ok := s.settings.Region(b.Region)
	switch {
	case !ok:
		return nil, fault.New(fault.BackendRegionNotFound, "region %q is not configured", b.Region)
	case b.Region == a.Region:
		return nil, fault.New(fault.BackendRegionSame, "global acceleration instance %s is in %s, too", a.ID, b.Region)
	case r.Lies() != a.Service:
		return nil, fault.New(fault.BackendRegionOutside, "region %s lies in %q, and %s serves %q", b.Region, r.Lies(), a.ID, a.Service)
	}
	i, err := server(v, c, b)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// server finds a host or load balancer of the caller's in a region. Reason: BackendNotFound.
func server(v *state.View, c identity.Caller, b Backend) (*resource.Instance, error) {
	i, ok := v.Instances.Get(b.ID)
	if !ok || i.Account != c.Account || i.Region != b.Region || i.Type != b.Type {
		return nil, fault.New(fault.BackendNotFound, "%s %q in region %s", b.Type, b.ID, b.Region)
	}
	return i, nil
}

// Unassociate takes an instance's backend away (UnassociateGlobalAccelerationInstance).
//
// Reasons, in this order: RegionNotFound, AccelerationNotFound, AccelerationStatus,
// AccelerationInTransition.
func (s *Service) Unassociate(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		switch StatusOf(s.db.Observed, old) {
		case Available, Unassociating:
			return fault.New(fault.AccelerationStatus, "global acceleration instance %s has no backend", id)
		case Associating:
			// One that a network refuses to link may be given up.
			if !settled(s.db.Observed, old) {
				return fault.InTransition(fault.AccelerationInTransition, awaited(s.db.Observed, old), "the backend of global acceleration instance %s is still being bound", id)
			}
		}
		a := old.Clone().(*resource.AccelerationInstance)
		a.Backend = nil
		tx.Put(a)
		tx.Done("backend of a global acceleration instance unbound", "acceleration", id, "address", a.Address, "backend", old.Backend.ID, "vpc", a.VPC)
		return nil
	})
}
