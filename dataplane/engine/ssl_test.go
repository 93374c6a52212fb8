package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// withSSL gives a network a VPN gateway for SSL-VPN alone.
func withSSL(n *dataplane.Network, id, pool string, reach ...string) *dataplane.Network {
	at := netip.MustParseAddr("203.0.113.20")
	with := *n
	with.Revision++
	with.Elastic = append(slices.Clone(n.Elastic), at)
	s := dataplane.SSLServer{ID: id, Protocol: unix.IPPROTO_TCP, Port: 443, Pool: netip.MustParsePrefix(pool), Clients: 5, Cipher: dataplane.SSLAES128}
	for _, p := range reach {
		s.Reach = append(s.Reach, netip.MustParsePrefix(p))
	}
	with.VPNGateways = []dataplane.VPNGateway{{ID: "vpn-s", Address: at, Bandwidth: 50, SSL: []dataplane.SSLServer{s}}}
	return &with
}

// sslEngine starts an engine on a machine that has no charon, with the clients of servers.
func (s *site) sslEngine(t *testing.T, clients map[string]*netns.Namespace) *Engine {
	t.Helper()
	e := s.engine(t)
	if charons := e.vpn.ipsec; charons != nil {
		t.Cleanup(charons.Close)
	}
	e.vpn.ipsec, e.vpn.why, e.vpn.ssl = nil, errors.New("no charon"), &pipes{t: t, clients: clients}
	return e
}

// sslClient returns a host whose only way is a tunnel.
func sslClient(t *testing.T, address string) *netns.Namespace {
	t.Helper()
	ns := nstest.New(t)
	nstest.Command(t, ns, "ip", "tuntap", "add", "tun0", "mode", "tun")
	nstest.Command(t, ns, "ip", "link", "set", "tun0", "mtu", fmt.Sprint(1440))
	nstest.Up(t, ns, "lo")
	nstest.Address(t, ns, "tun0", address)
	nstest.Up(t, ns, "tun0")
	nstest.Command(t, ns, "ip", "route", "add", "default", "dev", "tun0")
	return ns
}

// sees waits until a host is seen by another as itself.
func sees(t *testing.T, from *netns.Namespace, network, to, as string) {
	t.Helper()
	nstest.Eventually(t, func() error {
		seen, err := nstest.Seen(from, network, to)
		if err == nil && seen != as {
			t.Fatalf("%s by %s is seen as %s, not %s", to, network, seen, as)
		}
		return err
	})
}

// unreached sends a packet, and waits until one more is counted that was not for its sender.
func unreached(t *testing.T, e *Engine, id string, from *netns.Namespace, to string) {
	t.Helper()
	count := func() uint64 {
		counters, err := e.networks[id].table.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// To where the VPN gateway itself is no route leads back to a client.
		return counters["unreached"].Packets + counters["spoofed"].Packets
	}
	before := count()
	c := nstest.MustDial(t, from, "udp4", to)
	nstest.Eventually(t, func() error {
		if err := say(c, []byte("?")); err == nil {
			t.Fatalf("%s answers", to)
		}
		if count() == before {
			return fmt.Errorf("what is for %s is not counted", to)
		}
		return nil
	})
}

