package route_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/nft"
	"sluice/dataplane/route"
)

func vpnNetwork(routes ...dataplane.VPNRoute) *dataplane.Network {
	n := network()
	local := prefixes("10.0.0.0/16")
	n.VPNGateways = []dataplane.VPNGateway{{ID: "vpn-1", Address: netip.MustParseAddr("203.0.113.10"), Routes: routes,
		Connections: []dataplane.VPNConnection{{ID: "vco-a", Policies: dataplane.Product(local, nil)}, {ID: "vco-b", Policies: dataplane.Product(local, nil)}}}}
	return n
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range texts {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func through(connection, source, destination string, standby, published bool) dataplane.VPNRoute {
	r := dataplane.VPNRoute{Destination: netip.MustParsePrefix(destination), Connection: connection, Standby: standby, Published: published}
	if source != "" {
		r.Source = netip.MustParsePrefix(source)
	}
	return r
}

// tunnelText is what leads hosts and tunnels into tunnels, with the tables of
// connections by name. What holds is left out where a route stands before it.
func tunnelText(t *testing.T, n *dataplane.Network, tunnels route.Tunnels) string {
	t.Helper()
	routes, rules, _ := route.Routing(n, tunnels)
	checkHeld(t, routes)
	var b strings.Builder
	before := func(hold *route.Route) bool {
		return slices.ContainsFunc(routes, func(r route.Route) bool {
			return r.Table == hold.Table && r.Destination == hold.Destination && r.Metric == 0
		})
	}
	for i := range routes {
		r := &routes[i]
		switch {
		case r.Table == route.PublicTable, r.Table == route.OwnTable, r.Table == route.NowhereTable:
		case r.Metric == route.HoldMetric && before(r):
		case len(r.Hops) == 0 || r.Hops[0].Link != "public":
			fmt.Fprintln(&b, r)
		}
	}
	for _, r := range rules {
		if r.Priority >= 1095 && r.Priority < 2200 {
			fmt.Fprintln(&b, r)
		}
	}
	return named(b.String())
}

func named(text string) string {
	return strings.NewReplacer(fmt.Sprint(route.ConnectionTable("vco-a")), "A", fmt.Sprint(route.ConnectionTable("vco-b")), "B",
		fmt.Sprintf("metric %d ", route.HoldMetric), "hold ", " src 10.0.1.253", "").Replace(text)
}

// checkHeld checks that what holds stands behind each route into a tunnel, and is
// there before it.
func checkHeld(t *testing.T, routes []route.Route) {
	t.Helper()
	held := map[string]bool{}
	for i := range routes {
		r := &routes[i]
		place := fmt.Sprint(r.Table, r.Destination)
		if r.Metric == route.HoldMetric {
			held[place] = true
			continue
		}
		tunnel := slices.ContainsFunc(r.Hops, func(h route.Hop) bool { return strings.HasPrefix(h.Link, "vco-") || strings.HasPrefix(h.Link, "ipsec") })
		if tunnel && !held[place] && !(r.Table == route.VPCTable && r.Destination.Bits() == 0) {
			t.Errorf("nothing stands behind %s", r)
		}
	}
}

func TestTunnels(t *testing.T) {
	both := route.Tunnels{"vco-a": {Link: "vco-a", Up: true}, "vco-b": {Link: "vco-b", Up: true}}
	with := func(a, b bool) route.Tunnels {
		return route.Tunnels{"vco-a": {Link: "vco-a", Up: a}, "vco-b": {Link: "vco-b", Up: b}}
	}
	pair := []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, true), through("vco-b", "", "192.168.0.0/16", true, true)}
	const tables = "default dev vco-a table A\ndefault dev vco-b table B\n"
	const between = "1095: iif vco-a lookup 300\n1095: iif vco-b lookup 300\n"
	by := func(link string) string {
		return "192.168.0.0/16 dev " + link + " table 300\n192.168.0.0/16 dev " + link + " table 100\n" + tables + between
	}
	entry := func(destination string, hop dataplane.NextHop) dataplane.Route {
		return dataplane.Route{Destination: netip.MustParsePrefix(destination), NextHops: []dataplane.NextHop{hop}}
	}
	gateway, host := dataplane.NextHop{VPN: "vpn-1"}, dataplane.NextHop{Via: netip.MustParseAddr("10.0.1.5")}
	for _, c := range []struct {
		name    string
		routes  []dataplane.VPNRoute
		tunnels route.Tunnels
		want    string
		entries []dataplane.Route // of the VPC's route table
	}{
		{name: "active", routes: pair, tunnels: both, want: by("vco-a")},
		{name: "active alone works", routes: pair, tunnels: with(true, false), want: by("vco-a")},
		{name: "standby alone works", routes: pair, tunnels: with(false, true), want: by("vco-b")},
		{name: "none works", routes: pair, tunnels: with(false, false), want: by("vco-a")},
		{name: "not published", routes: []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, false)}, tunnels: both,
			want: "192.168.0.0/16 dev vco-a table 300\n" + tables + between},
		{name: "policy", routes: []dataplane.VPNRoute{
			through("vco-a", "10.0.1.0/24", "192.168.0.0/16", false, true), through("vco-b", "10.0.2.0/24", "192.168.0.0/16", false, true),
			through("vco-b", "10.0.1.0/24", "192.168.1.0/24", false, true), through("vco-b", "10.0.0.0/8", "192.168.0.0/16", false, true),
		}, tunnels: both, want: tables +
			"1636: from 10.0.1.0/24 to 192.168.0.0/16 lookup A\n1636: from 10.0.2.0/24 to 192.168.0.0/16 lookup B\n" +
			"1372: from 10.0.1.0/24 to 192.168.1.0/24 lookup B\n1652: from 10.0.0.0/8 to 192.168.0.0/16 lookup B\n" + between},
		{name: "policy, the active one down", routes: []dataplane.VPNRoute{
			through("vco-a", "10.0.1.0/24", "192.168.0.0/16", false, true), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", true, true),
		}, tunnels: with(false, true), want: tables + "1636: from 10.0.1.0/24 to 192.168.0.0/16 lookup B\n" + between},
		{name: "learned", routes: []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, true)},
			tunnels: route.Tunnels{"vco-a": {Link: "vco-a", Up: true}, "vco-b": {Link: "vco-b", Up: true,
				Learned: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("172.20.0.0/16")}}},
			want: "192.168.0.0/16 dev vco-a table 300\n192.168.0.0/16 dev vco-a table 100\n172.20.0.0/16 dev vco-b table 300\n" + tables + between},
		{name: "no link", routes: pair[:1], want: "unreachable 192.168.0.0/16 hold table 300\nunreachable 192.168.0.0/16 hold table 100\nunreachable default hold table A\nunreachable default hold table B\n"},
		{name: "one link for all", routes: pair[:1], tunnels: route.Tunnels{"vco-a": {Link: "ipsec0", Up: true}, "vco-b": {Link: "ipsec0"}},
			want: "192.168.0.0/16 dev ipsec0 table 300\n192.168.0.0/16 dev ipsec0 table 100\ndefault dev ipsec0 table A\ndefault dev ipsec0 table B\n1095: iif ipsec0 lookup 300\n"},
		{name: "an entry of the VPC leaves it to the gateway", entries: []dataplane.Route{entry("192.168.0.0/16", gateway), entry("192.168.4.0/22", host)},
			routes: []dataplane.VPNRoute{
				through("vco-a", "", "192.168.1.0/24", false, false), through("vco-a", "", "192.168.5.0/24", false, false), // the host has this
				through("vco-b", "", "172.16.0.0/12", false, false), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", false, false),
			}, tunnels: both,
			want: "unreachable 192.168.0.0/16 hold table 100\n" +
				"192.168.1.0/24 dev vco-a table 300\n192.168.1.0/24 dev vco-a table 100\n192.168.5.0/24 dev vco-a table 300\n172.16.0.0/12 dev vco-b table 300\n" + tables + "192.168.4.0/22 via 10.0.1.5 dev vsw-a table 100\n" +
				"1636: from 10.0.1.0/24 to 192.168.0.0/16 lookup B\n" + between},
		{name: "an entry smaller than the gateway's route", entries: []dataplane.Route{entry("192.168.1.0/24", gateway)},
			routes:  []dataplane.VPNRoute{through("vco-a", "", "0.0.0.0/0", false, false), through("vco-b", "", "192.168.0.0/16", false, false)},
			tunnels: with(true, false),
			want:    "default dev vco-a table 300\n192.168.0.0/16 dev vco-b table 300\n192.168.1.0/24 dev vco-b table 100\n" + tables + between},
		{name: "the same as a route, the active one down", routes: pair, entries: []dataplane.Route{entry("192.168.0.0/16", gateway)}, tunnels: with(false, true),
			want: "192.168.0.0/16 dev vco-b table 300\n192.168.0.0/16 dev vco-b table 100\n" + tables + between},
		{name: "everything", entries: []dataplane.Route{entry("0.0.0.0/0", gateway)}, tunnels: both,
			routes: []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, false)}, want: by("vco-a")},
		{name: "policies for everything", routes: []dataplane.VPNRoute{
			through("vco-a", "0.0.0.0/0", "192.168.0.0/16", false, true), through("vco-b", "10.0.0.0/8", "192.168.0.0/16", false, true),
			through("vco-a", "10.0.1.0/24", "0.0.0.0/0", false, true), through("vco-b", "0.0.0.0/0", "0.0.0.0/0", false, true),
		}, tunnels: both, want: tables + "1660: to 192.168.0.0/16 lookup A\n1652: from 10.0.0.0/8 to 192.168.0.0/16 lookup B\n" +
			"2164: from 10.0.1.0/24 lookup A\n2188: lookup B\n" + between},
		{name: "bits of hosts", routes: []dataplane.VPNRoute{
			through("vco-a", "10.0.1.9/24", "192.168.7.7/16", false, true), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", false, true),
			through("vco-a", "", "172.20.1.1/16", false, true), through("vco-b", "", "172.20.0.0/16", true, true),
		}, tunnels: both, want: "172.20.0.0/16 dev vco-a table 300\n172.20.0.0/16 dev vco-a table 100\n" + tables +
			"1636: from 10.0.1.0/24 to 192.168.0.0/16 lookup A\n" + between},
		{name: "held, what no other route is for", routes: []dataplane.VPNRoute{
			through("vco-a", "", "192.168.0.0/16", false, true), through("vco-a", "", "172.20.0.0/14", false, false),
		}, tunnels: route.Tunnels{
			"vco-a": {Link: "vco-a", Up: true, Learned: prefixes("10.99.0.0/16")},
			"vco-b": {Link: "vco-b", Up: true, Held: prefixes("10.98.0.0/16", "10.99.0.0/16", "172.21.0.0/16", "192.168.0.0/16")},
		}, want: "unreachable 10.98.0.0/16 hold table 300\nunreachable 10.98.0.0/16 hold table 100\n" +
			"192.168.0.0/16 dev vco-a table 300\n192.168.0.0/16 dev vco-a table 100\n172.20.0.0/14 dev vco-a table 300\n" +
			"10.99.0.0/16 dev vco-a table 300\n10.99.0.0/16 dev vco-a table 100\n172.21.0.0/16 dev vco-a table 300\n172.21.0.0/16 dev vco-a table 100\n" + tables + between},
		{name: "the public prefix", entries: []dataplane.Route{entry("0.0.0.0/0", dataplane.NextHop{Uplink: true})},
			routes:  []dataplane.VPNRoute{through("vco-a", "", "203.0.113.0/24", false, true)},
			tunnels: both, want: "203.0.113.0/24 dev vco-a table 300\n203.0.113.0/24 dev vco-a table 100\n" + tables + between},
		{name: "an entry before a learned route", entries: []dataplane.Route{entry("192.168.0.0/16", host)},
			routes:  []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, true)},
			tunnels: both, want: "192.168.0.0/16 dev vco-a table 300\n" + tables + "192.168.0.0/16 via 10.0.1.5 dev vsw-a table 100\n" + between},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := vpnNetwork(c.routes...)
			n.VPNGateways[0].Propagate = strings.HasPrefix(c.name, "held")
			n.Routes = append(n.Routes, c.entries...)
			if diff := cmp.Diff(c.want, tunnelText(t, n, c.tunnels)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the gateway itself sends goes by the public side if it is the VPN gateway's own,
// or about what came in there; else to where tunnels lead, as the hosts' packets do.
func TestOwnPackets(t *testing.T) {
	n := vpnNetwork(through("vco-a", "", "172.20.0.0/16", false, false), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", false, false),
		through("vco-b", "10.0.1.0/24", "0.0.0.0/0", false, false))
	n.VPNGateways[0].Connections[0].BGP = &dataplane.VPNBGP{Tunnel: netip.MustParsePrefix("169.254.9.1/30")}
	routes, rules, err := route.Routing(n, route.Tunnels{"vco-a": {Link: "vco-a"}, "vco-b": {}})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range routes {
		if r := &routes[i]; r.Table == route.OwnTable || r.Table == route.NowhereTable || r.Table == unix.RT_TABLE_MAIN {
			fmt.Fprintln(&b, r)
		}
	}
	for _, r := range rules {
		if r.From == "lo" {
			fmt.Fprintln(&b, r)
		}
	}
	const want = `unreachable 172.20.0.0/16 hold table 310
unreachable 192.168.0.0/16 hold table 310
unreachable 169.254.9.0/30 hold table main
unreachable default table 400
172.20.0.0/16 dev vco-a table 310
1005: fwmark 0x8 iif lo lookup 200
2250: iif lo lookup 200
510: from 203.0.113.10/32 iif lo lookup 200
511: from 203.0.113.10/32 iif lo lookup 400
2200: iif lo lookup 310
2235: iif lo lookup B
`
	if diff := cmp.Diff(want, named(b.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What tunnels ask for goes into the kernel, follows their state, and goes. Without
// their links it leads nowhere, whatever else there is.
func TestApplyTunnels(t *testing.T) {
	ns := links(t)
	tunnel := func(name string) {
		nstest.Veth(t, ns, name, ns, "peer-"+name)
		nstest.Command(t, ns, "ip", "link", "set", name, "up")
		nstest.Command(t, ns, "ip", "link", "set", "peer-"+name, "up")
	}
	tunnel("vco-a")
	tunnel("vco-b")
	nstest.Address(t, ns, "public", "203.0.113.10/32")
	n := vpnNetwork(
		through("vco-a", "10.0.1.0/24", "192.168.0.0/16", false, true), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", true, true),
		through("vco-a", "", "172.20.0.0/16", false, true), through("vco-b", "", "172.20.0.0/16", true, true))
	n.Routes = []dataplane.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}}
	n.VPNGateways[0].Propagate = true
	way := func(destination string, more ...string) string {
		args := append([]string{"route", "get", destination}, more...)
		if len(more) == 0 {
			args = append(args, "from", "10.0.1.5", "iif", "vsw-a")
		}
		out, err := nstest.TryCommand(ns, "ip", args...)
		if err != nil {
			return "unreachable: " + err.Error()
		}
		return out
	}
	nstest.Command(t, ns, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.vsw-a.rp_filter=0")
	destinations := []string{"192.168.3.4", "172.20.3.4", "172.31.3.4"}
	for _, c := range []struct {
		a, b bool
		want string
	}{{true, true, "vco-a"}, {false, true, "vco-b"}, {false, false, "vco-a"}, {true, true, "vco-a"}} {
		applyWith(t, ns, n, route.Tunnels{"vco-a": {Link: "vco-a", Up: c.a}, "vco-b": {Link: "vco-b", Up: c.b}})
		for _, destination := range destinations[:2] {
			if got := way(destination); !strings.Contains(got, "dev "+c.want) {
				t.Errorf("a works: %v, b works: %v: to %s by %s", c.a, c.b, destination, got)
			}
		}
	}
	tunnels := route.Tunnels{"vco-a": {Link: "vco-a", Up: true, Learned: prefixes("172.31.0.0/16")}, "vco-b": {Link: "vco-b", Up: true}}
	applyWith(t, ns, n, tunnels)
	for _, mark := range []string{"", "1", "2"} { // of hosts with an elastic IP, too
		for _, destination := range destinations {
			args := []string{"from", "10.0.1.5", "iif", "vsw-a"}
			want := "dev vco-a"
			if mark != "" {
				args = append(args, "mark", mark)
			}
			if mark == "1" { // of connections that came in by the public side
				want = "dev public"
			}
			if got := way(destination, args...); !strings.Contains(got, want) {
				t.Errorf("to %s with mark %q by %s, want %s", destination, mark, got, want)
			}
		}
	}
	for _, name := range []string{"vco-a", "vco-b"} { // nobody is there to see them go
		nstest.Command(t, ns, "ip", "link", "del", name)
	}
	closed := func(when string) {
		t.Helper()
		for _, destination := range destinations {
			for _, args := range [][]string{nil, {"from", "10.0.1.5", "iif", "vsw-a", "mark", "2"}, {"from", "10.0.1.253"}, {"ipproto", "icmp"}} {
				if got := way(destination, args...); !strings.Contains(got, "unreachable") {
					t.Errorf("%s: to %s %v: %s", when, destination, args, got)
				}
			}
		}
	}
	closed("without links")
	tunnels = route.Tunnels{"vco-a": {Held: tunnels["vco-a"].Learned}, "vco-b": {}}
	applyWith(t, ns, n, tunnels)
	closed("when that is known")
	nstest.Command(t, ns, "ip", "route", "add", "172.20.0.0/16", "via", "203.0.113.1", "dev", "public", "onlink", "table", "100", "metric", "9")
	applyWith(t, ns, n, tunnels)
	closed("after a route of somebody's")
	if got := way("8.8.8.8"); !strings.Contains(got, "dev public") {
		t.Errorf("to the Internet by %s", got)
	}
	n.VPNGateways = nil
	apply(t, ns, n)
	if got := read(t, ns).String(); strings.Contains(got, "vco-") || strings.Contains(got, "192.168") || strings.Contains(got, "unreachable") {
		t.Errorf("left of what is not wanted any more:\n%s", got)
	}
}

// What the VPN gateway sends to its peers leaves by the public side, or not at all,
// and rules and routes settle, wherever the routes into tunnels lead.
func TestOuterPackets(t *testing.T) {
	ns := links(t)
	for _, name := range []string{"vco-a", "vco-b"} {
		nstest.Veth(t, ns, name, ns, "peer-"+name)
		nstest.Command(t, ns, "ip", "link", "set", name, "up")
		nstest.Command(t, ns, "ip", "link", "set", "peer-"+name, "up")
	}
	nstest.Address(t, ns, "public", "203.0.113.10/32")
	tunnels := route.Tunnels{"vco-a": {Link: "vco-a", Up: true}, "vco-b": {Link: "vco-b", Up: true}}
	for _, source := range []string{"", "0.0.0.0/0", "10.0.1.0/24", "203.0.113.0/24", "203.0.113.10/32"} {
		for _, destination := range []string{"0.0.0.0/0", "0.0.0.0/1", "198.51.100.0/24", "198.51.100.7/32", "203.0.113.0/24"} {
			n := vpnNetwork(through("vco-a", source, destination, false, true))
			applyWith(t, ns, n, tunnels)
			for _, peer := range []string{"198.51.100.7", "203.0.113.7"} {
				if got := nstest.Command(t, ns, "ip", "route", "get", peer, "from", "203.0.113.10"); !strings.Contains(got, "dev public") {
					t.Errorf("route from %q to %s: outer packets to %s by %s", source, destination, peer, got)
				}
			}
		}
	}
	n := vpnNetwork(through("vco-a", "", "0.0.0.0/0", false, true))
	n.Uplink.Gateway = netip.Addr{} // no way to the peer
	applyWith(t, ns, n, tunnels)
	if got, err := nstest.TryCommand(ns, "ip", "route", "get", "198.51.100.7", "from", "203.0.113.10"); err == nil {
		t.Errorf("outer packets without a way to the peer by %s", got)
	}
}

// A VSwitch that is bound to a route table has its ways in the place of the main one's.
func TestBoundVSwitch(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	n := vpnNetwork(through("vco-a", "", "192.168.0.0/16", false, true), through("vco-b", "", "172.20.0.0/16", false, false))
	uplink := []dataplane.NextHop{{Uplink: true}}
	n.Routes = []dataplane.Route{{Destination: prefix("0.0.0.0/0"), NextHops: uplink}}
	n.Tables = []dataplane.RouteTable{{ID: "vtb-x", Switches: []string{"vsw-b"}, Routes: []dataplane.Route{
		{Destination: prefix("10.9.0.0/16"), NextHops: via(1, "10.0.1.5")}, {Destination: prefix("172.16.0.0/12"), NextHops: []dataplane.NextHop{{VPN: "vpn-1"}}}}}}
	w := route.NewWays(n, route.Tunnels{"vco-a": {Link: "vco-a", Up: true}, "vco-b": {Link: "vco-b", Up: true}})
	for _, c := range []struct {
		from, to string
		mark     uint32
		want     string
	}{
		{"vsw-a", "198.51.100.7", 0, "public"}, {"vsw-b", "198.51.100.7", 0, "nothing"}, {"vsw-b", "198.51.100.7", nft.MarkMapped, "public"},
		{"vsw-b", "10.9.0.1", 0, "vsw-a"}, {"vsw-b", "10.9.0.1", nft.MarkMapped, "vsw-a"}, {"vsw-a", "10.9.0.1", 0, "public"}, {"vsw-b", "10.0.1.9", 0, "vsw-a"},
		{"vsw-a", "192.168.1.1", 0, "vco-a"}, {"vsw-b", "192.168.1.1", 0, "nothing"}, // published in the VPC's own table
		{"vsw-b", "172.20.1.1", 0, "vco-b"}, {"vsw-b", "172.21.1.1", 0, "unreachable"}, {"vsw-a", "172.20.1.1", 0, "public"},
		{"vco-a", "172.20.1.1", 0, "vco-b"}, {"vco-b", "10.9.0.1", 0, "public"},
	} {
		got := "nothing"
		if r := w.Find(route.Packet{Source: addr("10.0.2.9"), Destination: addr(c.to), Mark: c.mark, From: c.from}); r != nil && len(r.Hops) > 0 {
			got = r.Hops[0].Link
		} else if r != nil {
			got = "unreachable"
		}
		if got != c.want {
			t.Errorf("from %s to %s with mark %d: %s, want %s", c.from, c.to, c.mark, got, c.want)
		}
	}
}

// Of two route tables whose ids have the same number, the second's VSwitches do not take
// the first's ways.
func TestRouteTablesOfTheSameNumber(t *testing.T) {
	first, second := "", ""
	for at, i := map[int]string{}, 0; second == ""; i++ {
		id := fmt.Sprintf("vtb-%d", i)
		if other, ok := at[route.RouteTableNumber(id)]; ok {
			first, second = other, id
		}
		at[route.RouteTableNumber(id)] = id
	}
	n := network()
	entries := []dataplane.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}}
	n.Tables = []dataplane.RouteTable{{ID: first, Switches: []string{"vsw-a"}, Routes: entries}, {ID: second, Switches: []string{"vsw-b"}, Routes: entries}}
	if _, _, err := route.Routing(n, nil); err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("error %v", err)
	}
	w := route.NewWays(n, nil)
	for from, want := range map[string]int{"vsw-a": 1, "vsw-b": 0} {
		r := w.Find(route.Packet{Source: netip.MustParseAddr("10.0.9.9"), Destination: netip.MustParseAddr("198.51.100.7"), From: from})
		if r == nil || len(r.Hops) != want {
			t.Errorf("from %s: %v", from, r)
		}
	}
}

