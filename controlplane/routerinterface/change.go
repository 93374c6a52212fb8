package routerinterface

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// Attributes is a change of a router interface; nil leaves a thing as it is.
type Attributes struct {
	Region             string
	ID                 string
	resource.Naming    // an empty name: the interface's id again
	OppositeRouterKind *resource.RouterKind
	OppositeRouter     *string
	OppositeInterface  *string
	OppositeAccount    *string
	Check              Check // replaces the one that it has
	Uncheck            bool  // it has none from now on
}

// Modify changes a router interface's name, description, what it is to be connected with, and
// its health check (ModifyRouterInterfaceAttribute).
//
// Reasons, in this order: RegionNotFound, RouterInterfaceNotFound, OppositeRouterKindFixed,
// OppositeRouterKind, those of checked, RouterInterfaceStatus, RouterInterfaceInTransition.
func (s *Service) Modify(ctx context.Context, c identity.Caller, in Attributes) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, in.Region, in.ID)
		if err != nil {
			return err
		}
		r := old.Clone().(*resource.RouterInterface)
		in.Naming.Apply(&r.Name, &r.Description, r.ID)
		if k := in.OppositeRouterKind; k != nil && *k != old.Opposite.RouterKind {
			if old.Opposite.RouterKind == resource.BorderRouter {
				return fault.New(fault.OppositeRouterKindFixed, "the opposite router of %s is a border router", r.ID)
			}
			return fault.New(fault.OppositeRouterKind, "the opposite router of %s is a VPC's, and no border router takes its place", r.ID)
		}
		set(&r.Opposite.Router, in.OppositeRouter)
		set(&r.Opposite.Interface, in.OppositeInterface)
		set(&r.Opposite.Account, in.OppositeAccount)
		check, err := checked(tx.View, r, in.Check)
		if err != nil {
			return err
		}
		if check != nil || in.Uncheck {
			r.Check = check
		}
		if r.Link != nil && r.Opposite != old.Opposite {
			return fault.New(fault.RouterInterfaceStatus, "router interface %s is connected with %s; only one that is Idle can be given another opposite", r.ID, r.Link.Peer)
		}
		if err := s.settled(old); err != nil {
			return err
		}
		if r.Link != nil && !sameCheck(r.Check, old.Check) {
			tx.PutLive(r)
		} else {
			tx.PutAttributes(r)
		}
		tx.Done("router interface changed", "routerInterface", r.ID)
		return nil
	})
}

func set(to, given *string) {
	if given != nil {
		*to = *given
	}
}

func sameCheck(a, b *resource.InterfaceCheck) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// ModifyBandwidth gives a router interface that initiates another bandwidth in Mbit/s, which is
// that of what crosses its link in either direction (ModifyRouterInterfaceSpec). One that
// accepts has none: 0.
//
// Reasons, in this order: RegionNotFound, RouterInterfaceNotFound, OppositeRegionNotFound,
// RouterInterfaceSpec, RouterInterfaceInTransition.
func (s *Service) ModifyBandwidth(ctx context.Context, c identity.Caller, region, id string, mbit int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := s.oppositeRegion(old.Opposite.Region); err != nil {
			return err
		}
		if old.Initiates != (mbit > 0) {
			return fault.Explained(fault.RouterInterfaceSpec, "the interface that initiates a connection has a bandwidth, the one that accepts it has not")
		}
		if old.Bandwidth == mbit {
			return nil
		}
		if err := s.settled(old); err != nil {
			return err
		}
		r := old.Clone().(*resource.RouterInterface)
		r.Bandwidth = mbit
		if r.Up() {
			r.Link.Step = resource.LinkActivated
			tx.Put(r)
		} else {
			tx.PutAttributes(r)
		}
		tx.Done("bandwidth of a router interface changed", "routerInterface", r.ID, "from", old.Bandwidth, "to", mbit)
		return nil
	})
}

// Delete deletes a router interface that is not connected, or inactive, and that no route entry
// leads to (DeleteRouterInterface). What it was connected with is not connected from then on.
//
// Reasons, in this order: RegionNotFound, RouterInterfaceNotFound, RouterInterfaceStatus,
// RouterInterfaceHasRoutes, RouterInterfaceInTransition.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		r, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if r.Up() {
			return fault.New(fault.RouterInterfaceStatus, "router interface %s is connected; deactivate it first", r.ID)
		}
		if err := tx.Blocked(r); err != nil {
			return err
		}
		if err := s.settled(r); err != nil {
			return err
		}
		if r.Link != nil {
			if old, ok := tx.RouterInterfaces.Get(r.Link.Peer); ok {
				peer := old.Clone().(*resource.RouterInterface)
				peer.Link = nil
				tx.PutAttributes(peer)
			}
		}
		tx.Delete(r)
		tx.Done("router interface deleted", "routerInterface", r.ID, "router", r.Router)
		return nil
	})
}
