package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
	"sluice/dataplane/route"
)

func network() *dataplane.Network {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	return &dataplane.Network{
		ID: "vpc-t1", Prefix: prefix("10.0.0.0/8"),
		Switches: []dataplane.Switch{
			{ID: "vsw-a", Prefix: prefix("10.0.1.0/24"), Gateway: addr("10.0.1.253")},
			{ID: "vsw-b", Prefix: prefix("10.0.2.0/24"), Gateway: addr("10.0.2.253")},
		},
		Uplink: &dataplane.Uplink{Prefix: prefix("203.0.113.0/24"), Gateway: addr("203.0.113.1")},
	}
}

func via(weight int, addrs ...string) []dataplane.NextHop {
	var out []dataplane.NextHop
	for _, a := range addrs {
		out = append(out, dataplane.NextHop{Via: netip.MustParseAddr(a), Weight: weight})
	}
	return out
}

func TestCompile(t *testing.T) {
	public := []dataplane.NextHop{{Uplink: true}}
	const base = "203.0.113.0/24 dev public table 200\ndefault via 203.0.113.1 dev public onlink table 200\n"
	tests := []struct {
		name   string
		change func(*dataplane.Network)
		dest   string
		hops   []dataplane.NextHop
		want   string
		err    string
	}{
		{"default by the uplink", nil, "0.0.0.0/0", public,
			"default via 203.0.113.1 dev public onlink table 100\n203.0.113.0/24 dev public table 200\n203.0.113.0/24 dev public table 100\ndefault via 203.0.113.1 dev public onlink table 200\n", ""},
		{"the public prefix by a host", nil, "203.0.113.0/24", via(1, "10.0.1.5"), "203.0.113.0/24 via 10.0.1.5 dev vsw-a table 100\n" + base, ""},
		{"one host", nil, "192.168.0.0/16", via(9, "10.0.1.5"), "192.168.0.0/16 via 10.0.1.5 dev vsw-a table 100\n" + base, ""},
		{"several hosts", nil, "192.168.0.0/16", append(via(3, "10.0.2.5"), via(0, "10.0.1.5")...),
			"192.168.0.0/16 nexthop via 10.0.1.5 dev vsw-a weight 1 nexthop via 10.0.2.5 dev vsw-b weight 3 table 100\n" + base, ""},
		{"host nowhere", nil, "192.168.0.0/16", via(1, "10.0.3.5"), "unreachable 192.168.0.0/16 table 100\n" + base, "lies in no VSwitch"},
		{"one of two nowhere", nil, "192.168.0.0/16", via(2, "10.0.1.5", "10.0.3.5"), "192.168.0.0/16 via 10.0.1.5 dev vsw-a table 100\n" + base, "10.0.3.5 lies in no VSwitch"},
		{"the gateway itself", nil, "192.168.0.0/16", via(1, "10.0.1.253"), "unreachable 192.168.0.0/16 table 100\n" + base, "is the gateway itself"},
		{"default nowhere", nil, "0.0.0.0/0", via(1, "10.0.3.5"), base, "lies in no VSwitch"},
		{"no uplink", func(n *dataplane.Network) { n.Uplink = nil }, "8.0.0.0/8", public, "unreachable 8.0.0.0/8 table 100\n", ""},
		{"default without an uplink", func(n *dataplane.Network) { n.Uplink = nil }, "0.0.0.0/0", public, "", ""},
		{"public network without a gateway", func(n *dataplane.Network) { n.Uplink.Gateway = netip.Addr{} }, "0.0.0.0/0", public,
			"203.0.113.0/24 dev public table 200\n203.0.113.0/24 dev public table 100\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := network()
			if test.change != nil {
				test.change(n)
			}
			n.Routes = []dataplane.Route{{Destination: netip.MustParsePrefix(test.dest), NextHops: test.hops}}
			routes, _, err := route.Routing(n, nil)
			var b strings.Builder
			for i := range routes {
				b.WriteString(routes[i].String() + "\n")
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

// links makes what a network's links would be.
func links(t *testing.T) *netns.Namespace {
	ns, far := nstest.New(t), nstest.New(t)
	for name, address := range map[string]string{"vsw-a": "10.0.1.253/24", "vsw-b": "10.0.2.253/24", "public": ""} {
		nstest.Veth(t, ns, name, far, name)
		nstest.Up(t, far, name)
		nstest.Up(t, ns, name)
		if address != "" {
			nstest.Address(t, ns, name, address)
		}
	}
	return ns
}

func read(t *testing.T, ns *netns.Namespace) *route.State {
	t.Helper()
	names := map[int]string{}
	list, err := ns.Netlink().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	s, err := route.Read(t.Context(), ns, func(i int) string { return names[i] })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t *testing.T, ns *netns.Namespace, n *dataplane.Network) int {
	t.Helper()
	return applyWith(t, ns, n, nil)
}

func applyWith(t *testing.T, ns *netns.Namespace, n *dataplane.Network, tunnels route.Tunnels) int {
	t.Helper()
	p := route.Plan(ns, read(t, ns), n, tunnels)
	var r plan.Runner
	r.Add(p.Err)
	r.Run(t.Context(), p.Add)
	r.Run(t.Context(), p.Remove)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if again := route.Plan(ns, read(t, ns), n, tunnels); !again.Empty() {
		t.Errorf("afterwards there still is to do: %v", again.Whats())
	}
	return r.Done
}

// Weights of an ECMP route change in one step; what is not ours stays.
func TestApply(t *testing.T) {
	ns := links(t)
	n := network()
	dest := netip.MustParsePrefix("192.168.0.0/16")
	n.Routes = []dataplane.Route{{Destination: dest, NextHops: via(1, "10.0.1.5", "10.0.2.5")}}
	apply(t, ns, n)
	for _, foreign := range [][]string{
		{"route", "add", "198.51.100.0/24", "via", "10.0.1.9"},
		{"route", "add", "198.51.100.0/24", "via", "10.0.1.9", "table", "100"},
		{"rule", "add", "from", "192.0.2.1", "lookup", "7", "pref", "900"},
	} {
		nstest.Command(t, ns, "ip", foreign...)
	}
	if done := apply(t, ns, n); done != 0 {
		t.Errorf("foreign routes and rules led to %d changes", done)
	}
	n.Routes[0].NextHops = append(via(5, "10.0.1.5"), via(1, "10.0.2.5", "10.0.2.6")...)
	if done := apply(t, ns, n); done != 1 {
		t.Errorf("%d changes for another choice of next hops, want 1", done)
	}
	for _, conflict := range [][]string{
		{"route", "add", "default", "via", "10.0.1.9", "metric", "50"},
		{"route", "replace", "192.168.0.0/16", "via", "10.0.1.9", "table", "100"},
		{"rule", "add", "from", "192.0.2.1", "lookup", "7", "pref", "1010"},
		{"route", "add", "unreachable", "203.0.113.128/25", "proto", "0x53"},
	} {
		nstest.Command(t, ns, "ip", conflict...)
		if done := apply(t, ns, n); done != 1 {
			t.Errorf("ip %v: %d changes, want 1", conflict, done)
		}
	}
	want := `rule 0: lookup local
rule 900: from 192.0.2.1/32 lookup 7
rule 1000: lookup main
rule 1005: fwmark 0x8 iif lo lookup 200
rule 1010: fwmark 0x1 lookup 200
rule 2220: lookup 100 suppress_prefixlength 0
rule 2230: fwmark 0x2 lookup 200
rule 2240: lookup 100
rule 2250: iif lo lookup 200
rule 32766: lookup main
rule 32767: lookup 253
route table 100  192.168.0.0/16 nexthop via 10.0.1.5 dev vsw-a weight 5 nexthop via 10.0.2.5 dev vsw-b weight 1 nexthop via 10.0.2.6 dev vsw-b weight 1
route table 100  198.51.100.0/24 via 10.0.1.9 dev vsw-a protocol 3
route table 200  203.0.113.0/24 dev public
route table 200  default via 203.0.113.1 dev public onlink
route table main 10.0.1.0/24 dev vsw-a src 10.0.1.253
route table main 10.0.2.0/24 dev vsw-b src 10.0.2.253
route table main 198.51.100.0/24 via 10.0.1.9 dev vsw-a protocol 3
`
	got := strings.Replace(read(t, ns).String(), "lookup 7 protocol 0", "lookup 7", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	n.Routes, n.Uplink = nil, nil
	apply(t, ns, n)
	if got := read(t, ns).String(); strings.Contains(got, "public") || strings.Contains(got, "192.168.0.0/16") {
		t.Errorf("left of what is not wanted any more:\n%s", got)
	}
}
