// Package networktest makes networks for tests and measurements: random ones, of
// every kind of thing that a dataplane.Network can ask for.
package networktest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
)

// Outside is what random networks are connected to: names of links in the namespace
// that the engine was given, and the public prefix that is there.
type Outside struct {
	Namespace string // that Bridge is in, by name; empty for the engine's own
	Bridge    string // of the public network
	Device    string // that carries macvlans and the packets of VXLAN; empty for neither
	Prefix    netip.Prefix
	SSL       bool // VPN gateways may have SSL-VPN servers, whose certificates are none
}

// Random returns a network of that id. It asks for what the control plane may ask for,
// and for the same in other words: prefixes with bits of hosts, several entries for
// one destination, weights of a single next hop, 0.0.0.0/0 wherever a prefix can be.
// Two networks of one id have some of their parts in common, by name at least. vpn
// allows for a VPN gateway; its peers are not there.
func Random(r *rand.Rand, id string, o Outside, vpn bool) *dataplane.Network {
	g := &generator{Rand: r, o: o, n: &dataplane.Network{
		ID: id, Revision: r.Int64N(1 << 40), Shortcut: r.IntN(2) == 0, Refusal: pick(r, dataplane.RefuseDrop, dataplane.RefuseReject),
		Prefix: pick(r, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("10.0.0.0/12")),
	}}
	if r.IntN(3) == 0 {
		g.n.Secondary = []netip.Prefix{netip.MustParsePrefix("172.30.0.0/16")}
	}
	g.timeouts()
	g.switches()
	free := g.public()
	for i := 0; g.n.Uplink != nil && vpn && i < 2 && r.IntN(3) > i && len(free) > 0; i++ {
		g.gateway(i, free[0])
		free = free[1:]
	}
	g.translation(free)
	g.interfaces()
	g.routes()
	g.bindings()
	return g.n
}

// generator fills in a network.
type generator struct {
	*rand.Rand
	o Outside
	n *dataplane.Network
}

