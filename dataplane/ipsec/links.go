package ipsec

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Plugin kernel-libipsec insists on routes: they are in a table for which only
// packets with a mark that none has are sent.
const (
	routingTable = 220
	noMark       = 0xfffffffe
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
	links, err := netns.Dump(g.ns.Netlink().LinkList)
	if err != nil {
		return none, fmt.Errorf("list links in %s: %w", g.ns, err)
	}
	have, ids := map[string]*netlink.Xfrmi{}, map[string]uint32{}
	for _, l := range links {
		if x, ok := l.(*netlink.Xfrmi); ok {
			have[x.Name], ids[x.Name] = x, x.Ifid
		}
	}
	for i := range g.want.Connections {
		if x := have[g.want.Connections[i].Link()]; x != nil {
			ids[g.want.Connections[i].ID] = x.Ifid
		}
	}
	if err := g.identify(ids); err != nil {
		return none, err
	}
	failed := map[string]bool{}
	var errs []error
	for i := range g.want.Connections {
		c := &g.want.Connections[i]
		if err := g.prepareXFRM(c, have[c.Link()]); err != nil {
			errs, failed[c.ID] = append(errs, err), true
		}
	}
	return func(connection string) bool { return !failed[connection] }, errors.Join(errs...)
}

// prepareXFRM makes a connection's XFRM interface what it shall be; have is what
// it is, or nil.
func (g *gateway) prepareXFRM(c *dataplane.VPNConnection, have *netlink.Xfrmi) error {
	nl, id, name, alias := g.ns.Netlink(), g.numbers.Links[c.ID], c.Link(), tunnelAlias(c.ID)
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
	} else if have.Flags&net.FlagUp != 0 && have.MTU == dataplane.VPNMTU && have.Alias == alias {
		return nil
	}
	l, err := nl.LinkByName(name)
	if err == nil {
		err = errors.Join(nl.LinkSetAlias(l, alias), nl.LinkSetMTU(l, dataplane.VPNMTU), nl.LinkSetUp(l))
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
	wanted := func(name string) bool {
		return slices.ContainsFunc(g.want.Connections, func(c dataplane.VPNConnection) bool { return c.Link() == name })
	}
	return removeXFRM(g.ns, wanted)
}

// tunnelAlias says what a link is, for whoever looks at it with ip(8): a connection's
// tunnel, or those to a site.
func tunnelAlias(to string) string { return "tunnel " + to }

func removeXFRM(ns *netns.Namespace, keep func(name string) bool) error {
	links, err := netns.Dump(ns.Netlink().LinkList)
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

// gone is err, unless what was to be removed was not there.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// sweep removes what charons leave in a network's namespace.
func sweep(ns *netns.Namespace) error {
	_, err := setOuter(ns, leading{})
	return errors.Join(removeXFRM(ns, func(string) bool { return false }), err)
}
