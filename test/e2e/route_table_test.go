package e2e

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

// TestCustomRouteTables: what comes from a VSwitch goes by the route table that the VSwitch
// is bound to, and by the VPC's own again when it is not bound to it any more.
func TestCustomRouteTables(t *testing.T) { onAndOff(t, testCustomRouteTables) }

func testCustomRouteTables(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24", "172.16.3.0/24")
	n.gateway(t)
	ip := n.gatewayIP(t)
	h, bound := n.host(t, 1, "172.16.2.10"), n.host(t, 2, "172.16.3.10")
	n.snat(t, "SourceVSwitchId", n.switches[2], ip)

	table := n.call(t, "CreateRouteTable", "VpcId", n.vpc, "RouteTableName", "2nd way out", "Tag.1.Key", "site")["RouteTableId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteRouteTable", "RouteTableId", table) })
	// Two instances lead to the same network; which of them one came by tells the port.
	behind := netip.MustParseAddr("192.168.50.1")
	port := map[string]uint16{n.routeTable: 80, table: 81}
	for name, x := range map[string]string{n.routeTable: "172.16.1.10", table: "172.16.1.11"} {
		router := n.host(t, 0, x)
		router.addAddr(t, behind)
		router.serve(t, "tcp", net.JoinHostPort(behind.String(), map[uint16]string{80: "80", 81: "81"}[port[name]]))
		n.call(t, "CreateRouteEntry", "RouteTableId", name, "DestinationCidrBlock", "192.168.50.0/24", "NextHopId", router.instance)
		t.Cleanup(func() {
			n.call(t, "DeleteRouteEntry", "RouteTableId", name, "DestinationCidrBlock", "192.168.50.0/24", "NextHopId", router.instance)
		})
		n.settled(t)
	}
	goesBy := func(who *host, name string) {
		t.Helper()
		for at, p := range port {
			to := netip.AddrPortFrom(behind, p)
			if at == name {
				if got := who.seenAs(t, "tcp", to); got.Addr() != who.addr {
					t.Errorf("seen as %s, not %s", got, who.addr)
				}
			} else if err := who.tryEcho("tcp", to, time.Second/2); err == nil {
				t.Errorf("%s goes by route table %s, too", who.addr, at)
			}
		}
	}
	goesBy(h, n.routeTable)
	goesBy(bound, n.routeTable)
	if got := bound.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != ip {
		t.Errorf("by the VPC's own table seen as %s, not %s", got, ip)
	}

	n.call(t, "AssociateRouteTable", "RouteTableId", table, "VSwitchId", n.switches[2])
	t.Cleanup(func() {
		n.try("UnassociateRouteTable", "RouteTableId", table, "VSwitchId", n.switches[2])
		n.settled(t)
	})
	n.settled(t)
	goesBy(h, n.routeTable)
	goesBy(bound, table)
	if got := bound.seenAs(t, "tcp", h.serveAny(t)); got.Addr() != bound.addr {
		t.Errorf("in another VSwitch seen as %s, not %s", got, bound.addr)
	}
	if err := bound.tryEcho("tcp", g.internet.echo(t, "tcp"), time.Second/2); err == nil {
		t.Error("a table without a default route leads to the Internet")
	}
	entry := n.call(t, "CreateRouteEntry", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "NextHopType", "NatGateway", "NextHopId", n.nat, "RouteEntryName", "out")["RouteEntryId"].(string)
	n.settled(t)
	if got := bound.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != ip {
		t.Errorf("by the custom table seen as %s, not %s", got, ip)
	}
	var shown aliyun.DescribeRouteEntryListResponse
	n.into(t, &shown, "DescribeRouteEntryList", "RouteTableId", table, "RouteEntryName", "out")
	if x := shown.RouteEntrys.RouteEntry; len(x) != 1 || x[0].RouteEntryId != entry || x[0].Status != "Available" || x[0].NextHops.NextHop[0].NextHopId != n.nat {
		t.Errorf("the entry is shown as %+v", x)
	}
	n.call(t, "DeleteRouteEntry", "RouteEntryId", entry)

	n.call(t, "UnassociateRouteTable", "RouteTableId", table, "VSwitchId", n.switches[2])
	n.settled(t)
	goesBy(bound, n.routeTable)
	if got := bound.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != ip {
		t.Errorf("by the VPC's own table again seen as %s, not %s", got, ip)
	}
}

