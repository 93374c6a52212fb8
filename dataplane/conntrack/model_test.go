package conntrack

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/networktest"
	"sluice/dataplane/route"
	"sluice/dataplane/sorted"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// network has two VSwitches, a host with an elastic IP of its own, an SNAT entry
// for one of them, DNAT entries, and a default route by the uplink.
func network() *dataplane.Network {
	prefix := netip.MustParsePrefix
	return &dataplane.Network{
		Switches: []dataplane.Switch{
			{ID: "vsw-a", Prefix: prefix("10.0.1.0/24"), Gateway: ip("10.0.1.253")},
			{ID: "vsw-b", Prefix: prefix("10.0.2.0/24"), Gateway: ip("10.0.2.253")},
			{ID: "vsw-c", Prefix: prefix("10.0.3.0/24"), Gateway: ip("10.0.3.253")},
		},
		Uplink:   &dataplane.Uplink{Prefix: prefix("203.0.113.0/24"), Gateway: ip("203.0.113.254")},
		Routes:   []dataplane.Route{{Destination: prefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}},
		Elastic:  []netip.Addr{ip("203.0.113.1"), ip("203.0.113.2"), ip("203.0.113.3"), ip("203.0.113.4"), ip("203.0.113.9")},
		Mappings: []dataplane.Mapping{{External: ip("203.0.113.4"), Internal: ip("10.0.2.4")}},
		DNAT: sorted.Of(
			dataplane.DNAT{External: ip("203.0.113.1"), Internal: ip("10.0.1.9")},
			dataplane.DNAT{External: ip("203.0.113.1"), Protocol: unix.IPPROTO_TCP, ExternalPort: 80, Internal: ip("10.0.1.5"), InternalPort: 8080},
		),
		SNAT: []dataplane.SNAT{{Source: prefix("10.0.1.0/24"), Pool: []netip.Addr{ip("203.0.113.2"), ip("203.0.113.3")}}},
	}
}

// by adds an entry to the VPC's route table, or puts it in the place of another.
func by(n *dataplane.Network, destination string, hops ...dataplane.NextHop) {
	d := netip.MustParsePrefix(destination)
	for i := range n.Routes {
		if n.Routes[i].Destination == d {
			n.Routes[i].NextHops = hops
			return
		}
	}
	n.Routes = append(n.Routes, dataplane.Route{Destination: d, NextHops: hops})
}

// vpn adds a VPN gateway with two connections, whose tunnels are links of their
// own, and routes.
func vpn(n *dataplane.Network, routes ...dataplane.VPNRoute) {
	n.VPNGateways = []dataplane.VPNGateway{{ID: "vpn-1", Address: ip("203.0.113.9"), Connections: []dataplane.VPNConnection{{ID: "vco-a"}, {ID: "vco-b"}}, Routes: routes}}
}

// server adds an SSL-VPN server to the VPN gateway, whose clients may reach these.
func server(n *dataplane.Network, reach ...string) {
	s := dataplane.SSLServer{ID: "ssl-t", Protocol: udp, Port: 1194, Pool: netip.MustParsePrefix("10.8.0.0/24")}
	for _, p := range reach {
		s.Reach = append(s.Reach, netip.MustParsePrefix(p))
	}
	n.VPNGateways[0].SSL = []dataplane.SSLServer{s}
}

var tunnels = route.Tunnels{"vco-a": {Link: "vco-a", Up: true}, "vco-b": {Link: "vco-b", Up: true}}

func into(connection, source, destination string) dataplane.VPNRoute {
	r := dataplane.VPNRoute{Destination: netip.MustParsePrefix(destination), Connection: connection, Published: true}
	if source != "" {
		r.Source = netip.MustParsePrefix(source)
	}
	return r
}

const (
	tcp  = unix.IPPROTO_TCP
	udp  = unix.IPPROTO_UDP
	icmp = unix.IPPROTO_ICMP
)

func flow(protocol uint8, source, destination, answerer, answerReturn string) Flow {
	p := netip.MustParseAddrPort
	return Flow{Protocol: protocol, Source: p(source), Destination: p(destination), Answerer: p(answerer), AnswerReturn: p(answerReturn)}
}

