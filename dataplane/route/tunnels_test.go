package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/route"
)

func vpnNetwork(routes ...dataplane.VPNRoute) *dataplane.Network {
	n := network()
	n.VPN = &dataplane.VPNGateway{ID: "vpn-1", Connections: []dataplane.VPNConnection{{ID: "vco-a"}, {ID: "vco-b"}}, Routes: routes}
	return n
}

func through(connection, source, destination string, standby, published bool) dataplane.VPNRoute {
	r := dataplane.VPNRoute{Destination: netip.MustParsePrefix(destination), Connection: connection, Standby: standby, Published: published}
	if source != "" {
		r.Source = netip.MustParsePrefix(source)
	}
	return r
}

// tunnelText is what leads into tunnels, with the tables of connections by name.
func tunnelText(n *dataplane.Network, tunnels route.Tunnels) string {
	routes, rules, _ := route.Compile(n, tunnels)
	var b strings.Builder
	for i := range routes {
		if r := &routes[i]; len(r.Hops) == 0 || r.Hops[0].Link != "public" {
			fmt.Fprintln(&b, r)
		}
	}
	for _, r := range rules {
		if r.Source.IsValid() || r.Table == route.TunnelTable {
			fmt.Fprintln(&b, r)
		}
	}
	return strings.NewReplacer(fmt.Sprint(route.ConnectionTable("vco-a")), "A", fmt.Sprint(route.ConnectionTable("vco-b")), "B").Replace(b.String())
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
	gateway, host := dataplane.NextHop{VPN: true}, dataplane.NextHop{Via: netip.MustParseAddr("10.0.1.5")}
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
			"1508: from 10.0.1.0/24 to 192.168.0.0/16 lookup A\n1508: from 10.0.2.0/24 to 192.168.0.0/16 lookup B\n" +
			"1308: from 10.0.1.0/24 to 192.168.1.0/24 lookup B\n1524: from 10.0.0.0/8 to 192.168.0.0/16 lookup B\n" + between},
		{name: "policy, the active one down", routes: []dataplane.VPNRoute{
			through("vco-a", "10.0.1.0/24", "192.168.0.0/16", false, true), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", true, true),
		}, tunnels: with(false, true), want: tables + "1508: from 10.0.1.0/24 to 192.168.0.0/16 lookup B\n" + between},
		{name: "learned", routes: []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, true)},
			tunnels: route.Tunnels{"vco-a": {Link: "vco-a", Up: true}, "vco-b": {Link: "vco-b", Up: true,
				Learned: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("172.20.0.0/16")}}},
			want: "192.168.0.0/16 dev vco-a table 300\n192.168.0.0/16 dev vco-a table 100\n172.20.0.0/16 dev vco-b table 300\n" + tables + between},
		{name: "no link", routes: pair[:1], want: "unreachable 192.168.0.0/16 table 300\nunreachable 192.168.0.0/16 table 100\nunreachable default table A\nunreachable default table B\n"},
		{name: "one link for all", routes: pair[:1], tunnels: route.Tunnels{"vco-a": {Link: "ipsec0", Up: true}, "vco-b": {Link: "ipsec0"}},
			want: "192.168.0.0/16 dev ipsec0 table 300\n192.168.0.0/16 dev ipsec0 table 100\ndefault dev ipsec0 table A\ndefault dev ipsec0 table B\n1095: iif ipsec0 lookup 300\n"},
		{name: "an entry of the VPC leaves it to the gateway", entries: []dataplane.Route{entry("192.168.0.0/16", gateway), entry("192.168.4.0/22", host)},
			routes: []dataplane.VPNRoute{
				through("vco-a", "", "192.168.1.0/24", false, false), through("vco-a", "", "192.168.5.0/24", false, false), // the host has this
				through("vco-b", "", "172.16.0.0/12", false, false), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", false, false),
			}, tunnels: both,
			want: "192.168.1.0/24 dev vco-a table 300\n192.168.1.0/24 dev vco-a table 100\n192.168.5.0/24 dev vco-a table 300\n172.16.0.0/12 dev vco-b table 300\n" +
				"unreachable 192.168.0.0/16 table 100\n" + tables + "192.168.4.0/22 via 10.0.1.5 dev vsw-a table 100\n" +
				"1508: from 10.0.1.0/24 to 192.168.0.0/16 lookup B\n" + between},
		{name: "an entry smaller than the gateway's route", entries: []dataplane.Route{entry("192.168.1.0/24", gateway)},
			routes:  []dataplane.VPNRoute{through("vco-a", "", "0.0.0.0/0", false, false), through("vco-b", "", "192.168.0.0/16", false, false)},
			tunnels: with(true, false),
			want:    "default dev vco-a table 300\n192.168.0.0/16 dev vco-b table 300\n192.168.1.0/24 dev vco-b table 100\n" + tables + between},
		{name: "the same as a route, the active one down", routes: pair, entries: []dataplane.Route{entry("192.168.0.0/16", gateway)}, tunnels: with(false, true),
			want: "192.168.0.0/16 dev vco-b table 300\n192.168.0.0/16 dev vco-b table 100\n" + tables + between},
		{name: "everything", entries: []dataplane.Route{entry("0.0.0.0/0", gateway)}, tunnels: both,
			routes: []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, false)}, want: by("vco-a")},
		{name: "an entry before a learned route", entries: []dataplane.Route{entry("192.168.0.0/16", host)},
			routes:  []dataplane.VPNRoute{through("vco-a", "", "192.168.0.0/16", false, true)},
			tunnels: both, want: "192.168.0.0/16 dev vco-a table 300\n" + tables + "192.168.0.0/16 via 10.0.1.5 dev vsw-a table 100\n" + between},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := vpnNetwork(c.routes...)
			n.Routes = append(n.Routes, c.entries...)
			if diff := cmp.Diff(c.want, tunnelText(n, c.tunnels)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What tunnels ask for goes into the kernel, follows their state, and goes.
func TestApplyTunnels(t *testing.T) {
	ns := links(t)
	for _, name := range []string{"vco-a", "vco-b"} {
		nstest.Veth(t, ns, name, ns, "peer-"+name)
		nstest.Command(t, ns, "ip", "link", "set", name, "up")
		nstest.Command(t, ns, "ip", "link", "set", "peer-"+name, "up")
	}
	n := vpnNetwork(
		through("vco-a", "10.0.1.0/24", "192.168.0.0/16", false, true), through("vco-b", "10.0.1.0/24", "192.168.0.0/16", true, true),
		through("vco-a", "", "172.20.0.0/16", false, true), through("vco-b", "", "172.20.0.0/16", true, true))
	way := func(destination string) string {
		return nstest.Command(t, ns, "ip", "route", "get", destination, "from", "10.0.1.5", "iif", "vsw-a")
	}
	nstest.Command(t, ns, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.vsw-a.rp_filter=0")
	for _, c := range []struct {
		a, b bool
		want string
	}{{true, true, "vco-a"}, {false, true, "vco-b"}, {false, false, "vco-a"}, {true, true, "vco-a"}} {
		applyWith(t, ns, n, route.Tunnels{"vco-a": {Link: "vco-a", Up: c.a}, "vco-b": {Link: "vco-b", Up: c.b}})
		for _, destination := range []string{"192.168.3.4", "172.20.3.4"} {
			if got := way(destination); !strings.Contains(got, "dev "+c.want) {
				t.Errorf("a works: %v, b works: %v: to %s by %s", c.a, c.b, destination, got)
			}
		}
	}
	n.VPN = nil
	apply(t, ns, n)
	if got := read(t, ns).String(); strings.Contains(got, "vco-") || strings.Contains(got, "192.168") || strings.Contains(got, "unreachable") {
		t.Errorf("left of what is not wanted any more:\n%s", got)
	}
}
