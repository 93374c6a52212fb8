package ipsec

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// pointToPoint gives a link an address and a route to its neighbour's, and sets it
// up, as far as that is not so; it returns what it did. The kernel's own notion of a
// peer's address is not used: it does not answer for such an address with
// arp_ignore=1.
func pointToPoint(nl *netlink.Handle, name string, own, other netip.Addr) (did []string, err error) {
	l, err := nl.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	have, err := netns.Dump(func() ([]netlink.Addr, error) { return nl.AddrList(l, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", name, err)
	}
	if !slices.ContainsFunc(have, func(a netlink.Addr) bool { return a.IPNet.String() == host(own).String() }) {
		if err := nl.AddrAdd(l, &netlink.Addr{IPNet: host(own)}); err != nil {
			return did, fmt.Errorf("add address %s to %s: %w", own, name, err)
		}
		did = append(did, fmt.Sprintf("added address %s to %s", own, name))
	}
	if l.Attrs().Flags&net.FlagUp == 0 {
		if err := nl.LinkSetUp(l); err != nil {
			return did, fmt.Errorf("set %s up: %w", name, err)
		}
		did = append(did, "set "+name+" up")
	}
	more, err := lacksRoute(nl, &netlink.Route{LinkIndex: l.Attrs().Index, Dst: host(other), Scope: netlink.SCOPE_LINK})
	if err != nil {
		return did, fmt.Errorf("add a route to %s by %s: %w", other, name, err)
	}
	if more {
		did = append(did, fmt.Sprintf("added a route to %s by %s", other, name))
	}
	return did, nil
}

// lacksRoute adds a route to the main table, where there is none to that destination
// by that link, and reports whether it did. A destination of nil is all.
func lacksRoute(nl *netlink.Handle, r *netlink.Route) (bool, error) {
	have, err := netns.Dump(func() ([]netlink.Route, error) {
		return nl.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: r.LinkIndex, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return false, err
	}
	to := func(r *netlink.Route) string {
		if r.Dst == nil {
			return "0.0.0.0/0"
		}
		return r.Dst.String()
	}
	if slices.ContainsFunc(have, func(h netlink.Route) bool { return to(&h) == to(r) && h.Gw.Equal(r.Gw) }) {
		return false, nil
	}
	return true, nl.RouteReplace(r)
}

// connectHome makes IKE and ESP find between the network's namespace and charon's
// home, as far as they do not. It returns what it did.
func (g *gateway) connectHome(home *netns.Namespace) (did []string, err error) {
	own := homeAddress(g.slot)
	did, err = pointToPoint(g.ns.Netlink(), g.ikeLink(), homeEnd, own)
	if err != nil {
		return did, err
	}
	inside, err := pointToPoint(home.Netlink(), outerLink, own, homeEnd)
	did = append(did, inside...)
	if err != nil {
		return did, err
	}
	outer, err := home.Netlink().LinkByName(outerLink)
	if err != nil {
		return did, err
	}
	added, err := lacksRoute(home.Netlink(), &netlink.Route{LinkIndex: outer.Attrs().Index, Gw: homeEnd.AsSlice()})
	if err != nil {
		return did, fmt.Errorf("add the default route of charon's namespace: %w", err)
	}
	if added {
		did = append(did, "added the default route of charon's namespace")
	}
	return did, nil
}

// mendHome is connectHome for a charon that is there.
func (g *gateway) mendHome() error {
	if g.home == nil {
		return nil
	}
	did, err := g.connectHome(g.home)
	if len(did) > 0 {
		g.m.log.Warn("repaired the way of IKE and ESP to a site's charon, which somebody else had changed", "network", g.network, "peer", g.ends.peer, "repair", strings.Join(did, ", "))
	}
	if err != nil {
		return fmt.Errorf("the way of IKE and ESP to charon: %w", err)
	}
	return nil
}