// out is a flow to the outside that is seen from an address.
func out(host, as string) Flow {
	return flow(udp, host+":999", "198.51.100.1:53", "198.51.100.1:53", as+":999")
}

func inbound(f Flow) Flow { f.Inbound = true; return f }

func TestJudge(t *testing.T) {
	byPort := inbound(flow(tcp, "198.51.100.1:999", "203.0.113.1:80", "10.0.1.5:8080", "198.51.100.1:999"))
	byAny := inbound(flow(tcp, "198.51.100.1:999", "203.0.113.1:80", "10.0.1.9:80", "198.51.100.1:999"))
	pinged := inbound(flow(icmp, "198.51.100.1:0", "203.0.113.1:0", "10.0.1.9:0", "198.51.100.1:0"))
	mappedIn := inbound(flow(udp, "198.51.100.1:53", "203.0.113.4:999", "10.0.2.4:999", "198.51.100.1:53"))
	hairpin := flow(tcp, "10.0.1.7:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.3:1024")
	hairpinOfMapped := flow(tcp, "10.0.2.4:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.4:999")
	hairpinOfNobody := flow(tcp, "10.0.3.7:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.1:1024")
	snat, mapped, plainOut := out("10.0.1.7", "203.0.113.3"), out("10.0.2.4", "203.0.113.4"), out("10.0.1.7", "10.0.1.7")
	mappedPlain, unlisted := out("10.0.2.4", "10.0.2.4"), out("10.0.3.7", "10.0.3.7")
	within := flow(tcp, "10.0.1.7:999", "10.0.2.7:80", "10.0.2.7:80", "10.0.1.7:999")
	fromSite := flow(udp, "198.51.100.1:53", "10.0.1.7:999", "10.0.1.7:999", "198.51.100.1:53")
	toElastic := flow(udp, "10.0.1.7:999", "203.0.113.1:53", "203.0.113.1:53", "203.0.113.3:999")
	ike := flow(udp, "203.0.113.9:4500", "198.51.100.1:4500", "198.51.100.1:4500", "203.0.113.9:4500")
	ikeIn := inbound(flow(udp, "198.51.100.1:4500", "203.0.113.9:4500", "203.0.113.9:4500", "198.51.100.1:4500"))
	probe := flow(icmp, "10.0.1.253:0", "198.51.100.1:0", "198.51.100.1:0", "10.0.1.253:0")

	fromClient := flow(tcp, "10.8.0.5:999", "10.0.1.7:80", "10.0.1.7:80", "10.8.0.5:999")
	toClient := flow(tcp, "10.0.1.7:999", "10.8.0.5:80", "10.8.0.5:80", "10.0.1.7:999")
	clientToSite := flow(udp, "10.8.0.5:999", "198.51.100.1:53", "198.51.100.1:53", "10.8.0.5:999")
	clientAsElastic := out("10.8.0.5", "203.0.113.2")
	clientPings := flow(icmp, "10.8.0.5:0", "10.8.0.1:0", "10.8.0.1:0", "10.8.0.5:0")
	clientHairpin := flow(tcp, "10.8.0.5:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.1:1024")

	host := dataplane.NextHop{Via: ip("10.0.3.20")}
	reaching := func(reach ...string) func(*dataplane.Network) {
		return func(n *dataplane.Network) {
			vpn(n, into("vco-a", "", "198.51.100.0/24"))
			server(n, reach...)
		}
	}
	noVPN := func(n *dataplane.Network) { n.VPNGateways[0].Routes = nil }
	clientsListed := func(n *dataplane.Network) {
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix("10.8.0.0/24"), Pool: n.Elastic[1:2]})
	}
	noPort := func(n *dataplane.Network) { n.DNAT = n.DNAT.Without(n.DNAT.Slice()[1]) }
	noAny := func(n *dataplane.Network) { n.DNAT = n.DNAT.Without(n.DNAT.Slice()[0]) }
	noElastic := func(n *dataplane.Network) { n.Elastic = n.Elastic[1:] }
	noMapping := func(n *dataplane.Network) { n.Mappings = nil }
	smaller := func(n *dataplane.Network) { n.SNAT[0].Pool = n.SNAT[0].Pool[:1] }
	larger := func(n *dataplane.Network) { n.SNAT[0].Pool = append(n.SNAT[0].Pool, ip("203.0.113.1")) }
	noSNAT := func(n *dataplane.Network) { n.SNAT = nil }
	moved := func(n *dataplane.Network) {
		networktest.EditDNAT(n, 1, func(d *dataplane.DNAT) { d.Internal = ip("10.0.1.6") })
	}
	noRoute := func(n *dataplane.Network) { n.Routes = nil }
	instance := func(n *dataplane.Network) { by(n, "0.0.0.0/0", host) }
	site := func(n *dataplane.Network) { vpn(n, into("vco-a", "", "198.51.100.0/24")) }
	policy := func(n *dataplane.Network) { vpn(n, into("vco-b", "10.0.1.0/25", "198.51.100.0/24")) }
	otherPolicy := func(n *dataplane.Network) { vpn(n, into("vco-b", "10.0.1.128/25", "198.51.100.0/24")) }
	elsewhere := func(n *dataplane.Network) { vpn(n, into("vco-a", "", "192.168.0.0/16")) }
	down := func(n *dataplane.Network) { vpn(n, into("vco-none", "", "198.51.100.0/24")) }
	bound := func(n *dataplane.Network) {
		n.Mappings = append(n.Mappings, dataplane.Mapping{External: ip("203.0.113.1"), Internal: ip("10.0.1.7")})
		n.DNAT = sorted.Set[dataplane.DNAT]{}
	}
	listed := func(n *dataplane.Network) {
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix("10.0.3.0/24"), Pool: n.Elastic[1:2]})
	}
	both := func(n *dataplane.Network) { by(n, "0.0.0.0/0", host, dataplane.NextHop{Uplink: true}) }
	all := func(changes ...func(*dataplane.Network)) func(*dataplane.Network) {
		return func(n *dataplane.Network) {
			for _, c := range changes {
				c(n)
			}
		}
	}
	for _, c := range []struct {
		name   string
		f      Flow
		change func(*dataplane.Network)
		want   Verdict
	}{
		{"port entry", byPort, nil, Keep},
		{"port entry withdrawn", byPort, noPort, End},
		{"port entry leads elsewhere", byPort, moved, End},
		{"port entry, Any withdrawn", byPort, noAny, Keep},
		{"port entry, address gone", byPort, noElastic, End},
		{"port entry, a route into a tunnel", byPort, site, Keep},
		{"port entry, no route", byPort, noRoute, Keep},
		{"Any, behind a port entry that came later", byAny, nil, Keep},
		{"Any withdrawn", byAny, noAny, End},
		{"ping by Any", pinged, nil, Keep},
		{"ping, Any withdrawn", pinged, noAny, End},
		{"mapping, inward", mappedIn, nil, Keep},
		{"mapping, inward, a route into a tunnel", mappedIn, site, Keep},
		{"mapping withdrawn, inward", mappedIn, noMapping, End},

		{"hairpin", hairpin, nil, Keep},
		{"hairpin, entry withdrawn", hairpin, noPort, End},
		{"hairpin, pool address withdrawn", hairpin, smaller, End},
		{"hairpin, the client gets an elastic IP", hairpin, all(bound, func(n *dataplane.Network) { n.DNAT = network().DNAT }), End},
		{"hairpin, a route into a tunnel", hairpin, site, Keep},
		{"hairpin of a mapped host", hairpinOfMapped, nil, Keep},
		{"hairpin of a mapped host, mapping withdrawn", hairpinOfMapped, noMapping, End},
		{"hairpin of a host without an external address", hairpinOfNobody, nil, Keep},
		{"hairpin of such a host, entry withdrawn", hairpinOfNobody, noPort, End},
		{"hairpin of such a host that gets an entry", hairpinOfNobody, listed, End},

		{"SNAT", snat, nil, Keep},
		{"SNAT, pool address withdrawn", snat, smaller, End},
		{"SNAT, pool grows", snat, larger, Keep},
		{"SNAT withdrawn", snat, noSNAT, End},
		{"SNAT, other address withdrawn", snat, noElastic, Keep},
		{"SNAT, the host gets an elastic IP", snat, bound, End},
		{"SNAT, default route by an instance", snat, instance, End},
		{"SNAT, default route gone", snat, noRoute, Keep},
		{"SNAT, default route and entry gone", snat, all(noRoute, noSNAT), End},
		{"SNAT, route into a tunnel", snat, site, End},
		{"SNAT, policy route", snat, policy, End},
		{"SNAT, policy route of other hosts", snat, otherPolicy, Keep},
		{"SNAT, route into a tunnel that is not there", snat, down, End},
		{"SNAT, route elsewhere into a tunnel", snat, elsewhere, Keep},
		{"SNAT, one of two next hops translates", snat, both, Ask},
		{"SNAT, the destination is an elastic IP now", toElastic, nil, End},

		{"mapping, outward", mapped, nil, Keep},
		{"mapping, outward, no default route", mapped, noRoute, Keep},
		{"mapping, outward, default route by an instance", mapped, instance, Keep},
		{"mapping, outward, route into a tunnel", mapped, site, End},
		{"mapping withdrawn, outward", mapped, noMapping, End},
		{"mapping withdrawn, outward, SNAT entry", mapped, all(noMapping, func(n *dataplane.Network) {
			n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix("10.0.2.0/24"), Pool: n.Elastic[:1]})
		}), End},

		{"untranslated by an instance", plainOut, instance, Keep},
		{"untranslated by an instance, now by the uplink", plainOut, nil, End},
		{"untranslated by an instance, now by the uplink without SNAT", plainOut, noSNAT, Keep},
		{"untranslated by an instance, now by a tunnel", plainOut, site, Keep},
		{"untranslated by an instance, no route", plainOut, noRoute, Keep},
		{"untranslated by an instance, one of two next hops translates", plainOut, both, Ask},
		{"untranslated by a tunnel, by the other now", plainOut, policy, Keep},
		{"untranslated by a tunnel, which is gone", plainOut, down, Keep},
		{"untranslated, the host has an elastic IP now", mappedPlain, instance, End},
		{"untranslated, in no entry", unlisted, nil, Keep},
		{"untranslated, in an entry now", unlisted, listed, End},

		{"within the VPC", within, nil, Keep},
		{"within the VPC, nothing else", within, all(noRoute, noSNAT, noMapping), Keep},
		{"from a site", fromSite, site, Keep},
		{"from a site, answers by a policy route", fromSite, policy, Keep},
		{"from a site, whose route is gone", fromSite, nil, EndTurned},
		{"from a site, whose route is gone, without SNAT", fromSite, noSNAT, Keep},

		{"SSL client to a host", fromClient, reaching("10.0.0.0/16"), Keep},
		{"SSL client to a host that it may not reach", fromClient, reaching("10.0.2.0/24", "198.51.100.0/24"), End},
		{"SSL client to a host, the server is gone", fromClient, site, EndTurned},
		{"SSL client to a host, the server is gone, without SNAT", fromClient, all(site, noSNAT), Keep},
		{"host to an SSL client", toClient, reaching("10.0.2.0/24"), Keep},
		{"SSL client to a site", clientToSite, reaching("198.51.100.0/24"), Keep},
		{"SSL client to a site that it may not reach", clientToSite, reaching("10.0.0.0/16"), End},
		{"SSL client to a site, now by the uplink", clientToSite, all(reaching("198.51.100.0/24"), noVPN), End},
		{"SSL client that was a host before, by the uplink", clientAsElastic, all(reaching("198.51.100.0/24"), noVPN, clientsListed), End},
		{"SSL client pings its server", clientPings, reaching(), Keep},
		{"SSL client to an elastic IP", clientHairpin, reaching("203.0.113.0/24"), Keep},
		{"SSL client to an elastic IP that it may not reach", clientHairpin, reaching("10.0.0.0/16"), End},

		{"IKE", ike, site, Keep},
		{"IKE from outside", ikeIn, site, Keep},
		{"IKE through its own tunnel", ike, func(n *dataplane.Network) { vpn(n, into("vco-a", "", "0.0.0.0/0")) }, Keep},
		{"probe of the gateway", probe, site, Keep},
		{"probe of the gateway, by the uplink", probe, nil, Keep},
	} {
		n := network()
		if c.change != nil {
			c.change(n)
		}
		if got := NewModel(n, tunnels).Judge(&c.f, ""); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// Where the kernel has chosen a next hop, that decides.
func TestJudgeByNextHop(t *testing.T) {
	n := network()
	by(n, "0.0.0.0/0", dataplane.NextHop{Via: ip("10.0.3.20")}, dataplane.NextHop{Uplink: true})
	m := NewModel(n, nil)
	snat, plain := out("10.0.1.7", "203.0.113.3"), out("10.0.1.7", "10.0.1.7")
	for _, c := range []struct {
		f    *Flow
		hop  string
		want Verdict
	}{
		{&snat, "public", Keep}, {&snat, "vsw-c", End}, {&plain, "public", End}, {&plain, "vsw-c", Keep}, {&plain, "elsewhere", Ask},
	} {
		if got := m.Judge(c.f, c.hop); got != c.want {
			t.Errorf("seen from %s by %s: %d, want %d", c.f.AnswerReturn, c.hop, got, c.want)
		}
	}
}

// Each host is translated by the entry that it is in, whatever its length.
func TestJudgeSources(t *testing.T) {
	n := network()
	n.Switches, n.Mappings, n.SNAT = nil, nil, nil
	for i, source := range []string{"10.0.1.0/24", "10.0.2.0/25", "10.0.2.128/32", "10.1.0.0/16", "172.16.0.0/12"} {
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix(source), Pool: n.Elastic[i%2 : i%2+1]})
	}
	m := NewModel(n, nil)
	for _, c := range []struct {
		host, external string
		want           Verdict
	}{
		{"10.0.1.0", "203.0.113.1", Keep}, {"10.0.1.255", "203.0.113.1", Keep}, {"10.0.1.255", "203.0.113.2", End},
		{"10.0.0.255", "203.0.113.1", End}, {"10.0.2.127", "203.0.113.2", Keep}, {"10.0.2.128", "203.0.113.2", End},
		{"10.0.2.128", "203.0.113.1", Keep}, {"10.0.2.129", "203.0.113.1", End}, {"10.1.255.255", "203.0.113.2", Keep},
		{"10.2.0.0", "203.0.113.2", End}, {"172.31.255.255", "203.0.113.1", Keep}, {"172.32.0.0", "203.0.113.1", End},
	} {
		f := out(c.host, c.external)
		if got := m.Judge(&f, ""); got != c.want {
			t.Errorf("%s as %s: %d, want %d", c.host, c.external, got, c.want)
		}
	}
}

