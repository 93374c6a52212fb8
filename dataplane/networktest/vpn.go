package networktest

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
)

// gateway adds a VPN gateway at an elastic IP; at is how many there are.
func (g *generator) gateway(at int, address netip.Addr) {
	v := &dataplane.VPNGateway{
		ID: fmt.Sprintf("vpn-%d", at), Address: address, Bandwidth: pick(g.Rand, 0, 1, 5, 10, 33, 100, 500, 1000), Propagate: g.IntN(2) == 0,
	}
	v.IPsec = !g.o.SSL || g.IntN(4) > 0
	for i := 0; g.o.SSL && i < 2 && (g.IntN(2) == 0 || !v.IPsec && i == 0); i++ {
		v.SSL = append(v.SSL, g.server(2*at+i))
	}
	defer func() { g.n.VPNGateways = append(g.n.VPNGateways, *v) }()
	if !v.IPsec {
		return
	}
	bgp := g.IntN(4) == 0
	for i := range 1 + g.IntN(3) {
		v.Connections = append(v.Connections, g.connection(fmt.Sprintf("vco-%d%d", at, i), netip.AddrFrom4([4]byte{198, 51, 100, byte(7 + i)}), v, bgp && i == 0))
	}
	for range g.IntN(9) {
		r := dataplane.VPNRoute{Destination: g.destination(), Connection: pick(g.Rand, v.Connections...).ID, Standby: g.IntN(3) == 0, Published: g.IntN(2) == 0}
		if g.IntN(2) == 0 {
			r.Source = g.source()
		}
		same := func(o dataplane.VPNRoute) bool {
			return o.Source == r.Source && o.Destination == r.Destination && o.Connection == r.Connection
		}
		if !slices.ContainsFunc(v.Routes, same) {
			v.Routes = append(v.Routes, r)
		}
	}
	slices.SortFunc(v.Routes, func(a, b dataplane.VPNRoute) int {
		return cmp.Or(a.Source.Compare(b.Source), a.Destination.Compare(b.Destination), cmp.Compare(a.Connection, b.Connection))
	})
}

// server is an SSL-VPN server; at is how many there may be before it.
func (g *generator) server(at int) dataplane.SSLServer {
	s := dataplane.SSLServer{
		ID: fmt.Sprintf("ssl-%d", at), Protocol: pick[uint8](g.Rand, 6, 17), Port: pick[uint16](g.Rand, 443, 1194) + uint16(at), Cipher: pick(g.Rand, dataplane.SSLCiphers()...), Clients: 1 + g.IntN(20),
		Pool: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 29, byte(16 * at), 0}), 20+g.IntN(10)),
	}
	for range g.IntN(5) {
		s.Reach = append(s.Reach, g.destination().Masked())
	}
	slices.SortFunc(s.Reach, netip.Prefix.Compare)
	s.Reach = slices.Compact(s.Reach)
	for i := range g.IntN(4) {
		c := dataplane.SSLCertificate{ID: fmt.Sprintf("vsc-%d%d", at, i), Serial: dataplane.SSLSerial(fmt.Sprint(1 + i))}
		if g.IntN(3) == 0 {
			s.Revoked = append(s.Revoked, c.Serial)
		} else {
			s.Certificates = append(s.Certificates, c)
		}
	}
	return s
}

// source is one of a policy route.
func (g *generator) source() netip.Prefix {
	if len(g.n.Switches) > 0 && g.IntN(2) == 0 {
		return pick(g.Rand, g.n.Switches...).Prefix
	}
	return netip.MustParsePrefix(pick(g.Rand, "0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.0.0.0/7", "10.0.1.5/32", "10.0.1.5/24", "10.0.2.0/23", "203.0.113.0/24"))
}

func (g *generator) connection(id string, peer netip.Addr, v *dataplane.VPNGateway, bgp bool) dataplane.VPNConnection {
	p := dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA256, Group: 14}
	c := dataplane.VPNConnection{
		ID: id, Remote: peer, LocalID: v.Address.String(), RemoteID: peer.String(), PSK: dataplane.Secret("of " + id),
		IKE: dataplane.IKE{Version: pick(g.Rand, 1, 2), Proposal: p, Lifetime: 3600}, ESP: dataplane.ESP{Proposal: p, Lifetime: 3600},
		Start: g.IntN(2) == 0, DPD: g.IntN(2) == 0, NATTraversal: true,
	}
	subnets := func(any func() netip.Prefix) []netip.Prefix {
		var all []netip.Prefix
		for range 1 + g.IntN(3) {
			all = append(all, any().Masked())
		}
		slices.SortFunc(all, netip.Prefix.Compare)
		return slices.Compact(all)
	}
	remotes := func() []netip.Prefix {
		return subnets(func() netip.Prefix {
			return netip.MustParsePrefix(pick(g.Rand, "192.168.0.0/16", "192.168.7.0/24", "172.16.0.0/12", "198.51.100.0/24", "0.0.0.0/0"))
		})
	}
	c.Policies = dataplane.Product(subnets(g.source), remotes())
	if g.IntN(2) == 0 {
		for i := range c.Policies {
			c.Policies[i].Remotes = remotes()
		}
	}
	c.Exclusive = g.IntN(2) == 0
	if bgp {
		all := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
		c.Policies, c.Exclusive = dataplane.Product(all, all), false
		tunnel := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(4*len(g.n.VPNGateways) + g.IntN(4)), byte(4 * g.IntN(4))}), 30)
		c.BGP = &dataplane.VPNBGP{Tunnel: tunnel, LocalIP: tunnel.Addr().Next(), LocalASN: 65001, PeerASN: 65002}
		v.Announce = []netip.Prefix{g.n.Prefix}
	}
	if len(g.n.Switches) > 0 && g.IntN(3) == 0 {
		c.Health = &dataplane.VPNHealth{Source: g.n.Switches[0].Gateway, Destination: netip.MustParseAddr("192.168.7.1"), Interval: time.Second, Retries: 1 + g.IntN(5)}
	}
	return c
}
