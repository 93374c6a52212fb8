package eip

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

// kinds are the kinds of instance behind the types that elastic IPs are bound
// to.
var kinds = map[resource.BindingType]resource.InstanceKind{
	resource.BoundToHost:         resource.Host,
	resource.BoundToLoadBalancer: resource.LoadBalancer,
}

// target is what an elastic IP is bound to, or may be.
type target struct {
	binding resource.Binding
	region  string
	vpc     string
	// Of a NAT gateway none is set; of an address of a network interface that is its
	// instance's, the instance, and the binding is to that.
	instance *resource.Instance
	havip    *resource.HaVip
	nic      *resource.NetworkInterface
}

// find returns what the caller named. Reasons: NATGatewayNotFound,
// HaVipNotFound, InterfaceNotFound, PrivateAddressNotFound, InstanceNotFound.
func find(v *state.View, c identity.Caller, b resource.Binding) (target, error) {
	t := target{binding: b}
	if b.Type == resource.BoundToNATGateway {
		g, err := lookup.Own(c, v.NATGateways, b.ID)
		if err != nil {
			return t, err
		}
		t.region, t.vpc = g.Region, g.VPC
		return t, nil
	}
	if b.Type == resource.BoundToVirtualIP {
		h, err := lookup.Own(c, v.HaVips, b.ID)
		if err != nil {
			return t, err
		}
		t.region, t.vpc, t.havip = h.Region, h.VPC, h
		return t, nil
	}
	if b.Type == resource.BoundToInterface {
		n, err := lookup.Own(c, v.NetworkInterfaces, b.ID)
		if err != nil {
			return t, err
		}
		switch at := n.Find(b.Address); {
		case at < 0:
			return t, fault.New(fault.PrivateAddressNotFound, "%s is not an address of network interface %s", b.Address, b.ID)
		case at == 0 && n.Primary:
			b = resource.Binding{Type: resource.BoundToHost, ID: n.Instance}
			t.binding = b
		default:
			t.region, t.vpc, t.nic = n.Region, n.VPC, n
			return t, nil
		}
	}
	i, ok := v.Instances.Get(b.ID)
	if !ok || i.Account != c.Account || i.Type != kinds[b.Type] {
		return t, fault.New(fault.InstanceNotFound, "%s %q", b.Type, b.ID)
	}
	t.region, t.vpc, t.instance = i.Region, i.VPC, i
	return t, nil
}

// usable refuses an instance or a HaVip that is between two states. Reasons:
// InstanceStatus, HaVipStatus.
func (t target) usable(o *state.Observed, v *state.View) error {
	switch {
	case t.havip != nil:
		return state.Ready(o, v.HaVips, t.havip)
	case t.instance == nil || t.instance.Usable():
		return nil
	default:
		return fault.New(fault.InstanceStatus, "instance %s is %s, not Running or Stopped", t.instance.ID, t.instance.State)
	}
}

// Associate binds an elastic IP to an instance, an address of a network interface, a HaVip or
// a NAT gateway (VPC API reference, AssociateEipAddress). DNAT entries that lead to the instance's
// private address take no effect from then on: the elastic IP wins.
//
// Reasons, in this order: ElasticIPNotFound, InstanceNotFound, HaVipNotFound,
// NATGatewayNotFound, InterfaceNotFound or PrivateAddressNotFound, RegionMismatch,
// InstanceStatus or HaVipStatus, ElasticIPStatus, InstanceAssociated, HaVipAssociated or
// PrivateAddressAssociated.
func (s *Service) Associate(ctx context.Context, c identity.Caller, id string, b resource.Binding) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.ElasticIPs, id)
		if err != nil {
			return err
		}
		t, err := find(tx.View, c, b)
		if err != nil {
			return err
		}
		if t.region != old.Region {
			return fault.New(fault.RegionMismatch, "elastic IP %s is in %s, %s in %s", id, old.Region, b.ID, t.region)
		}
		if err := t.usable(s.db.Observed, tx.View); err != nil {
			return err
		}
		if err := s.available(old); err != nil {
			return err
		}
		if err := t.unbound(tx); err != nil {
			return err
		}
		e := old.Clone().(*resource.ElasticIP)
		e.Binding, e.VPC = &t.binding, t.vpc
		tx.Put(e)
		tx.Done("elastic IP bound", "eip", id, "address", e.Address, "to", t.binding.ID, "vpc", e.VPC)
		return nil
	})
}

