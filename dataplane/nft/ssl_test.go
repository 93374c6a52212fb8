package nft

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/networktest"
)

// withSSL is withLinks with an SSL-VPN server whose clients may reach these.
func withSSL(reach ...string) *dataplane.Network {
	n := withLinks()
	n.Elastic = append(n.Elastic, addr("203.0.113.20"))
	s := dataplane.SSLServer{ID: "ssl-t", Protocol: unix.IPPROTO_TCP, Port: 443, Pool: prefix("172.29.0.0/24")}
	for _, p := range reach {
		s.Reach = append(s.Reach, prefix(p))
	}
	n.VPNGateways = []dataplane.VPNGateway{{ID: "vpn-t", Address: addr("203.0.113.20"), SSL: []dataplane.SSLServer{s}}}
	return n
}

func TestSSLGolden(t *testing.T) {
	golden(t, "ssl", mustCompile(t, withSSL("10.0.0.0/24", "10.0.1.0/24", "10.0.1.128/25", "198.51.100.0/24", "255.0.0.0/8")).String())
}

func TestSSLRefuses(t *testing.T) {
	for message, edit := range map[string]func(*dataplane.VPNGateway){
		"overlaps another server's": func(g *dataplane.VPNGateway) { g.SSL = append(g.SSL, g.SSL[0]); g.SSL[1].Port = 1 },
		"two entries for 203.0.113.20 . tcp": func(g *dataplane.VPNGateway) {
			g.SSL = append(g.SSL, g.SSL[0])
			g.SSL[1].Pool = prefix("172.30.0.0/24")
		},
		"protocol 1 must be":                  func(g *dataplane.VPNGateway) { g.SSL[0].Protocol = 1 },
		"the port must be":                    func(g *dataplane.VPNGateway) { g.SSL[0].Port = 0 },
		"is not an IPv4 prefix with room":     func(g *dataplane.VPNGateway) { g.SSL[0].Pool = prefix("172.29.0.0/31") },
		"may reach, is not an IPv4 prefix":    func(g *dataplane.VPNGateway) { g.SSL[0].Reach = []netip.Prefix{prefix("2001:db8::/32")} },
		"203.0.113.99 must be one of the net": func(g *dataplane.VPNGateway) { g.Address = addr("203.0.113.99") },
	} {
		n := withSSL("10.0.0.0/16")
		edit(&n.VPNGateways[0])
		if r, err := RulesetOf(n, nil); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%q: %v, %v", message, err, r)
		}
	}
}

// Random servers are what the kernel holds afterwards, each set of them over the one before.
func TestSSLReadsAsWritten(t *testing.T) {
	table := newTable(t, newNamespace(t))
	rng := rand.New(rand.NewPCG(7, 8))
	outside := networktest.Outside{Bridge: "pub0", Prefix: prefix("203.0.113.0/24"), SSL: true}
	have, elements := mustRead(t, table), 0
	for range 60 {
		n := networktest.Random(rng, "vpc-t", outside, true)
		want, err := RulesetOf(n, nil)
		if err != nil {
			continue // of what random DNAT entries contradict
		}
		mustApply(t, table, have, want)
		have, elements = want, elements+want.Sets[SetReach].Len()
	}
	if elements < 30 {
		t.Errorf("only %d elements of what clients reach", elements)
	}
}

// Clients of an SSL-VPN server reach what it leads to, as themselves, and nothing else.
func TestSSLClients(t *testing.T) {
	l := newLab(t)
	l.elastic[addr("203.0.113.20")] = true
	client := newNamespace(t)
	plug(t, l.gateway, "ssl-t", []string{"172.29.0.1/24"}, client, []string{"172.29.0.2/24", "172.29.0.3/24", "172.30.0.2/24"})
	route(t, client, "", "172.29.0.1", 0)
	must(t, handle(t, l.gateway).AddrAdd(linkOf(t, l.gateway, dataplane.UplinkName), linkAddr(t, "203.0.113.20/32")))
	serve(t, l.a, "10.0.1.10:8080")
	serve(t, l.b, "10.0.2.30:7")
	serve(t, client, "172.29.0.2:7")
	serve(t, client, "172.29.0.3:7")
	serve(t, l.gateway, "203.0.113.20:443")
	serve(t, l.gateway, "203.0.113.20:444")
	serve(t, l.internet, "198.51.100.1:7")

	mustApply(t, l.table, l.current, mustCompile(t, withSSL("10.0.1.0/24", "198.51.100.0/24")))
	wantSeen(t, "a client", seenTCP(t, client, "172.29.0.2", "10.0.1.10:8080"), "172.29.0.2")
	wantSeen(t, "a client, by UDP", seenUDP(t, client, "172.29.0.3", "10.0.1.10:8080"), "172.29.0.3")
	wantSeen(t, "a host that calls a client", seenTCP(t, l.a, "10.0.1.10", "172.29.0.2:7"), "10.0.1.10")
	ping(t, client, "172.29.0.2", "172.29.0.1")

	dropped := func(what, counter string, send func()) {
		t.Helper()
		before := l.count(t, counter)
		send()
		l.countsAbove(t, counter, before)
		wantSeen(t, "after "+what, seenUDP(t, client, "172.29.0.2", "10.0.1.10:8080"), "172.29.0.2")
	}
	from := func(local, remote string) func() {
		return func() { must(t, write(dialUDP(t, client, local, remote))) }
	}
	dropped("a host that it may not reach", CounterUnreached, from("172.29.0.2", "10.0.2.30:7"))
	dropped("the outside", CounterUnreached, from("172.29.0.2", "198.51.100.1:7"))
	dropped("another client, by way of the gateway", CounterUnreached, func() {
		must(t, handle(t, client).RouteAdd(routeOf(t, "172.29.0.77/32", "172.29.0.1", 0)))
		from("172.29.0.2", "172.29.0.77:7")()
	})
	dropped("the gateway's address in a VSwitch", CounterUnreached, func() { sendICMP(t, client, "172.29.0.2", "10.0.1.1", ipv4.ICMPTypeEcho) })
	dropped("a service at its server's address", CounterUnreached, from("172.29.0.2", "172.29.0.1:7"))
	dropped("the server's public address", CounterUnreached, from("172.29.0.2", "203.0.113.20:443"))
	dropped("a source that is not of the pool", CounterSpoofed, from("172.30.0.2", "10.0.1.10:8080"))

	// From the outside the server is reached where it listens, and IKE is not.
	for range 2 {
		seenTCP(t, l.internet, "203.0.113.1", "203.0.113.20:443")
	}
	for _, port := range []string{"444", "500", "4500"} {
		before := l.count(t, CounterUnmatched)
		must(t, write(dialUDP(t, l.internet, "203.0.113.1", "203.0.113.20:"+port)))
		l.countsAbove(t, CounterUnmatched, before)
	}
	before := l.count(t, CounterUnmatched)
	must(t, write(dialUDP(t, l.a, "10.0.1.10", "203.0.113.20:443")))
	l.countsAbove(t, CounterUnmatched, before)

	// Another reach counts from now on.
	mustApply(t, l.table, nil, mustCompile(t, withSSL("10.0.2.0/24")))
	wantSeen(t, "a client", seenTCP(t, client, "172.29.0.2", "10.0.2.30:7"), "172.29.0.2")
	before = l.count(t, CounterUnreached)
	from("172.29.0.2", "10.0.1.10:8080")()
	l.countsAbove(t, CounterUnreached, before)
}

func linkOf(t testing.TB, ns netns.NsHandle, name string) netlink.Link {
	t.Helper()
	k, err := handle(t, ns).LinkByName(name)
	must(t, err)
	return k
}
