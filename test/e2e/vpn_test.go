package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/test/strongswan"
)

// site is a remote site: a machine on the Internet with a network of its own
// behind it, and plain strongSwan.
type site struct {
	*endpoint
	lan      netip.Addr // an address of its network
	peer     *strongswan.Peer
	customer string // customer gateway id
}

// byLibipsec reports whether tunnels here are charon's own work, since the kernel
// has no ESP: it has no XFRM interfaces then.
func (e *endpoint) byLibipsec(t *testing.T) bool {
	t.Helper()
	without := false
	inNamespace(t, e.namespace, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "try"
		probe := &netlink.Xfrmi{LinkAttrs: attrs, Ifid: 1}
		if err := netlink.LinkAdd(probe); err != nil {
			without = true
			return nil
		}
		return netlink.LinkDel(probe)
	})
	return without
}

// site adds a remote site that runs strongSwan, until the test ends.
func (n *network) site(t *testing.T, name, lan string) *site {
	t.Helper()
	s := n.place(t, name, lan)
	s.start(t)
	return s
}

// place adds a remote site, without a program that speaks IKE, until the test
// ends; more are further parameters of its customer gateway.
func (n *network) place(t *testing.T, name, lan string, more ...string) *site {
	t.Helper()
	s := &site{endpoint: n.machine(t, name), lan: netip.MustParseAddr(lan)}
	s.own(t, s.lan)
	params := append([]string{"IpAddress", s.addr.String(), "Name", "site-" + n.short(name)}, more...)
	s.customer = n.call(t, "CreateCustomerGateway", params...)["CustomerGatewayId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteCustomerGateway", "CustomerGatewayId", s.customer) })
	return s
}

// own gives the site an address of a network behind it.
func (s *site) own(t *testing.T, a netip.Addr) {
	t.Helper()
	inNamespace(t, s.namespace, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))})
	})
}

// narrow returns an address that the site leads on to over a link of narrowMTU.
func (s *site) narrow(t *testing.T) netip.Addr {
	t.Helper()
	a := netip.MustParseAddr("192.168.77.9")
	inNamespace(t, s.namespace, func() error {
		if err := writeSysctl("net/ipv4/ip_forward", "1"); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = "narrow", narrowMTU
		link := &netlink.Veth{LinkAttrs: attrs, PeerName: "beyond"}
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.PrefixFrom(a, 32)), LinkIndex: link.Attrs().Index})
	})
	return a
}

func (s *site) start(t *testing.T) { s.startBy(t, strongswan.Start) }

// startBy starts the site's strongSwan by one of that package's functions.
func (s *site) startBy(t *testing.T, start func(ctx context.Context, namespace, dir string, libipsec bool) (*strongswan.Peer, error)) {
	t.Helper()
	var err error
	if s.peer, err = start(t.Context(), s.namespace, t.TempDir(), s.byLibipsec(t)); err != nil {
		t.Fatal(err)
	}
	peer := s.peer
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("charon at %s:\n%s", s.addr, peer.Log())
		}
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
	})
}

// behind adds a host behind a site, 192.168.78.10 of 192.168.78.0/24, until the
// test ends.
func (n *network) behind(t *testing.T, s *site) *endpoint {
	t.Helper()
	h := n.machine(t, "b")
	h.addr = netip.MustParseAddr("192.168.78.10")
	router := netip.MustParsePrefix("192.168.78.1/24")
	h.unplug(t)
	cable(t, plug{s.namespace, "inside", router}, plug{h.namespace, "private", netip.PrefixFrom(h.addr, router.Bits())})
	inNamespace(t, h.namespace, func() error { return netlink.RouteAdd(&netlink.Route{Gw: router.Addr().AsSlice()}) })
	inNamespace(t, s.namespace, func() error { return writeSysctl("net/ipv4/ip_forward", "1") })
	return h
}

