package e2e

import (
	"net/netip"
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

// branch is a site with a connection to it.
type branch struct {
	*site
	connection string
}

// redundant makes connections to two sites with the same network, and an active
// and a standby route there. more are further parameters of the active one's
// connection.
func (n *network) redundant(t *testing.T, gateway string, address netip.Addr, more ...string) (active, standby branch) {
	t.Helper()
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	add := func(name, weight string, more ...string) branch {
		s := n.site(t, name, "192.168.77.1")
		s.answer(t, address, w)
		c := n.connect(t, gateway, s, w, ikeModern, ipsecModern, append(more, "AutoConfigRoute", "false")...)
		route := []string{"VpnGatewayId", gateway, "RouteDest", w.remote, "NextHop", c, "Weight", weight}
		n.call(t, "CreateVpnRouteEntry", append(route, "PublishVpc", "true")...)
		t.Cleanup(func() { n.call(t, "DeleteVpnRouteEntry", route...); n.settled(t) })
		n.settled(t)
		n.status(t, c, "ipsec_sa_established")
		return branch{s, c}
	}
	// The active one comes last: where charon carries the tunnels itself, the
	// newest of those with the same subnets is used, whatever the weights.
	standby = add("s", "0")
	return add("m", "100", more...), standby
}

// TestVPNFailover: two sites with the same network have an active and a standby
// route. The standby one is used once the other's peer is found dead.
func TestVPNFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "10")
	active, standby := n.redundant(t, id, address)
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
	n.status(t, active.connection, "ike_sa_not_established")
	n.status(t, standby.connection, "ipsec_sa_established")
}
