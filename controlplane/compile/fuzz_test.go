package compile_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// randomResources returns resources of vpc-a. They refer to one another as
// they like, to things that aren't there, and in ways that the services would
// refuse: a compiler sees what a store holds, whatever has written it.
func randomResources(r *rand.Rand) []resource.Resource {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	private := func() string { return fmt.Sprintf("10.0.%d.%d", r.IntN(4), r.IntN(24)) }
	public := func() string { return fmt.Sprintf("203.0.113.%d", 10+r.IntN(12)) }
	vpc := nattest.VPC("vpc-a", "10.0.0.0/16")
	for _, p := range r.Perm(3)[:r.IntN(3)] {
		vpc.Secondary = append(vpc.Secondary, netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/24", 64+p)))
	}
	out := []resource.Resource{vpc}
	for i := range r.IntN(5) {
		bits := 24
		if r.IntN(4) == 0 {
			bits += r.IntN(6)
		}
		// One id for a block: drawn again it takes its own place, and none overlaps another.
		x := nattest.VSwitch(fmt.Sprintf("vsw-%d%d", i*7%10, i), "vpc-a", fmt.Sprintf("10.0.%d.0/%d", i, bits))
		if len(vpc.Secondary) > 0 && r.IntN(3) == 0 {
			x.CIDR = netip.MustParsePrefix(fmt.Sprintf("%s.%d/27", strings.TrimSuffix(vpc.Secondary[0].Addr().String(), ".0"), i*32))
		}
		x.RouteTable = pick("", "", "vtb-1", "vtb-2")
		out = append(out, x)
	}
	gateways := []*resource.NATGateway{gateway(), gateway(), gateway(), nattest.Gateway("ngw-b", "vpc-a")}
	gateways[3].Limits = nattest.Large
	if r.IntN(4) > 0 {
		out = append(out, gateways[0])
	}
	if r.IntN(3) > 0 {
		out = append(out, gateways[3])
	}
	of := func() *resource.NATGateway { return gateways[r.IntN(4)] }
	for i := range r.IntN(12) {
		ip := private()
		if r.IntN(5) == 0 {
			h := nattest.HaVip(fmt.Sprintf("i-%d", i), "vpc-a", "vsw-x", ip)
			for range r.IntN(3) {
				h.Instances = append(h.Instances, fmt.Sprintf("i-%d", r.IntN(14)))
			}
			h.AnyHost = r.IntN(4) == 0
			out = append(out, h)
			continue
		}
		kind := resource.InstanceKind(pick("host", "host", "load-balancer", "database"))
		if r.IntN(4) == 0 {
			x := nattest.Interface(fmt.Sprintf("eni-%d", i), "vpc-a", "vsw-x", ip, private())
			x.MAC = pick("", "02:00:00:00:00:07")
			x.Instance = pick("", fmt.Sprintf("i-%d", r.IntN(14)))
			x.Primary = x.Instance != "" && r.IntN(2) == 0
			out = append(out, x)
			continue
		}
		instance := nattest.Instance(fmt.Sprintf("i-%d", i), "vpc-a", "vsw-x", ip, kind)
		if r.IntN(3) == 0 {
			instance.Limits = &dataplane.Limits{Connections: r.IntN(3), NewPerSecond: r.IntN(3)}
		}
		out = append(out, instance)
	}
	for i := range r.IntN(12) {
		to, kind := pick("", "ngw-a", "ngw-a", "ngw-a", "ngw-b", "ngw-x"), resource.BoundToNATGateway
		if r.IntN(5) == 0 {
			to, kind = fmt.Sprintf("i-%d", r.IntN(14)), resource.BindingType(pick("host", "virtual-ip"))
		}
		e := nattest.ElasticIP(fmt.Sprintf("eip-%d", i), fmt.Sprintf("203.0.113.%d", 10+i), "vpc-a", kind, to)
		if r.IntN(5) == 0 {
			e.Binding = &resource.Binding{Type: resource.BoundToInterface, ID: fmt.Sprintf("eni-%d", r.IntN(14)), Address: netip.MustParseAddr(private())}
		}
		e.Bandwidth = 1 + r.IntN(20)
		e.Package = pick("", "", "cbwp-0", "cbwp-1", "cbwp-gone")
		e.Cap = max(0, r.IntN(20)-10)
		e.NATPackage = pick("", "", "", "", "bwp-0", "bwp-1", "bwp-gone")
		out = append(out, e)
	}
	for i := range r.IntN(3) {
		out = append(out, nattest.NATPackage(fmt.Sprintf("bwp-%d", i), of(), 1+r.IntN(20)))
	}
	for i := range r.IntN(3) {
		out = append(out, nattest.CommonPackage(fmt.Sprintf("cbwp-%d", i), 1+r.IntN(20)))
	}
	for i := range r.IntN(30) {
		p := map[string]resource.Protocol{"TCP": resource.TCP, "UDP": resource.UDP, "Any": resource.AnyProtocol}[pick("TCP", "UDP", "Any")]
		from, to := 1+r.IntN(65535), 1+r.IntN(65535)
		if p == resource.AnyProtocol {
			from, to = 0, 0
		}
		e := nattest.Forward(fmt.Sprintf("fwd-%d", i), of(), p, fmt.Sprintf("%s:%d", public(), from), fmt.Sprintf("%s:%d", private(), to))
		e.Shares = r.IntN(2) == 0
		if more := r.IntN(4); more > 0 && p != resource.AnyProtocol && from+more < 65536 && to+more < 65536 {
			e.ExternalLast, e.InternalLast = uint16(from+more-1), uint16(to+more-1)
		}
		out = append(out, e)
	}
	for i := range r.IntN(3) * r.IntN(4) {
		source := private() + "/32"
		if r.IntN(3) == 0 {
			source = fmt.Sprintf("10.0.%d.0/24", r.IntN(5))
		}
		var pool []string
		for range 1 + r.IntN(4) {
			pool = append(pool, public())
		}
		out = append(out, nattest.SNAT(fmt.Sprintf("snat-%d", i), of(), "vsw-x", source, pool...))
	}
	if r.IntN(2) == 0 {
		out = append(out, defaultRoute)
	}
	for i := range r.IntN(6) {
		var hops []resource.NextHop
		for range 1 + r.IntN(3) {
			hops = append(hops, nextHop([]resource.NextHopType{resource.NextHopHost, resource.NextHopVirtualIP, resource.NextHopTunnel, resource.NextHopVPNGateway}[r.IntN(4)], pick(fmt.Sprintf("i-%d", r.IntN(14)), "vpn-a"), r.IntN(256)))
		}
		e := nattest.Route("vpc-a", fmt.Sprintf("172.%d.0.0/16", 16+i), hops...)
		if table := pick("", "vtb-1", "vtb-2"); table != "" {
			e.Table, e.ID = table, resource.RouteEntryID(table, e.Destination)
		}
		out = append(out, e)
	}
	out = append(out, randomLinks(len(out))...)
	out = append(out, randomGroups(r)...)
	out = append(out, randomAccelerations(len(out))...)
	out = append(out, randomClassic(vpc, len(out))...)
	out = append(out, randomBorders(len(out))...)
	return append(out, randomVPN(r)...)
}

// randomLinks returns router interfaces of vpc-a, what some are connected with, and routes to
// some. Its randomness follows from what was drawn before.
func randomLinks(drawn int) (out []resource.Resource) {
	r := rand.New(rand.NewPCG(uint64(drawn), 7))
	step := func() resource.LinkStep {
		return []resource.LinkStep{resource.LinkConnected, resource.LinkActivated, resource.LinkDeactivated, ""}[r.IntN(4)]
	}
	for i := range r.IntN(4) {
		out = append(out, linked(fmt.Sprintf("ri-%d", 9-i), fmt.Sprintf("ri-b%d", i), r.IntN(2) == 0, step(), step())...)
	}
	if len(out) > 0 && r.IntN(5) == 0 {
		out = out[1:]
	}
	for i := range r.IntN(3) {
		hop := func() resource.NextHop {
			return nextHop(resource.NextHopRouterInterface, fmt.Sprintf("ri-%d", 6+r.IntN(4)), r.IntN(3))
		}
		out = append(out, nattest.Route("vpc-a", fmt.Sprintf("172.%d.0.0/16", 30+i), hop(), hop()))
	}
	return out
}

// randomAccelerations returns global acceleration instances whose backends are in vpc-a, or
// were. Their randomness follows from how much was drawn before.
func randomAccelerations(drawn int) (out []resource.Resource) {
	r := rand.New(rand.NewPCG(uint64(drawn), 16))
	for i := range r.IntN(4) {
		a := nattest.Acceleration(fmt.Sprintf("ga-%d", 3-i), fmt.Sprintf("203.0.113.%d", 200+i))
		a.Bandwidth = 10 * (1 + r.IntN(10))
		if a.VPC = []string{"", "vpc-a", "vpc-a", "vpc-gone"}[r.IntN(4)]; a.VPC != "" && r.IntN(3) > 0 {
			a.Backend = &resource.AccelerationBackend{Type: resource.Host, ID: fmt.Sprintf("i-%d", r.IntN(14)), Region: nattest.Region, Address: netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", 1+r.IntN(24)))}
		}
		out = append(out, a)
	}
	return out
}

// randomClassic returns instances of the classic network, some of them linked to a VPC.
func randomClassic(vpc *resource.VPC, drawn int) (out []resource.Resource) {
	r := rand.New(rand.NewPCG(uint64(drawn), 21))
	vpc.ClassicAddress = netip.MustParseAddr("10.200.0.250")
	for i := range r.IntN(4) {
		list := nattest.ClassicLink(fmt.Sprintf("ins-%d", i), vpc.ID, fmt.Sprintf("10.200.0.%d", 9-r.IntN(3)), []string{"", "02:00:00:00:00:09"}[r.IntN(2)])
		out = append(out, list[r.IntN(2):]...) // it may have left the inventory
	}
	return out
}

// randomVPN returns a VPN gateway of vpc-a and what it has, or nothing.
func randomVPN(r *rand.Rand) []resource.Resource {
	if r.IntN(3) == 0 {
		return nil
	}
	g := vpnGateway()
	g.Address = netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", 20+r.IntN(40))) // may be another elastic IP, too
	g.IPsec, g.AutoPropagate = r.IntN(5) > 0, r.IntN(2) == 0
	out := []resource.Resource{g, customerGateway("cgw-0", "198.51.100.7", 65010), customerGateway("cgw-1", "198.51.100.8", 0)}
	n := 1 + r.IntN(5)
	for i := range n {
		peer := fmt.Sprintf("cgw-%d", r.IntN(2))
		if r.IntN(20) == 0 {
			peer = "cgw-gone"
		}
		out = append(out, connection(fmt.Sprintf("vco-%d", n-i), peer, func(c *resource.VPNConnection) {
			var locals, remotes []netip.Prefix
			for range 1 + r.IntN(3) {
				locals = append(locals, netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", r.IntN(4))))
				remotes = append(remotes, netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/24", r.IntN(4))))
			}
			c.Policies = dataplane.Product(locals, remotes)
			if r.IntN(2) == 0 { // not each with each
				for i := range c.Policies {
					c.Policies[i].Remotes = slices.Clone(remotes[:1+r.IntN(len(remotes))])
				}
			}
			c.Exclusive, c.Resets, c.IPsec.Traffic = r.IntN(2) == 0, r.IntN(3), r.IntN(2)*2560
			if r.IntN(3) == 0 {
				withBGP(c)
			}
		}))
	}
	for range r.IntN(8) {
		source := ""
		if r.IntN(2) == 0 {
			source = fmt.Sprintf("10.0.%d.0/24", r.IntN(4))
		}
		out = append(out, vpnRoute(source, fmt.Sprintf("192.168.%d.0/24", r.IntN(4)), fmt.Sprintf("vco-%d", r.IntN(n+2)), r.IntN(2) == 0, r.IntN(2) == 0))
	}
	return append(out, randomSSL(g, len(out))...)
}

// randomSSL returns what a VPN gateway has of SSL-VPN, which is switched on in it, or not. Its
// randomness follows from what was drawn before.
func randomSSL(g *resource.VPNGateway, drawn int) (out []resource.Resource) {
	r := rand.New(rand.NewPCG(uint64(g.Address.As4()[3]), uint64(drawn)))
	g.SSL, g.SSLConnections = r.IntN(2) == 0, r.IntN(20)
	for i := range r.IntN(3) {
		x := sslServer(fmt.Sprintf("vss-%d", 2-i))
		x.Protocol, x.Port = []resource.Protocol{resource.TCP, resource.UDP}[r.IntN(2)], uint16(1+r.IntN(65535))
		x.Local = nil
		for range 1 + r.IntN(3) {
			x.Local = append(x.Local, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(4)), 0}), 23+r.IntN(2)).Masked())
		}
		for n := range r.IntN(3) {
			x.Revoked = append(x.Revoked, resource.RevokedCertificate{Serial: dataplane.SSLSerial(fmt.Sprint(90 - n))})
		}
		out = append(out, x)
	}
	for i := range r.IntN(5) {
		out = append(out, sslCertificate(fmt.Sprintf("vsc-%d", 9-i), fmt.Sprintf("vss-%d", r.IntN(4)), dataplane.SSLSerial(fmt.Sprint(i))))
	}
	return out
}

