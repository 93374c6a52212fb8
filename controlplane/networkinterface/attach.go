package networkinterface

import (
	"context"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Attach attaches an interface to a host of its VPC and zone (AttachNetworkInterface).
//
// Reasons: RegionNotFound, InterfaceNotFound, InstanceNotFound, InterfaceAttached,
// InterfaceOtherVPC, InterfaceOtherZone, InstanceStatus, QuotaInstanceInterfaces,
// InterfaceInTransition.
func (s *Service) Attach(ctx context.Context, c identity.Caller, region, id, instance string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, i, err := s.pair(tx.View, c, region, id, instance)
		if err != nil {
			return err
		}
		if old.Instance != "" {
			return fault.New(fault.InterfaceAttached, "%s is attached to instance %s", id, old.Instance)
		}
		n := old.Clone().(*resource.NetworkInterface)
		if err := s.attach(tx, n, i); err != nil {
			return err
		}
		if err := state.Ready(s.db.Observed, tx.NetworkInterfaces, old); err != nil {
			return err
		}
		tx.Put(n)
		tx.Done("network interface attached", "interface", id, "instance", i.ID, "index", n.Index)
		return nil
	})
}

// attach puts an interface at a host, if it may be there.
func (s *Service) attach(tx *change.Tx, n *resource.NetworkInterface, i *resource.Instance) error {
	if i.VPC != n.VPC {
		return fault.New(fault.InterfaceOtherVPC, "%s is in VPC %s, instance %s in %s", n.ID, n.VPC, i.ID, i.VPC)
	}
	if here, there := zoneOf(tx.View, n.VSwitch), zoneOf(tx.View, i.VSwitch); here != there {
		return fault.New(fault.InterfaceOtherZone, "%s is in zone %s, instance %s in %s", n.ID, here, i.ID, there)
	}
	if !i.Usable() {
		return fault.New(fault.InstanceStatus, "instance %s is %s, not Running or Stopped", i.ID, i.State)
	}
	used := map[int]bool{0: true}
	for other := range tx.NetworkInterfaces.By(state.ByInstance, i.ID).All() {
		used[other.Index] = true
	}
	n.Index = 1
	for used[n.Index] {
		n.Index++
	}
	n.Instance, n.AttachedAt, n.Detaching = i.ID, s.writer.Now(), false
	return tx.Room(n)
}

func zoneOf(v *state.View, vswitch string) string {
	if sw, ok := v.VSwitches.Get(vswitch); ok {
		return sw.Zone
	}
	return ""
}

// Detach takes an interface from the host that it is attached to
// (DetachNetworkInterface).
//
// Reasons: RegionNotFound, InterfaceNotFound, InstanceNotFound, InterfaceNotAttached,
// InterfacePrimary, InstanceStatus, InterfaceInTransition.
func (s *Service) Detach(ctx context.Context, c identity.Caller, region, id, instance string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, i, err := s.pair(tx.View, c, region, id, instance)
		if err != nil {
			return err
		}
		if err := s.detachable(tx.View, old, i); err != nil {
			return err
		}
		n := old.Clone().(*resource.NetworkInterface)
		n.Instance, n.Index, n.AttachedAt, n.Detaching = "", 0, time.Time{}, true
		tx.Put(n)
		tx.Done("network interface detached", "interface", id, "instance", i.ID)
		return nil
	})
}

// detachable refuses an interface that is not at a host, or has to stay there.
func (s *Service) detachable(v *state.View, n *resource.NetworkInterface, i *resource.Instance) error {
	if n.Instance != i.ID {
		return fault.New(fault.InterfaceNotAttached, "%s is not attached to instance %s", n.ID, i.ID)
	}
	if n.Primary {
		return fault.New(fault.InterfacePrimary, "%s is the primary interface of instance %s, which always has it", n.ID, i.ID)
	}
	if !i.Usable() {
		return fault.New(fault.InstanceStatus, "instance %s is %s, not Running or Stopped", i.ID, i.State)
	}
	return state.Ready(s.db.Observed, v.NetworkInterfaces, n)
}

// Migrate moves an interface, with its addresses and their elastic IPs, from one host to
// another, in one step (MigrateNetworkInterface).
//
// Reasons: those of Detach, for from, InterfaceSame, and those of Attach, for to.
func (s *Service) Migrate(ctx context.Context, c identity.Caller, region, id, from, to string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, source, err := s.pair(tx.View, c, region, id, from)
		if err != nil {
			return err
		}
		_, target, err := s.pair(tx.View, c, region, id, to)
		if err != nil {
			return err
		}
		if source.ID == target.ID {
			return fault.New(fault.InterfaceSame, "instance %s", from)
		}
		n := old.Clone().(*resource.NetworkInterface)
		if err := s.attach(tx, n, target); err != nil {
			return err
		}
		if err := s.detachable(tx.View, old, source); err != nil {
			return err
		}
		tx.Put(n)
		tx.Done("network interface moved", "interface", id, "from", from, "to", to, "index", n.Index)
		return nil
	})
}

// pair returns an interface and a host of the caller's. Reasons: RegionNotFound,
// InterfaceNotFound, InstanceNotFound.
func (s *Service) pair(v *state.View, c identity.Caller, region, id, instance string) (*resource.NetworkInterface, *resource.Instance, error) {
	n, err := lookup.In(s.settings, c, v.NetworkInterfaces, region, id)
	if err != nil {
		return nil, nil, err
	}
	i, err := lookup.In(s.settings, c, v.Instances, region, instance)
	if err != nil {
		return nil, nil, err
	}
	if i.Type != resource.Host {
		return nil, nil, fault.New(fault.InstanceNotFound, "%s is a %s, and has no network interfaces", instance, i.Type)
	}
	return n, i, nil
}
