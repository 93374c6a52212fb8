package e2e

import (
	"net/netip"
	"testing"
	"time"

	"sluice/test/lab"
)

// TestVPNOverlap: the site's range contains the VPC's. What lies in a VSwitch, and
// the gateway's own addresses, stay where they are; everything else of the range
// is at the site; and nobody at the site passes for a host of the VPC.
func TestVPNOverlap(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "10")
	s := n.site(t, "o", "172.20.0.1")
	w := modern("172.16.1.0/24", "172.16.0.0/12")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern) // with routes of its own
	n.call(t, "CreateVpnRouteEntry", "VpnGatewayId", id, "RouteDest", "172.0.0.0/8", "NextHop", c, "Weight", "100", "PublishVpc", "true")
	n.settled(t)
	n.status(t, c, "ipsec_sa_established")
	far := s.open(t, "tcp", "site")
	h.reaches(t, far)

	// A VSwitch that comes later takes its part of the range back from the site,
	// where the same addresses are in use.
	later := n.call(t, "CreateVSwitch", "VpcId", n.vpc, "CidrBlock", "172.16.2.0/24", "ZoneId", lab.DefaultRegion+"-a")["VSwitchId"].(string)
	n.switches = append(n.switches, later)
	t.Cleanup(func() { n.call(t, "DeleteVSwitch", "VSwitchId", later) })
	n.settled(t)
	near := n.host(t, 1, "172.16.2.10")
	s.own(t, near.addr)
	there := s.serveAs(t, "tcp", near.addr.String()+":0", "site")
	local := near.serveAs(t, "tcp", near.addr.String()+":0", "host")
	if got := h.ask(t, "tcp", local); got != "host" {
		t.Errorf("172.16.2.10 is %s, not the host of the VSwitch", got)
	}
	if err := h.tryEcho("tcp", netip.AddrPortFrom(near.addr, there.Port()), time.Second); err == nil {
		t.Error("the site answers for an address of a VSwitch")
	}
	h.ping(t, netip.MustParseAddr("172.16.1.253"))
	h.ping(t, netip.MustParseAddr("172.16.2.253"))
	h.reaches(t, far)

	// From the site: as itself yes, as a host of the VPC no.
	open := h.serve(t, "udp", h.addr.String()+":0")
	if seen := s.seenFrom(t, s.lan, "udp", open); seen.Addr() != s.lan {
		t.Errorf("the site is seen as %s", seen)
	}
	at, err := lab.CaptureOn(h.namespace, lab.HostInterface, func(p lab.Packet) bool { return p.Dst == h.addr && p.DstPort == open.Port() })
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	for range 5 {
		c, err := s.dial("udp", near.addr, open, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("let me in\n")); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	// This one comes after them.
	if seen := s.seenFrom(t, s.lan, "udp", open); seen.Addr() != s.lan {
		t.Errorf("the site is seen as %s", seen)
	}
	if _, err := at.Await(t.Context(), func(p lab.Packet) bool { return p.Src == s.lan }); err != nil {
		t.Fatal(err)
	}
	for _, p := range at.Packets() {
		if p.Src == near.addr {
			t.Errorf("came from the site: %s", p)
		}
	}
}