func FuzzCompile(f *testing.F) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	for seed := range seeds {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		w := nattest.New(t)
		w.Put(randomResources(r)...)
		n, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", unseal)
		w.Reopen()
		again, errAgain := compile.Network(w.DB.View(), w.Settings, "vpc-a", unseal)
		if !reflect.DeepEqual(n, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("two outcomes of the same resources:\n%v %v\n%v %v", n, err, again, errAgain)
		}
		if err != nil {
			return // a contradiction, refused
		}
		checkNetwork(t, n)
		checkPorts(t, w.DB.View(), n)
	})
}

// checkPorts checks that each port that is forwarded is that of an entry, with all others
// of that; and that an address is both SNAT's and a DNAT entry's only if the entry says so.
func checkPorts(t *testing.T, v *state.View, n *dataplane.Network) {
	t.Helper()
	port := func(e *resource.ForwardEntry, i int) dataplane.DNAT {
		d := dataplane.DNAT{External: e.ExternalIP, Protocol: uint8(e.Protocol), ExternalPort: e.ExternalPort + uint16(i), Internal: e.InternalIP, InternalPort: e.InternalPort + uint16(i)}
		return d
	}
	for d := range n.DNAT.All() {
		whole, shared := false, false
		for e := range v.ForwardEntries.All() {
			all, among := true, false
			for i := range e.External().Len() {
				got, ok := n.DNAT.Get(port(e, i))
				all = all && ok && got == port(e, i)
				among = among || d == port(e, i)
			}
			whole, shared = whole || all && among, shared || all && among && e.LeavesPorts()
		}
		if !whole {
			t.Errorf("%+v is of no entry, or not with all others of it", d)
		}
		if !shared && slices.ContainsFunc(n.SNAT, func(s dataplane.SNAT) bool { return slices.Contains(s.Pool, d.External) }) {
			t.Errorf("%+v forwards what SNAT uses, too", d)
		}
	}
}

