package vpn

import (
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// routeChange is what has to become of the routes that come with a connection.
type routeChange struct{ put, drop []resource.Resource }

func (r routeChange) write(tx *change.Tx) {
	for _, x := range r.drop {
		tx.Delete(x)
	}
	for _, x := range r.put {
		tx.Put(x)
	}
}

// pair is what a policy route goes by.
type pair struct{ source, destination netip.Prefix }

// autoPairs are the pairs that a connection has routes made for: those of its
// policies. Not for 0.0.0.0/0: who lets everything into a tunnel
// means to decide by routes what goes there. A nil connection has none.
func autoPairs(x *resource.VPNConnection) []pair {
	if x == nil || !x.AutoConfigRoute {
		return nil
	}
	var list []pair
	for l, r := range x.Policies.Pairs() {
		if r != everywhere {
			list = append(list, pair{l, r})
		}
	}
	return list
}

// autoRoutes says how the routes of a connection's AutoConfigRoute have to
// change from what was asked for by old, nil for a new connection, to x: active
// policy routes for new pairs of subnets, published unless the connection is exclusive,
// and none for those that are gone. What was changed by hand stays as it is: a route that was deleted,
// or one that was there before.
//
// Reasons, in this order: those of checkRoute, QuotaVPNPolicyRoute.
func (s *Service) autoRoutes(tx *change.Tx, old, x *resource.VPNConnection) (routeChange, error) {
	had, wanted := map[pair]bool{}, map[pair]bool{}
	for _, p := range autoPairs(old) {
		had[p] = true
	}
	var out routeChange
	for _, p := range autoPairs(x) {
		wanted[p] = true
		id := resource.VPNRouteID(x.Gateway, p.source, p.destination, x.ID)
		if _, ok := tx.VPNRoutes.Get(id); ok || had[p] {
			continue
		}
		r := &resource.VPNRoute{
			Meta: resource.Meta{ID: id, Account: x.Account, Region: x.Region, CreatedAt: s.now()},
			VPC:  x.VPC, Gateway: x.Gateway, Source: p.source, Destination: p.destination, Connection: x.ID,
			Published: !x.Exclusive, Auto: true,
		}
		if err := checkRoute(tx.View, r); err != nil {
			return routeChange{}, err
		}
		out.put = append(out.put, r)
	}
	for r := range tx.VPNRoutes.By(state.ByConnection, x.ID).All() {
		if r.Auto && !wanted[pair{r.Source, r.Destination}] {
			out.drop = append(out.drop, r)
		}
	}
	return out, tx.RoomWithout(out.drop, out.put...)
}
