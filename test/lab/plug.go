package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/api/admin"
	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// sourceTables is the number of the route table for what comes from the addresses of a
// host's first further interface; the next has the next.
const sourceTables = 100

// HostPlug gives a host the network interfaces that its instance has in the inventory, as a
// hypervisor would: each further one is plugged into its VSwitch as eth and its index, with its
// Ethernet address, its addresses, and a route table of its own for what comes from them; those
// that the instance has no longer go. One of the classic network gets the routes to the VPC that
// it is linked to, and no others. It returns the names of the links that the host has now.
func (l *Lab) HostPlug(ctx context.Context, name string) ([]string, error) {
	h, err := l.Host(name)
	if err != nil {
		return nil, err
	}
	if h.Classic {
		return []string{HostInterface}, l.routeClassic(ctx, &h)
	}
	interfaces, err := l.interfacesOf(ctx, &h)
	if err != nil {
		return nil, fmt.Errorf("plug host %s: %w", name, err)
	}
	links := []string{HostInterface}
	err = l.change(func(*state) error {
		wanted := map[string]bool{HostInterface: true}
		for _, i := range interfaces {
			ifname := fmt.Sprintf("eth%d", i.Index)
			wanted[ifname] = true
			if i.Index == 0 {
				continue
			}
			if err := h.plugInterface(ifname, i); err != nil {
				return fmt.Errorf("plug %s of %s as %s: %w", i.ID, name, ifname, err)
			}
			links = append(links, ifname)
		}
		return h.unplug(wanted)
	})
	return links, err
}

// interfacesOf returns the interfaces that the inventory has of a host.
func (l *Lab) interfacesOf(ctx context.Context, h *Host) (out []admin.Interface, err error) {
	if !h.Registered {
		return nil, errors.New("it is not in the inventory")
	}
	err = l.withAdmin(func(c *admin.Client) error {
		list, err := c.Instances(ctx, admin.InstanceFilter{VPC: h.VPC})
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].ID == h.InstanceID {
				out = list[i].Interfaces
				return nil
			}
		}
		return fmt.Errorf("the inventory has no instance %s", h.InstanceID)
	})
	return out, err
}

// plugInterface makes a link of the host what an interface of its instance is.
func (h *Host) plugInterface(ifname string, i admin.Interface) error {
	network, port := dataplane.Namespace(h.VPC), interfacePort(h.Name, ifname)
	mac, err := net.ParseMAC(i.MAC)
	if err != nil {
		return err
	}
	return inNamespace(network, func(outer *netlink.Handle, outerNS *netns.Namespace) error {
		return inNamespace(h.Namespace, func(inner *netlink.Handle, _ *netns.Namespace) error {
			dev, err := inner.LinkByName(ifname)
			if err == nil && dev.Attrs().HardwareAddr.String() != i.MAC {
				// Another interface had the index.
				if err := inner.LinkDel(dev); err != nil {
					return err
				}
				err = netlink.LinkNotFoundError{}
			}
			if errors.As(err, new(netlink.LinkNotFoundError)) {
				attrs := netlink.NewLinkAttrs()
				attrs.Name, attrs.HardwareAddr = ifname, mac
				pair := &netlink.Veth{LinkAttrs: attrs, PeerName: port, PeerNamespace: netlink.NsFd(outerNS.Handle())}
				if err := inner.LinkAdd(pair); err != nil {
					return err
				}
				if err := link.Plug(network, i.VSwitch, port); err != nil {
					return errors.Join(err, inner.LinkDel(pair))
				}
				peer, err := outer.LinkByName(port)
				if err != nil {
					return err
				}
				if err := errors.Join(outer.LinkSetUp(peer), inner.LinkSetUp(pair)); err != nil {
					return err
				}
				dev, err = inner.LinkByName(ifname)
				if err != nil {
					return err
				}
			} else if err != nil {
				return err
			}
			return address(inner, outer, dev, i)
		})
	})
}

// address gives a link the addresses of an interface, and no others, and has what comes from
// them go out by it.
func address(inner, outer *netlink.Handle, dev netlink.Link, i admin.Interface) error {
	block, gateway, err := blockOf(outer, i.VSwitch)
	if err != nil {
		return err
	}
	have, err := inner.AddrList(dev, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	table := sourceTables + i.Index
	var errs []error
	wanted := map[netip.Addr]bool{}
	for _, a := range i.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		if err != nil {
			return err
		}
		wanted[ip] = true
		errs = append(errs, inner.AddrReplace(dev, &netlink.Addr{IPNet: netipx.PrefixIPNet(netip.PrefixFrom(ip, block.Bits()))}))
	}
	rules, err := inner.RuleListFiltered(netlink.FAMILY_V4, &netlink.Rule{Table: table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for k := range rules {
		errs = append(errs, inner.RuleDel(&rules[k]))
	}
	for ip := range wanted {
		rule := netlink.NewRule()
		rule.Family, rule.Src, rule.Table, rule.Priority = netlink.FAMILY_V4, netipx.PrefixIPNet(netip.PrefixFrom(ip, 32)), table, sourceTables
		errs = append(errs, inner.RuleAdd(rule))
	}
	for k := range have {
		if ip, ok := netip.AddrFromSlice(have[k].IP.To4()); ok && !wanted[ip] {
			errs = append(errs, inner.AddrDel(dev, &have[k]))
		}
	}
	return errors.Join(append(errs,
		inner.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: netipx.PrefixIPNet(block.Masked()), Scope: netlink.SCOPE_LINK, Table: table}),
		inner.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Gw: gateway.AsSlice(), Table: table}))...)
}

// blockOf returns the block of a VSwitch and its gateway, as its link in the network has them.
func blockOf(outer *netlink.Handle, vswitch string) (netip.Prefix, netip.Addr, error) {
	dev, err := outer.LinkByName(dataplane.LinkName(vswitch))
	if err != nil {
		return netip.Prefix{}, netip.Addr{}, fmt.Errorf("find VSwitch %s: %w", vswitch, err)
	}
	list, err := outer.AddrList(dev, netlink.FAMILY_V4)
	if err != nil {
		return netip.Prefix{}, netip.Addr{}, err
	}
	for _, a := range list {
		if p, ok := netipx.FromStdIPNet(a.IPNet); ok {
			ip, _ := netip.AddrFromSlice(a.IP.To4())
			return p, ip, nil
		}
	}
	return netip.Prefix{}, netip.Addr{}, fmt.Errorf("VSwitch %s has no gateway yet", vswitch)
}

// unplug takes away the host's further links that are not wanted.
func (h *Host) unplug(wanted map[string]bool) error {
	return inNamespace(h.Namespace, func(inner *netlink.Handle, _ *netns.Namespace) error {
		list, err := inner.LinkList()
		if err != nil {
			return err
		}
		var errs []error
		for _, dev := range list {
			if name := dev.Attrs().Name; strings.HasPrefix(name, "eth") && !wanted[name] {
				errs = append(errs, inner.LinkDel(dev))
			}
		}
		return errors.Join(errs...)
	})
}

// interfacePort is the name of the port of a host's further link, of at most 15 bytes.
func interfacePort(host, ifname string) string {
	sum := sha256.Sum256([]byte(host + "/" + ifname))
	return fmt.Sprintf("port-%x", sum[:5])
}
