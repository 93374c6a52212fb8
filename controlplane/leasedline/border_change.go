package leasedline

import (
	"cmp"
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// BorderRouterChange is what ModifyBorderRouter changes; nil, or what is not given of the
// peering, leaves a thing as it is.
type BorderRouterChange struct {
	VLAN        *int    // the line owner's to set
	CircuitCode *string // likewise
	Peering     Peering // the router owner's to set
	resource.Naming
}

// ModifyBorderRouter changes a border router (ModifyVirtualBorderRouterAttribute). One that was
// made for another account is accepted by it when it gives the peering.
//
// Reasons, in this order: RegionNotFound, BorderRouterNotFound, BorderRouter…NotYours,
// BorderRouterVLANUsed, BorderRouterUnavailable, those of subnet, BorderRouterSubnetRouted.
func (s *Service) ModifyBorderRouter(ctx context.Context, c identity.Caller, region, id string, in BorderRouterChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.find(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := in.allowed(c, old); err != nil {
			return err
		}
		b := old.Clone().(*resource.VirtualBorderRouter)
		set(&b.CircuitCode, in.CircuitCode)
		in.Apply(&b.Name, &b.Description, "")
		if err := s.changeVLAN(tx, b, in.VLAN); err != nil {
			return err
		}
		if err := s.changePeering(tx, b, in.Peering); err != nil {
			return err
		}
		if b.VLAN != old.VLAN || b.Local != old.Local || b.Peer != old.Peer || b.Subnet != old.Subnet {
			tx.Put(b)
		} else {
			tx.PutAttributes(b)
		}
		tx.Done("border router changed", "borderRouter", id, "line", b.Line, "vlan", b.VLAN, "subnet", b.Subnet, "state", b.State)
		return nil
	})
}

// allowed refuses what is not the caller's to set. Reasons: BorderRouter…NotYours.
func (in *BorderRouterChange) allowed(c identity.Caller, b *resource.VirtualBorderRouter) error {
	for _, x := range []struct {
		given  bool
		owner  string
		reason fault.Reason
	}{
		{in.CircuitCode != nil, b.LineOwner, fault.BorderRouterCircuitNotYours},
		{in.VLAN != nil, b.LineOwner, fault.BorderRouterVLANNotYours},
		{in.Peering.Local.IsValid(), b.Account, fault.BorderRouterLocalNotYours},
		{in.Peering.Peer.IsValid(), b.Account, fault.BorderRouterPeerNotYours},
		{in.Peering.Bits != 0, b.Account, fault.BorderRouterSubnetNotYours},
		{in.Name != nil, b.Account, fault.BorderRouterNameNotYours},
		{in.Description != nil, b.Account, fault.BorderRouterDescNotYours},
	} {
		if x.given && x.owner != c.Account {
			return fault.New(x.reason, "that is for account %s", x.owner)
		}
	}
	return nil
}

func (s *Service) changeVLAN(tx *change.Tx, b *resource.VirtualBorderRouter, vlan *int) error {
	if vlan == nil || *vlan == b.VLAN {
		return nil
	}
	if other, used := s.vlanHolder(tx.View, b, *vlan); used {
		return fault.New(fault.BorderRouterVLANUsed, "VLAN %d of physical connection %s is that of %s", *vlan, b.Line, other)
	}
	if err := s.plane.LineAvailable(*vlan != 0); err != nil {
		return fault.Explained(fault.BorderRouterUnavailable, "%v", err)
	}
	b.VLAN = *vlan
	return nil
}

func (s *Service) changePeering(tx *change.Tx, b *resource.VirtualBorderRouter, p Peering) error {
	if p.given() == 0 {
		return nil
	}
	if !b.Confirmed() {
		if p.given() < 3 {
			return fault.New(fault.BorderRouterAddressMissing, "a router is accepted with both gateways' addresses and the mask of their subnet")
		}
		return s.enable(tx, b, p)
	}
	p.Bits = cmp.Or(p.Bits, b.Subnet.Bits())
	if !p.Local.IsValid() {
		p.Local = b.Local
	}
	if !p.Peer.IsValid() {
		p.Peer = b.Peer
	}
	subnet, err := p.subnet()
	if err != nil {
		return err
	}
	for e := range tx.RouteEntries.By(state.ByBorderRouter, b.ID).All() {
		if within(e.Destination, subnet) {
			return fault.New(fault.BorderRouterSubnetRouted, "the route for %s lies in %s, which no route leads away from", e.Destination, subnet)
		}
	}
	b.Local, b.Peer, b.Subnet = p.Local, p.Peer, subnet
	return nil
}

// within says whether p is q or a part of it.
func within(p, q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }
