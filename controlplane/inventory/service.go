package inventory

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Service keeps the inventory. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// NewInstance is what is known of an instance that is added.
type NewInstance struct {
	ID        string                // empty: one is made up. Else 2 to 64 letters, digits, '-', '_' and '.', the first a letter
	VSwitch   string                // id of the VSwitch that it is in
	PrivateIP netip.Addr            // invalid: the lowest that is free in the VSwitch
	MAC       string                // 48 bits, in any usual form; may be empty
	Type      resource.InstanceKind // empty: a host
	State     string                // empty: the first of resource.InstanceStates
	Further   []netip.Addr          // addresses of its primary interface besides PrivateIP; of a host alone
}

// Add puts an instance into the inventory.
//
// Reasons: ParameterInvalid, InstanceExists, VSwitchNotFound, AddressNotUsable,
// AddressInUse, NoFreeAddress, QuotaInstance, QuotaInterfaceAddresses.
func (s *Service) Add(ctx context.Context, in NewInstance) (*resource.Instance, error) {
	var added *resource.Instance
	err := s.run(ctx, func(tx *change.Tx) error {
		x, ok := tx.VSwitches.Get(in.VSwitch)
		if !ok {
			return fault.New(fault.VSwitchNotFound, "VSwitch %q", in.VSwitch)
		}
		i := &resource.Instance{
			Meta: resource.Meta{ID: in.ID, Account: x.Account, Region: x.Region, CreatedAt: s.writer.Now()},
			VPC:  x.VPC, VSwitch: x.ID, PrivateIP: in.PrivateIP, Type: in.Type, State: in.State,
		}
		if err := s.complete(tx, i, in.MAC); err != nil {
			return err
		}
		if err := place(tx, i, x); err != nil {
			return err
		}
		tx.Put(i)
		switch {
		case i.Type == resource.Host:
			n := resource.PrimaryInterface(i, NewInterfaceID(tx))
			for _, a := range in.Further {
				if err := usable(tx.View, x, a); err != nil {
					return err
				}
				if n.Find(a) >= 0 {
					return fault.New(fault.AddressInUse, "%s is named twice", a)
				}
				n.Addresses = append(n.Addresses, resource.PrivateAddress{Address: a})
			}
			if err := tx.Fits(n); err != nil {
				return err
			}
			tx.Put(n)
		case len(in.Further) > 0:
			return fault.New(fault.ParameterInvalid, "a %s has one address", i.Type)
		}
		tx.Done("instance added", "instance", i.ID, "kind", i.Type, "vswitch", x.ID, "address", i.PrivateIP)
		added = i
		return nil
	})
	return added, err
}

// NewInterfaceID returns an id for a network interface that nothing has yet.
func NewInterfaceID(tx *change.Tx) string {
	return tx.Tx.NewID(func() string { return resource.InterfaceIDs.Draw(resource.InterfacePrefix) })
}

// run is a write of the operator's: it has no account and no client token.
func (s *Service) run(ctx context.Context, fn func(*change.Tx) error) error {
	return change.Run(ctx, s.writer, identity.Caller{}, fn)
}

// complete fills in what was left out and checks what was given.
func (s *Service) complete(tx *change.Tx, i *resource.Instance, mac string) error {
	if i.Type == "" {
		i.Type = resource.Host
	}
	prefix, ok := prefixes[i.Type]
	if !ok {
		return fault.New(fault.ParameterInvalid, "kind %q; it is none of host, load-balancer and database", i.Type)
	}
	if i.ID == "" {
		i.ID = tx.NewID(prefix)
	}
	if err := newID(tx, i.ID); err != nil {
		return err
	}
	if err := setMAC(i, mac); err != nil {
		return err
	}
	if i.State == "" {
		i.State = resource.InstanceStates()[0]
	}
	return checkState(i)
}

// newID refuses an id that an instance cannot have, or that something has already.
func newID(tx *change.Tx, id string) error {
	if !isID(id) {
		return fault.New(fault.ParameterInvalid, "instance id %q; write 2 to 64 Latin letters, digits, '-', '_' and '.', the first a letter", id)
	}
	// Elastic IPs are bound to instances, network interfaces, HaVips and NAT gateways, by id.
	_, gateway := tx.NATGateways.Get(id)
	_, havip := tx.HaVips.Get(id)
	_, nic := tx.NetworkInterfaces.Get(id)
	_, classic := tx.ClassicInstances.Get(id)
	if _, taken := tx.Instances.Get(id); taken || gateway || havip || nic || classic {
		return fault.New(fault.InstanceExists, "there is a resource with the id %s", id)
	}
	return nil
}

// prefixes of made-up ids.
var prefixes = map[resource.InstanceKind]string{
	resource.Host:         "i",
	resource.LoadBalancer: "lb",
	resource.Database:     "rm",
}

