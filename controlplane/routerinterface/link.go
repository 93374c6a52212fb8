package routerinterface

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Connect connects a router interface that initiates with its opposite, if that names it, too
// (ConnectRouterInterface). That is all of consent that is asked for: the opposite's owner gives
// it by what he has said of his interface, and cannot take it back but by deactivating that.
//
// Reasons, in this order: RegionNotFound, RouterInterfaceNotFound, RouterInterfaceInitiates,
// RouterInterfaceStatus, OppositeNotSet, those of opposite, RouterInterfaceInTransition.
func (s *Service) Connect(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if !old.Initiates {
			return fault.New(fault.RouterInterfaceInitiates, "router interface %s accepts connections; its opposite connects them", id)
		}
		if old.Link != nil {
			return fault.New(fault.RouterInterfaceStatus, "router interface %s is connected already, with %s", id, old.Link.Peer)
		}
		if o := old.Opposite; o.Interface == "" || o.Router == "" || o.RouterKind == "" || o.Account == "" {
			return fault.New(fault.OppositeNotSet, "router interface %s; name the opposite interface, its router and the account that owns it", id)
		}
		peer, err := opposite(tx.View, old)
		if err != nil {
			return err
		}
		ends := [2]*resource.RouterInterface{old.Clone().(*resource.RouterInterface), peer.Clone().(*resource.RouterInterface)}
		for i, r := range ends {
			other := ends[1-i]
			r.Link = &resource.InterfaceLink{Peer: other.ID, Network: other.Network(), Since: s.writer.Now(), Step: resource.LinkConnected}
			if err := s.settled(r); err != nil {
				return err
			}
			tx.Put(r)
		}
		tx.Done("router interfaces connected", "routerInterface", old.ID, "router", old.Router, "opposite", peer.ID, "oppositeRouter", peer.Router, "bandwidth", old.Bandwidth)
		return nil
	})
}

// opposite returns the interface that one is to be connected with. What is not as it was named
// is not told from what is not there.
//
// Reasons, in this order: OppositeInvalid, OppositeRejects.
func opposite(v *state.View, r *resource.RouterInterface) (*resource.RouterInterface, error) {
	peer, ok := v.RouterInterfaces.Get(r.Opposite.Interface)
	if !ok || !named(r.Opposite, peer) || peer.Initiates {
		return nil, fault.New(fault.OppositeInvalid, "there is no accepting router interface %s of router %s and account %s in region %s", r.Opposite.Interface, r.Opposite.Router, r.Opposite.Account, r.Opposite.Region)
	}
	if peer.Router == r.Router {
		return nil, fault.New(fault.OppositeInvalid, "router interfaces %s and %s are of one router", r.ID, peer.ID)
	}
	if !named(peer.Opposite, r) {
		return nil, fault.New(fault.OppositeRejects, "router interface %s names another opposite, or none", peer.ID)
	}
	if peer.Link != nil {
		return nil, fault.New(fault.OppositeInvalid, "router interface %s is connected already", peer.ID)
	}
	for other := range v.RouterInterfaces.By(state.ByRouter, r.Router).All() {
		if other.Link == nil {
			continue
		}
		if far, ok := v.RouterInterfaces.Get(other.Link.Peer); ok && far.Router == peer.Router {
			return nil, fault.New(fault.OppositeInvalid, "routers %s and %s are connected already, by %s and %s", r.Router, peer.Router, other.ID, far.ID)
		}
	}
	if a, b := owner(v, r), owner(v, peer); a != b {
		return nil, fault.New(fault.OppositeInvalid, "the networks of %s and %s are on different machines, %q and %q", r.ID, peer.ID, a, b)
	}
	return peer, nil
}

// named says whether an interface is the one that another names as its opposite.
func named(o resource.Opposite, r *resource.RouterInterface) bool {
	return o.Interface == r.ID && o.Router == r.Router && o.RouterKind == r.RouterKind && o.Account == r.Account && o.Region == r.Region && o.AccessPoint == r.AccessPoint
}

// owner returns the machine that carries the network of an interface's router.
func owner(v *state.View, r *resource.RouterInterface) string {
	if n, ok := v.Network(r.Network()); ok {
		return n.Carrier()
	}
	return ""
}

// Deactivate takes an active router interface out of service: nothing crosses its link until it
// is activated again (DeactivateRouterInterface). The other end stays as it is.
//
// Reasons, in this order: RegionNotFound, RouterInterfaceNotFound, RouterInterfaceStatus,
// RouterInterfaceInTransition.
func (s *Service) Deactivate(ctx context.Context, c identity.Caller, region, id string) error {
	return s.step(ctx, c, region, id, resource.LinkDeactivated)
}

// Activate puts an inactive router interface back into service (ActivateRouterInterface).
//
// Reasons: those of Deactivate.
func (s *Service) Activate(ctx context.Context, c identity.Caller, region, id string) error {
	return s.step(ctx, c, region, id, resource.LinkActivated)
}

func (s *Service) step(ctx context.Context, c identity.Caller, region, id string, to resource.LinkStep) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.own(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if old.Link == nil || old.Up() == (to == resource.LinkActivated) {
			return fault.New(fault.RouterInterfaceStatus, "router interface %s is not one that can be %s", id, to)
		}
		if err := s.settled(old); err != nil {
			return err
		}
		r := old.Clone().(*resource.RouterInterface)
		r.Link.Step = to
		tx.Put(r)
		tx.Done("router interface "+string(to), "routerInterface", r.ID, "opposite", r.Link.Peer)
		return nil
	})
}
