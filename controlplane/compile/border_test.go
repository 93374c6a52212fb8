package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// borderRouters are those that randomBorders may make.
var borderRouters = []string{"vbr-0", "vbr-1"}

// randomBorders returns leased lines, border routers on some, what joins these with vpc-a or
// with one another's lines, and their routes. Its randomness follows from how much was drawn
// before.
func randomBorders(drawn int) (out []resource.Resource) {
	r := rand.New(rand.NewPCG(uint64(drawn), 23))
	lines := []resource.LineState{resource.LineEnabled, resource.LineEnabled, resource.LineEnabled, resource.LineConfirmed, resource.LineTerminated}
	for i := range r.IntN(4) {
		out = append(out, &resource.PhysicalConnection{Meta: nattest.VPC(fmt.Sprintf("pc-%d", i), "10.0.0.0/8").Meta, AccessPoint: nattest.AccessPoint,
			State: lines[r.IntN(len(lines))], Port: []string{"1", "2", "gone"}[min(2, r.IntN(9)/4)], Bandwidth: 1 + r.IntN(1000)})
	}
	steps := []resource.LinkStep{resource.LinkConnected, resource.LinkActivated, resource.LinkDeactivated}
	for i, id := range borderRouters {
		if r.IntN(4) == 0 {
			continue
		}
		third := byte(50 + r.IntN(2))
		b := &resource.VirtualBorderRouter{Meta: nattest.VPC(id, "10.0.0.0/8").Meta, Line: fmt.Sprintf("pc-%d", r.IntN(4)), LineOwner: nattest.Account, AccessPoint: nattest.AccessPoint,
			State: []resource.BorderState{resource.BorderEnabled, resource.BorderEnabled, resource.BorderTerminated}[r.IntN(3)], VLAN: r.IntN(3) * 10,
			Local: netip.AddrFrom4([4]byte{192, 168, third, 17}), Peer: netip.AddrFrom4([4]byte{192, 168, third, 18}), Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, third, 16}), 29),
			RouteTable: "vtb-" + id, LineInterface: "ri-line-" + id}
		out = append(out, b)
		out = append(out, randomBorderLink(r, id, fmt.Sprintf("ri-v%d", i), steps)...)
		for n := range r.IntN(4) {
			hop := resource.NextHop{Type: resource.NextHopLine, ID: b.LineInterface}
			if r.IntN(2) == 0 {
				hop = nextHop(resource.NextHopRouterInterface, []string{"ri-" + borderRouters[r.IntN(2)], "ri-gone"}[min(1, r.IntN(5)/4)], 0)
			}
			d := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(200 + n), 0, 0}), 16)
			out = append(out, &resource.RouteEntry{Meta: nattest.VPC(resource.RouteEntryID(b.RouteTable, d), "10.0.0.0/8").Meta, BorderRouter: id, Table: b.RouteTable, Destination: d, NextHops: []resource.NextHop{hop}})
		}
	}
	if r.IntN(2) == 0 {
		out = append(out, nattest.Route("vpc-a", "10.200.0.0/16", nextHop(resource.NextHopRouterInterface, "ri-v0", 0), nextHop(resource.NextHopRouterInterface, "ri-v1", 2)))
	}
	return out
}

// randomBorderLink returns the interfaces that may join a border router and vpc-a, of which
// one may be missing, or not connected.
func randomBorderLink(r *rand.Rand, router, peer string, steps []resource.LinkStep) (out []resource.Resource) {
	here, there := nattest.RouterInterface("ri-"+router, ""), nattest.RouterInterface(peer, "vpc-a")
	here.RouterKind, here.Router, here.AccessPoint, here.Initiates, here.Bandwidth = resource.BorderRouter, router, nattest.AccessPoint, true, 50
	if r.IntN(3) == 0 {
		there.Check = &resource.InterfaceCheck{Source: netip.MustParseAddr("10.0.200.1"), Target: netip.MustParseAddr("192.168.50.18")}
	}
	if r.IntN(5) > 0 {
		here.Link = &resource.InterfaceLink{Peer: there.ID, Network: "vpc-a", Step: steps[r.IntN(3)]}
	}
	if r.IntN(5) > 0 {
		there.Link = &resource.InterfaceLink{Peer: here.ID, Network: router, Step: steps[r.IntN(3)]}
	}
	for _, x := range []resource.Resource{here, there} {
		if r.IntN(6) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// checkBorder checks what package dataplane promises of the network of a border router.
func checkBorder(t *testing.T, n *dataplane.Network) {
	t.Helper()
	checkNetwork(t, n)
	if n.Uplink != nil || n.Shortcut || len(n.NATGateways)+len(n.VPNGateways) > 0 {
		t.Errorf("border router %s has a public side: %+v", n.ID, n)
	}
	if (n.Line == nil) != (len(n.Switches) == 0) || len(n.Switches) > 1 {
		t.Fatalf("border router %s has the line %+v, and %d switches", n.ID, n.Line, len(n.Switches))
	}
	if n.Line != nil {
		s := n.Switches[0]
		a := s.Attachment
		if n.Line.Bandwidth < 1 || a.Device != n.Line.Device || !strings.HasPrefix(a.Device, "line") || s.Prefix != n.Prefix || !n.Prefix.Contains(s.Gateway) ||
			(a.Kind == dataplane.AttachVLAN) != (a.VLAN > 0) || a.VLAN == 0 && a.Kind != dataplane.AttachMacvlan {
			t.Errorf("border router %s has %+v on %+v", n.ID, s, n.Line)
		}
	}
	for _, r := range n.Routes {
		for _, h := range r.NextHops {
			if h.Via.IsValid() && n.Line == nil {
				t.Errorf("border router %s leads %s to a line that it is not on", n.ID, r.Destination)
			}
		}
	}
}
