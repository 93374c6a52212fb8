package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"sluice/dataplane"
	"sluice/test/lab"
)

// becomes waits until a flow of UDP is seen from an address, and with two more
// packets that it stays so.
func (f *flow) becomes(t *testing.T, want netip.Addr) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	ask := func(timeout time.Duration) (netip.AddrPort, error) {
		f.next++
		seen, _, err := exchange(f.conn, fmt.Sprint("n", f.next), timeout)
		return seen, err
	}
	eventually(t, f.name, func() string {
		if seen, err := ask(time.Second / 2); err != nil || seen.Addr() != want {
			return fmt.Sprintf("is seen as %s, not %s: %v", seen, want, err)
		}
		return ""
	})
	for range 2 {
		if seen, err := ask(answerTimeout); err != nil || seen.Addr() != want {
			t.Errorf("%s: then it is seen as %s, not %s: %v", f.name, seen, want, err)
		}
	}
}

// pinger sends echo requests with one id, which is what tells one ping from another.
type pinger struct {
	conn *icmp.PacketConn
	to   netip.Addr
	id   int
	seq  int
}

func (e *endpoint) pinger(t *testing.T, to netip.Addr, id int) *pinger {
	t.Helper()
	p := &pinger{to: to, id: id}
	inNamespace(t, e.namespace, func() (err error) {
		p.conn, err = icmp.ListenPacket("ip4:icmp", e.addr.String())
		return err
	})
	t.Cleanup(func() { p.conn.Close() })
	return p
}

// answered waits until an echo request is answered.
func (p *pinger) answered(t *testing.T) {
	t.Helper()
	eventually(t, "ping "+p.to.String(), func() string { return errorText(p.once()) })
}

func (p *pinger) once() error {
	p.seq++
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: p.seq, Data: []byte("sluice")}}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_ = p.conn.SetDeadline(time.Now().Add(time.Second / 2))
	if _, err := p.conn.WriteTo(b, &net.IPAddr{IP: p.to.AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		got, err := icmp.ParseMessage(1, buf[:n])
		if err != nil || got.Type != ipv4.ICMPTypeEchoReply {
			continue
		}
		if e := got.Body.(*icmp.Echo); e.ID == p.id && e.Seq == p.seq {
			return nil
		}
	}
}

// outside collects what leaves the network by its public side for an address.
func (n *network) outside(t *testing.T, to netip.Addr) *lab.Capture {
	t.Helper()
	wire, err := lab.CaptureOn(dataplane.Namespace(n.vpc), dataplane.UplinkName, func(p lab.Packet) bool { return p.Outgoing && p.Dst == to })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { wire.Close() })
	return wire
}

// TestVPNFlowsFollow: a site is reached over the Internet, from hosts with an
// SNAT entry and with an elastic IP of their own, when a route into a tunnel comes for
// it, and goes again. Flows that were open go on by the way that is right, each
// time; those to somewhere else are not touched.
func TestVPNFlowsFollow(t *testing.T) { onAndOff(t, testVPNFlowsFollow) }

