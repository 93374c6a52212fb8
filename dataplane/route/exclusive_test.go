package route_test

import (
	"net/netip"
	"slices"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/route"
)

// What is for the site of an exclusive connection is held in every route table of the VPC, and
// for what comes out of tunnels, whether the table leads there or not; not where a connection
// is not exclusive, nor for everything.
func TestExclusive(t *testing.T) {
	held := func(n *dataplane.Network, table int, destination string) bool {
		routes, _, _ := route.Routing(n, route.Tunnels{"vco-a": {Link: "vco-a", Up: true}})
		return slices.ContainsFunc(routes, func(r route.Route) bool {
			return r.Table == table && r.Destination == netip.MustParsePrefix(destination) && r.Metric == route.HoldMetric && len(r.Hops) == 0
		})
	}
	for _, exclusive := range []bool{true, false} {
		n := vpnNetwork(through("vco-a", "10.0.1.0/24", "192.168.0.0/16", false, false))
		a := &n.VPNGateways[0].Connections[0]
		a.Policies, a.Exclusive = dataplane.Product(prefixes("10.0.1.0/24"), prefixes("192.168.0.0/16", "0.0.0.0/0")), exclusive
		for _, table := range []int{route.TunnelTable, route.VPCTable} {
			if held(n, table, "192.168.0.0/16") != exclusive {
				t.Errorf("exclusive %t: table %d holds it: %t", exclusive, table, !exclusive)
			}
			if held(n, table, "0.0.0.0/0") {
				t.Errorf("exclusive %t: table %d holds everything", exclusive, table)
			}
		}
	}
}