// checkVPN checks what package dataplane promises of every VPNGateway.
func checkVPN(t *testing.T, n *dataplane.Network, g *dataplane.VPNGateway) {
	t.Helper()
	if !slices.Contains(n.Elastic, g.Address) {
		t.Errorf("VPN gateway at %s, which is no elastic IP of the network", g.Address)
	}
	ascending(t, "announce", g.Announce, netip.Prefix.Compare)
	ascending(t, "connections", g.Connections, func(a, b dataplane.VPNConnection) int { return cmp.Compare(a.ID, b.ID) })
	ascending(t, "VPN routes", g.Routes, func(a, b dataplane.VPNRoute) int {
		return cmp.Or(a.Source.Compare(b.Source), a.Destination.Compare(b.Destination), cmp.Compare(a.Connection, b.Connection))
	})
	ascending(t, "SSL-VPN servers", g.SSL, func(a, b dataplane.SSLServer) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range g.SSL {
		ascending(t, "what clients reach", s.Reach, netip.Prefix.Compare)
		ascending(t, "client certificates", s.Certificates, func(a, b dataplane.SSLCertificate) int { return cmp.Compare(a.ID, b.ID) })
		ascending(t, "revoked certificates", s.Revoked, cmp.Compare)
		if s.Clients < 1 || s.Key != dataplane.Secret("key of "+s.ID) || s.TLSCrypt != dataplane.Secret("static key of "+s.ID) || len(s.Reach) == 0 {
			t.Errorf("SSL-VPN server %+v", s)
		}
		for i, p := range s.Reach {
			for _, q := range s.Reach[:i] {
				if p.Overlaps(q) {
					t.Errorf("clients reach %s twice, by %s", p, q)
				}
			}
		}
	}
	if !g.IPsec && len(g.Connections)+len(g.Routes) > 0 {
		t.Errorf("connections and routes of VPN gateway %s without IPsec", g.ID)
	}
	bgp := false
	for i := range g.Connections {
		c := &g.Connections[i]
		bgp = bgp || c.BGP != nil
		ascending(t, "local subnets", c.Policies.Locals(), netip.Prefix.Compare)
		for _, p := range c.Policies {
			ascending(t, "remote subnets", p.Remotes, netip.Prefix.Compare)
		}
		if c.PSK != dataplane.Secret("secret of "+c.ID) || !c.Remote.IsValid() || c.LocalID == "" || c.RemoteID == "" {
			t.Errorf("connection %+v", c)
		}
	}
	if bgp != (len(g.Announce) > 0) {
		t.Errorf("BGP: %v, announced: %v", bgp, g.Announce)
	}
	for _, r := range g.Routes {
		if !slices.ContainsFunc(g.Connections, func(c dataplane.VPNConnection) bool { return c.ID == r.Connection }) {
			t.Errorf("route %+v leads nowhere", r)
		}
	}
}

// checkNetwork checks what package dataplane promises of every Network.
func checkNetwork(t *testing.T, n *dataplane.Network) {
	t.Helper()
	ascending(t, "switches", n.Switches, func(a, b dataplane.Switch) int { return cmp.Compare(a.ID, b.ID) })
	ascending(t, "routes", n.Routes, func(a, b dataplane.Route) int { return a.Destination.Compare(b.Destination) })
	ascending(t, "elastic", n.Elastic, netip.Addr.Compare)
	ascending(t, "mappings", n.Mappings, func(a, b dataplane.Mapping) int { return a.External.Compare(b.External) })
	ascending(t, "DNAT", n.DNAT.Slice(), func(a, b dataplane.DNAT) int {
		return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.ExternalPort, b.ExternalPort))
	})
	ascending(t, "SNAT", n.SNAT, func(a, b dataplane.SNAT) int { return a.Source.Compare(b.Source) })
	for i := range n.VPNGateways {
		checkVPN(t, n, &n.VPNGateways[i])
	}
	if n.Uplink == nil && len(n.Elastic)+len(n.Mappings)+n.DNAT.Len()+len(n.SNAT) > 0 {
		t.Error("translation without an uplink")
	}

	ascending(t, "router interfaces", n.RouterInterfaces, func(a, b dataplane.RouterInterface) int { return cmp.Compare(a.ID, b.ID) })
	for _, r := range n.RouterInterfaces {
		if r.ID == "" || r.Peer == "" || r.Public != strings.HasPrefix(r.Network, "ga-") || !r.Public && (!slices.Contains(append(borderRouters, "vpc-a", "vpc-b"), r.Network) || r.Bandwidth != 50) {
			t.Errorf("router interface %+v", r)
		}
	}

	checkBandwidths(t, n)
	of := checkGateways(t, n)
	elastic, onLink := set(n.Elastic), func(a netip.Addr) bool {
		return slices.ContainsFunc(n.Switches, func(s dataplane.Switch) bool { return s.Prefix.Contains(a) && s.Gateway != a })
	}
	external, internal := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, m := range n.Mappings {
		if internal[m.Internal] {
			t.Errorf("two mappings to %s", m.Internal)
		}
		external[m.External], internal[m.Internal] = true, true
		if !elastic[m.External] {
			t.Errorf("mapping of %s, which is no elastic IP of the network", m.External)
		}
	}
	for d := range n.DNAT.All() {
		if of[d.External] == "" {
			t.Errorf("DNAT entry %v is of no gateway", d)
		}
		if external[d.External] || internal[d.Internal] {
			t.Errorf("DNAT entry %v takes part in a mapping", d)
		}
		if !elastic[d.External] || !onLink(d.Internal) {
			t.Errorf("DNAT entry %v leads from or to nowhere", d)
		}
		if anything := d.Protocol == 0; anything != (d.ExternalPort == 0) || anything != (d.InternalPort == 0) {
			t.Errorf("DNAT entry %v mixes Any with a value", d)
		}
	}
	for i, s := range n.SNAT {
		ascending(t, "pool", s.Pool, netip.Addr.Compare)
		if len(s.Pool) == 0 {
			t.Errorf("SNAT of %s without an address", s.Source)
		}
		for _, a := range s.Pool {
			if of[a] == "" || of[a] != of[s.Pool[0]] {
				t.Errorf("SNAT of %s to %s, which are not of one gateway", s.Source, s.Pool)
			}
			if external[a] || !elastic[a] {
				t.Errorf("SNAT of %s to %s, which is not free for it", s.Source, a)
			}
		}
		for _, other := range n.SNAT[:i] {
			if other.Source.Overlaps(s.Source) {
				t.Errorf("SNAT sources %s and %s overlap", other.Source, s.Source)
			}
		}
	}
	for _, r := range n.Routes {
		if len(r.NextHops) == 0 {
			t.Errorf("route %s leads nowhere", r.Destination)
		}
		for _, h := range r.NextHops {
			ways := 0
			for _, is := range []bool{h.Uplink, h.VPN != "", h.Interface != "", h.Via.IsValid()} {
				if is {
					ways++
				}
			}
			if ways != 1 || h.Uplink && n.Uplink == nil || h.VPN != "" && !slices.ContainsFunc(n.VPNGateways, func(g dataplane.VPNGateway) bool { return g.ID == h.VPN }) || h.Via.IsValid() && !onLink(h.Via) {
				t.Errorf("route %s has the next hop %v", r.Destination, h)
			}
		}
	}
}