// Of two connections whose ids have the same routing table, the second's packets
// do not take the first's tunnel.
func TestTablesOfTheSameNumber(t *testing.T) {
	first, second := "", ""
	for at, i := map[int]string{}, 0; second == ""; i++ {
		id := fmt.Sprintf("vco-%d", i)
		if other, ok := at[route.ConnectionTable(id)]; ok {
			first, second = other, id
		}
		at[route.ConnectionTable(id)] = id
	}
	from, to := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("192.168.0.0/24")
	n := &dataplane.Network{VPNGateways: []dataplane.VPNGateway{{
		Connections: []dataplane.VPNConnection{{ID: first}, {ID: second}},
		Routes:      []dataplane.VPNRoute{{Source: from, Destination: to, Connection: second}},
	}}}
	routes, rules, err := route.Routing(n, route.Tunnels{first: {Link: "ipsec0", Up: true}, second: {Link: "ipsec1", Up: true}})
	if err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("error %v", err)
	}
	i := slices.IndexFunc(rules, func(r route.Rule) bool { return r.Source == from })
	if i < 0 || rules[i].Table != route.NowhereTable {
		t.Errorf("rules %v", rules)
	}
	for _, r := range routes {
		if r.Table == route.NowhereTable && len(r.Hops) > 0 {
			t.Errorf("%s leads somewhere", r.String())
		}
	}
}

