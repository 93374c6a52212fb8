package ipsec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Plugin kernel-libipsec installs a route for each of a CHILD_SA's policies, with
// a source address out of the local subnet, and gives the CHILD_SA up where there
// is no such address or the route cannot be made. Its routes go to a table for
// which only packets with a mark that none has are sent; and where a local subnet
// has no address here, its first one is put on the TUN device, but out of the
// table that makes it ours: packets to it are led on as if it were not there.
const (
	routingTable = 220
	noMark       = 0xfffffffe
	labelSuffix  = ":vpn"
	// The widest scope that the kernel takes for a source address after all others,
	// and that charon still sees.
	addressScope = int(unix.RT_SCOPE_LINK) - 1
)

// prepareLinks makes what the connections need before they are loaded, and gives
// them their numbers. It returns which of them are ready.
func (g *gateway) prepareLinks() (ready func(connection string) bool, err error) {
	none := func(string) bool { return false }
	if g.m.path == dataplane.VPNByLibipsec {
		if err := g.identify(nil); err != nil {
			return none, err
		}
		return func(string) bool { return true }, g.prepareAddresses()
	}
	links, err := g.ns.Netlink().LinkList()
	if err != nil {
		return none, fmt.Errorf("list links in %s: %w", g.ns, err)
	}
	have, ids := map[string]*netlink.Xfrmi{}, map[string]uint32{}
	for _, l := range links {
		if x, ok := l.(*netlink.Xfrmi); ok {
			have[x.Name], ids[x.Name] = x, x.Ifid
		}
	}
	if err := g.identify(ids); err != nil {
		return none, err
	}
	failed := map[string]bool{}
	var errs []error
	for i := range g.want.Connections {
		name := g.want.Connections[i].ID
		if err := g.prepareXFRM(name, have[name]); err != nil {
			errs, failed[name] = append(errs, err), true
		}
	}
	return func(connection string) bool { return !failed[connection] }, errors.Join(errs...)
}

// prepareXFRM makes a connection's XFRM interface what it shall be; have is what
// it is, or nil.
func (g *gateway) prepareXFRM(name string, have *netlink.Xfrmi) error {
	nl, id := g.ns.Netlink(), g.numbers.Links[name]
	if have != nil && have.Ifid != id { // it cannot be changed
		if err := gone(nl.LinkDel(have)); err != nil {
			return fmt.Errorf("remove XFRM interface %s with if_id %d in %s: %w", name, have.Ifid, g.ns, err)
		}
		have = nil
	}
	if have == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = name, dataplane.VPNMTU
		if err := nl.LinkAdd(&netlink.Xfrmi{LinkAttrs: attrs, Ifid: id}); err != nil {
			return fmt.Errorf("add XFRM interface %s in %s: %w", name, g.ns, err)
		}
	} else if have.Flags&net.FlagUp != 0 && have.MTU == dataplane.VPNMTU {
		return nil
	}
	l, err := nl.LinkByName(name)
	if err == nil {
		err = errors.Join(nl.LinkSetMTU(l, dataplane.VPNMTU), nl.LinkSetUp(l))
	}
	if err != nil {
		return fmt.Errorf("set XFRM interface %s in %s up: %w", name, g.ns, err)
	}
	return nil
}

// removeLinks removes the XFRM interfaces of connections that are gone.
func (g *gateway) removeLinks() error {
	if g.m.path != dataplane.VPNByXFRM {
		return nil
	}
	return removeXFRM(g.ns, g.wanted)
}

func removeXFRM(ns *netns.Namespace, keep func(name string) bool) error {
	links, err := ns.Netlink().LinkList()
	if err != nil {
		return fmt.Errorf("list links in %s: %w", ns, err)
	}
	var errs []error
	for _, l := range links {
		if l.Type() != "xfrm" || keep(l.Attrs().Name) {
			continue
		}
		if err := ns.Netlink().LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove XFRM interface %s in %s: %w", l.Attrs().Name, ns, err))
		}
	}
	return errors.Join(errs...)
}

// tun returns the TUN device that charon carries packets over, or nil.
func (g *gateway) tun() netlink.Link {
	if g.m.path != dataplane.VPNByLibipsec {
		return nil
	}
	links, err := g.ns.Netlink().LinkList()
	if err != nil {
		return nil
	}
	for _, l := range links {
		if isTUN(l) {
			return l
		}
	}
	return nil
}

// prepareAddresses gives each local subnet an address that charon sees.
func (g *gateway) prepareAddresses() error {
	tun := g.tun()
	if tun == nil {
		return fmt.Errorf("charon has made no TUN device in %s", g.ns)
	}
	nl := g.ns.Netlink()
	if tun.Attrs().Flags&net.FlagUp == 0 {
		if err := nl.LinkSetUp(tun); err != nil {
			return fmt.Errorf("set %s in %s up: %w", tun.Attrs().Name, g.ns, err)
		}
	}
	addresses, err := nl.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses in %s: %w", g.ns, err)
	}
	label := tun.Attrs().Name + labelSuffix
	var ours []netlink.Addr
	var others []netip.Addr
	for _, a := range addresses {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		switch {
		case a.Label == label:
			ours = append(ours, a)
		case ok && a.Scope < int(unix.RT_SCOPE_LINK): // else charon does not take it
			others = append(others, ip)
		}
	}
	var want []netip.Addr
	for i := range g.want.Connections {
		for _, p := range g.want.Connections[i].LocalSubnets {
			if p.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || slices.ContainsFunc(others, p.Contains) || slices.ContainsFunc(want, p.Contains) {
				continue
			}
			want = append(want, p.Masked().Addr())
		}
	}
	var errs []error
	for _, a := range ours {
		ip, _ := netip.AddrFromSlice(a.IP.To4())
		if !slices.Contains(want, ip) {
			errs = append(errs, gone(nl.AddrDel(tun, &a)), gone(nl.RouteDel(hidden(tun, ip))))
		}
	}
	for _, ip := range want {
		host := netipx.PrefixIPNet(netip.PrefixFrom(ip, 32))
		err := nl.AddrAdd(tun, &netlink.Addr{IPNet: host, Label: label, Scope: addressScope})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("add %s to %s in %s: %w", ip, tun.Attrs().Name, g.ns, err))
			continue
		}
		local := hidden(tun, ip)
		local.Table = unix.RT_TABLE_LOCAL
		errs = append(errs, gone(nl.RouteDel(local)))
		if err := nl.RouteReplace(hidden(tun, ip)); err != nil {
			errs = append(errs, fmt.Errorf("add local route to %s in %s: %w", ip, g.ns, err))
		}
	}
	return errors.Join(errs...)
}

// hidden is the route that makes an address local in routingTable alone, which is
// where the kernel looks when a route in that table has it as its source.
func hidden(tun netlink.Link, ip netip.Addr) *netlink.Route {
	return &netlink.Route{
		LinkIndex: tun.Attrs().Index, Dst: netipx.PrefixIPNet(netip.PrefixFrom(ip, 32)),
		Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Table: routingTable,
	}
}

// gone is err, unless what was to be removed was not there.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// sweep removes what a charon that was killed leaves in a namespace.
func sweep(ns *netns.Namespace) error {
	nl := ns.Netlink()
	errs := []error{removeXFRM(ns, func(string) bool { return false })}
	rules, err := nl.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		errs = append(errs, fmt.Errorf("list routing rules in %s: %w", ns, err))
	}
	for _, r := range rules {
		if r.Table == routingTable && r.Mark == noMark {
			errs = append(errs, gone(nl.RuleDel(&r)))
		}
	}
	return errors.Join(errs...)
}
