package e2e

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/test/lab"
)

// vanish ends the site's charon without a word and takes its link down.
func (s *site) vanish(t *testing.T) {
	t.Helper()
	if err := s.peer.Kill(); err != nil {
		t.Fatal(err)
	}
	inNamespace(t, s.namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
}

// TestVPNFailover: two sites with the same network have an active and a standby
// route. The standby one is used once the other's peer is found dead.
func TestVPNFailover(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "10")
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	var sites []*site
	var connections []string
	// The active one comes last: where charon carries the tunnels itself, the
	// newest of those with the same subnets is used, whatever the weights.
	for _, v := range []struct{ name, weight string }{{"s", "0"}, {"m", "100"}} {
		s := n.site(t, v.name, "192.168.77.1")
		s.answer(t, address, w)
		c := n.connect(t, id, s, w, ikeModern, ipsecModern, "AutoConfigRoute", "false")
		route := []string{"VpnGatewayId", id, "RouteDest", w.remote, "NextHop", c, "Weight", v.weight}
		n.call(t, "CreateVpnRouteEntry", append(route, "PublishVpc", "true")...)
		t.Cleanup(func() { n.call(t, "DeleteVpnRouteEntry", route...); n.settled(t) })
		n.settled(t)
		n.status(t, c, "ipsec_sa_established")
		sites, connections = append(sites, s), append(connections, c)
	}
	standby, active := sites[0], sites[1]
	at := standby.open(t, "udp", "standby")
	active.serveAs(t, "udp", at.String(), "active")

	// answers waits until a site answers the host.
	answers := func(want string, within time.Duration) {
		t.Helper()
		began := time.Now()
		for {
			_, name, err := h.once("udp", h.addr, at, time.Second/4)
			if name == want {
				t.Logf("%s answered after %s", want, time.Since(began))
				return
			}
			if time.Since(began) > within {
				t.Fatalf("after %s, %q answers: %v", within, name, err)
			}
			time.Sleep(10 * time.Millisecond) // between probes
		}
	}
	answers("active", 15*time.Second)
	active.vanish(t)
	answers("standby", 90*time.Second)
	n.status(t, connections[1], "ike_sa_not_established")
	n.status(t, connections[0], "ipsec_sa_established")
}
