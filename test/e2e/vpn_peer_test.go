package e2e

import (
	"net/netip"
	"testing"
)

// obey makes the site's strongSwan hold what the gateway has written for it.
func (s *site) obey(t *testing.T, connection string) {
	t.Helper()
	conf := s.g.peerConfig(t, connection, "strongswan")
	if err := s.peer.Load(t.Context(), conf); err != nil {
		t.Fatalf("%v in\n%s", err, conf)
	}
}

// TestVPNPeerConfig: what peer-config writes brings the other end up as it is,
// with all pairs of subnets, at a site with a public address and behind a NAT,
// where only the site can begin.
func TestVPNPeerConfig(t *testing.T) {
	for _, where := range []string{"public", "behind a NAT"} {
		if testing.Short() && where != "public" {
			continue
		}
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
			s := n.site(t, "p", "192.168.77.1")
			known := s
			if where != "public" {
				_, known = n.masquerade(t, s)
			}
			n.obeys(t, s, known)
		})
	}
}

// obeys has a site, which the gateway knows otherwise behind a NAT, do what
// peer-config writes.
func (n *network) obeys(t *testing.T, s, known *site) {
	t.Helper()
	hosts := []*host{n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.10")}
	id, _ := n.vpnGateway(t, "10")
	second := netip.MustParseAddr("192.168.78.1")
	s.own(t, second)
	far := []netip.AddrPort{s.open(t, "tcp", "-"), netip.AddrPortFrom(second, s.serve(t, "tcp", second.String()+":0").Port())}
	for _, v := range []struct{ name, version, ike, ipsec string }{
		{"ikev2", "ikev2", ikeModern, ipsecModern},
		{"ikev1 main", "ikev1", `"IkeMode":"main","IkeEncAlg":"aes","IkeAuthAlg":"sha1","IkePfs":"group2"`, `"IpsecEncAlg":"aes","IpsecAuthAlg":"sha1","IpsecPfs":"group2"`},
		{"ikev1 aggressive, with names", "ikev1", `"IkeMode":"aggressive","LocalId":"gateway.example","RemoteId":"branch.example","IkeEncAlg":"aes192","IkeAuthAlg":"sha384","IkePfs":"group5"`, `"IpsecEncAlg":"aes192","IpsecAuthAlg":"sha384","IpsecPfs":"disabled"`},
	} {
		t.Run(v.name, func(t *testing.T) {
			w := tunnel{version: v.version, psk: `0x "quoted" key`, local: "172.16.1.0/24,172.16.2.0/24", remote: "192.168.77.0/24,192.168.78.0/24"}
			c := n.connect(t, id, known, w, v.ike, v.ipsec)
			s.obey(t, c)
			n.status(t, c, "ipsec_sa_established")
			for _, h := range hosts {
				for _, to := range far {
					h.reaches(t, to)
				}
				near := h.serve(t, "tcp", h.addr.String()+":0")
				for _, from := range []netip.Addr{s.lan, second} {
					if seen := s.seenFrom(t, from, "tcp", near); seen.Addr() != from {
						t.Errorf("%s is seen as %s", from, seen)
					}
				}
			}
		})
	}
}