// checkGateways checks what package dataplane promises of NAT gateways. It returns of
// which gateway each elastic IP is.
func checkGateways(t *testing.T, n *dataplane.Network) map[netip.Addr]string {
	t.Helper()
	ascending(t, "NAT gateways", n.NATGateways, func(a, b dataplane.NATGateway) int { return cmp.Compare(a.ID, b.ID) })
	of := map[netip.Addr]string{}
	for _, g := range n.NATGateways {
		ascending(t, "elastic IPs of a gateway", g.Elastic, netip.Addr.Compare)
		if !g.Limits.Limited() {
			t.Errorf("gateway %s has the limits %+v", g.ID, g.Limits)
		}
		for _, a := range g.Elastic {
			if of[a] != "" || !slices.Contains(n.Elastic, a) {
				t.Errorf("%s of gateway %s is of %q, too, or not of the network", a, g.ID, of[a])
			}
			of[a] = g.ID
		}
	}
	for _, m := range n.Mappings {
		if of[m.External] != "" {
			t.Errorf("a host's own elastic IP %s is of gateway %s", m.External, of[m.External])
		}
	}
	return of
}

// checkBandwidths checks what package dataplane promises of every Bandwidth, and that each
// elastic IP has one, though it is a VPN gateway's alone.
func checkBandwidths(t *testing.T, n *dataplane.Network) {
	t.Helper()
	ascending(t, "bandwidths", n.Bandwidths, func(a, b dataplane.Bandwidth) int { return cmp.Compare(a.ID, b.ID) })
	of := map[netip.Addr]string{}
	wholes := map[string]bool{}
	for _, b := range n.Bandwidths {
		wholes[b.ID] = b.Within == ""
	}
	for _, b := range n.Bandwidths {
		if b.Within != "" && !wholes[b.Within] {
			t.Errorf("bandwidth %+v is a part of what is none, or a part", b)
		}
		ascending(t, "elastic IPs of a bandwidth", b.Elastic, netip.Addr.Compare)
		if len(b.ID) == 0 || len(b.ID) > 64 || b.Outbound < 1 || b.Inbound < max(b.Outbound, 10) {
			t.Errorf("bandwidth %+v", b)
		}
		for _, a := range b.Elastic {
			if of[a] != "" || !slices.Contains(n.Elastic, a) {
				t.Errorf("%s of bandwidth %s is of %q, too, or not of the network", a, b.ID, of[a])
			}
			of[a] = b.ID
		}
	}
	for _, a := range n.Elastic {
		if of[a] == "" && !slices.ContainsFunc(n.VPNGateways, func(g dataplane.VPNGateway) bool { return g.Address == a }) {
			t.Errorf("%s has no bandwidth", a)
		}
	}
}

