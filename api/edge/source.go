package edge

import "net/netip"

// sourceOf returns who a connection or a request counts for: the IPv4 address that it
// comes from, or the first address of an IPv6 /64, which is what one host has. The zero
// Addr stands for whatever is no IP address and port.
func sourceOf(remote string) netip.Addr {
	p, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	a := p.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	net, _ := a.Prefix(64) // an IPv6 address has one
	return net.Addr()
}
