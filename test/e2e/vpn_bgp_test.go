package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
	"sluice/test/frr"
	"sluice/test/lab"
	"sluice/test/strongswan"
)

// routedConfig is what peer-config --format frr-strongswan has printed, taken
// apart.
type routedConfig struct {
	link    []string // commands that make the tunnel's link
	swanctl string
	frr     string
}

func readRoutedConfig(t *testing.T, text string) (c routedConfig) {
	t.Helper()
	const swanctl, router = "# /etc/swanctl/", "# /etc/frr/frr.conf"
	head, rest, one := strings.Cut(text, swanctl)
	conf, frr, two := strings.Cut(rest, router)
	if !one || !two {
		t.Fatalf("no files %s and %s in\n%s", swanctl, router, text)
	}
	for line := range strings.Lines(head) {
		if command := strings.TrimSpace(strings.TrimPrefix(line, "#")); strings.HasPrefix(command, "ip ") {
			c.link = append(c.link, command)
		}
	}
	if len(c.link) == 0 {
		t.Fatalf("no commands that make a link in\n%s", text)
	}
	c.swanctl, c.frr = swanctl+conf, router+frr
	return c
}

// inOneDevice makes a configuration one for charon that carries all tunnels in
// the TUN device that it has made: there are no XFRM interfaces then.
func (c *routedConfig) inOneDevice() {
	for i, command := range c.link {
		switch fields := strings.Fields(command); {
		case strings.HasPrefix(command, "ip address add "):
			c.link[i] = "ip address add " + fields[3] + " dev " + strongswan.LibipsecDevice
		default:
			c.link[i] = "ip link set " + strongswan.LibipsecDevice + " up"
		}
	}
	var kept strings.Builder
	for line := range strings.Lines(c.swanctl) {
		if !strings.HasPrefix(strings.TrimSpace(line), "if_id_") {
			kept.WriteString(line)
		}
	}
	c.swanctl = kept.String()
}

