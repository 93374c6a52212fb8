package ipsec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

// On the libipsec path each site's charon has a network namespace of its own, its
// home, as all of one charon's policies and SAs are behind one TUN device:
//
//	network's namespace                         home
//	  ipsec<slot>  the TUN device, moved here
//	  ike<slot>    homeEnd ───────────────────── outer  homeAddress(slot)
//	                                             ipsec0, a bridge in the device's place
//
// What a route leads into ipsec<slot> only this charon ever sees, and what this
// charon sends goes to the site's address or nowhere (outer.go). The home ends with
// charon, and with it everything in it, and both links.
const (
	outerLink = "outer"
	// What charon calls its first TUN device in a namespace.
	placeholder = dataplane.TUNLinks + "0"
)

// homeEnd is the address of the network's namespace towards homes, one of
// dataplane.VPNHomes, as theirs are.
var homeEnd = netip.AddrFrom4([4]byte{240, 0, 255, 254})

// mostSlots is how many homes there are addresses for.
const mostSlots = 0xff00

func homeAddress(slot int) netip.Addr {
	return netip.AddrFrom4([4]byte{240, 0, byte((slot + 1) >> 8), byte(slot + 1)})
}

func (g *gateway) ikeLink() string { return dataplane.CharonLink(g.slot) }

// tunnelName returns the name of the TUN device in the network's namespace.
func (g *gateway) tunnelName() string { return dataplane.TUNLink(g.slot) }

// tun returns the TUN device; nil if there is none.
func (g *gateway) tun() netlink.Link {
	l, err := g.ns.Netlink().LinkByName(g.tunnelName())
	if err != nil || l.Type() != "tuntap" {
		return nil
	}
	return l
}

// local returns the address that charon has for a connection.
func (g *gateway) local(c *dataplane.VPNConnection) netip.Addr {
	if g.m.path == dataplane.VPNByLibipsec {
		return homeAddress(g.slot)
	}
	return g.locals[c.ID]
}

// lives reports whether a charon is where it shall be, in the network's namespace or
// in a home of it; that is open then.
func (g *gateway) lives(pid int) bool {
	if g.m.path == dataplane.VPNByLibipsec {
		return g.adoptHome(pid)
	}
	return process.In(pid, g.ns)
}

// place returns the namespace in which a charon is to be started.
func (g *gateway) place() (*netns.Namespace, error) {
	if g.m.path != dataplane.VPNByLibipsec {
		return g.ns, nil
	}
	home, err := g.makeHome()
	if err != nil {
		return nil, err
	}
	g.home = home
	return home, nil
}

// makeHome makes a home that leads to the network's namespace.
func (g *gateway) makeHome() (home *netns.Namespace, err error) {
	home, err = netns.New("of charon for " + g.ends.peer.String())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			home.Close()
			home = nil
		}
	}()
	settings := []netns.Sysctl{
		{Path: "ipv6/conf/all/disable_ipv6", Value: "1", Optional: true},
		{Path: "ipv6/conf/default/disable_ipv6", Value: "1", Optional: true},
		// No router's word on the size of packets comes here. They are fragmented.
		{Path: "ipv4/ip_no_pmtu_disc", Value: "1"},
	}
	if err = home.Set(settings...); err != nil {
		return nil, err
	}
	nl := g.ns.Netlink()
	// What a charon that has just died leaves the kernel removes in its own time.
	for _, name := range []string{g.ikeLink(), g.tunnelName()} {
		if err = removeLink(nl, name); err != nil {
			return nil, fmt.Errorf("remove link %s of an earlier charon in %s: %w", name, g.ns, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = g.ikeLink()
	err = nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: outerLink, PeerNamespace: netlink.NsFd(int(home.Handle()))})
	if err != nil {
		return nil, fmt.Errorf("add link %s in %s: %w", attrs.Name, g.ns, err)
	}
	err = up(home.Netlink(), "lo")
	if err == nil {
		_, err = g.connectHome(home)
	}
	if err != nil {
		return nil, fmt.Errorf("set up charon's namespace: %w", err)
	}
	return home, nil
}

func removeLink(nl *netlink.Handle, name string) error {
	l, err := nl.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return gone(nl.LinkDel(l))
}

func up(nl *netlink.Handle, name string) error {
	l, err := nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nl.LinkSetUp(l)
}

func host(a netip.Addr) *net.IPNet { return netipx.PrefixIPNet(netip.PrefixFrom(a, a.BitLen())) }

