package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/test/libreswan"
)

// libreswanSite is a remote site that runs libreswan, with a host behind it.
type libreswanSite struct {
	*site
	vpc    string
	behind *endpoint
	pluto  *libreswan.Peer
}

// libreswanSite adds one until the test ends, behind a router that masquerades if
// nat says so; its libreswan does not run yet. It skips the test where that could
// not. It returns the site as the gateway knows it, too.
func (n *network) libreswanSite(t *testing.T, nat bool) (s *libreswanSite, known *site) {
	t.Helper()
	if err := libreswan.Missing(); err != nil {
		t.Skip(err)
	}
	s = &libreswanSite{site: n.place(t, "w", "192.168.77.1"), vpc: n.vpc}
	if s.byLibipsec(t) {
		t.Skip("libreswan leaves ESP to the kernel, and this one has none")
	}
	if nat {
		_, known = n.masquerade(t, s.site)
		s.behind = n.behind(t, s.site)
		return s, known
	}
	s.behind = n.behind(t, s.site)
	// The kernel asks the policies about packets that have a route, so a site needs
	// one to the VPC, such as a default route. This one leaks nothing to the Internet
	// when the tunnel is gone.
	inNamespace(t, s.namespace, func() error { return netlink.RouteAdd(&netlink.Route{Gw: s.behind.addr.AsSlice()}) })
	return s, s.site
}

// obey starts libreswan with the files that the gateway has written for it.
func (s *libreswanSite) obey(t *testing.T, connection string) {
	t.Helper()
	s.load(t, s.g.peerConfig(t, connection, "libreswan"))
}

// load starts libreswan with files, as libreswan.Start takes them.
func (s *libreswanSite) load(t *testing.T, conf string) {
	t.Helper()
	p, err := libreswan.Start(t.Context(), s.namespace, t.TempDir(), conf)
	if err != nil {
		t.Fatalf("%v in\n%s", err, conf)
	}
	s.pluto = p
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("libreswan with\n%slogged\n%s", conf, p.Log())
			ours, _ := os.ReadFile(filepath.Join(s.g.RunDir(), "vpn", s.vpc, "charon.log"))
			t.Logf("the gateway's charon logged\n%s", ours)
		}
	})
}

// spis returns the SPIs of the ESP SAs that the site's kernel has, each with the
// address that it is to.
func (s *libreswanSite) spis(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	inNamespace(t, s.namespace, func() error {
		list, err := netlink.XfrmStateList(unix.AF_INET)
		for _, x := range list {
			found[fmt.Sprintf("%#x to %s", x.Spi, x.Dst)] = true
		}
		return err
	})
	return found
}

// TestVPNLibreswan: a site that runs libreswan with what peer-config has written
// for it, and nothing else, has a tunnel, renews it, and loses it: with a public
// address, and behind a NAT.
func TestVPNLibreswan(t *testing.T) {
	for _, where := range []string{"public", "behind a NAT"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			libreswanObeys(t, where != "public")
		})
	}
}

func libreswanObeys(t *testing.T, nat bool) {
	t.Helper()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	s, known := n.libreswanSite(t, nat)
	hosts := []*host{n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.10")}
	id, _ := n.vpnGateway(t, "10")
	far := []netip.AddrPort{s.open(t, "tcp", "-"), s.behind.listen(t, "tcp")}
	for _, v := range []struct{ name, version, ike, ipsec, rekey string }{
		{"ikev2", "ikev2", ikeModern, ipsecModern, "--rekey-ipsec"},
		// libreswan has no group 2 any more, which goes with these by default.
		{"ikev1 main", "ikev1", `"IkeMode":"main","IkeEncAlg":"aes","IkeAuthAlg":"sha1","IkePfs":"group5"`, `"IpsecEncAlg":"aes","IpsecAuthAlg":"sha1","IpsecPfs":"group5"`, "--initiate"},
	} {
		t.Run(v.name, func(t *testing.T) {
			w := tunnel{version: v.version, psk: `0x "quoted" key`, local: "172.16.1.0/24,172.16.2.0/24", remote: "192.168.77.0/24,192.168.78.0/24"}
			c := n.connect(t, id, known, w, v.ike, v.ipsec)
			s.obey(t, c)
			n.status(t, c, "ipsec_sa_established")
			all := func() {
				t.Helper()
				for _, h := range hosts {
					for _, to := range far {
						h.reaches(t, to)
					}
				}
			}
			all()
			near := hosts[0].serve(t, "tcp", hosts[0].addr.String()+":0")
			if seen := s.behind.seenAs(t, "tcp", near); seen.Addr() != s.behind.addr {
				t.Errorf("the host behind libreswan is seen as %s", seen)
			}
			s.renew(t, c, v.rekey)
			all()
			n.call(t, "DeleteVpnConnection", "VpnConnectionId", c)
			n.settled(t)
			eventually(t, "libreswan's SAs", func() string {
				if left := s.spis(t); len(left) > 0 {
					return fmt.Sprint("are still there: ", left)
				}
				return ""
			})
			if err := s.pluto.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// renew has libreswan begin a rekeying, by the command that IKE's version has for
// it, and waits until it has other SAs.
func (s *libreswanSite) renew(t *testing.T, connection, command string) {
	t.Helper()
	before := s.spis(t)
	if out, err := s.pluto.Whack(t.Context(), command, "--asynchronous", "--name", connection+"/1x1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "rekeying", func() string {
		now := s.spis(t)
		maps.DeleteFunc(now, func(spi string, _ bool) bool { return before[spi] })
		if len(now) < 2 { // one in each direction
			return fmt.Sprintf("of libreswan's SAs, %d are new", len(now))
		}
		return ""
	})
}