// routed starts strongSwan and FRR at a site as the gateway has written it for a
// connection.
func (s *site) routed(t *testing.T, connection string) *frr.Router {
	t.Helper()
	text := s.g.peerConfig(t, connection, "frr-strongswan")
	c := readRoutedConfig(t, text)
	s.startBy(t, strongswan.StartRouted)
	if s.byLibipsec(t) {
		c.inOneDevice()
	}
	inNamespace(t, s.namespace, func() error {
		for _, command := range c.link {
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", command, err, out)
			}
		}
		return nil
	})
	if err := s.peer.Load(t.Context(), c.swanctl); err != nil {
		t.Fatalf("%v in\n%s", err, c.swanctl)
	}
	r, err := frr.Start(t.Context(), frr.Options{
		Dir: t.TempDir(), Config: c.frr, Kernel: true, Log: t.Output(),
		In: func(f func() error) error { return lab.In(s.namespace, f) },
	})
	if err != nil {
		t.Fatalf("%v in\n%s", err, c.frr)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// bgpStatus waits for a connection to say how its BGP session is.
func (n *network) bgpStatus(t *testing.T, connection, want string) {
	t.Helper()
	eventually(t, "BGP of connection "+connection, func() string {
		var got aliyun.DescribeVpnConnectionResponse
		n.into(t, &got, "DescribeVpnConnection", "VpnConnectionId", connection)
		if got.VpnBgpConfig.Status != want {
			return fmt.Sprintf("its status is %s, not %s", got.VpnBgpConfig.Status, want)
		}
		return ""
	})
}

// cut waits until a service cannot be reached any more.
func (h *host) cut(t *testing.T, from netip.AddrPort) {
	t.Helper()
	eventually(t, h.addr.String(), func() string {
		if err := h.tryEcho("tcp", from, time.Second/2); err == nil {
			return "still reaches " + from.String()
		}
		return ""
	})
}

// TestVPNBGP: a site and a VPC tell each other their networks by BGP through a
// tunnel, and forget them.
func TestVPNBGP(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	g := gateways[0].another(t, "bgp", "")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id := n.sslGateway(t, "EnableIpsec", "true")
	n.call(t, "ModifyVpnGatewayAttribute", "VpnGatewayId", id, "AutoPropagate", "true")
	n.settled(t)
	s := n.place(t, "g", "192.168.77.1", "Asn", "65010")
	behind := n.behind(t, s)
	c := n.connect(t, id, s, modern("0.0.0.0/0", "0.0.0.0/0"), ikeModern, ipsecModern, "AutoConfigRoute", "false",
		"BgpConfig", `{"EnableBgp":true,"TunnelCidr":"169.254.11.0/30","LocalBgpIp":"169.254.11.1","LocalAsn":65001}`)
	n.bgpStatus(t, c, "false")
	r := s.routed(t, c)
	n.status(t, c, "ipsec_sa_established")
	n.bgpStatus(t, c, "success")
	learned := map[string]string{"172.16.0.0/16": "169.254.11.1 65001"}
	learns := func() {
		t.Helper()
		eventually(t, "the site's router", func() string {
			got, err := r.Learned(context.Background())
			if err != nil || !maps.Equal(got, learned) {
				return fmt.Sprintf("has learned %v, not %v (%v)", got, learned, err)
			}
			return ""
		})
	}
	learns()

	far := behind.listen(t, "tcp")
	if err := h.tryEcho("tcp", far, time.Second); err == nil {
		t.Error("the host is reached, of which the site has not said a word")
	}
	announce := func(verb string) {
		t.Helper()
		if err := r.Configure(t.Context(), "router bgp 65010", "address-family ipv4 unicast", verb+" 192.168.78.0/24"); err != nil {
			t.Fatal(err)
		}
	}
	announce("network")
	h.reaches(t, far)
	near := h.serve(t, "tcp", h.addr.String()+":0")
	if seen := behind.seenAs(t, "tcp", near); seen.Addr() != behind.addr {
		t.Errorf("the host behind the site is seen as %s", seen)
	}

	// The site hears of the clients of an SSL-VPN server while there is one, and reaches them.
	const pool = "172.29.0.0/24"
	server := n.call(t, "CreateSslVpnServer", "VpnGatewayId", id, "ClientIpPool", pool, "LocalSubnet", "172.16.0.0/16,192.168.78.0/24")["SslVpnServerId"].(string)
	n.settled(t)
	learned[pool] = "169.254.11.1 65001"
	learns()
	_, conf := n.sslCertificate(t, server)
	user := n.machine(t, "u")
	user.openvpn(t, conf)
	as := user.clientSeen(t, h.serve(t, "tcp", h.addr.String()+":0"), pool)
	at := user.serve(t, "tcp", as.String()+":0")
	if seen := behind.seenAs(t, "tcp", netip.AddrPortFrom(as, at.Port())); seen.Addr() != behind.addr {
		t.Errorf("a client sees the host behind the site as %s", seen)
	}
	n.call(t, "DeleteSslVpnServer", "SslVpnServerId", server)
	n.settled(t)
	delete(learned, pool)
	learns()

	announce("no network")
	h.cut(t, far)
	n.bgpStatus(t, c, "success")
	announce("network")
	h.reaches(t, far)

	// Without propagation an entry of the VPC's route table leads there.
	n.call(t, "ModifyVpnGatewayAttribute", "VpnGatewayId", id, "AutoPropagate", "false")
	h.cut(t, far)
	entry := []string{"RouteTableId", n.routeTable, "DestinationCidrBlock", "192.168.0.0/16", "NextHopType", "VpnGateway", "NextHopId", id}
	n.call(t, "CreateRouteEntry", entry...)
	h.reaches(t, far)
	n.call(t, "DeleteRouteEntry", entry...)
	h.cut(t, far)
	n.call(t, "ModifyVpnGatewayAttribute", "VpnGatewayId", id, "AutoPropagate", "true")
	h.reaches(t, far)
	n.settled(t)

	// The session outlives the daemon, with the routes.
	end := h.pings(t, behind.listen(t, "udp"))
	g.killDaemon(t)
	h.reaches(t, far)
	g.startDaemon(t)
	n.bgpStatus(t, c, "success")
	n.settled(t)
	if sent, lost := end(); lost != 0 || sent < 10 {
		t.Errorf("%d of %d packets were lost while the daemon was restarted", lost, sent)
	}

	// A router that ends takes its routes along.
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	n.bgpStatus(t, c, "false")
	h.cut(t, far)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.bgpStatus(t, c, "success")
	announce("network")
	h.reaches(t, far)

	// The site forgets the VPC's network with the session, and is told while the tunnel stands.
	n.call(t, "DeleteVpnConnection", "VpnConnectionId", c)
	n.settled(t)
	eventually(t, "the site's router", func() string { // without a Cease it never says so
		said, err := r.Vtysh(t.Context(), "show bgp neighbors 169.254.11.1 json")
		if err != nil || !strings.Contains(said, "Cease") {
			return fmt.Sprintf("was not told of the end by a Cease: %s, %v", said, err)
		}
		return ""
	})
	inNamespace(t, s.namespace, func() error {
		route := func() string {
			list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: ipNet(netip.MustParsePrefix("172.16.0.0/16"))}, netlink.RT_FILTER_DST)
			if err != nil || len(list) > 0 {
				return fmt.Sprint(list, err)
			}
			return ""
		}
		eventually(t, "the site's route into the VPC", route)
		return nil
	})
}