// BenchmarkJudge5000 is one flow among 5,000 SNAT entries and 100 VSwitches.
func BenchmarkJudge5000(b *testing.B) {
	n := network()
	vpn(n, into("vco-a", "", "192.168.0.0/16"), into("vco-b", "10.0.1.0/24", "192.168.7.0/24"))
	n.SNAT, n.Switches = nil, nil
	for i := range 5000 {
		source := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24+i%3)
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: source, Pool: n.Elastic})
		if i%50 == 49 {
			n.Switches = append(n.Switches, dataplane.Switch{ID: "vsw", Prefix: netip.PrefixFrom(source.Addr(), 24), Gateway: source.Addr()})
		}
	}
	m := NewModel(n, tunnels)
	f := out(n.SNAT[4999].Source.Addr().Next().String(), "203.0.113.1")
	for b.Loop() {
		if m.Judge(&f, "") != Keep {
			b.Fatal("not kept")
		}
	}
}

func TestDiffer(t *testing.T) {
	with := network()
	vpn(with, into("vco-a", "", "192.168.0.0/16"))
	standby := into("vco-b", "", "192.168.0.0/16")
	standby.Standby = true
	with.VPNGateways[0].Routes = append(with.VPNGateways[0].Routes, standby)
	down := route.Tunnels{"vco-a": {Link: "vco-a"}, "vco-b": tunnels["vco-b"]}
	learned := route.Tunnels{"vco-a": {Link: "vco-a", Up: true, Learned: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}}, "vco-b": tunnels["vco-b"]}
	for _, c := range []struct {
		name    string
		change  func(*dataplane.Network)
		tunnels route.Tunnels
		there   bool // the change may end something
		back    bool // and so may its reverse
	}{
		{"nothing", func(*dataplane.Network) {}, tunnels, false, false},
		{"elastic IP", func(n *dataplane.Network) { n.Elastic = n.Elastic[:3] }, tunnels, true, true},
		{"mapping", func(n *dataplane.Network) { n.Mappings = nil }, tunnels, true, true},
		{"mapping to another host", func(n *dataplane.Network) { n.Mappings[0].Internal = ip("10.0.2.5") }, tunnels, true, true},
		{"first DNAT entry", func(n *dataplane.Network) { n.DNAT = n.DNAT.Without(n.DNAT.Slice()[0]) }, tunnels, true, false},
		{"last DNAT entry", func(n *dataplane.Network) { n.DNAT = n.DNAT.Without(n.DNAT.Slice()[1]) }, tunnels, true, false},
		{"DNAT to another port", func(n *dataplane.Network) {
			networktest.EditDNAT(n, 1, func(d *dataplane.DNAT) { d.InternalPort = 81 })
		}, tunnels, true, true},
		{"SNAT entry", func(n *dataplane.Network) { n.SNAT = nil }, tunnels, true, true},
		{"address of a pool", func(n *dataplane.Network) { n.SNAT[0].Pool = n.SNAT[0].Pool[1:] }, tunnels, true, false},
		{"route", func(n *dataplane.Network) { n.Routes = nil }, tunnels, true, true},
		{"next hop", func(n *dataplane.Network) { by(n, "0.0.0.0/0", dataplane.NextHop{Via: ip("10.0.3.20")}) }, tunnels, true, true},
		{"VPN route", func(n *dataplane.Network) { n.VPNGateways[0].Routes = nil }, tunnels, true, true},
		{"standby VPN route", func(n *dataplane.Network) { n.VPNGateways[0].Routes = n.VPNGateways[0].Routes[:1] }, tunnels, false, false},
		{"VPN gateway", func(n *dataplane.Network) { n.VPNGateways = nil }, tunnels, true, true},
		{"uplink", func(n *dataplane.Network) { n.Uplink = nil }, tunnels, true, true},
		{"SSL-VPN server", func(n *dataplane.Network) { n.VPNGateways[0].SSL = nil }, tunnels, true, true},
		{"SSL-VPN server's pool", func(n *dataplane.Network) { n.VPNGateways[0].SSL[0].Pool = netip.MustParsePrefix("10.9.0.0/24") }, tunnels, true, true},
		{"what SSL-VPN clients reach", func(n *dataplane.Network) { n.VPNGateways[0].SSL[0].Reach = n.VPNGateways[0].SSL[0].Reach[:1] }, tunnels, true, false},
		{"a part of what SSL-VPN clients reach", func(n *dataplane.Network) {
			n.VPNGateways[0].SSL[0].Reach[1] = netip.MustParsePrefix("10.0.2.0/25")
		}, tunnels, true, false},
		{"SSL-VPN certificates only", func(n *dataplane.Network) {
			n.VPNGateways[0].SSL[0].Revoked = []dataplane.SSLSerial{"7"}
		}, tunnels, false, false},
		{"VSwitch", func(n *dataplane.Network) { n.Switches = n.Switches[:2] }, tunnels, true, true},
		{"tunnel of an active route", func(*dataplane.Network) {}, down, true, true},
		{"learned route", func(*dataplane.Network) {}, learned, true, true},
		{"revision only", func(n *dataplane.Network) { n.Revision++ }, tunnels, false, false},
		{"limits only", func(n *dataplane.Network) {
			n.NATGateways = []dataplane.NATGateway{{ID: "ngw-a", Limits: dataplane.Limits{Connections: 5}}}
		}, tunnels, false, false},
		{"bandwidth only", func(n *dataplane.Network) { n.VPNGateways[0].Bandwidth = 5 }, tunnels, false, false},
	} {
		fresh := func() *dataplane.Network {
			n := network()
			n.VPNGateways = slices.Clone(with.VPNGateways)
			server(n, "10.0.1.0/24", "10.0.2.0/24")
			return n
		}
		n := fresh()
		c.change(n)
		if got := Differ(fresh(), n, tunnels, c.tunnels); got != c.there {
			t.Errorf("%s: Differ = %v, want %v", c.name, got, c.there)
		}
		if got := Differ(n, fresh(), c.tunnels, tunnels); got != c.back {
			t.Errorf("%s, back: Differ = %v, want %v", c.name, got, c.back)
		}
	}
}
