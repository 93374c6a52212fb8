package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// server is an SSL-VPN server at a VPN gateway's address.
type server struct {
	*dataplane.SSLServer
	at netip.Addr
}

func servers(n *dataplane.Network) (all []server) {
	for g, s := range n.AllSSL() {
		all = append(all, server{s, g.Address})
	}
	return all
}

// sameSSL reports whether two versions of a network have the same SSL-VPN servers, as far
// as packets are concerned.
func sameSSL(a, b *dataplane.Network) bool {
	return slices.EqualFunc(servers(a), servers(b), func(x, y server) bool {
		return x.ID == y.ID && x.at == y.at && x.Protocol == y.Protocol && x.Port == y.Port && x.Pool == y.Pool && slices.Equal(x.Reach, y.Reach)
	})
}

func (c *compiler) addSSL(n *dataplane.Network) error {
	var pools netipx.IPSetBuilder
	for _, s := range servers(n) {
		if err := s.check(); err != nil {
			return fmt.Errorf("SSL-VPN server %s: %w", s.ID, err)
		}
		if all, err := pools.IPSet(); err != nil || all.OverlapsPrefix(s.Pool) {
			return fmt.Errorf("SSL-VPN server %s: pool %s overlaps another server's", s.ID, s.Pool)
		}
		pools.AddPrefix(s.Pool.Masked())
		c.add(SetSSL, ofLink(s.Link()))
		listen := pair(s.at, netip.Addr{})
		listen.Key[4] = s.Protocol
		binary.BigEndian.PutUint16(listen.Key[8:], s.Port)
		c.add(SetListen, listen)
		// The set takes no intervals that overlap.
		var reach netipx.IPSetBuilder
		reach.Add(s.Own())
		for _, p := range s.Reach {
			reach.AddPrefix(p)
		}
		set, err := reach.IPSet()
		if err != nil {
			return fmt.Errorf("SSL-VPN server %s: %w", s.ID, err)
		}
		clients := netipx.RangeOfPrefix(s.Pool.Masked())
		for _, r := range set.Ranges() {
			var e Element
			putAddr(e.Key[0:], clients.From())
			putAddr(e.Key[4:], r.From())
			putAddr(e.Key[8:], clients.To())
			putAddr(e.Key[12:], r.To())
			c.add(SetReach, e)
		}
	}
	return nil
}

func (s server) check() error {
	if err := checkAddr(s.at); err != nil {
		return err
	}
	switch {
	case !s.Pool.IsValid() || !s.Pool.Addr().Is4() || s.Pool.Bits() > 30:
		return fmt.Errorf("pool %s is not an IPv4 prefix with room for clients", s.Pool)
	case s.Protocol != unix.IPPROTO_TCP && s.Protocol != unix.IPPROTO_UDP:
		return fmt.Errorf("protocol %d must be 6 (TCP) or 17 (UDP)", s.Protocol)
	case s.Port == 0:
		return fmt.Errorf("the port must be 1 to 65535")
	}
	for _, p := range s.Reach {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("%s, which clients may reach, is not an IPv4 prefix", p)
		}
	}
	return nil
}
