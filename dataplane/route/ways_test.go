package route_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
	"sluice/dataplane/route"
)

// blocks is what random networks are made of: blocks that lie in each other, and
// are the VSwitches', the VPC's, the public side's and remote sites'.
var blocks = prefixes("0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "10.0.1.128/25", "10.0.9.0/24", "192.168.0.0/16", "192.168.1.0/24",
	"192.168.1.7/32", "203.0.113.0/24", "203.0.113.0/25", "198.51.100.0/24", "128.0.0.0/1")

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// randomNetwork returns a network with the links of links and two tunnels, and the
// state of these.
func randomNetwork(r *rand.Rand) (*dataplane.Network, route.Tunnels) {
	n := vpnNetwork()
	n.Elastic = []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11")}
	n.VPNGateways[0].Address = n.Elastic[0]
	if r.IntN(2) == 0 { // each connection has a gateway of its own
		second := n.VPNGateways[0]
		second.ID, second.Address = "vpn-2", n.Elastic[1]
		second.Connections, n.VPNGateways[0].Connections = second.Connections[1:], second.Connections[:1]
		n.VPNGateways = append(n.VPNGateways, second)
	}
	for i := range n.VPNGateways {
		n.VPNGateways[i].Propagate = r.IntN(2) == 0
	}
	if r.IntN(2) == 0 {
		n.VPNGateways[len(n.VPNGateways)-1].SSL = []dataplane.SSLServer{{ID: "ssl-t", Pool: netip.MustParsePrefix("10.0.9.0/25")}}
	}
	hops := []dataplane.NextHop{{Uplink: true}, {Uplink: true}, {VPN: "vpn-1"}, {VPN: "vpn-2"}}
	hops = append(hops, via(1, "10.0.1.5", "10.0.2.5", "10.0.3.5")...) // the last is nowhere
	entries := func() (out []dataplane.Route) {
		for _, d := range blocks {
			switch r.IntN(6) {
			case 0:
				out = append(out, dataplane.Route{Destination: d, NextHops: []dataplane.NextHop{pick(r, hops)}})
			case 1:
				out = append(out, dataplane.Route{Destination: d, NextHops: append(via(1+r.IntN(3), "10.0.1.5", "10.0.2.5"), hops[r.IntN(2):1]...)})
			}
		}
		return out
	}
	n.Routes = entries()
	bound := []string{"vsw-a", "vsw-b"}
	for i := range r.IntN(3) {
		k := r.IntN(len(bound) + 1)
		n.Tables = append(n.Tables, dataplane.RouteTable{ID: fmt.Sprintf("vtb-%d", i), Switches: bound[:k], Routes: entries()})
		bound = bound[k:]
	}
	for range r.IntN(8) {
		v := dataplane.VPNRoute{
			Destination: pick(r, blocks), Connection: pick(r, []string{"vco-a", "vco-b"}), Standby: r.IntN(3) == 0, Published: r.IntN(3) > 0,
		}
		if r.IntN(2) == 0 {
			v.Source = pick(r, blocks)
		}
		for i := range n.VPNGateways {
			g := &n.VPNGateways[i]
			if slices.ContainsFunc(g.Connections, func(c dataplane.VPNConnection) bool { return c.ID == v.Connection }) {
				g.Routes = append(g.Routes, v)
			}
		}
	}
	tunnels := route.Tunnels{}
	for _, c := range n.AllConnections() {
		i := len(tunnels)
		if r.IntN(3) == 0 {
			c.BGP = &dataplane.VPNBGP{Tunnel: netip.MustParsePrefix(fmt.Sprintf("169.254.9.%d/30", 4*i)), LocalIP: netip.MustParseAddr(fmt.Sprintf("169.254.9.%d", 4*i+1))}
		}
		t := route.Tunnel{Up: r.IntN(2) == 0}
		if r.IntN(4) > 0 {
			t.Link = c.ID
		}
		if r.IntN(3) == 0 {
			t.Learned = []netip.Prefix{pick(r, blocks)}
		}
		if r.IntN(3) == 0 {
			t.Held = []netip.Prefix{pick(r, blocks)}
		}
		tunnels[c.ID] = t
	}
	if r.IntN(8) == 0 {
		n.Uplink.Gateway = netip.Addr{}
	}
	return n, tunnels
}

// asked is what the kernel says of a packet that comes in by a link: the links that
// it may leave by, "local", or "unreachable".
func asked(t *testing.T, ns *netns.Namespace, p route.Packet) string {
	t.Helper()
	routes, err := ns.Netlink().RouteGetWithOptions(p.Destination.AsSlice(), &netlink.RouteGetOptions{Iif: p.From, SrcAddr: p.Source.AsSlice(), Mark: p.Mark})
	switch {
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return "unreachable"
	case err != nil || len(routes) != 1:
		t.Fatalf("%+v: %v, %v", p, routes, err)
	case routes[0].Type == unix.RTN_LOCAL:
		return "local"
	}
	link, err := ns.Netlink().LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Name
}

