package eip

import (
	"context"
	"net/netip"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Disassociate unbinds an elastic IP from whatever it is bound to (Tencent Cloud's
// DisassociateAddress). With again the instance gets an ordinary public address in its place.
//
// Reasons, in this order: RegionNotFound, ElasticIPNotFound, ElasticIPStatus,
// OrdinaryNotPrimary, QuotaDayReassigned, NoFreeElasticIP.
func (s *Service) Disassociate(ctx context.Context, c identity.Caller, region, id string, again bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.ElasticIPs, region, id)
		if err != nil {
			return err
		}
		if old.Binding == nil {
			return fault.New(fault.ElasticIPStatus, "elastic IP %s is bound to nothing", id)
		}
		if again && old.Binding.Type != resource.BoundToHost {
			return fault.New(fault.OrdinaryNotPrimary, "elastic IP %s is bound to %s", id, old.Binding.ID)
		}
		if err := unusedByGateway(tx.View, old); err != nil {
			return err
		}
		if StatusOf(s.db.Observed, old) == Associating && !s.db.Observed.Settled(old.VPC) {
			return fault.InTransition(fault.ElasticIPStatus, old.VPC, "elastic IP %s is still being bound", id)
		}
		e := old.Clone().(*resource.ElasticIP)
		e.Binding = nil
		tx.Put(e)
		if again {
			if err := s.count(tx, c.Account, region, func(u *resource.AddressUse) { u.Reassigned++ }); err != nil {
				return err
			}
			i, _ := tx.Instances.Get(old.Binding.ID)
			if err := s.ordinary(tx, i, netip.Addr{}); err != nil {
				return err
			}
		}
		tx.Done("elastic IP unbound", "eip", id, "address", e.Address, "from", old.Binding.ID, "vpc", e.VPC, "ordinary", again)
		return nil
	})
}

// ordinary gives an instance an ordinary public address: the one that is asked for, if any.
// Reason: NoFreeElasticIP.
func (s *Service) ordinary(tx *change.Tx, i *resource.Instance, asked netip.Addr) error {
	e := &resource.ElasticIP{
		Meta:      resource.Meta{ID: tx.NewID("eip"), Account: i.Account, Region: i.Region, CreatedAt: s.writer.Now()},
		Bandwidth: bandwidthMax, VPC: i.VPC, Binding: &resource.Binding{Type: resource.BoundToHost, ID: i.ID}, Ordinary: true,
	}
	if err := s.draw(tx, e, asked); err != nil {
		return err
	}
	tx.Put(e)
	return nil
}

// ordinaryOf returns the ordinary public address of an instance.
func ordinaryOf(v *state.View, instance string) (*resource.ElasticIP, bool) {
	e, ok := v.ElasticIPs.By(state.ByBinding, instance).First()
	return e, ok && e.Ordinary
}

// Give is the operator's: it gives an instance an ordinary public address, any or the one that
// is asked for. Reasons: InstanceNotFound, InstanceKindWrong, InstanceAssociated,
// NoFreeElasticIP.
func (s *Service) Give(ctx context.Context, instance string, asked netip.Addr) error {
	return change.Run(ctx, s.writer, identity.Caller{}, func(tx *change.Tx) error {
		i, ok := tx.Instances.Get(instance)
		if !ok {
			return fault.New(fault.InstanceNotFound, "instance %q", instance)
		}
		if i.Type != resource.Host {
			return fault.New(fault.InstanceKindWrong, "%s is a %s; only hosts have ordinary public addresses", instance, i.Type)
		}
		if other, ok := tx.ElasticIPs.By(state.ByBinding, instance).First(); ok {
			return fault.New(fault.InstanceAssociated, "instance %s has the public address %s", instance, other.Address)
		}
		if err := s.ordinary(tx, i, asked); err != nil {
			return err
		}
		tx.Done("instance has an ordinary public address", "instance", instance)
		return nil
	})
}

