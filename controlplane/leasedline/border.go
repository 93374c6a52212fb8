package leasedline

import (
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Peering is how a border router and the customer's device meet on a line. What is not given
// is the zero value.
type Peering struct {
	Local netip.Addr // the router's
	Peer  netip.Addr // the customer's device's
	Bits  int        // of the subnet that both are in, 24 to 30
}

// given says how much of it is given.
func (p Peering) given() (n int) {
	for _, is := range []bool{p.Local.IsValid(), p.Peer.IsValid(), p.Bits != 0} {
		if is {
			n++
		}
	}
	return n
}

// Bits of a peering subnet (VPC API reference, CreateVirtualBorderRouter).
const fewestBits, mostBits = 24, 30

// NewBorderRouter is what a border router is made of.
type NewBorderRouter struct {
	Region      string
	Line        string
	Owner       string // account; empty: the caller
	VLAN        int    // 1 to 2999; 0: frames without a tag
	CircuitCode string
	Peering     Peering // needed for the caller's own, and only then
	Name        string  // only for the caller's own
	Description string  // likewise
}

// CreateBorderRouter makes a border router on one of the caller's lines
// (CreateVirtualBorderRouter).
//
// Reasons, in this order: RegionNotFound, LineNotFound, BorderRouterLineNotEnabled,
// BorderRouterOwnerNotFound, BorderRouter…NotYours, those of subnet,
// BorderRouterUnavailable, BorderRouterVLANUsed, QuotaBorderRouter….
func (s *Service) CreateBorderRouter(ctx context.Context, c identity.Caller, in NewBorderRouter) (*resource.VirtualBorderRouter, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.VirtualBorderRouter, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return nil, err
		}
		l, err := tx.PhysicalConnections.Own(c.Account, in.Region, in.Line)
		if err != nil {
			return nil, err
		}
		if l.State != resource.LineEnabled {
			return nil, fault.New(fault.BorderRouterLineNotEnabled, "physical connection %s is %s", l.ID, s.shown(tx.View, l))
		}
		b := &resource.VirtualBorderRouter{
			Meta:  resource.Meta{ID: tx.NewID("vbr"), Account: c.Account, Region: in.Region, CreatedAt: s.now()},
			Owner: s.settings.Machine, Line: l.ID, LineOwner: c.Account, AccessPoint: l.AccessPoint,
			VLAN: in.VLAN, CircuitCode: in.CircuitCode, Name: in.Name, Description: in.Description,
			RouteTable: tx.NewID("vtb"), LineInterface: tx.NewID("ri"),
		}
		if in.Owner == "" || in.Owner == c.Account {
			if err := s.enable(tx, b, in.Peering); err != nil {
				return nil, err
			}
		} else if err := makeForAnother(tx, b, in); err != nil {
			return nil, err
		}
		if err := s.plane.LineAvailable(b.VLAN != 0); err != nil {
			return nil, fault.Explained(fault.BorderRouterUnavailable, "%v", err)
		}
		if other, used := s.vlanHolder(tx.View, b, b.VLAN); used {
			return nil, fault.New(fault.BorderRouterVLANUsed, "VLAN %d of physical connection %s is that of %s", b.VLAN, l.ID, other)
		}
		if err := tx.Room(b); err != nil {
			return nil, err
		}
		tx.Put(b)
		tx.Put(&resource.RouteTable{
			Meta:         resource.Meta{ID: b.RouteTable, Account: b.Account, Region: b.Region, CreatedAt: b.CreatedAt},
			BorderRouter: b.ID,
		})
		tx.Done("border router created", "borderRouter", b.ID, "line", l.ID, "vlan", b.VLAN, "owner", b.Account, "subnet", b.Subnet)
		return b, nil
	})
}

// enable lets a border router be used, with its addresses. Reasons: those of subnet.
func (s *Service) enable(tx *change.Tx, b *resource.VirtualBorderRouter, p Peering) error {
	subnet, err := p.subnet()
	if err != nil {
		return err
	}
	b.Local, b.Peer, b.Subnet = p.Local, p.Peer, subnet
	b.State, b.ActivatedAt = resource.BorderEnabled, s.now()
	return nil
}