func isID(id string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return len(id) >= 2 && len(id) <= 64 && strings.ContainsRune(letters, rune(id[0])) && strings.Trim(id, letters+"0123456789-_.") == ""
}

func parseMAC(text string) (string, error) {
	m, err := net.ParseMAC(text)
	if err != nil {
		return "", err
	}
	if len(m) != 6 || m[0]&1 != 0 {
		return "", fmt.Errorf("%s is no address of one network interface", m)
	}
	return m.String(), nil
}

func checkState(i *resource.Instance) error {
	if states := resource.InstanceStates(); !slices.Contains(states, i.State) {
		return fault.New(fault.ParameterInvalid, "state %q of a %s; write one of %s", i.State, i.Type, strings.Join(states, ", "))
	}
	return nil
}

// place checks the instance's address, or finds it one.
func place(tx *change.Tx, i *resource.Instance, x *resource.VSwitch) error {
	if err := tx.Room(i); err != nil {
		return err
	}
	v := tx.View
	if !i.PrivateIP.IsValid() {
		a, ok := FreeAddress(v, x)
		if !ok {
			return fault.New(fault.NoFreeAddress, "every address of VSwitch %s is taken", x.ID)
		}
		i.PrivateIP = a
		return nil
	}
	return usable(v, x, i.PrivateIP)
}

// usable refuses an address that nobody of a VSwitch can be given.
func usable(v *state.View, x *resource.VSwitch, a netip.Addr) error {
	if !x.CIDR.Contains(a) || x.Reserved(a) {
		return fault.New(fault.AddressNotUsable, "%s; take one of %s, from %s to %s", a, x.CIDR, x.Plan.First(x.CIDR), x.Plan.Last(x.CIDR))
	}
	if other, ok := Holder(v, x.VPC, a); ok {
		return fault.New(fault.AddressInUse, "%s is that of %s", a, other)
	}
	return nil
}

// FreeAddress returns the lowest address of a VSwitch that nothing has (Holder); false if
// there is none.
func FreeAddress(v *state.View, x *resource.VSwitch) (netip.Addr, bool) {
	a := x.Plan.First(x.CIDR)
	for range x.Plan.Usable(x.CIDR) {
		if _, taken := Holder(v, x.VPC, a); !taken {
			return a, true
		}
		a = a.Next()
	}
	return netip.Addr{}, false
}

// Holder returns the id of what is known to hold an address of a VPC: an instance, a network
// interface, a HaVip, or a router interface whose health check comes from there.
func Holder(v *state.View, vpc string, a netip.Addr) (id string, ok bool) {
	if i, ok := v.Instances.By(state.ByAddress, state.AddrKey(vpc, a)).First(); ok {
		return i.ID, true
	}
	if n, ok := v.NetworkInterfaces.By(state.ByAddress, state.AddrKey(vpc, a)).First(); ok {
		return n.ID, true
	}
	if h, ok := v.HaVips.By(state.ByAddress, state.AddrKey(vpc, a)).First(); ok {
		return h.ID, true
	}
	r, ok := v.RouterInterfaces.By(state.ByAddress, state.AddrKey(vpc, a)).First()
	if !ok {
		return "", false
	}
	return r.ID, true
}

// Filter says which instances a listing shows. All conditions apply at once;
// an empty one does not count.
type Filter struct {
	VPC, VSwitch string
}

// List returns the instances in order of creation.
func (s *Service) List(f Filter) []*resource.Instance {
	v := s.db.View()
	var list []*resource.Instance
	add := func(i *resource.Instance) {
		if (f.VPC == "" || i.VPC == f.VPC) && (f.VSwitch == "" || i.VSwitch == f.VSwitch) {
			list = append(list, i)
		}
	}
	switch {
	case f.VSwitch != "":
		for i := range v.Instances.By(state.ByVSwitch, f.VSwitch).All() {
			add(i)
		}
	case f.VPC != "":
		for i := range v.Instances.By(state.ByVPC, f.VPC).All() {
			add(i)
		}
	default:
		for i := range v.Instances.All() {
			add(i)
		}
		slices.SortStableFunc(list, func(a, b *resource.Instance) int { return int(a.Created - b.Created) })
	}
	return list
}

// Interface is a network interface of an instance, with the public addresses that its private
// ones have of their own.
type Interface struct {
	*resource.NetworkInterface
	Public map[netip.Addr]netip.Addr // by private address
}

// Interfaces returns the network interfaces of an instance, the primary one first.
func (s *Service) Interfaces(instance string) (list []Interface) {
	v := s.db.View()
	for n := range v.NetworkInterfaces.By(state.ByInstance, instance).All() {
		x := Interface{NetworkInterface: n, Public: map[netip.Addr]netip.Addr{}}
		for _, a := range n.Addresses {
			if e, ok := v.ElasticOf(n.VPC, a.Address); ok {
				x.Public[a.Address] = e.Address
			}
		}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b Interface) int { return a.Index - b.Index })
	return list
}