func testVPNFlowsFollow(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h, own := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11")
	n.gateway(t)
	external := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], external)
	eip, ownIP := n.eip(t)
	n.bind(t, eip, "EcsInstance", own.instance)
	id, address := n.vpnGateway(t, "100")
	spare := n.machine(t, "x") // whose address the site has, too: it is reached by both ways
	spare.unplug(t)
	s := n.site(t, "f", spare.addr.String())
	w := modern("172.16.1.0/24", s.lan.String()+"/32")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern, "AutoConfigRoute", "false")
	n.status(t, c, "ipsec_sa_established")

	at, echo := s.open(t, "udp", "-"), g.internet.echo(t, "udp")
	flows := map[*flow]netip.Addr{h.flow(t, at): external, own.flow(t, at): ownIP}
	inside := map[netip.Addr]netip.Addr{external: h.addr, ownIP: own.addr}
	pings := []*pinger{h.pinger(t, s.lan, 77), own.pinger(t, s.lan, 78)}
	elsewhere := []*flow{h.flow(t, echo), own.flow(t, echo)}
	ports := make([]netip.AddrPort, len(elsewhere))
	untouched := func() {
		t.Helper()
		for i, f := range elsewhere {
			seen, _, err := exchange(f.conn, "port", answerTimeout)
			if err != nil || ports[i].IsValid() && seen != ports[i] {
				t.Errorf("%s, seen as %s, now as %s: %v", f.name, ports[i], seen, err)
			}
			ports[i] = seen
		}
	}
	byInternet := func() {
		t.Helper()
		for f, from := range flows {
			f.becomes(t, from)
		}
		for _, p := range pings {
			p.answered(t)
		}
		untouched()
	}
	byInternet()
	route := []string{"VpnGatewayId", id, "RouteDest", s.lan.String() + "/32", "NextHop", c, "Weight", "100"}
	policy := append([]string{"RouteSource", "172.16.1.0/24"}, route...)
	for _, way := range []struct {
		create, remove string
		route          []string
	}{{"CreateVpnRouteEntry", "DeleteVpnRouteEntry", route}, {"CreateVpnPbrRouteEntry", "DeleteVpnPbrRouteEntry", policy}} {
		n.call(t, way.create, append(way.route, "PublishVpc", "true")...)
		t.Cleanup(func() { n.try(way.remove, way.route...); n.settled(t) })
		n.settled(t)
		wire := n.outside(t, s.lan)
		for f, from := range flows {
			f.becomes(t, inside[from])
		}
		for _, p := range pings {
			p.answered(t)
		}
		untouched()
		if seen := wire.Packets(); len(seen) > 0 {
			t.Errorf("%s: %d packets left by the public side, the first %s", way.create, len(seen), seen[0])
		}
		n.call(t, way.remove, way.route...)
		n.settled(t)
		byInternet()
	}
}

// TestFlowsFollowInstanceRoutes: the Internet is reached by way of an instance that
// does NAT itself, then by the NAT gateway, and by the instance again.
func TestFlowsFollowInstanceRoutes(t *testing.T) { onAndOff(t, testFlowsFollowInstanceRoutes) }

func testFlowsFollowInstanceRoutes(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	h, router := n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.20")
	inNamespace(t, router.namespace, func() error {
		if err := writeSysctl("net/ipv4/ip_forward", "1"); err != nil {
			return err
		}
		rules := fmt.Sprintf("table ip nat { chain out { type nat hook postrouting priority 100; oifname %q masquerade; }; }", lab.HostInterface)
		if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
			return fmt.Errorf("masquerade: %w: %s", err, out)
		}
		return nil
	})
	eip, routerIP := n.eip(t)
	n.bind(t, eip, "EcsInstance", router.instance)
	entry := []string{"RouteTableId", n.routeTable, "DestinationCidrBlock", "0.0.0.0/0", "NextHopType", "Instance", "NextHopId", router.instance}
	n.call(t, "CreateRouteEntry", entry...)
	t.Cleanup(func() { n.try("DeleteRouteEntry", entry...); n.settled(t) })
	n.settled(t)
	n.watchUplink(t)
	f, p := h.flow(t, g.internet.echo(t, "udp")), h.pinger(t, g.internet.addr, 77)
	f.becomes(t, routerIP)
	p.answered(t)

	// The default route turns to the NAT gateway.
	n.call(t, "DeleteRouteEntry", entry...)
	n.gateway(t)
	external := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], external)
	f.becomes(t, external)
	p.answered(t)

	// It is the instance's again.
	n.call(t, "DeleteNatGateway", "NatGatewayId", n.nat, "Force", "true")
	n.settled(t)
	n.call(t, "CreateRouteEntry", entry...)
	n.settled(t)
	f.becomes(t, routerIP)
	p.answered(t)
}