// makeForAnother has a border router belong to another account, which has to accept it.
// Reasons: BorderRouterOwnerNotFound, BorderRouter…NotYours.
func makeForAnother(tx *change.Tx, b *resource.VirtualBorderRouter, in NewBorderRouter) error {
	if _, ok := tx.Accounts.Get(in.Owner); !ok {
		return fault.New(fault.BorderRouterOwnerNotFound, "account %q", in.Owner)
	}
	for _, x := range []struct {
		given  bool
		reason fault.Reason
	}{
		{in.Peering.Local.IsValid(), fault.BorderRouterLocalNotYours}, {in.Peering.Peer.IsValid(), fault.BorderRouterPeerNotYours},
		{in.Peering.Bits != 0, fault.BorderRouterSubnetNotYours}, {in.Name != "", fault.BorderRouterNameNotYours},
		{in.Description != "", fault.BorderRouterDescNotYours},
	} {
		if x.given {
			return fault.New(x.reason, "the router is made for account %s, which sets that", in.Owner)
		}
	}
	b.Account, b.State = in.Owner, resource.BorderUnconfirmed
	return nil
}

// subnet returns the subnet that both addresses are in.
//
// Reasons, in this order: BorderRouterAddressMissing, BorderRouterLocalMissing,
// BorderRouterPeerMissing, BorderRouterSubnetMissing, BorderRouterSubnetInvalid,
// BorderRouterAddressInvalid, BorderRouterSubnetMismatch.
func (p Peering) subnet() (netip.Prefix, error) {
	none := netip.Prefix{}
	switch {
	case p.given() == 0:
		return none, fault.New(fault.BorderRouterAddressMissing, "write both gateways' addresses and the mask of their subnet")
	case !p.Local.IsValid():
		return none, fault.New(fault.BorderRouterLocalMissing, "write the local gateway's address")
	case !p.Peer.IsValid():
		return none, fault.New(fault.BorderRouterPeerMissing, "write the peer gateway's address")
	case p.Bits == 0:
		return none, fault.New(fault.BorderRouterSubnetMissing, "write the mask of the subnet that both gateways are in")
	case p.Bits < fewestBits || p.Bits > mostBits:
		return none, fault.New(fault.BorderRouterSubnetInvalid, "a mask of %d bits; write %d to %d", p.Bits, fewestBits, mostBits)
	}
	subnet := netip.PrefixFrom(p.Local, p.Bits).Masked()
	for _, a := range []netip.Addr{p.Local, p.Peer} {
		if !usable(a) || !host(netip.PrefixFrom(a, p.Bits), a) {
			return none, fault.New(fault.BorderRouterAddressInvalid, "%s is not the address of a host in its subnet of %d bits", a, p.Bits)
		}
	}
	if !subnet.Contains(p.Peer) {
		return none, fault.New(fault.BorderRouterSubnetMismatch, "%s is not in %s", p.Peer, subnet)
	}
	if p.Local == p.Peer {
		return none, fault.New(fault.BorderRouterAddressInvalid, "%s is both gateways'", p.Local)
	}
	return subnet, nil
}

// usable says whether a single device can have an address.
func usable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a.As4()[0] != 0 && a.As4()[0] < 240
}

// host says whether an address is neither the first nor the last of its subnet.
func host(subnet netip.Prefix, a netip.Addr) bool {
	all, bits := a.As4(), subnet.Bits()
	within := uint32(all[0])<<24 | uint32(all[1])<<16 | uint32(all[2])<<8 | uint32(all[3])
	within &= 1<<(32-bits) - 1
	return within != 0 && within != 1<<(32-bits)-1
}

// vlanHolder returns the other border router that has a VLAN of a router's line.
func (s *Service) vlanHolder(v *state.View, b *resource.VirtualBorderRouter, vlan int) (id string, held bool) {
	for other := range v.BorderRouters.By(state.ByLine, b.Line).All() {
		if other.ID != b.ID && other.VLAN == vlan && other.HoldsVLAN(s.now()) {
			return other.ID, true
		}
	}
	return "", false
}

