package e2e

import (
	"net/netip"
	"testing"
)

// TestVPNTwice: two connections to one customer gateway that were created without
// a key, with what peer-config has written for both at the site: both carry,
// though IKE cannot tell them apart but by their subnets.
func TestVPNTwice(t *testing.T) {
	for _, version := range []string{"ikev1", "ikev2"} {
		if testing.Short() && version == "ikev1" {
			continue
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
			h := n.host(t, 0, "172.16.1.10")
			id, _ := n.vpnGateway(t, "10")
			s := n.site(t, "d", "192.168.77.1")
			second := netip.MustParseAddr("192.168.78.1")
			s.own(t, second)
			conf := ""
			var connections []string
			for _, remote := range []string{"192.168.77.0/24", "192.168.78.0/24"} {
				c := n.call(t, "CreateVpnConnection", "VpnGatewayId", id, "CustomerGatewayId", s.customer, "LocalSubnet", "172.16.1.0/24", "RemoteSubnet", remote,
					"EffectImmediately", "true", "IkeConfig", `{"IkeVersion":"`+version+`",`+ikeModern+`}`, "IpsecConfig", "{"+ipsecModern+"}")["VpnConnectionId"].(string)
				t.Cleanup(func() { n.try("DeleteVpnConnection", "VpnConnectionId", c); n.settled(t) })
				n.settled(t)
				connections = append(connections, c)
				conf += n.g.peerConfig(t, c, "strongswan")
			}
			if err := s.peer.Load(t.Context(), conf); err != nil {
				t.Fatalf("%v in\n%s", err, conf)
			}
			for _, c := range connections {
				n.status(t, c, "ipsec_sa_established")
			}
			far := []netip.AddrPort{s.open(t, "tcp", "-"), netip.AddrPortFrom(second, s.serve(t, "tcp", second.String()+":0").Port())}
			for _, to := range far {
				h.reaches(t, to)
			}
		})
	}
}