// moveTunnel moves charon's TUN device from its home to the network's namespace. A
// bridge takes its place: charon wants to make routes to the device by its name.
func (g *gateway) moveTunnel() error {
	inside := g.home.Netlink()
	tun, err := findTUN(inside)
	if err != nil {
		return err
	}
	err = inside.LinkSetDown(tun)
	if err == nil && tun.Attrs().Name != g.tunnelName() {
		err = inside.LinkSetName(tun, g.tunnelName())
	}
	if err == nil {
		err = inside.LinkSetNsFd(tun, int(g.ns.Handle()))
	}
	if err != nil {
		return fmt.Errorf("move charon's TUN device to %s: %w", g.ns, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = placeholder
	if err := errors.Join(inside.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}), up(inside, placeholder)); err != nil {
		return fmt.Errorf("put link %s in the place of charon's TUN device: %w", placeholder, err)
	}
	nl := g.ns.Netlink()
	moved, err := nl.LinkByName(g.tunnelName())
	if err == nil {
		err = errors.Join(nl.LinkSetAlias(moved, tunnelAlias(g.ends.peer.String())), nl.LinkSetMTU(moved, dataplane.VPNMTU), nl.LinkSetUp(moved))
	}
	if err != nil {
		return fmt.Errorf("set charon's TUN device up in %s: %w", g.ns, err)
	}
	return nil
}

func findTUN(nl *netlink.Handle) (netlink.Link, error) {
	links, err := netns.Dump(nl.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links of charon's namespace: %w", err)
	}
	for _, l := range links {
		if l.Type() == "tuntap" && strings.HasPrefix(l.Attrs().Name, dataplane.TUNLinks) {
			return l, nil
		}
	}
	return nil, errors.New("charon has made no TUN device")
}

// adoptHome opens the home of a charon that is there, and reports whether it leads
// to the network's namespace and its TUN device is there.
func (g *gateway) adoptHome(pid int) bool {
	home, err := netns.Of(pid, "of charon for "+g.ends.peer.String())
	if err != nil {
		return false
	}
	outer, err := home.Netlink().LinkByName(outerLink)
	if err == nil {
		var end netlink.Link
		end, err = g.ns.Netlink().LinkByName(g.ikeLink())
		if err == nil && (end.Attrs().ParentIndex != outer.Attrs().Index || outer.Attrs().ParentIndex != end.Attrs().Index) {
			err = errors.New("not the two ends of one link")
		}
	}
	if err != nil || g.tun() == nil {
		home.Close()
		return false
	}
	g.home = home
	return true
}

// closeHome closes the home, which stays as long as charon.
func (g *gateway) closeHome() {
	if g.home != nil {
		g.home.Close()
		g.home = nil
	}
}

// prepareAddresses gives each local subnet an address in charon's home: plugin
// kernel-libipsec installs a route for each policy of a CHILD_SA, with a source
// address out of the local subnet, and gives the CHILD_SA up where there is none.
// Nothing takes those routes.
func (g *gateway) prepareAddresses() error {
	if tun := g.tun(); tun != nil && tun.Attrs().Flags&net.FlagUp == 0 {
		if err := g.ns.Netlink().LinkSetUp(tun); err != nil {
			return fmt.Errorf("set %s in %s up: %w", tun.Attrs().Name, g.ns, err)
		}
	}
	nl := g.home.Netlink()
	link, err := nl.LinkByName(placeholder)
	if err != nil {
		return fmt.Errorf("link %s of charon's namespace: %w", placeholder, err)
	}
	have, err := netns.Dump(func() ([]netlink.Addr, error) { return nl.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list addresses of charon's namespace: %w", err)
	}
	var want []netip.Prefix
	for i := range g.want.Connections {
		for _, p := range g.want.Connections[i].Policies.Locals() {
			want = append(want, netip.PrefixFrom(p.Masked().Addr(), 32))
		}
	}
	var errs []error
	for _, a := range have {
		is, _ := netipx.FromStdIPNet(a.IPNet)
		if a.LinkIndex != link.Attrs().Index {
			continue
		}
		if !slices.Contains(want, is) {
			errs = append(errs, gone(nl.AddrDel(link, &a)))
		}
	}
	for _, p := range want {
		if p.Addr().IsUnspecified() { // any address is in that subnet
			continue
		}
		err := nl.AddrAdd(link, &netlink.Addr{IPNet: netipx.PrefixIPNet(p)})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("add %s to charon's namespace: %w", p.Addr(), err))
		}
	}
	return errors.Join(errs...)
}