// An SSL-VPN server's clients are hosts of the network: with what its gateway has, which
// somebody breaks; with another engine; with another reach. No charon is needed.
func TestSSLClients(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	onAndOff(t, func(t *testing.T, shortcut bool) {
		s := newSite(t)
		n := s.network(t)
		n.Shortcut, n.SourceCheck, n.PortSecurity = shortcut, true, true
		client := sslClient(t, "172.29.0.2/24")
		clients := map[string]*netns.Namespace{"ssl-t": client}
		e := s.sslEngine(t, clients)
		mustApply(t, e, n)
		ns := inNetwork(t, n.ID)
		a := nstest.Host(t, ns.Name(), "vsw-a", "10.0.1.5/24", "10.0.1.253")
		b := nstest.Host(t, ns.Name(), "vsw-b", "10.0.2.5/24", "10.0.2.253")
		plain := dump(t, n.ID)
		with := withSSL(n, "ssl-t", "172.29.0.0/24", "10.0.1.0/24", "198.51.100.0/24")
		mustApply(t, e, with)

		for _, h := range []*netns.Namespace{a, b, client} {
			nstest.Listen(t, h, 7)
			nstest.Echo(t, h, 9)
		}
		nstest.Address(t, s.public, "lo", "198.51.100.1/32")
		nstest.Listen(t, s.public, 7)
		leaked := privateSources(t, s.public, "pub0")
		check := func() {
			t.Helper()
			for _, network := range []string{"tcp4", "udp4"} {
				sees(t, client, network, "10.0.1.5:7", "172.29.0.2")
				sees(t, a, network, "172.29.0.2:7", "10.0.1.5")
			}
		}
		check()
		nstest.Stream(t, client, "10.0.1.5:9", 1<<20)
		nstest.Stream(t, a, "172.29.0.2:9", 1<<20)
		nstest.Ping(t, client, "172.29.0.1", 1, 1400)
		nstest.Ping(t, client, "10.0.1.5", 1, 1400, 3000)
		for _, to := range []string{"10.0.2.5:7", "198.51.100.1:7", "203.0.113.20:443", "203.0.113.11:80", "10.0.1.253:7", "172.29.0.9:7"} {
			unreached(t, e, n.ID, client, to)
		}
		check()
		if text := nstest.Command(t, ns, "tc", "filter", "show", "dev", "ssl-t", "ingress"); !strings.Contains(text, "Redirect to device vpn-in)") {
			t.Errorf("the gateway's bandwidth does not hold for clients: %s", text)
		}

		complete := dump(t, n.ID)
		t.Run("damages", func(t *testing.T) {
			reconcile(t, e, with) // until they are over
			for _, damage := range []string{
				"ip link del ssl-t", "ip addr flush dev ssl-t", "ip link set ssl-t down", "ip link set ssl-t mtu 1300",
				"ip route del 172.29.0.0/24 dev ssl-t", "ip route del unreachable 172.29.0.0/24 metric 4278198272", "ip link set ssl-t alias other",
				"ip rule del pref 1095 iif ssl-t", "nft flush set ip sluice reach", "nft flush set ip sluice ssl", "tc qdisc del dev ssl-t clsact", "ip link del vpn-in",
			} {
				words := strings.Fields(damage)
				nstest.Command(t, ns, words[0], words[1:]...)
				nstest.Eventually(t, func() error {
					if diff := cmp.Diff(withoutLastRules(complete), withoutLastRules(dump(t, n.ID))); diff != "" {
						return fmt.Errorf("%s (-want +got):\n%s", damage, diff)
					}
					return nil
				})
				check()
				unreached(t, e, n.ID, client, "10.0.2.5:7")
			}
		})

		// Another engine adopts it.
		old := e.vpn.ssl.(*pipes)
		e.vpn.ssl = nil
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = s.sslEngine(t, clients)
		e.vpn.ssl = old
		if o := mustApply(t, e, with); o.Changes != 0 {
			t.Errorf("%d changes by another engine:\n%s", o.Changes, s.log)
		}
		check()

		// Another reach ends what is not in it.
		conn := nstest.MustDial(t, client, "tcp4", "10.0.1.5:7")
		if _, err := nstest.AskWithin(conn, nstest.Deadline); err != nil {
			t.Fatal(err)
		}
		other := withSSL(n, "ssl-t", "172.29.0.0/24", "10.0.2.0/24")
		other.Revision += 2
		mustApply(t, e, other)
		for _, k := range connections(t, ns, unix.IPPROTO_TCP) {
			if k.TupleOrig.IP.SourceAddress.String() == "172.29.0.2" && k.TupleOrig.IP.DestinationAddress.String() == "10.0.1.5" && k.Mark == 0 {
				t.Errorf("goes on although it is not in reach: %v", k.TupleOrig)
			}
		}
		sees(t, client, "tcp4", "10.0.2.5:7", "172.29.0.2")
		unreached(t, e, n.ID, client, "10.0.1.5:7")

		// It goes.
		without := *n
		without.Revision = other.Revision + 1
		mustApply(t, e, &without)
		if diff := cmp.Diff(plain, dump(t, n.ID)); diff != "" {
			t.Errorf("left (-before +after):\n%s", diff)
		}
		mustApply(t, e, with)
		check()
		if n := leaked(); n > 0 {
			t.Errorf("%d packets left with a private source", n)
		}
	})
}

