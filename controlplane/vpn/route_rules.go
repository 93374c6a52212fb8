package vpn

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// checkRoute refuses a new route that leads nowhere, or beside which another
// one stands.
//
// Reasons, in this order: CIDRMalformed, RouteDestination, VPNRouteExists,
// VPNRouteConflict, RouteDuplicate.
func checkRoute(v *state.View, r *resource.VPNRoute) error {
	if !canonical(r.Destination) {
		return fault.New(fault.CIDRMalformed, "%s; write a network without host bits", r.Destination)
	}
	if err := network.Routable(r.Destination); err != nil {
		return err
	}
	if err := network.NotDirect(v, r.VPC, r.Destination); err != nil {
		return err
	}
	if _, ok := v.VPNRoutes.Get(r.ID); ok {
		return fault.New(fault.VPNRouteExists, "VPN gateway %s has that route to %s by %s", r.Gateway, r.Destination, r.Connection)
	}
	for _, other := range twins(v, r) {
		if other.Standby == r.Standby {
			return fault.New(fault.VPNRouteConflict, "the route to %s by %s is %s, too; of two routes for the same blocks one is active and the other standby",
				other.Destination, other.Connection, use(other.Standby))
		}
	}
	return checkPublished(v, r)
}

// twins are the gateway's other routes for the same blocks; there is at most
// one, but while a new one is checked.
func twins(v *state.View, r *resource.VPNRoute) []*resource.VPNRoute {
	var list []*resource.VPNRoute
	for x := range v.VPNRoutes.By(state.ByGateway, r.Gateway).All() {
		if x.Source == r.Source && x.Destination == r.Destination && x.Connection != r.Connection {
			list = append(list, x)
		}
	}
	return list
}

// checkPublished refuses to publish a route where the VPC's route table has an
// entry of its own.
func checkPublished(v *state.View, r *resource.VPNRoute) error {
	if !r.Published {
		return nil
	}
	vpc, ok := v.VPCs.Get(r.VPC)
	if !ok {
		return nil
	}
	if _, ok := v.RouteEntries.Get(resource.RouteEntryID(vpc.RouteTable, r.Destination)); ok {
		return fault.New(fault.RouteDuplicate, "route table %s has an entry of its own for %s", vpc.RouteTable, r.Destination)
	}
	return nil
}