// Get returns the instance of that id.
func (s *Service) Get(id string) (*resource.Instance, bool) { return s.db.View().Instances.Get(id) }

// SetState notes that an instance is in another state. Reasons:
// InstanceNotFound, ParameterInvalid.
func (s *Service) SetState(ctx context.Context, id, to string) error {
	return s.run(ctx, func(tx *change.Tx) error {
		old, ok := tx.Instances.Get(id)
		if !ok {
			return fault.New(fault.InstanceNotFound, "instance %q", id)
		}
		i := old.Clone().(*resource.Instance)
		i.State = to
		if err := checkState(i); err != nil {
			return err
		}
		tx.PutAttributes(i) // packets flow in every state that the host itself allows
		tx.Done("instance changed", "instance", id, "state", to)
		return nil
	})
}

// SetMAC says which Ethernet address an instance has; empty: it is not known. Reasons:
// InstanceNotFound, ParameterInvalid.
func (s *Service) SetMAC(ctx context.Context, id, to string) error {
	return s.run(ctx, func(tx *change.Tx) error {
		if old, ok := tx.ClassicInstances.Get(id); ok {
			i := old.Clone().(*resource.ClassicInstance)
			var err error
			if i.MAC, err = hardwareAddress(to); err != nil {
				return err
			}
			tx.Put(i)
			tx.Done("classic instance changed", "instance", id, "mac", i.MAC)
			return nil
		}
		old, ok := tx.Instances.Get(id)
		if !ok {
			return fault.New(fault.InstanceNotFound, "instance %q", id)
		}
		i := old.Clone().(*resource.Instance)
		if err := setMAC(i, to); err != nil {
			return err
		}
		tx.Put(i)
		if p, ok := tx.PrimaryInterface(id); ok {
			n := p.Clone().(*resource.NetworkInterface)
			n.MAC = i.MAC
			tx.Put(n)
		}
		tx.Done("instance changed", "instance", id, "mac", i.MAC)
		return nil
	})
}

func setMAC(i *resource.Instance, to string) (err error) {
	i.MAC, err = hardwareAddress(to)
	return err
}

// hardwareAddress returns an Ethernet address in its normal form; empty if it is not known.
func hardwareAddress(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	m, err := parseMAC(text)
	if err != nil {
		return "", fault.New(fault.ParameterInvalid, "MAC address %q; write six bytes, for example 52:54:00:12:34:56", text)
	}
	return m, nil
}

// SetLimits says what an instance may have of its NAT gateway's limits; nil: what each host
// may have. Zeros are no limit but the gateway's. Reasons: InstanceNotFound,
// ParameterInvalid.
func (s *Service) SetLimits(ctx context.Context, id string, to *dataplane.Limits) error {
	return s.run(ctx, func(tx *change.Tx) error {
		old, ok := tx.Instances.Get(id)
		if !ok {
			return fault.New(fault.InstanceNotFound, "instance %q", id)
		}
		if to != nil && (to.Connections < 0 || to.NewPerSecond < 0 || to.Connections > mostLimit || to.NewPerSecond > mostLimit) {
			return fault.New(fault.ParameterInvalid, "limits %d and %d; write numbers from 0, for no limit but the gateway's, to %d", to.Connections, to.NewPerSecond, mostLimit)
		}
		i := old.Clone().(*resource.Instance)
		i.Limits = to
		tx.Put(i)
		if to == nil {
			tx.Done("instance changed", "instance", id, "limits", "as others have")
		} else {
			tx.Done("instance changed", "instance", id, "connections", to.Connections, "new_per_second", to.NewPerSecond)
		}
		return nil
	})
}

// mostLimit is as much as any gateway can have.
const mostLimit = 1_000_000_000

// Remove takes an instance out of the inventory, with its primary interface, or one of a classic
// network. What depends on them has to go first. Reasons: InstanceNotFound, InstanceHasDependents,
// InterfaceHasElasticIP.
func (s *Service) Remove(ctx context.Context, id string) error {
	return s.run(ctx, func(tx *change.Tx) error {
		if i, ok := tx.ClassicInstances.Get(id); ok {
			return removeClassic(tx, i)
		}
		i, ok := tx.Instances.Get(id)
		if !ok {
			return fault.New(fault.InstanceNotFound, "instance %q", id)
		}
		if err := tx.Blocked(i); err != nil {
			return err
		}
		if n, ok := tx.PrimaryInterface(id); ok {
			if err := tx.Blocked(n); err != nil {
				return err
			}
			tx.Delete(n)
		}
		for _, e := range slices.Collect(tx.ElasticIPs.By(state.ByBinding, id).All()) {
			tx.Delete(e) // its ordinary public address: others bar its removal
		}
		tx.Delete(i)
		tx.Done("instance removed", "instance", id, "vswitch", i.VSwitch, "address", i.PrivateIP)
		return nil
	})
}