// What is for an SSL-VPN server's clients goes nowhere else when its link is gone, and they
// go where other tunnels lead.
func TestSSLPool(t *testing.T) {
	ns := links(t)
	n := vpnNetwork(through("vco-a", "", "192.168.0.0/16", false, false))
	n.Routes = []dataplane.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}}
	n.VPNGateways[0].SSL = []dataplane.SSLServer{{ID: "ssl-t", Pool: netip.MustParsePrefix("172.29.0.0/24")}}
	for _, name := range []string{"ssl-t", "vco-a"} {
		nstest.Veth(t, ns, name, ns, "peer-"+name)
		nstest.Up(t, ns, "peer-"+name)
		nstest.Up(t, ns, name)
	}
	nstest.Address(t, ns, "ssl-t", "172.29.0.1/24")
	nstest.Command(t, ns, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.vsw-a.rp_filter=0", "net.ipv4.conf.ssl-t.rp_filter=0")
	tunnels := route.Tunnels{"vco-a": {Link: "vco-a", Up: true}}
	applyErr(t, ns, n, tunnels)
	packet := func(from, source, destination string) route.Packet {
		return route.Packet{From: from, Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
	}
	toClient := packet("vsw-a", "10.0.1.5", "172.29.0.9")
	for p, want := range map[route.Packet]string{
		toClient: "ssl-t",
		packet("ssl-t", "172.29.0.9", "10.0.1.5"):    "vsw-a",
		packet("ssl-t", "172.29.0.9", "192.168.7.1"): "vco-a",
		packet("vsw-a", "10.0.1.5", "192.168.7.1"):   "public", // not published
	} {
		if got := asked(t, ns, p); got != want {
			t.Errorf("%+v goes to %s, not %s", p, got, want)
		}
	}
	nstest.Command(t, ns, "ip", "link", "del", "ssl-t")
	if got := asked(t, ns, toClient); got != "unreachable" {
		t.Errorf("without the link, what is for a client goes to %s", got)
	}
}
