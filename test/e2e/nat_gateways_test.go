package e2e

import (
	"net/netip"
	"testing"
)

// side is an enhanced NAT gateway of a network, with an elastic IP.
type side struct {
	nat, forward, snat, eip string
	ip                      netip.Addr
}

func (n *network) enhanced(t *testing.T) (s side) {
	t.Helper()
	made := n.call(t, "CreateNatGateway", "VpcId", n.vpc, "NatType", "Enhanced", "VSwitchId", n.switches[0], "InternetChargeType", "PayByLcu")
	s.nat = made["NatGatewayId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteNatGateway", "NatGatewayId", s.nat) })
	s.forward = made["ForwardTableIds"].(map[string]any)["ForwardTableId"].([]any)[0].(string)
	s.snat = made["SnatTableIds"].(map[string]any)["SnatTableId"].([]any)[0].(string)
	n.settled(t)
	s.eip, s.ip = n.eip(t)
	n.call(t, "AssociateEipAddress", "AllocationId", s.eip, "InstanceType", "Nat", "InstanceId", s.nat)
	t.Cleanup(func() { // with all entries that use it
		n.call(t, "UnassociateEipAddress", "AllocationId", s.eip, "InstanceType", "Nat", "InstanceId", s.nat, "Force", "true")
		n.settled(t)
	})
	n.settled(t)
	return s
}

// TestGatewaysByRouteTable: of two enhanced NAT gateways a VSwitch goes by the one that its
// route table leads to; and what the outside calls is answered by the gateway that was
// called, wherever the routes lead.
func TestGatewaysByRouteTable(t *testing.T) { onAndOff(t, testGatewaysByRouteTable) }

func testGatewaysByRouteTable(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24", "10.1.2.0/24")
	first, second := n.enhanced(t), n.enhanced(t)
	for _, s := range []side{first, second} {
		for i := range n.switches {
			n.call(t, "CreateSnatEntry", "SnatTableId", s.snat, "SourceVSwitchId", n.switches[i], "SnatIp", s.ip.String())
			n.settled(t)
		}
	}
	a, b := n.host(t, 0, "10.1.1.10"), n.host(t, 1, "10.1.2.10")
	seen := func(when string, h *host, want side) {
		t.Helper()
		for _, proto := range []string{"tcp", "udp"} {
			if got := h.seenAs(t, proto, g.internet.echo(t, proto)); got.Addr() != want.ip {
				t.Errorf("%s: a host is seen by %s as %s, not %s", when, proto, got, want.ip)
			}
		}
	}
	seen("by the VPC's own table", a, first)
	seen("by the VPC's own table", b, first)
	flow := b.flow(t, g.internet.echo(t, "tcp"))
	flow.more(t, 10)

	table := n.call(t, "CreateRouteTable", "VpcId", n.vpc)["RouteTableId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteRouteTable", "RouteTableId", table) })
	n.settled(t)
	n.call(t, "CreateRouteEntry", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "NextHopType", "NatGateway", "NextHopId", second.nat)
	t.Cleanup(func() {
		n.call(t, "DeleteRouteEntry", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "NextHopId", second.nat)
		n.settled(t)
	})
	n.settled(t)
	n.call(t, "AssociateRouteTable", "RouteTableId", table, "VSwitchId", n.switches[1])
	t.Cleanup(func() {
		n.call(t, "UnassociateRouteTable", "RouteTableId", table, "VSwitchId", n.switches[1])
		n.settled(t)
	})
	n.settled(t)
	seen("by the VPC's own table, still", a, first)
	seen("by a table of its own", b, second)
	flow.stopped(t) // it would be seen from another address now
	if code := n.refused(t, "DeleteNatGateway", "NatGatewayId", second.nat); code != "DependencyViolation.BandwidthPackages" {
		t.Errorf("a gateway that is in use: %s", code)
	}

	b.serve(t, "tcp", "0.0.0.0:80")
	n.call(t, "CreateForwardEntry", "ForwardTableId", first.forward, "ExternalIp", first.ip.String(), "ExternalPort", "8080",
		"IpProtocol", "TCP", "InternalIp", "10.1.2.10", "InternalPort", "80", "PortBreak", "true")
	n.settled(t)
	if got := g.internet.seenAs(t, "tcp", netip.AddrPortFrom(first.ip, 8080)); got.Addr() != g.internet.addr {
		t.Errorf("the server saw %s, not %s", got, g.internet.addr)
	}
}