// What the model says of a packet is what the kernel does with it, for random
// networks and packets.
func TestWaysAreTheKernels(t *testing.T) {
	ns := links(t)
	nstest.Address(t, ns, "public", "203.0.113.10/32")
	nstest.Address(t, ns, "public", "203.0.113.11/32")
	nstest.Command(t, ns, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
		"net.ipv4.conf.vsw-a.rp_filter=0", "net.ipv4.conf.vsw-b.rp_filter=0", "net.ipv4.conf.public.rp_filter=0")
	for _, name := range []string{"vco-a", "vco-b", "ssl-t"} {
		nstest.Veth(t, ns, name, ns, "peer-"+name)
		nstest.Up(t, ns, "peer-"+name)
		nstest.Up(t, ns, name)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	seen := map[string]int{}
	for range 40 {
		n, tunnels := randomNetwork(r)
		for _, c := range n.AllConnections() {
			name := c.ID
			nstest.Command(t, ns, "ip", "addr", "flush", "dev", name)
			if b := c.BGP; b != nil && tunnels[name].Link != "" {
				nstest.Address(t, ns, name, netip.PrefixFrom(b.LocalIP, 30).String())
			}
		}
		nstest.Command(t, ns, "ip", "addr", "flush", "dev", "ssl-t")
		for _, s := range n.AllSSL() {
			nstest.Address(t, ns, s.Link(), netip.PrefixFrom(s.Own(), s.Pool.Bits()).String())
		}
		applyErr(t, ns, n, tunnels)
		if again := route.Plan(ns, read(t, ns), n, tunnels); !again.Empty() {
			t.Fatalf("seed %d: applied, and still there is to do: %v", seed, again.Whats())
		}
		w := route.NewWays(n, tunnels)
		for range 60 {
			p := route.Packet{Destination: within(r, pick(r, blocks)), Source: within(r, pick(r, blocks)), From: pick(r, []string{"vsw-a", "vsw-b", "public"})}
			if r.IntN(20) == 0 {
				p.Destination = pick(r, []netip.Addr{n.Switches[0].Gateway, n.Switches[1].Gateway, n.Elastic[0]})
			}
			for name, tunnel := range tunnels {
				if tunnel.Link != "" && r.IntN(3) == 0 {
					p.From = name
				}
			}
			for _, s := range n.AllSSL() {
				if r.IntN(5) == 0 {
					p.From, p.Source = s.Link(), s.Own().Next()
				}
				if r.IntN(5) == 0 {
					p.Destination = s.Own().Next().Next()
				}
				// The address that this test gives the link makes that one a broadcast's.
				if p.Source == netipx.PrefixLastIP(s.Pool) {
					p.Source = s.Own().Next()
				}
				if p.Destination == netipx.PrefixLastIP(s.Pool) {
					p.Destination = s.Own().Next()
				}
			}
			if w.Local(p.Source) || p.Source.IsMulticast() || p.Source.IsLoopback() || p.Destination.IsMulticast() || p.Destination.IsLoopback() {
				continue
			}
			p.Mark = pick(r, []uint32{0, 0, nft.MarkPublic, nft.MarkMapped})
			got, want := asked(t, ns, p), "unreachable"
			found := w.Find(p)
			switch {
			case found == nil:
				found = &route.Route{}
			case found.Local:
				want = "local"
			case len(found.Hops) > 0:
				want = found.Hops[0].Link
			}
			seen[got]++
			if got != want && !slices.ContainsFunc(found.Hops, func(h route.Hop) bool { return !found.Local && h.Link == got }) {
				t.Fatalf("seed %d: %+v goes to %s, not %s (%s)\n%s", seed, p, got, want, found, read(t, ns))
			}
		}
	}
	for _, what := range []string{"local", "unreachable", "public", "vsw-a", "vsw-b", "vco-a", "vco-b", "ssl-t"} {
		if seen[what] < 5 {
			t.Errorf("only %d packets of %v went to %s", seen[what], seen, what)
		}
	}
}

// applyErr applies a network some of whose next hops may be nowhere.
func applyErr(t *testing.T, ns *netns.Namespace, n *dataplane.Network, tunnels route.Tunnels) {
	t.Helper()
	p := route.Plan(ns, read(t, ns), n, tunnels)
	for _, c := range append(p.Add, p.Remove...) {
		if err := c.Do(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.What, err)
		}
	}
}

// within returns an address of a block that is none of a broadcast.
func within(r *rand.Rand, p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		if r.IntN(2) == 0 {
			a[bit/8] |= 1 << (7 - bit%8)
		}
	}
	if p.Bits() < 32 {
		if a[3] == 255 || a[3] == 0 {
			a[3] = 77
		}
		if a[0] == 0 || a[0] >= 240 {
			a[0] = 99
		}
	}
	return netip.AddrFrom4(a)
}