// peerConfig returns what the gateway has written for the other end of a
// connection.
func (g *gateway) peerConfig(t *testing.T, connection, format string) string {
	t.Helper()
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conf, err := c.PeerConfig(t.Context(), connection, format)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// tunnel is what both ends of a connection have in common.
type tunnel struct {
	version       string // ikev1, ikev2
	ike, esp      string // proposals in strongSwan's words
	psk           string
	local, remote string // subnets, as seen from the VPC
	start         bool   // the site begins
	id            string // the site's identity; empty: its address
}

// answer makes the site's strongSwan hold the other end of a tunnel.
func (s *site) answer(t *testing.T, gateway netip.Addr, w tunnel) {
	t.Helper()
	action := "none"
	if w.start {
		action = "start"
	}
	id := w.id
	if id == "" {
		id = s.addr.String()
	}
	conf := fmt.Sprintf(`connections { site {
  version = %s
  local_addrs = %s
  remote_addrs = %s
  proposals = %s
  encap = yes
  local { auth = psk
    id = %s }
  remote { auth = psk
    id = %[3]s }
  children { lan {
    local_ts = %[6]s
    remote_ts = %[7]s
    esp_proposals = %[8]s
    start_action = %[9]s } }
} }
secrets { ike { id-1 = %[5]s
  id-2 = %[3]s
  secret = "%[10]s" } }
`, strings.TrimPrefix(w.version, "ikev"), s.addr, gateway, w.ike, id, w.remote, w.local, w.esp, action, w.psk)
	if err := s.peer.Load(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
}

// vpnGateway makes the network's VPN gateway and returns its id and address. From
// then on nothing private may leave the network in clear, or the test fails.
func (n *network) vpnGateway(t *testing.T, bandwidth string) (id string, address netip.Addr) {
	t.Helper()
	id = n.call(t, "CreateVpnGateway", "VpcId", n.vpc, "Bandwidth", bandwidth)["VpnGatewayId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteVpnGateway", "VpnGatewayId", id); n.settled(t) })
	n.settled(t)
	var got aliyun.DescribeVpnGatewayResponse
	n.into(t, &got, "DescribeVpnGateway", "VpnGatewayId", id)
	if got.Status != "active" {
		t.Errorf("VPN gateway %s is %s", id, got.Status)
	}
	n.watchUplink(t)
	return id, netip.MustParseAddr(got.InternetIp)
}

// connect makes a connection until the test ends; more are further parameters.
func (n *network) connect(t *testing.T, gateway string, s *site, w tunnel, ike, ipsec string, more ...string) string {
	t.Helper()
	id := n.call(t, "CreateVpnConnection", append([]string{
		"VpnGatewayId", gateway, "CustomerGatewayId", s.customer, "LocalSubnet", w.local, "RemoteSubnet", w.remote,
		"EffectImmediately", "true",
		"IkeConfig", fmt.Sprintf(`{"Psk":%q,"IkeVersion":%q,%s}`, w.psk, w.version, ike), "IpsecConfig", "{" + ipsec + "}",
	}, more...)...)["VpnConnectionId"].(string)
	t.Cleanup(func() {
		if n.unwatch != nil {
			n.unwatch()
		}
		n.try("DeleteVpnConnection", "VpnConnectionId", id)
		n.settled(t)
	})
	n.settled(t)
	return id
}

// status waits for a connection to have a status.
func (n *network) status(t *testing.T, connection, want string) {
	t.Helper()
	eventually(t, "connection "+connection, func() string {
		var got aliyun.DescribeVpnConnectionResponse
		n.into(t, &got, "DescribeVpnConnection", "VpnConnectionId", connection)
		if got.Status == want {
			return ""
		}
		return "its status is " + got.Status + ", not " + want
	})
}

// open serves at an address of the site's network.
func (s *site) open(t *testing.T, proto, name string) netip.AddrPort {
	t.Helper()
	return netip.AddrPortFrom(s.lan, s.serveAs(t, proto, s.lan.String()+":0", name).Port())
}

const (
	ikeModern   = `"IkeEncAlg":"aes256","IkeAuthAlg":"sha256","IkePfs":"group14","IkeLifetime":86400`
	ipsecModern = `"IpsecEncAlg":"aes256","IpsecAuthAlg":"sha256","IpsecPfs":"group14","IpsecLifetime":86400`
)

