package link

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Plug makes link ifname, which is in the named namespace, a port of the
// VSwitch's bridge and sets it up. It gives the link an alias by which it is
// put back should the bridge have to be made again. Plugging twice is fine.
func Plug(namespace, vswitch, ifname string) error {
	ns, err := netns.Open(namespace)
	if err != nil {
		return fmt.Errorf("plug %s into VSwitch %s: %w", ifname, vswitch, err)
	}
	defer ns.Close()
	nl := ns.Netlink()
	bridge, err := find(ns, dataplane.LinkName(vswitch))
	if err != nil {
		return fmt.Errorf("plug %s into VSwitch %s: %w", ifname, vswitch, err)
	}
	if bridge == nil || bridge.Kind != "bridge" {
		return fmt.Errorf("plug %s into VSwitch %s: network namespace %s has no bridge for it; only VSwitches attached by a bridge have ports",
			ifname, vswitch, ns)
	}
	port, err := find(ns, ifname)
	if err != nil {
		return fmt.Errorf("plug %s into VSwitch %s: %w", ifname, vswitch, err)
	}
	if port == nil {
		return fmt.Errorf("plug %s into VSwitch %s: network namespace %s has no link of that name; move it there first", ifname, vswitch, ns)
	}
	if err := errors.Join(
		nl.LinkSetAlias(port.kernel, portAlias(vswitch)),
		nl.LinkSetMasterByIndex(port.kernel, bridge.Index),
		nl.LinkSetUp(port.kernel),
	); err != nil {
		return fmt.Errorf("plug %s into VSwitch %s: %w", ifname, vswitch, err)
	}
	return nil
}

// EnsureBridge makes a bridge for the public side in the named namespace
// (empty: the daemon's own), without spanning tree, and sets it up. A valid
// addr is added to it. What is there already stays; the error says so where a
// link of that name is not a bridge. The alias of one that is made says so, by which
// RemoveBridge knows it.
//
// A packet filter for bridges in that namespace (net.bridge.bridge-nf-call-
// iptables, which many container engines turn on) also sees what crosses the
// bridge. The package does not change that setting, since it is not its own.
func EnsureBridge(namespace, name string, addr netip.Prefix) error {
	if err := ensureBridge(namespace, name, addr); err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	return nil
}

// publicBridgeAlias is the alias of a bridge that EnsureBridge has made.
const publicBridgeAlias = "public network, made by sluiced"

// RemoveBridge removes a bridge that EnsureBridge has made in the named namespace and
// that has no ports (any more). Any other link of that name stays, and that there is none
// is no error.
func RemoveBridge(namespace, name string) error {
	ns, err := netns.Open(namespace)
	if errors.Is(err, netns.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	defer ns.Close()
	links, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return fmt.Errorf("remove bridge %s: list the links of %s: %w", name, ns, err)
	}
	var bridge netlink.Link
	for _, l := range links {
		if l.Attrs().Name == name && l.Type() == "bridge" && l.Attrs().Alias == publicBridgeAlias {
			bridge = l
		}
	}
	if bridge == nil || slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Attrs().MasterIndex == bridge.Attrs().Index }) {
		return nil
	}
	if err := ns.Netlink().LinkDel(bridge); err != nil {
		return fmt.Errorf("remove bridge %s from %s: %w", name, ns, err)
	}
	return nil
}

func ensureBridge(namespace, name string, addr netip.Prefix) error {
	ns, err := netns.Open(namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	nl := ns.Netlink()
	bridge, err := find(ns, name)
	if err != nil {
		return err
	}
	if bridge == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		snooping := false
		if err := nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("make it in %s: %w", ns, err)
		}
		if bridge, err = find(ns, name); err != nil {
			return err
		}
		if bridge == nil {
			return fmt.Errorf("it went away as soon as it was made in %s; another program deletes it", ns)
		}
		if bridge.Kind == "bridge" {
			if err := configureBridge(ns, bridge.Index); err != nil {
				return fmt.Errorf("turn spanning tree off, and bound what is learned: %w", err)
			}
			// Set to what it is, so that it stays when ports come and go.
			if err := nl.LinkSetHardwareAddr(bridge.kernel, bridge.kernel.Attrs().HardwareAddr); err != nil {
				return fmt.Errorf("fix its hardware address: %w", err)
			}
			if err := nl.LinkSetAlias(bridge.kernel, publicBridgeAlias); err != nil {
				return fmt.Errorf("set its alias: %w", err)
			}
		}
	}
	if bridge.Kind != "bridge" {
		return fmt.Errorf("a link of that name is in %s already, of kind %s; name another one", ns, bridge.Kind)
	}
	if addr.IsValid() {
		if err := nl.AddrReplace(bridge.kernel, kernelAddress(addr)); err != nil {
			return fmt.Errorf("add address %s: %w", addr, err)
		}
	}
	if err := nl.LinkSetUp(bridge.kernel); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	return nil
}
