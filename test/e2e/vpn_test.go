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

// site adds a remote site until the test ends.
func (n *network) site(t *testing.T, name, lan string) *site {
	t.Helper()
	name = strings.TrimPrefix(n.vpc, "vpc-")[:4] + name
	h, err := n.g.InternetAdd(t.Context(), name, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.g.HostRemove(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	s := &site{endpoint: &endpoint{g: n.g, namespace: h.Namespace, addr: h.IP()}, lan: netip.MustParseAddr(lan)}
	inNamespace(t, s.namespace, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(s.lan, 32))})
	})
	s.start(t)
	s.customer = n.call(t, "CreateCustomerGateway", "IpAddress", s.addr.String(), "Name", "site-"+name)["CustomerGatewayId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteCustomerGateway", "CustomerGatewayId", s.customer) })
	return s
}

func (s *site) start(t *testing.T) {
	t.Helper()
	var err error
	if s.peer, err = strongswan.Start(t.Context(), s.namespace, t.TempDir(), s.byLibipsec(t)); err != nil {
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

// vpnGateway makes the network's VPN gateway and returns its id and address.
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
	t.Cleanup(func() { n.try("DeleteVpnConnection", "VpnConnectionId", id); n.settled(t) })
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
// says how many were sent, and how many were lost.
func (e *endpoint) pings(t *testing.T, to netip.AddrPort) func() (sent, lost int) {
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
			_, _, err := exchange(c, fmt.Sprintf("n%d", i), time.Second)
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
		changed := w
		changed.psk = "battery staple"
		s.answer(t, address, changed)
		n.status(t, c, "ipsec_sa_established")
		h.reaches(t, far)
		g.logged(t, c, "pre-shared key")
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