func modern(local, remote string) tunnel {
	return tunnel{version: "ikev2", ike: "aes256-sha256-modp2048", esp: "aes256-sha256-modp2048", psk: "correct horse", local: local, remote: remote}
}

// reaches waits for a service of the site to answer a host, which it sees as it is.
func (h *host) reaches(t *testing.T, to netip.AddrPort) {
	t.Helper()
	eventually(t, "a way from "+h.addr.String()+" to "+to.String(), func() string {
		seen, err := h.trySeenAs("tcp", to, time.Second)
		switch {
		case err != nil:
			return err.Error()
		case seen.Addr() != h.addr:
			return "it is seen as " + seen.String()
		}
		return ""
	})
}

// pings keeps sending to an address until the returned function is called, which
// says how many were sent, and how many were lost: on a busy machine an answer may be late.
func (e *endpoint) pings(t *testing.T, to netip.AddrPort) func() (sent, lost int) {
	return e.pingsWithin(t, to, answerTimeout)
}

// pingsWithin is pings that waits so long for an answer before it sends the next.
func (e *endpoint) pingsWithin(t *testing.T, to netip.AddrPort, limit time.Duration) func() (sent, lost int) {
	t.Helper()
	c, err := e.dial("udp", netip.Addr{}, to, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sent, lost int
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			_, _, err := exchange(c, fmt.Sprintf("n%d", i), limit)
			mu.Lock()
			sent++
			if err != nil {
				lost++
			}
			mu.Unlock()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (int, int) {
		close(stop)
		<-done
		return sent, lost
	}
}

// TestVPN: a host of the VPC and a remote site behind plain strongSwan reach each
// other, through changes and crashes.
func TestVPN(t *testing.T) {
	t.Parallel()
	g := gateways[0].another(t, "vpn", "")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "100")
	s := n.site(t, "a", "192.168.77.1")
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern)
	n.status(t, c, "ipsec_sa_established")
	far := s.open(t, "tcp", "-")
	h.reaches(t, far)

	// What was negotiated, as the other end says.
	if out, err := s.peer.Swanctl(t.Context(), "--list-sas"); err != nil || !strings.Contains(out, "AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048") {
		t.Errorf("%v: %s", err, out)
	}
	// The other way, from an address of the site.
	near := h.serve(t, "tcp", h.addr.String()+":0")
	if seen := s.seenFrom(t, s.lan, "tcp", near); seen.Addr() != s.lan {
		t.Errorf("the site is seen as %s", seen)
	}
	if code := n.refused(t, "DeleteCustomerGateway", "CustomerGatewayId", s.customer); code == "" {
		t.Error("a customer gateway in use was deleted")
	}

	t.Run("the daemon is killed", func(t *testing.T) {
		end := h.pings(t, s.open(t, "udp", "-"))
		g.killDaemon(t)
		h.reaches(t, far)
		g.startDaemon(t)
		n.status(t, c, "ipsec_sa_established")
		if sent, lost := end(); lost != 0 || sent < 10 {
			t.Errorf("%d of %d packets were lost", lost, sent)
		}
	})
	t.Run("charon is killed", func(t *testing.T) {
		if err := killCharon(filepath.Join(g.RunDir(), "vpn", n.vpc)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		n.status(t, c, "ipsec_sa_established")
		h.reaches(t, far)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the tunnel was back after %s", took)
		}
	})
	t.Run("another key", func(t *testing.T) {
		n.call(t, "ModifyVpnConnectionAttribute", "VpnConnectionId", c, "EffectImmediately", "true", "IkeConfig", `{"Psk":"battery staple"}`)
		n.settled(t)
		n.status(t, c, "ike_sa_not_established")
		g.logged(t, c, "pre-shared key") // of the first try, while the site still has the old one
		changed := w
		changed.psk = "battery staple"
		s.answer(t, address, changed)
		n.status(t, c, "ipsec_sa_established")
		h.reaches(t, far)
	})
	t.Run("other subnets", func(t *testing.T) {
		end := h.pingsWithin(t, s.open(t, "udp", "-"), time.Second)
		more := netip.MustParseAddr("192.168.78.1")
		s.own(t, more)
		// The site comes first: else it agrees to the subnets that it knows (RFC 7296,
		// section 2.9).
		changed := w
		changed.psk, changed.remote = "battery staple", w.remote+", 192.168.78.0/24"
		s.answer(t, address, changed)
		n.call(t, "ModifyVpnConnectionAttribute", "VpnConnectionId", c, "EffectImmediately", "true", "RemoteSubnet", w.remote+",192.168.78.0/24")
		n.settled(t)
		n.status(t, c, "ipsec_sa_established")
		h.reaches(t, netip.AddrPortFrom(more, s.serve(t, "tcp", more.String()+":0").Port()))
		h.reaches(t, far)
		sent, lost := end()
		t.Logf("%d of %d packets were lost", lost, sent)
		if sent == lost {
			t.Error("none came through")
		}
	})
	t.Run("path MTU", func(t *testing.T) {
		if mtu := h.pathMTU(t, s.open(t, "udp", "-"), linkMTU); mtu != dataplane.VPNMTU {
			t.Errorf("the host learned a path MTU of %d, not %d", mtu, dataplane.VPNMTU)
		}
		// What the tunnel takes passes whole, as its answer does.
		conn, err := h.dial("udp", h.addr, s.open(t, "udp", "-"), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, _, err := exchange(conn, strings.Repeat("x", dataplane.VPNMTU-28), 5*time.Second); err != nil {
			t.Errorf("a datagram of the tunnel's MTU: %v", err)
		}
		// An error from behind the site comes back through the tunnel.
		if mtu := h.pathMTU(t, netip.AddrPortFrom(s.narrow(t), 53), dataplane.VPNMTU); mtu != narrowMTU {
			t.Errorf("the host learned a path MTU of %d, not %d", mtu, narrowMTU)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		n.call(t, "DeleteVpnConnection", "VpnConnectionId", c)
		n.settled(t)
		eventually(t, "the other end", func() string {
			out, err := s.peer.Swanctl(context.Background(), "--list-sas")
			if err != nil || out != "" {
				return fmt.Sprint(err, out)
			}
			return ""
		})
		if err := h.tryEcho("tcp", far, time.Second); err == nil {
			t.Error("the site can still be reached")
		}
	})
}

// killCharon ends the charon whose process id is in a directory.
func killCharon(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "charon.pid"))
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		return err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// TestVPNsApart: two VPCs with the same blocks have tunnels to two sites with the
// same blocks.
func TestVPNsApart(t *testing.T) {
	t.Parallel()
	g := gateways[0]
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	var hosts []*host
	var sites []*site
	for i := range 2 {
		n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
		hosts = append(hosts, n.host(t, 0, "172.16.1.10"))
		id, address := n.vpnGateway(t, "10")
		s := n.site(t, fmt.Sprint("x", i), "192.168.77.1")
		s.answer(t, address, w)
		n.status(t, n.connect(t, id, s, w, ikeModern, ipsecModern), "ipsec_sa_established")
		sites = append(sites, s)
	}
	for i, s := range sites {
		at := s.open(t, "tcp", fmt.Sprint("site", i))
		hosts[i].reaches(t, at)
		if got := hosts[i].ask(t, "tcp", at); got != fmt.Sprint("site", i) {
			t.Errorf("host %d reached %s", i, got)
		}
	}
}

// TestVPNLegacy: IKEv1 with the oldest algorithms that strongSwan still has; the
// site begins.
func TestVPNLegacy(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "10")
	s := n.site(t, "l", "192.168.77.1")
	w := tunnel{version: "ikev1", ike: "3des-md5-modp1024", esp: "3des-md5-modp1024", psk: "old", local: "172.16.1.0/24", remote: "192.168.77.0/24"}
	c := n.connect(t, id, s, w, `"IkeMode":"main","IkeEncAlg":"3des","IkeAuthAlg":"MD5","IkePfs":"group2"`, `"IpsecEncAlg":"3des","IpsecAuthAlg":"md5","IpsecPfs":"group2"`)
	n.status(t, c, "ike_sa_not_established")
	w.start = true
	s.answer(t, address, w)
	n.status(t, c, "ipsec_sa_established")
	h.reaches(t, s.open(t, "tcp", "-"))
}
