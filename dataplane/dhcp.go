package dataplane

import "net/netip"

// DHCP is what hosts of a network's switches are told by DHCP (RFC 2131).
type DHCP struct {
	DNS    []netip.Addr // DNS servers, the first one to be asked first
	Domain string       // of the hosts
	Leases []Binding    // the address that each Ethernet address is given, by Address; an Ethernet address has one at most in each switch
}
