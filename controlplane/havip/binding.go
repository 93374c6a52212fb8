package havip

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

// Associate lets an instance have the address of a HaVip of its VSwitch (AssociateHaVip).
//
// Reasons, in this order: RegionNotFound, HaVipNotFound, InstanceNotFound,
// HaVipOtherVSwitch, InstanceStatus, HaVipBound, QuotaHaVipInstances, QuotaInstanceHaVips,
// HaVipStatus.
func (s *Service) Associate(ctx context.Context, c identity.Caller, region, id, instance string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, i, err := s.pair(tx.View, c, region, id, instance)
		if err != nil {
			return err
		}
		if i.VSwitch != old.VSwitch {
			return fault.New(fault.HaVipOtherVSwitch, "HaVip %s is in VSwitch %s, instance %s in %s", id, old.VSwitch, i.ID, i.VSwitch)
		}
		if !i.Usable() {
			return fault.New(fault.InstanceStatus, "instance %s is %s, not Running or Stopped", i.ID, i.State)
		}
		if old.BoundTo(i.ID) {
			return fault.New(fault.HaVipBound, "HaVip %s is bound to instance %s already", id, i.ID)
		}
		h := old.Clone().(*resource.HaVip)
		h.Instances, h.Unbinding = append(h.Instances, i.ID), false
		if err := tx.Fits(h); err != nil {
			return err
		}
		if n := tx.HaVips.By(state.ByInstance, i.ID).Len(); n >= MostPerInstance {
			return fault.New(fault.QuotaInstanceHaVips, "instance %s is bound to %d HaVips; it may be to %d", i.ID, n, MostPerInstance)
		}
		if err := state.Ready(s.db.Observed, tx.HaVips, old); err != nil {
			return err
		}
		tx.Put(h)
		tx.Done("HaVip bound", "havip", id, "address", h.PrivateIP, "instance", i.ID, "instances", len(h.Instances))
		return nil
	})
}

// Unassociate takes the right to a HaVip's address from an instance: what it announces does
// not count any more (UnassociateHaVip). The one that has the address is unbound only with
// force.
//
// Reasons, in this order: RegionNotFound, HaVipNotFound, InstanceNotFound, HaVipUnbound,
// HaVipNotBound, InstanceStatus, HaVipMaster, HaVipStatus.
func (s *Service) Unassociate(ctx context.Context, c identity.Caller, region, id, instance string, force bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, i, err := s.pair(tx.View, c, region, id, instance)
		if err != nil {
			return err
		}
		if len(old.Instances) == 0 {
			return fault.New(fault.HaVipUnbound, "HaVip %s is bound to no instance", id)
		}
		if !old.BoundTo(i.ID) {
			return fault.New(fault.HaVipNotBound, "HaVip %s is not bound to instance %s", id, i.ID)
		}
		if !i.Usable() {
			return fault.New(fault.InstanceStatus, "instance %s is %s, not Running or Stopped", i.ID, i.State)
		}
		if !force && s.holder(tx.View, old).Instance == i.ID {
			return fault.New(fault.HaVipMaster, "instance %s has the address of HaVip %s; unbind it with force, or let another announce it first", i.ID, id)
		}
		if err := state.Ready(s.db.Observed, tx.HaVips, old); err != nil {
			return err
		}
		h := old.Clone().(*resource.HaVip)
		h.Instances = slices.DeleteFunc(h.Instances, func(other string) bool { return other == i.ID })
		h.Unbinding = true
		tx.Put(h)
		tx.Done("HaVip unbound", "havip", id, "address", h.PrivateIP, "instance", i.ID, "instances", len(h.Instances))
		return nil
	})
}

// pair finds a HaVip and an ECS instance of the caller's.
func (s *Service) pair(v *state.View, c identity.Caller, region, id, instance string) (*resource.HaVip, *resource.Instance, error) {
	h, err := lookup.In(s.settings, c, v.HaVips, region, id)
	if err != nil {
		return nil, nil, err
	}
	i, err := lookup.Own(c, v.Instances, instance)
	if err != nil {
		return nil, nil, err
	}
	if i.Type != resource.Host {
		return nil, nil, fault.New(fault.InstanceNotFound, "ECS instance %q", instance)
	}
	return h, i, nil
}
