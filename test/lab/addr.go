package lab

import (
	"fmt"
	"net/netip"

	"go4.org/netipx"

	"sluice/controlplane/resource"
)

func lastAddr(p netip.Prefix) netip.Addr { return netipx.PrefixLastIP(p) }

// pickPrivate chooses the address of a host in a VSwitch; the zero Addr is the
// first free one. The block's first and last three addresses are reserved.
func pickPrivate(block netip.Prefix, ip netip.Addr, used map[netip.Addr]bool) (netip.Addr, error) {
	first, last := resource.FirstUsableAddress(block), resource.GatewayAddress(block).Prev()
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
