package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
)

// account returns the id of the account of the gateway's client.
func (g *gateway) account(t *testing.T) string {
	t.Helper()
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keys, err := c.AccessKeys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.ID == g.client.AccessKeyID {
			return k.Account
		}
	}
	t.Fatalf("no access key %s", g.client.AccessKeyID)
	return ""
}

// as returns the gateway with a client of a new account.
func (g *gateway) as(t *testing.T, name string) *gateway {
	t.Helper()
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := c.CreateAccount(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.CreateAccessKey(t.Context(), admin.NewAccessKey{Account: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	other := *g
	other.client = aliyun.NewClient(g.client.Endpoint, k.ID, k.Secret)
	return &other
}

// vrouter returns the id of the network's router.
func (n *network) vrouter(t *testing.T) string {
	t.Helper()
	return n.call(t, "DescribeVpcAttribute", "VpcId", n.vpc)["VRouterId"].(string)
}

// peer joins the routers of two networks by router interfaces, of 50 Mbit/s, until the test
// ends, and returns the ids of both.
func (n *network) peer(t *testing.T, to *network) (here, there string) {
	t.Helper()
	make := func(n, other *network, opposite, role, spec string) string {
		id := n.call(t, "CreateRouterInterface", "RouterType", "VRouter", "RouterId", n.vrouter(t), "Role", role, "Spec", spec, "OppositeRegionId", other.region,
			"OppositeRouterId", other.vrouter(t), "OppositeInterfaceOwnerId", other.g.account(t), "OppositeInterfaceId", opposite)["RouterInterfaceId"].(string)
		t.Cleanup(func() { n.call(t, "DeleteRouterInterface", "RouterInterfaceId", id) })
		return id
	}
	there = make(to, n, "", "AcceptingSide", "Negative")
	here = make(n, to, there, "InitiatingSide", "Small.5")
	if code := n.refused(t, "ConnectRouterInterface", "RouterInterfaceId", here); code != "RejectedByOppositeInterface" {
		t.Errorf("an opposite that names nobody: %s", code)
	}
	to.call(t, "ModifyRouterInterfaceAttribute", "RouterInterfaceId", there, "OppositeInterfaceId", here)
	n.call(t, "ConnectRouterInterface", "RouterInterfaceId", here)
	t.Cleanup(func() {
		for _, x := range []struct {
			*network
			id string
		}{{n, here}, {to, there}} {
			x.try("DeactivateRouterInterface", "RouterInterfaceId", x.id)
			x.is(t, x.id, "Inactive")
		}
	})
	n.is(t, here, "Active")
	to.is(t, there, "Active")
	return here, there
}

// is waits until a router interface is in a state.
func (n *network) is(t *testing.T, id, state string) {
	t.Helper()
	eventually(t, id+" to be "+state, func() string {
		got, err := n.try("DescribeRouterInterfaceAttribute", "InstanceId", id)
		if err != nil {
			return err.Error()
		}
		if got["Status"] != state {
			return fmt.Sprintf("it is %v, its opposite %v", got["Status"], got["OppositeInterfaceStatus"])
		}
		return ""
	})
}

// leads adds a route entry to a router interface until the test ends.
func (n *network) leads(t *testing.T, destination, id string) {
	t.Helper()
	n.call(t, "CreateRouteEntry", "RouteTableId", n.routeTable, "DestinationCidrBlock", destination, "NextHopType", "RouterInterface", "NextHopId", id)
	t.Cleanup(func() {
		var list aliyun.DescribeRouteEntryListResponse
		n.into(t, &list, "DescribeRouteEntryList", "RouteTableId", n.routeTable, "DestinationCidrBlock", destination)
		for _, e := range list.RouteEntrys.RouteEntry {
			n.call(t, "DeleteRouteEntry", "RouteEntryId", e.RouteEntryId)
		}
		n.settled(t)
	})
	n.settled(t)
}

// turns leads a route entry to another router interface.
func (n *network) turns(t *testing.T, destination, id string) {
	t.Helper()
	n.call(t, "ModifyRouteEntry", "RouteTableId", n.routeTable, "DestinationCidrBlock", destination, "NewNextHopType", "RouterInterface", "NewNextHopId", id)
	n.settled(t)
}

// TestRouterInterfaces: what crosses between VPCs is what route entries at both ends lead, as it
// is: in a chain, in a triangle, between VPCs of two accounts, and beside one of the same range;
// also while the daemon is killed. What is not led there goes nowhere, by no other way.
func TestRouterInterfaces(t *testing.T) { onAndOff(t, testRouterInterfaces) }

func testRouterInterfaces(t *testing.T, g *gateway) {
	bob := g.as(t, "bob")
	office := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
	twin := bob.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24", "10.1.2.0/24") // of the same range, and another account's
	hub := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	store := g.newNetwork(t, "192.168.0.0/16", "192.168.1.0/24")
	a, b, forger := office.host(t, 0, "10.1.1.10"), twin.host(t, 1, "10.1.2.10"), twin.host(t, 0, "10.1.1.11")
	c, d := hub.host(t, 0, "172.16.1.10"), store.host(t, 0, "192.168.1.10")
	officeHub, hubOffice := office.peer(t, hub)
	twinHub, hubTwin := twin.peer(t, hub)
	hubStore, storeHub := hub.peer(t, store)
	atA, atC, atD := a.listen(t, "tcp"), c.listen(t, "tcp"), d.listen(t, "tcp")
	udpA, udpC, udpD := a.listen(t, "udp"), c.listen(t, "udp"), d.listen(t, "udp")

	const moment = 300 * time.Millisecond
	none := func(what string, from *host, to netip.AddrPort) {
		t.Helper()
		if err := from.tryEcho("tcp", to, moment); err == nil {
			t.Errorf("%s: %s reaches %s", what, from.addr, to)
		}
	}
	crosses := func(what string, from *host, tcp, udp netip.AddrPort) {
		t.Helper()
		for range 3 { // the shortcut is learned from the first packets
			for proto, to := range map[string]netip.AddrPort{"tcp": tcp, "udp": udp} {
				if got := from.seenAs(t, proto, to); got.Addr() != from.addr {
					t.Errorf("%s: %s: %s is seen by %s as %s", what, proto, from.addr, to, got)
				}
			}
		}
	}
	none("without a route", a, atC)
	none("without a route", c, atA)
	office.leads(t, "172.16.0.0/16", officeHub)
	office.leads(t, "192.168.0.0/16", officeHub)
	none("without a route back", a, atC)
	hub.leads(t, "10.1.1.0/24", hubOffice)
	hub.leads(t, "10.1.2.0/24", hubTwin)
	hub.leads(t, "192.168.0.0/16", hubStore)
	twin.leads(t, "172.16.0.0/16", twinHub)
	store.leads(t, "10.1.1.0/24", storeHub)
	crosses("two VPCs", a, atC, udpC)
	crosses("the other way", c, atA, udpA)
	crosses("two accounts, beside the same range", b, atC, udpC)
	crosses("a chain", a, atD, udpD)
	crosses("a chain, back", d, atA, udpA)
	none("a source that another VPC has", forger, atC)
	none("no route in the last VPC", b, atD)
	none("a neighbour that is not led there", d, atC)

	over := a.flow(t, atD)
	over.more(t, 10)
	g.killDaemon(t)
	over.more(t, 10)
	g.startDaemon(t)
	over.more(t, 10)
	over.lost(t, 0)

	hub.call(t, "DeactivateRouterInterface", "RouterInterfaceId", hubOffice)
	hub.is(t, hubOffice, "Inactive")
	office.is(t, officeHub, "Active")
	over.stopped(t)
	none("an inactive interface", a, atC)
	none("an inactive interface", c, atA)
	crosses("beside an inactive interface", b, atC, udpC)
	if code := hub.refused(t, "DeleteRouterInterface", "RouterInterfaceId", hubOffice); code != "DependencyViolation.RouterInterfaceReferedByRouteEntry" {
		t.Errorf("deleted although routes lead there: %s", code)
	}
	hub.call(t, "ActivateRouterInterface", "RouterInterfaceId", hubOffice)
	hub.is(t, hubOffice, "Active")
	crosses("active again", a, atC, udpC)

	officeStore, storeOffice := office.peer(t, store)
	office.turns(t, "192.168.0.0/16", officeStore)
	store.turns(t, "10.1.1.0/24", storeOffice)
	crosses("a triangle", a, atD, udpD)
	crosses("a triangle, back", d, atA, udpA)
	office.call(t, "DeactivateRouterInterface", "RouterInterfaceId", officeStore)
	office.is(t, officeStore, "Inactive")
	none("by no other way", a, atD)
	office.turns(t, "192.168.0.0/16", officeHub)
	store.turns(t, "10.1.1.0/24", storeHub)
	crosses("round the other way", a, atD, udpD)
	if code := office.refused(t, "DeleteVpc", "VpcId", office.vpc); code != "DependencyViolation.RouteEntry" {
		t.Errorf("deleted with routes: %s", code)
	}
}

// TestRouterInterfacesBetweenRegions: VPCs of two regions, whose routers are joined, see each
// other's hosts as they are, and go on while the daemon is killed; a third VPC, of the second
// region and with the first one's range, is not in the way.
func TestRouterInterfacesBetweenRegions(t *testing.T) {
	t.Parallel()
	g := gateways[0].another(t, "regions", extraConfig, afar)
	home, abroad := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24"), g.newNetworkIn(t, afar, "172.16.0.0/16", "172.16.1.0/24")
	twin := g.newNetworkIn(t, afar, "10.1.0.0/16", "10.1.1.0/24")
	a, b, same := home.host(t, 0, "10.1.1.10"), abroad.host(t, 0, "172.16.1.10"), twin.host(t, 0, "10.1.1.10")
	here, there := home.peer(t, abroad)
	if code := home.refused(t, "CreateRouteEntry", "RouteTableId", home.routeTable, "DestinationCidrBlock", "172.16.0.0/16", "NextHopType", "RouterInterface", "NextHopId", there); code != "InvalidNextHopId.NotFound" {
		t.Errorf("the other end as a next hop: %s", code)
	}
	home.leads(t, "172.16.0.0/16", here)
	if err := a.tryEcho("tcp", b.listen(t, "tcp"), 300*time.Millisecond); err == nil {
		t.Error("crosses without a route back")
	}
	abroad.leads(t, "10.1.0.0/16", there)
	for _, way := range []struct{ from, to *host }{{a, b}, {b, a}} {
		for _, proto := range []string{"tcp", "udp"} {
			if got := way.from.seenAs(t, proto, way.to.listen(t, proto)); got.Addr() != way.from.addr {
				t.Errorf("%s: %s is seen by %s as %s", proto, way.from.addr, way.to.addr, got)
			}
		}
	}
	over := a.flow(t, b.listen(t, "tcp"))
	g.killDaemon(t)
	over.more(t, 20)
	g.startDaemon(t)
	over.more(t, 20)
	over.lost(t, 0)
	if err := same.tryEcho("tcp", b.listen(t, "tcp"), 300*time.Millisecond); err == nil {
		t.Error("a VPC that is joined to none reaches another one")
	}
	var got aliyun.DescribeRouterInterfacesResponse
	abroad.into(t, &got, "DescribeRouterInterfaces", "Filter.1.Key", "RouterInterfaceId", "Filter.1.Value.1", there)
	if list := got.Instances.RouterInterfaceType; len(list) != 1 || list[0].OppositeRegionId != home.region || list[0].OppositeInterfaceId != here {
		t.Errorf("the far end is %+v", list)
	}
}