// bindings ties some addresses of hosts to Ethernet addresses.
func (g *generator) bindings() {
	g.n.PortSecurity = g.IntN(4) > 0
	for i := range g.n.Switches {
		a := g.n.Switches[i].Prefix.Addr().Next()
		for range g.IntN(4) {
			g.n.Bindings = append(g.n.Bindings, dataplane.Binding{Address: a, MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", i, g.IntN(8))})
			a = a.Next()
		}
	}
	slices.SortFunc(g.n.Bindings, func(a, b dataplane.Binding) int { return a.Address.Compare(b.Address) })
}

// EditDNAT changes the i-th DNAT entry of a network.
func EditDNAT(n *dataplane.Network, i int, edit func(*dataplane.DNAT)) {
	d := n.DNAT.Slice()[i]
	n.DNAT = n.DNAT.Without(d)
	edit(&d)
	n.DNAT = n.DNAT.With(d)
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (g *generator) timeouts() {
	g.n.Timeouts = dataplane.DefaultTimeouts()
	if g.IntN(2) == 0 {
		for _, d := range []*time.Duration{&g.n.Timeouts.UDP, &g.n.Timeouts.TCPEstablished, &g.n.Timeouts.TCPTransitory, &g.n.Timeouts.ICMP, &g.n.Timeouts.TCPReset} {
			*d = time.Duration(1+g.IntN(10_000)) * time.Second
		}
	}
}

// switches adds VSwitches, 10.0.<i>.0 or in a further block 172.30.<i>.0 each, so that a
// name may come back with another block.
func (g *generator) switches() {
	at := g.Perm(8)
	for i := range g.IntN(5) {
		a := [4]byte{10, 0, byte(at[i]), 0}
		if len(g.n.Secondary) > 0 && g.IntN(2) == 0 {
			a[0], a[1] = 172, 30
		}
		p := netip.PrefixFrom(netip.AddrFrom4(a), 24+g.IntN(6))
		last := p.Addr().As4()
		last[3] = byte(1<<(32-p.Bits()) - 3)
		sw := dataplane.Switch{ID: fmt.Sprintf("vsw-%d", i), Prefix: p, Gateway: netip.AddrFrom4(last),
			Attachment: dataplane.Attachment{Kind: dataplane.AttachBridge, MTU: pick(g.Rand, 0, 0, 1280, 1500, 9000)}}
		if g.o.Device != "" && g.IntN(5) == 0 {
			sw.Attachment = dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: g.o.Device, VNI: uint32(1000 + i),
				Remote: netip.MustParseAddr(pick(g.Rand, "192.0.2.9", "239.1.1.1")), Port: uint16(pick(g.Rand, 0, 4789, 8472)), MTU: pick(g.Rand, 0, 1400)}
			if g.IntN(2) == 0 {
				sw.Attachment.Local = netip.MustParseAddr("192.0.2.1")
			}
		}
		g.n.Switches = append(g.n.Switches, sw)
	}
}

// public adds an uplink with elastic IPs, and returns these in any order.
func (g *generator) public() []netip.Addr {
	if g.IntN(5) == 0 {
		return nil
	}
	u := &dataplane.Uplink{Mode: dataplane.UplinkBridge, Device: g.o.Bridge, Namespace: g.o.Namespace, Prefix: g.o.Prefix, Gateway: g.o.Prefix.Addr().Next(), MTU: pick(g.Rand, 0, 0, 1500, 1400)}
	if g.o.Device != "" && g.IntN(4) == 0 {
		u.Mode, u.Device = dataplane.UplinkMacvlan, g.o.Device
	}
	if g.IntN(8) == 0 {
		u.Gateway = netip.Addr{}
	}
	if g.IntN(8) == 0 {
		u.Prefix = netip.PrefixFrom(u.Prefix.Addr().Next().Next(), u.Prefix.Bits())
	}
	g.n.Uplink = u
	a := g.o.Prefix.Addr().As4()
	var all []netip.Addr
	for _, i := range g.Perm(12)[:g.IntN(9)] {
		a[3] = byte(10 + i)
		all = append(all, netip.AddrFrom4(a))
	}
	g.n.Elastic = slices.SortedFunc(slices.Values(all), netip.Addr.Compare)
	return all
}

// hosts returns addresses of hosts in VSwitches, none twice.
func (g *generator) hosts(count int) []netip.Addr {
	var all []netip.Addr
	for range count {
		if len(g.n.Switches) == 0 {
			return nil
		}
		sw := pick(g.Rand, g.n.Switches...)
		a := sw.Prefix.Addr().As4()
		a[3] = byte(1 + g.IntN(1<<(32-sw.Prefix.Bits())-4))
		if h := netip.AddrFrom4(a); !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return all
}

// translation adds entries for elastic IPs: some are mapped, some forward, some are
// pools; and NAT gateways that these are of.
func (g *generator) translation(free []netip.Addr) {
	n := g.n
	take := func(most int) []netip.Addr {
		k := g.IntN(min(most, len(free)) + 1)
		taken := free[:k]
		free = free[k:]
		return taken
	}
	hosts := g.hosts(6)
	for i, e := range take(2) {
		if i < len(hosts) {
			n.Mappings = append(n.Mappings, dataplane.Mapping{External: e, Internal: hosts[i]})
		}
	}
	slices.SortFunc(n.Mappings, func(a, b dataplane.Mapping) int { return a.External.Compare(b.External) })
	for _, e := range take(2) {
		if inside := g.hosts(1); g.IntN(3) == 0 && len(inside) > 0 {
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: e, Internal: inside[0]})
			continue
		}
		for _, inside := range g.hosts(g.IntN(20)) {
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: e, Protocol: pick[uint8](g.Rand, 6, 17), ExternalPort: uint16(1 + n.DNAT.Len()*97), Internal: inside, InternalPort: uint16(1 + g.IntN(65535))})
		}
	}
	for i := range 1 + g.IntN(3) {
		k := g.IntN(len(free) + 1)
		n.NATGateways = append(n.NATGateways, dataplane.NATGateway{
			ID: fmt.Sprintf("ngw-%d", i), Elastic: slices.SortedFunc(slices.Values(free[:k]), netip.Addr.Compare),
			Limits: dataplane.Limits{Connections: g.IntN(3) * 5000, NewPerSecond: g.IntN(3) * 1000}, EchoReply: g.IntN(2) == 0,
		})
		free = free[k:]
	}
	for i := range n.Switches {
		of := pick(g.Rand, n.NATGateways...)
		pool := of.Elastic[:g.IntN(len(of.Elastic)+1)]
		if len(pool) == 0 {
			continue
		}
		source := n.Switches[i].Prefix
		switch g.IntN(3) {
		case 0:
			source = netip.PrefixFrom(source.Addr().Next(), 32)
		case 1: // in other words
			source = netip.PrefixFrom(source.Addr().Next(), source.Bits())
		}
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: source, Pool: pool})
	}
	slices.SortFunc(n.SNAT, func(a, b dataplane.SNAT) int { return a.Source.Compare(b.Source) })
	for d := range n.DNAT.All() {
		to := &n.NATGateways[int(d.External.As4()[3])%len(n.NATGateways)]
		if at, there := slices.BinarySearchFunc(to.Elastic, d.External, netip.Addr.Compare); !there {
			to.Elastic = slices.Insert(slices.Clone(to.Elastic), at, d.External)
		}
	}
}

