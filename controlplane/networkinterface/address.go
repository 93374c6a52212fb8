package networkinterface

import (
	"context"
	"net/netip"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Assign gives an interface further addresses: those that are asked for, and so many that the
// system picks (AssignPrivateIpAddresses). It returns them, in this order.
//
// Reasons: RegionNotFound, InterfaceNotFound, PrivateAddressMissing, PrivateAddressPrimary,
// QuotaInterfaceAddresses, PrivateAddressTwice, PrivateAddressOutside,
// PrivateAddressReserved, PrivateAddressInUse, NoFreeAddress.
func (s *Service) Assign(ctx context.Context, c identity.Caller, region, id string, ask []NewAddress, count int) ([]resource.PrivateAddress, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) ([]resource.PrivateAddress, error) {
		old, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, id)
		if err != nil {
			return nil, err
		}
		sw, err := lookup.Own(c, tx.VSwitches, old.VSwitch)
		if err != nil {
			return nil, err
		}
		if len(ask)+count == 0 {
			return nil, fault.New(fault.PrivateAddressMissing, "neither addresses nor a number of them is given")
		}
		for _, a := range ask {
			if a.Primary {
				return nil, fault.New(fault.PrivateAddressPrimary, "%s; interface %s has its primary address already", a.Address, id)
			}
		}
		n := old.Clone().(*resource.NetworkInterface)
		if err := s.give(tx, n, sw, ask, count); err != nil {
			return nil, err
		}
		tx.PutLive(n)
		more := n.Addresses[len(old.Addresses):]
		tx.Done("private addresses given", "interface", id, "addresses", addresses(more))
		return more, nil
	})
}

// Unassign takes addresses, which are not the primary one, from an interface; their elastic
// IPs are unbound (UnassignPrivateIpAddresses).
//
// Reasons: RegionNotFound, InterfaceNotFound, PrivateAddressMissing,
// PrivateAddressNotFound, PrivateAddressPrimary, PrivateAddressTwice.
func (s *Service) Unassign(ctx context.Context, c identity.Caller, region, id string, list []netip.Addr) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fault.New(fault.PrivateAddressMissing, "no address to take from %s is given", id)
		}
		n := old.Clone().(*resource.NetworkInterface)
		for i, a := range list {
			if slices.Contains(list[:i], a) {
				return fault.New(fault.PrivateAddressTwice, "%s", a)
			}
			at, err := further(n, a)
			if err != nil {
				return err
			}
			n.Addresses = slices.Delete(n.Addresses, at, at+1)
			if e, ok := tx.ElasticOf(n.VPC, a); ok {
				free := e.Clone().(*resource.ElasticIP)
				free.Binding = nil
				tx.Put(free)
			}
		}
		tx.PutLive(n)
		tx.Done("private addresses taken back", "interface", id, "addresses", list)
		return nil
	})
}

// further finds an address of an interface that is not its primary one. Reasons:
// PrivateAddressNotFound, PrivateAddressPrimary.
func further(n *resource.NetworkInterface, a netip.Addr) (int, error) {
	switch at := n.Find(a); at {
	case -1:
		return at, fault.New(fault.PrivateAddressNotFound, "%s is not an address of %s", a, n.ID)
	case 0:
		return at, fault.New(fault.PrivateAddressPrimary, "%s is the primary address of %s, which always has it", a, n.ID)
	default:
		return at, nil
	}
}

// MigrateAddress moves an address from one interface to another one of its VSwitch, with its
// elastic IP (MigratePrivateIpAddress).
//
// Reasons: RegionNotFound, InterfaceNotFound, InterfaceSame, PrivateAddressNotFound,
// PrivateAddressPrimary, InterfaceOtherVSwitch, QuotaInterfaceAddresses.
func (s *Service) MigrateAddress(ctx context.Context, c identity.Caller, region, from, to string, a netip.Addr) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		source, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, from)
		if err != nil {
			return err
		}
		target, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, to)
		if err != nil {
			return err
		}
		if from == to {
			return fault.New(fault.InterfaceSame, "network interface %s", from)
		}
		at, err := further(source, a)
		if err != nil {
			return err
		}
		if source.VSwitch != target.VSwitch {
			return fault.New(fault.InterfaceOtherVSwitch, "%s is in %s, %s in %s", from, source.VSwitch, to, target.VSwitch)
		}
		elastic, bound := tx.ElasticOf(source.VPC, a)
		less, more := source.Clone().(*resource.NetworkInterface), target.Clone().(*resource.NetworkInterface)
		less.Addresses = slices.Delete(less.Addresses, at, at+1)
		more.Addresses = append(more.Addresses, source.Addresses[at])
		if err := tx.Fits(more); err != nil {
			return err
		}
		tx.PutLive(less)
		tx.PutLive(more)
		if bound {
			e := elastic.Clone().(*resource.ElasticIP)
			e.Binding.ID = to
			tx.PutLive(e)
		}
		tx.Done("private address moved", "address", a, "from", from, "to", to)
		return nil
	})
}

// ModifyAddresses changes the descriptions of addresses (ModifyPrivateIpAddressesAttribute).
//
// Reasons: RegionNotFound, InterfaceNotFound, PrivateAddressMissing,
// PrivateAddressNotFound, InterfaceInTransition.
func (s *Service) ModifyAddresses(ctx context.Context, c identity.Caller, region, id string, list []resource.PrivateAddress) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fault.New(fault.PrivateAddressMissing, "no address to change is given")
		}
		n := old.Clone().(*resource.NetworkInterface)
		for _, a := range list {
			at := n.Find(a.Address)
			if at < 0 {
				return fault.New(fault.PrivateAddressNotFound, "%s is not an address of %s", a.Address, id)
			}
			n.Addresses[at].Description = a.Description
		}
		if err := state.Ready(s.db.Observed, tx.NetworkInterfaces, old); err != nil {
			return err
		}
		tx.PutAttributes(n)
		tx.Done("private addresses changed", "interface", id)
		return nil
	})
}
