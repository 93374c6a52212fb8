package networkinterface

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/inventory"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times and receipts.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// NewAddress is a private address that is asked for.
type NewAddress struct {
	Address     netip.Addr
	Primary     bool
	Description string
}

// NewInterface is what is asked for.
type NewInterface struct {
	Region, VPC, VSwitch string
	Name, Description    string
	// Addresses are those that it is to have. The primary one is the one that is said to be,
	// or else the lowest that is free in the VSwitch.
	Addresses []NewAddress
	// Count is how many addresses it is to have besides these, which the system picks.
	Count          int
	SecurityGroups []string // ids, in order
}

// Create makes a network interface that is attached to nothing (Tencent Cloud's
// CreateNetworkInterface).
//
// Reasons: RegionNotFound, VPCNotFound, VSwitchNotFound, SecurityGroupNotFound,
// QuotaInterface, TwoPrimaryAddresses, QuotaInterfaceAddresses, PrivateAddressTwice,
// PrivateAddressOutside, PrivateAddressReserved, PrivateAddressInUse, NoFreeAddress.
func (s *Service) Create(ctx context.Context, c identity.Caller, in NewInterface) (Interface, error) {
	id, err := change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		vpc, err := lookup.In(s.settings, c, tx.VPCs, in.Region, in.VPC)
		if err != nil {
			return "", err
		}
		sw, err := lookup.In(s.settings, c, tx.VSwitches, in.Region, in.VSwitch)
		if err != nil {
			return "", err
		}
		if sw.VPC != vpc.ID {
			return "", fault.New(fault.VSwitchNotFound, "VSwitch %s is in VPC %s, not in %s", sw.ID, sw.VPC, vpc.ID)
		}
		if err := checkGroups(s.settings, tx.View, c, in.Region, in.SecurityGroups); err != nil {
			return "", err
		}
		n := &resource.NetworkInterface{
			Meta: resource.Meta{ID: inventory.NewInterfaceID(tx), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()},
			VPC:  vpc.ID, VSwitch: sw.ID, Name: in.Name, Description: in.Description, SecurityGroups: slices.Clone(in.SecurityGroups),
		}
		if err := tx.Room(n); err != nil {
			return "", err
		}
		if n.MAC, err = drawMAC(tx.View, vpc.ID); err != nil {
			return "", err
		}
		ask := slices.Clone(in.Addresses)
		at := slices.IndexFunc(ask, func(a NewAddress) bool { return a.Primary })
		count := in.Count
		switch {
		case at >= 0:
			first := ask[at]
			ask = slices.Insert(slices.Delete(ask, at, at+1), 0, first)
			if slices.ContainsFunc(ask[1:], func(a NewAddress) bool { return a.Primary }) {
				return "", fault.New(fault.TwoPrimaryAddresses, "one address of a network interface is its primary one")
			}
		default:
			// The system's pick comes first, so that it cannot be one of those that are given.
			if err := s.give(tx, n, sw, ask, 0); err != nil {
				return "", err
			}
			given := n.Addresses
			if err := s.give(tx, n, sw, nil, 1); err != nil {
				return "", err
			}
			n.Addresses = slices.Insert(slices.Clone(given), 0, n.Addresses[len(given)])
			ask = nil
		}
		if err := s.give(tx, n, sw, ask, count); err != nil {
			return "", err
		}
		tx.Put(n)
		tx.Done("network interface made", "interface", n.ID, "vswitch", sw.ID, "addresses", addresses(n.Addresses))
		return n.ID, nil
	})
	if err != nil {
		return Interface{}, err
	}
	return s.ByID(c, in.Region, id)
}

// give gives an interface that has not been put yet addresses that are asked for, and so many
// that are free.
func (s *Service) give(tx *change.Tx, n *resource.NetworkInterface, sw *resource.VSwitch, ask []NewAddress, count int) error {
	more := *n
	more.Addresses = slices.Concat(n.Addresses, make([]resource.PrivateAddress, len(ask)+count))
	if err := tx.Fits(&more); err != nil {
		return err
	}
	for _, a := range ask {
		if err := s.free(tx.View, n, sw, a.Address); err != nil {
			return err
		}
		n.Addresses = append(n.Addresses, resource.PrivateAddress{Address: a.Address, Description: a.Description})
	}
	next := sw.Plan.First(sw.CIDR)
	for ; count > 0; count-- {
		for !sw.Reserved(next) && s.free(tx.View, n, sw, next) != nil {
			next = next.Next()
		}
		if sw.Reserved(next) || !sw.CIDR.Contains(next) {
			return fault.New(fault.NoFreeAddress, "every address of VSwitch %s is taken", sw.ID)
		}
		n.Addresses = append(n.Addresses, resource.PrivateAddress{Address: next})
	}
	return nil
}