// Take is the operator's: it takes an instance's ordinary public address away. Reasons:
// InstanceNotFound, OrdinaryMissing.
func (s *Service) Take(ctx context.Context, instance string) error {
	return change.Run(ctx, s.writer, identity.Caller{}, func(tx *change.Tx) error {
		if _, ok := tx.Instances.Get(instance); !ok {
			return fault.New(fault.InstanceNotFound, "instance %q", instance)
		}
		e, ok := ordinaryOf(tx.View, instance)
		if !ok {
			return fault.New(fault.OrdinaryMissing, "instance %s", instance)
		}
		tx.Delete(e)
		tx.Done("instance has no ordinary public address any more", "instance", instance, "address", e.Address)
		return nil
	})
}

// Transform makes an elastic IP of the ordinary public address of an instance, which stays
// bound to it (Tencent Cloud's TransformAddress).
//
// Reasons, in this order: RegionNotFound, InstanceNotFound, InstanceKindWrong,
// OrdinaryMissing, QuotaElasticIP, QuotaDayAllocated.
func (s *Service) Transform(ctx context.Context, c identity.Caller, region, instance string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		i, err := lookup.In(s.settings, c, tx.Instances, region, instance)
		if err != nil {
			return err
		}
		if i.Type != resource.Host {
			return fault.New(fault.InstanceKindWrong, "%s is a %s", instance, i.Type)
		}
		old, ok := ordinaryOf(tx.View, instance)
		if !ok {
			return fault.New(fault.OrdinaryMissing, "instance %s", instance)
		}
		e := old.Clone().(*resource.ElasticIP)
		e.Ordinary = false
		if s.rules.Bandwidth > 0 {
			e.Bandwidth = s.rules.Bandwidth
		}
		if err := tx.Room(e); err != nil {
			return err
		}
		if s.rules.Daily {
			if err := s.count(tx, c.Account, region, func(u *resource.AddressUse) { u.Allocated++ }); err != nil {
				return err
			}
		}
		tx.PutLive(e)
		tx.Done("ordinary public address made an elastic IP", "eip", e.ID, "address", e.Address, "instance", instance)
		return nil
	})
}

// Use is how many public addresses an account has, and has had today.
type Use struct{ Held, Allocated, Reassigned Figure }

// Figure is a number with what the quota allows.
type Figure struct{ Now, Most int }

// Uses returns the caller's figures in a region (DescribeAddressQuota). Reason: RegionNotFound.
func (s *Service) Uses(c identity.Caller, region string) (Use, error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return Use{}, err
	}
	v, most := s.db.View(), s.settings.Allowed(c.Account)
	u := s.today(v, c.Account, region)
	return Use{
		Held:       Figure{v.ElasticIPs.By(state.ByRegion, state.Key(c.Account, region)).Len(), most["elastic_ips"]},
		Allocated:  Figure{u.Allocated, most["elastic_ips_allocated_per_day"]},
		Reassigned: Figure{u.Reassigned, most["public_addresses_reassigned_per_day"]},
	}, nil
}

// count notes what an account does with public addresses today, within its quotas.
func (s *Service) count(tx *change.Tx, account, region string, add func(*resource.AddressUse)) error {
	u := s.today(tx.View, account, region)
	add(u)
	if err := tx.Fits(u); err != nil {
		return err
	}
	tx.PutAttributes(u)
	return nil
}

// today returns what an account has done in a region today.
func (s *Service) today(v *state.View, account, region string) *resource.AddressUse {
	now := s.writer.Now()
	day := now.Local().Format(time.DateOnly)
	id := resource.AddressUseID(account, region)
	if old, ok := v.AddressUses.Get(id); ok {
		u := old.Clone().(*resource.AddressUse)
		if u.Day != day {
			u.Day, u.Allocated, u.Reassigned = day, 0, 0
		}
		return u
	}
	return &resource.AddressUse{Meta: resource.Meta{ID: id, Account: account, Region: region, CreatedAt: now}, Day: day}
}