// find returns a border router that is the caller's, or is on one of the caller's lines.
// Reasons: RegionNotFound, BorderRouterNotFound.
func (s *Service) find(v *state.View, c identity.Caller, region, id string) (*resource.VirtualBorderRouter, error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return nil, err
	}
	b, ok := v.BorderRouters.Get(id)
	if !ok || b.Region != region || b.Account != c.Account && b.LineOwner != c.Account {
		return nil, fault.New(fault.BorderRouterNotFound, "border router %q in region %s", id, region)
	}
	return b, nil
}

// DeleteBorderRouter deletes a border router from which nothing leads any more; its line's
// owner can delete another's that has not been accepted (DeleteVirtualBorderRouter).
//
// Reasons, in this order: RegionNotFound, BorderRouterNotFound, BorderRouterNotAllowed,
// BorderRouterHasInterfaces, BorderRouterHasRoutes, BorderRouterWrongState,
// BorderRouterInTransition.
func (s *Service) DeleteBorderRouter(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		b, err := s.find(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if b.Account != c.Account && b.Confirmed() {
			return fault.New(fault.BorderRouterNotAllowed, "border router %s has been accepted by account %s", id, b.Account)
		}
		if err := tx.Blocked(b); err != nil {
			return err
		}
		if err := state.Ready(s.db.Observed, tx.BorderRouters, b); err != nil {
			return err
		}
		if t, ok := tx.RouteTables.Get(b.RouteTable); ok {
			tx.Delete(t)
		}
		tx.Delete(b)
		tx.Done("border router deleted", "borderRouter", id, "line", b.Line, "owner", b.Account)
		return nil
	})
}

// TerminateBorderRouter takes a line away from a border router, which keeps all that is in it
// (TerminateVirtualBorderRouter).
//
// Reasons, in this order: RegionNotFound, BorderRouterNotFound, BorderRouterNotAllowed,
// BorderRouterWrongState, BorderRouterInTransition.
func (s *Service) TerminateBorderRouter(ctx context.Context, c identity.Caller, region, id string) error {
	return s.turnBorderRouter(ctx, c, region, id, resource.BorderEnabled, func(_ *change.Tx, b *resource.VirtualBorderRouter) error {
		b.State, b.TerminatedAt = resource.BorderTerminated, s.now()
		return nil
	})
}

// RecoverBorderRouter gives a border router its line back (RecoverVirtualBorderRouter).
//
// Reasons, in this order: RegionNotFound, BorderRouterNotFound, BorderRouterNotAllowed,
// BorderRouterWrongState, BorderRouterVLANReused, BorderRouterInTransition.
func (s *Service) RecoverBorderRouter(ctx context.Context, c identity.Caller, region, id string) error {
	return s.turnBorderRouter(ctx, c, region, id, resource.BorderTerminated, func(tx *change.Tx, b *resource.VirtualBorderRouter) error {
		if l, ok := tx.PhysicalConnections.Get(b.Line); !ok || l.State != resource.LineEnabled {
			return fault.New(fault.BorderRouterWrongState, "physical connection %s is not enabled", b.Line)
		}
		if other, used := s.vlanHolder(tx.View, b, b.VLAN); used {
			return fault.New(fault.BorderRouterVLANReused, "VLAN %d of physical connection %s is that of %s", b.VLAN, b.Line, other)
		}
		b.State, b.RecoveredAt = resource.BorderEnabled, s.now()
		return nil
	})
}

// turnBorderRouter has the owner of its line change a router that is in a state.
func (s *Service) turnBorderRouter(ctx context.Context, c identity.Caller, region, id string, from resource.BorderState, turn func(*change.Tx, *resource.VirtualBorderRouter) error) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.find(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if old.LineOwner != c.Account {
			return fault.New(fault.BorderRouterNotAllowed, "that is for the owner of physical connection %s", old.Line)
		}
		if old.State != from {
			return fault.New(fault.BorderRouterWrongState, "border router %s is %s, not %s", id, old.State, from)
		}
		b := old.Clone().(*resource.VirtualBorderRouter)
		if err := turn(tx, b); err != nil {
			return err
		}
		if err := state.Ready(s.db.Observed, tx.BorderRouters, old); err != nil {
			return err
		}
		b.Turned = tx.Revision()
		tx.Put(b)
		tx.Done("border router "+string(b.State), "borderRouter", id, "line", b.Line, "owner", b.Account)
		return nil
	})
}