// serveAny serves TCP on a port of the host's, which is not used otherwise.
func (h *host) serveAny(t *testing.T) netip.AddrPort {
	t.Helper()
	to := netip.AddrPortFrom(h.addr, 8080)
	h.serve(t, "tcp", to.String())
	return to
}

// TestSecondaryCIDR: a VSwitch in a further block of a VPC is as one in the first: the two
// reach one another untranslated, and the Internet by SNAT and DNAT entries.
func TestSecondaryCIDR(t *testing.T) { onAndOff(t, testSecondaryCIDR) }

func testSecondaryCIDR(t *testing.T, g *gateway) {
	const block = "192.168.64.0/20"
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.call(t, "AssociateVpcCidrBlock", "VpcId", n.vpc, "SecondaryCidrBlock", block)
	t.Cleanup(func() { n.call(t, "UnassociateVpcCidrBlock", "VpcId", n.vpc, "SecondaryCidrBlock", block) })
	n.settled(t)
	id := n.call(t, "CreateVSwitch", "VpcId", n.vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", "192.168.65.0/24")["VSwitchId"].(string)
	n.switches = append(n.switches, id)
	t.Cleanup(func() {
		n.call(t, "DeleteVSwitch", "VSwitchId", id)
		n.settled(t)
	})
	n.settled(t)
	first, second := n.host(t, 0, "172.16.1.10"), n.host(t, 1, "192.168.65.10")
	n.gateway(t)
	ip, web := n.gatewayIP(t), n.gatewayIP(t)
	for _, x := range n.switches {
		n.snat(t, "SourceVSwitchId", x, ip)
	}
	n.dnat(t, web, "8080", "TCP", "192.168.65.10", "80")
	second.serve(t, "tcp", "0.0.0.0:80")
	second.serve(t, "udp", "0.0.0.0:53")
	to := first.serveAny(t)

	// Several times: the shortcut is learned from the first packets.
	for range 3 {
		for _, proto := range []string{"tcp", "udp"} {
			for _, h := range []*host{first, second} {
				if got := h.seenAs(t, proto, g.internet.echo(t, proto)); got.Addr() != ip {
					t.Errorf("%s from %s: seen as %s, not %s", proto, h.addr, got, ip)
				}
			}
		}
		if got := g.internet.seenAs(t, "tcp", netip.AddrPortFrom(web, 8080)); got.Addr() != g.internet.addr {
			t.Errorf("from outside: seen as %s, not %s", got, g.internet.addr)
		}
		if got := first.seenAs(t, "tcp", netip.AddrPortFrom(second.addr, 80)); got.Addr() != first.addr {
			t.Errorf("into the further block: seen as %s, not %s", got, first.addr)
		}
		if got := first.seenAs(t, "udp", netip.AddrPortFrom(second.addr, 53)); got.Addr() != first.addr {
			t.Errorf("into the further block: seen as %s, not %s", got, first.addr)
		}
		if got := second.seenAs(t, "tcp", to); got.Addr() != second.addr {
			t.Errorf("out of the further block: seen as %s, not %s", got, second.addr)
		}
	}
	// What stays within the VPC is no session of the gateway's.
	before := g.traffic(t, n.vpc)
	for range 5 {
		first.seenAs(t, "tcp", netip.AddrPortFrom(second.addr, 80))
	}
	after := g.traffic(t, n.vpc)
	for i, s := range after.Sessions {
		if s.Opened != before.Sessions[i].Opened {
			t.Errorf("%s: %d sessions were opened within the VPC", s.Kind, s.Opened-before.Sessions[i].Opened)
		}
	}
	if _, err := n.try("UnassociateVpcCidrBlock", "VpcId", n.vpc, "SecondaryCidrBlock", block); err == nil {
		t.Error("a block with a VSwitch was removed")
	}
}