// interfaces adds router interfaces, whose peers are not there.
func (g *generator) interfaces() {
	for i := range g.IntN(3) {
		g.n.RouterInterfaces = append(g.n.RouterInterfaces, dataplane.RouterInterface{
			ID: fmt.Sprintf("ri-%d", i), Peer: fmt.Sprintf("ri-%d-peer", i), Network: "vpc-peer", Bandwidth: pick(g.Rand, 0, 2, 1000),
		})
	}
}

// destinations that a route may have; the network's own blocks come on top.
var destinations = []string{
	"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/8", "10.0.0.0/8", "10.128.0.0/9", "172.16.0.0/12", "172.16.3.4/16",
	"192.168.0.0/16", "192.168.7.0/24", "192.168.7.9/24", "192.168.7.9/32", "198.51.100.7/32", "198.51.100.0/24", "100.64.0.0/10",
}

func (g *generator) destination() netip.Prefix {
	switch g.IntN(8) {
	case 0:
		return g.o.Prefix
	case 1:
		if len(g.n.Switches) > 0 {
			return pick(g.Rand, g.n.Switches...).Prefix
		}
	}
	return netip.MustParsePrefix(pick(g.Rand, destinations...))
}

// routes fills in the main route table, and others that some VSwitches are bound to.
func (g *generator) routes() {
	n := g.n
	n.Routes = g.entries()
	free := g.Perm(len(n.Switches))
	for i := range g.IntN(3) {
		t := dataplane.RouteTable{ID: fmt.Sprintf("vtb-%d", i), Routes: g.entries()}
		k := g.IntN(len(free) + 1)
		for _, at := range free[:k] {
			t.Switches = append(t.Switches, n.Switches[at].ID)
		}
		slices.Sort(t.Switches)
		free = free[k:]
		n.Tables = append(n.Tables, t)
	}
}

func (g *generator) entries() (all []dataplane.Route) {
	n := g.n
	for range g.IntN(7) {
		d := g.destination()
		if slices.ContainsFunc(all, func(r dataplane.Route) bool { return r.Destination == d }) ||
			slices.ContainsFunc(n.Switches, func(s dataplane.Switch) bool { return s.Prefix.Masked() == d.Masked() }) {
			continue
		}
		e := dataplane.Route{Destination: d}
		switch k := g.IntN(5); {
		case k == 0 && n.Uplink != nil:
			e.NextHops = []dataplane.NextHop{{Uplink: true}}
		case k == 1 && len(n.VPNGateways) > 0:
			e.NextHops = []dataplane.NextHop{{VPN: pick(g.Rand, n.VPNGateways...).ID}}
		case k == 2 && len(n.RouterInterfaces) > 0:
			for i := range n.RouterInterfaces[:1+g.IntN(len(n.RouterInterfaces))] {
				e.NextHops = append(e.NextHops, dataplane.NextHop{Interface: n.RouterInterfaces[i].ID, Weight: pick(g.Rand, 0, 1, 100, 255)})
			}
		default:
			for _, h := range g.hosts(1 + g.IntN(4)) {
				e.NextHops = append(e.NextHops, dataplane.NextHop{Via: h, Weight: pick(g.Rand, 0, 1, 2, 100, 255)})
			}
			slices.SortFunc(e.NextHops, func(a, b dataplane.NextHop) int { return a.Via.Compare(b.Via) })
		}
		if len(e.NextHops) > 0 {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b dataplane.Route) int { return a.Destination.Compare(b.Destination) })
	return all
}