// free refuses an address that an interface cannot be given.
func (s *Service) free(v *state.View, n *resource.NetworkInterface, sw *resource.VSwitch, a netip.Addr) error {
	switch {
	case !a.IsValid():
		return fault.New(fault.PrivateAddressMissing, "an item of the list has no address")
	case n.Find(a) >= 0:
		return fault.New(fault.PrivateAddressTwice, "%s is the interface's already", a)
	case !sw.CIDR.Contains(a):
		return fault.New(fault.PrivateAddressOutside, "%s; take one of %s, from %s to %s", a, sw.CIDR, sw.Plan.First(sw.CIDR), sw.Plan.Last(sw.CIDR))
	case sw.Reserved(a):
		return fault.New(fault.PrivateAddressReserved, "%s; take one from %s to %s", a, sw.Plan.First(sw.CIDR), sw.Plan.Last(sw.CIDR))
	}
	if other, taken := inventory.Holder(v, sw.VPC, a); taken {
		return fault.New(fault.PrivateAddressInUse, "%s is that of %s", a, other)
	}
	return nil
}

// drawMAC returns an Ethernet address that no interface of a VPC has: one of those that are
// administered locally.
func drawMAC(v *state.View, vpc string) (string, error) {
	used := map[string]bool{}
	for n := range v.NetworkInterfaces.By(state.ByVPC, vpc).All() {
		used[n.MAC] = true
	}
	for {
		m := make(net.HardwareAddr, 6)
		if _, err := rand.Read(m); err != nil {
			return "", fmt.Errorf("draw an Ethernet address: %w", err)
		}
		m[0] = m[0]&^1 | 2
		if text := m.String(); !used[text] {
			return text, nil
		}
	}
}

// Delete removes a network interface that is attached to nothing (DeleteNetworkInterface).
// Reasons: RegionNotFound, InterfaceNotFound, InterfacePrimary, InterfaceAttached,
// InterfaceHasElasticIP, InterfaceInTransition.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		n, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, id)
		if err != nil {
			return err
		}
		if n.Primary {
			return fault.New(fault.InterfacePrimary, "%s is that of instance %s, and goes with it", id, n.Instance)
		}
		if n.Instance != "" {
			return fault.New(fault.InterfaceAttached, "%s is attached to instance %s; detach it first", id, n.Instance)
		}
		if err := tx.Blocked(n); err != nil {
			return err
		}
		if err := state.Ready(s.db.Observed, tx.NetworkInterfaces, n); err != nil {
			return err
		}
		tx.Delete(n)
		tx.Done("network interface deleted", "interface", id, "addresses", addresses(n.Addresses))
		return nil
	})
}

// Change changes attributes of an interface; nil leaves one as it is.
type Change struct {
	resource.Naming
	SecurityGroups *[]string // in the place of those that it has
}

// Modify changes attributes (ModifyNetworkInterfaceAttribute). Reasons: RegionNotFound,
// InterfaceNotFound, SecurityGroupNotFound.
func (s *Service) Modify(ctx context.Context, c identity.Caller, region, id string, in Change) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.NetworkInterfaces, region, id)
		if err != nil {
			return err
		}
		n := old.Clone().(*resource.NetworkInterface)
		in.Apply(&n.Name, &n.Description, "")
		if in.SecurityGroups != nil {
			if err := checkGroups(s.settings, tx.View, c, region, *in.SecurityGroups); err != nil {
				return err
			}
			n.SecurityGroups = slices.Clone(*in.SecurityGroups)
		}
		if slices.Equal(n.SecurityGroups, old.SecurityGroups) {
			tx.PutAttributes(n)
		} else {
			tx.PutLive(n)
		}
		tx.Done("network interface changed", "interface", id, "name", n.Name, "groups", n.SecurityGroups)
		return nil
	})
}

func addresses(list []resource.PrivateAddress) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, a.Address)
	}
	return out
}