// unbound refuses what has an elastic IP already. A NAT gateway may have several; the
// ordinary public address of an instance gives way.
func (t target) unbound(tx *change.Tx) error {
	if t.instance == nil && t.havip == nil && t.nic == nil {
		return nil
	}
	for _, other := range slices.Collect(tx.ElasticIPs.By(state.ByBinding, t.binding.ID).All()) {
		switch {
		case other.Ordinary:
			tx.Delete(other)
		case t.nic != nil:
			if other.Binding.Address == t.binding.Address {
				return fault.New(fault.PrivateAddressAssociated, "%s of network interface %s has elastic IP %s", t.binding.Address, t.nic.ID, other.ID)
			}
		case t.havip != nil:
			return fault.New(fault.HaVipAssociated, "HaVip %s has elastic IP %s", t.binding.ID, other.ID)
		default:
			return fault.New(fault.InstanceAssociated, "instance %s has elastic IP %s", t.binding.ID, other.ID)
		}
	}
	return nil
}

// Unassociate unbinds an elastic IP from what it is bound to
// (UnassociateEipAddress). One of a NAT gateway has to be out of its DNAT and
// SNAT tables; with force it is taken out of them: DNAT entries that are called by it go,
// and SNAT entries that have no other.
//
// Reasons, in this order: ElasticIPNotFound, InstanceNotFound, HaVipNotFound or
// NATGatewayNotFound, InstanceStatus or HaVipStatus, ElasticIPStatus,
// NotAssociated.
func (s *Service) Unassociate(ctx context.Context, c identity.Caller, id string, b resource.Binding, force bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.Own(c, tx.ElasticIPs, id)
		if err != nil {
			return err
		}
		t, err := find(tx.View, c, b)
		if err != nil {
			return err
		}
		if err := t.usable(s.db.Observed, tx.View); err != nil {
			return err
		}
		switch StatusOf(s.db.Observed, old) {
		case Available, Unassociating:
			return fault.New(fault.ElasticIPStatus, "elastic IP %s is bound to nothing", id)
		case Associating:
			if !s.db.Observed.Settled(old.VPC) {
				return fault.InTransition(fault.ElasticIPStatus, old.VPC, "elastic IP %s is still being bound", id)
			}
		}
		if *old.Binding != b {
			return fault.New(fault.NotAssociated, "elastic IP %s is bound to %s, not to %s", id, old.Binding.ID, b.ID)
		}
		if force {
			Withdraw(tx, old)
		} else if err := unusedByGateway(tx.View, old); err != nil {
			return err
		}
		e := old.Clone().(*resource.ElasticIP)
		e.Binding = nil
		tx.Put(e)
		tx.Done("elastic IP unbound", "eip", id, "address", e.Address, "from", b.ID, "vpc", e.VPC, "forced", force)
		return nil
	})
}

// unusedByGateway refuses an elastic IP that DNAT or SNAT entries of the NAT
// gateway use.
func unusedByGateway(v *state.View, e *resource.ElasticIP) error {
	if e.Binding.Type != resource.BoundToNATGateway {
		return nil
	}
	key := state.AddrKey(e.VPC, e.Address)
	for x := range v.ForwardEntries.By(state.ByExternal, key).All() {
		return fault.New(fault.ElasticIPStatus, "DNAT entry %s uses %s", x.ID, e.Address)
	}
	for x := range v.SNATEntries.By(state.ByExternal, key).All() {
		return fault.New(fault.ElasticIPStatus, "SNAT entry %s uses %s", x.ID, e.Address)
	}
	return nil
}

// Withdraw takes an elastic IP out of the tables of its NAT gateway: DNAT entries that are
// called by it go, and SNAT entries that have no other.
func Withdraw(tx *change.Tx, e *resource.ElasticIP) {
	if e.Binding.Type != resource.BoundToNATGateway {
		return
	}
	key := state.AddrKey(e.VPC, e.Address)
	// Collected before the first change: ranges don't stand still under it.
	forward := slices.Collect(tx.ForwardEntries.By(state.ByExternal, key).All())
	snat := slices.Collect(tx.SNATEntries.By(state.ByExternal, key).All())
	for _, x := range forward {
		tx.Delete(x)
	}
	for _, x := range snat {
		left := x.Clone().(*resource.SNATEntry)
		left.Pool = slices.DeleteFunc(left.Pool, func(a netip.Addr) bool { return a == e.Address })
		if len(left.Pool) == 0 {
			tx.Delete(x)
			continue
		}
		tx.Put(left)
	}
}
