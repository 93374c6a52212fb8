package inventory

import (
	"context"
	"net/netip"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// NewClassicInstance is what is known of an instance of a classic network that is added.
type NewClassicInstance struct {
	ID              string // empty: one is made up; see NewInstance
	Account, Region string
	Address         netip.Addr // of the classic network, outside its pool of routers' addresses
	MAC             string     // 48 bits, in any usual form; may be empty
}

// ClassicInstance is an instance of a classic network, with what it is linked to.
type ClassicInstance struct {
	*resource.ClassicInstance
	VPC    string     // empty: it is linked to none
	Router netip.Addr // of the VPC in the classic network: the next hop to its blocks
	Blocks []netip.Prefix
}

// AddClassic puts an instance that is in no VPC, but on a region's classic network, into the
// inventory.
//
// Reasons: RegionNotFound, ClassicMissing, AccountNotFound, ParameterInvalid, InstanceExists,
// AddressNotUsable, AddressInUse.
func (s *Service) AddClassic(ctx context.Context, in NewClassicInstance) (*resource.ClassicInstance, error) {
	var added *resource.ClassicInstance
	err := s.run(ctx, func(tx *change.Tx) error {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return err
		}
		network, ok := s.settings.ClassicNetworkOf(in.Region)
		if !ok {
			return fault.New(fault.ClassicMissing, "region %s; name one in the configuration (classic)", in.Region)
		}
		if _, ok := tx.Accounts.Get(in.Account); !ok {
			return fault.New(fault.AccountNotFound, "account %q", in.Account)
		}
		i := &resource.ClassicInstance{
			Meta:    resource.Meta{ID: in.ID, Account: in.Account, Region: in.Region, CreatedAt: s.writer.Now()},
			Address: in.Address,
		}
		if i.ID == "" {
			i.ID = tx.NewID(prefixes[resource.Host])
		}
		if err := newID(tx, i.ID); err != nil {
			return err
		}
		var err error
		if i.MAC, err = hardwareAddress(in.MAC); err != nil {
			return err
		}
		if !network.Host(in.Address) {
			return fault.New(fault.AddressNotUsable, "%s; take one of the hosts of %s, outside the pool of routers' addresses", in.Address, network.Prefix)
		}
		if other, ok := tx.ClassicInstances.By(state.ByAddress, state.ClassicKey(in.Region, in.Address)).First(); ok {
			return fault.New(fault.AddressInUse, "%s is that of %s", in.Address, other.ID)
		}
		tx.PutAttributes(i)
		tx.Done("classic instance added", "instance", i.ID, "region", i.Region, "address", i.Address)
		added = i
		return nil
	})
	return added, err
}

// Classic returns the instances of classic networks, in order of creation.
func (s *Service) Classic() (list []ClassicInstance) {
	v := s.db.View()
	for i := range v.ClassicInstances.All() {
		x := ClassicInstance{ClassicInstance: i}
		if l, ok := v.ClassicLinks.By(state.ByInstance, i.ID).First(); ok {
			if vpc, ok := v.VPCs.Get(l.VPC); ok {
				x.VPC, x.Router, x.Blocks = vpc.ID, vpc.ClassicAddress, vpc.Blocks()
			}
		}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b ClassicInstance) int { return int(a.Created - b.Created) })
	return list
}

// removeClassic takes an instance of a classic network out that is linked to no VPC. Reason:
// InstanceHasDependents.
func removeClassic(tx *change.Tx, i *resource.ClassicInstance) error {
	if err := tx.Blocked(i); err != nil {
		return err
	}
	tx.Delete(i)
	tx.Done("classic instance removed", "instance", i.ID, "address", i.Address)
	return nil
}