// While nobody runs OpenVPN, and when the link is gone, what is for clients goes nowhere.
func TestSSLPoolIsHeld(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	n.SNAT = append(slices.Clone(n.SNAT), dataplane.SNAT{Source: netip.MustParsePrefix("10.0.2.0/24"), Pool: n.Elastic[:1]})
	e := s.sslEngine(t, nil)
	mustApply(t, e, withSSL(n, "ssl-t", "172.29.0.0/24", "10.0.1.0/24"))
	ns := inNetwork(t, n.ID)
	seen := 0
	a := nstest.Host(t, ns.Name(), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	nstest.Listen(t, s.public, 7)
	nstest.Address(t, s.public, "lo", "172.29.0.2/32")
	for _, state := range []string{"up", "gone"} {
		if state == "gone" {
			nstest.Command(t, ns, "ip", "link", "del", "ssl-t")
		}
		if at, err := nstest.Seen(a, "udp4", "172.29.0.2:7"); err == nil {
			t.Errorf("link %s: what is for a client goes outside, from %s", state, at)
			seen++
		}
	}
	sees(t, a, "udp4", "203.0.113.1:7", "203.0.113.10") // the outside is there
}

// Without anything that runs them, SSL-VPN servers are an error; the rest is there.
func TestSSLWithoutOpenVPN(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.sslEngine(t, nil)
	e.vpn.ssl, e.vpn.noSSL = nil, errors.New("no OpenVPN")
	_, err := e.Apply(t.Context(), withSSL(n, "ssl-t", "172.29.0.0/24", "10.0.1.0/24"))
	if err == nil || !strings.Contains(err.Error(), "SSL-VPN server ssl-t: no OpenVPN") {
		t.Errorf("error %v", err)
	}
	if err := e.SSLAvailable(); err == nil {
		t.Error("SSL-VPN servers are available")
	}
	nstest.Listen(t, s.public, 7)
	a := nstest.Host(t, inNetwork(t, n.ID).Name(), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	sees(t, a, "udp4", "203.0.113.1:7", "203.0.113.10")
}

// Overlapping networks with overlapping pools know nothing of each other.
func TestSSLOverlap(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	clients := map[string]*netns.Namespace{"ssl-0": sslClient(t, "172.29.0.2/24"), "ssl-1": sslClient(t, "172.29.0.2/24")}
	e := s.sslEngine(t, clients)
	for i := range 2 {
		n := s.network(t)
		id := fmt.Sprintf("ssl-%d", i)
		with := withSSL(n, id, "172.29.0.0/24", "10.0.1.0/24")
		if i == 1 { // the public side is one
			second := map[string]string{"203.0.113.10": "203.0.113.110", "203.0.113.11": "203.0.113.111", "203.0.113.20": "203.0.113.120"}
			for k := range with.Elastic {
				with.Elastic[k] = netip.MustParseAddr(second[with.Elastic[k].String()])
			}
			with.DNAT = with.DNAT.Without(with.DNAT.Slice()...)
			with.SNAT, with.NATGateways = nil, nil
			with.VPNGateways[0].Address = with.Elastic[2]
		}
		mustApply(t, e, with)
		a := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", fmt.Sprintf("10.0.1.%d/24", 5+i), "10.0.1.253")
		nstest.Listen(t, a, 7)
		sees(t, clients[id], "tcp4", fmt.Sprintf("10.0.1.%d:7", 5+i), "172.29.0.2")
		if _, err := nstest.Seen(clients[id], "tcp4", fmt.Sprintf("10.0.1.%d:7", 6-i)); err == nil {
			t.Errorf("a client of %s reaches the other network's host", id)
		}
	}
}