// ascending checks order, and that nothing is there twice.
func ascending[T any](t *testing.T, what string, list []T, compare func(a, b T) int) {
	t.Helper()
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			t.Errorf("%s: %v before %v", what, list[i-1], list[i])
		}
	}
}

func set(list []netip.Addr) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool, len(list))
	for _, a := range list {
		out[a] = true
	}
	return out
}

func BenchmarkCompile10k(b *testing.B) {
	w := nattest.New(b)
	rs := append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.11"))
	for i := range 10_000 {
		p := resource.TCP
		if i%2 == 1 {
			p = resource.UDP
		}
		rs = append(rs, nattest.Forward(fmt.Sprintf("fwd-%05d", i), gateway(), p,
			fmt.Sprintf("203.0.113.12:%d", 1+i/2), fmt.Sprintf("10.0.%d.%d:80", 1+i%2, 1+i%200)))
	}
	for i := range 200 {
		rs = append(rs, nattest.SNAT(fmt.Sprintf("snat-%d", i), gateway(), "vsw-1", fmt.Sprintf("10.0.1.%d/32", 1+i), "203.0.113.11"))
	}
	w.Put(rs...)
	v := w.DB.View()
	for b.Loop() {
		n, err := compile.Network(v, w.Settings, "vpc-a", nil)
		if err != nil || n.DNAT.Len() != 10_000 {
			b.Fatal(err)
		}
	}
}
