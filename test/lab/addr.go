package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/controlplane/resource"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

func lastAddr(p netip.Prefix) netip.Addr { return netipx.PrefixLastIP(p) }

// gatewayIn returns the address that the gateway has in a VSwitch: at its link.
func gatewayIn(network, vswitch string, block netip.Prefix) (gateway netip.Addr, err error) {
	err = inNamespace(network, func(nl *netlink.Handle, _ *netns.Namespace) error {
		dev, err := nl.LinkByName(dataplane.LinkName(vswitch))
		if err != nil {
			return fmt.Errorf("find the link of VSwitch %s: %w", vswitch, err)
		}
		list, err := nl.AddrList(dev, netlink.FAMILY_V4)
		if err != nil {
			return fmt.Errorf("read the addresses of VSwitch %s: %w", vswitch, err)
		}
		for _, a := range list {
			if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok && block.Contains(ip) {
				gateway = ip
			}
		}
		if !gateway.IsValid() {
			return fmt.Errorf("the gateway has no address in VSwitch %s", vswitch)
		}
		return nil
	})
	return gateway, err
}

// pickPrivate chooses the address of a host in a VSwitch; the zero Addr is the
// first free one. The plan says which are reserved.
func pickPrivate(block netip.Prefix, plan resource.AddressPlan, ip netip.Addr, used map[netip.Addr]bool) (netip.Addr, error) {
	first, last := plan.First(block), plan.Last(block)
	if ip.IsValid() {
		switch {
		case ip.Less(first) || last.Less(ip):
			return ip, fmt.Errorf("address %s is not one for hosts of %s; take one from %s to %s", ip, block, first, last)
		case used[ip]:
			return ip, fmt.Errorf("address %s is taken; take another of %s, or none for the next free one", ip, block)
		}
		return ip, nil
	}
	for a := first; !last.Less(a); a = a.Next() {
		if !used[a] {
			return a, nil
		}
	}
	return ip, fmt.Errorf("no address of %s is free", block)
}
