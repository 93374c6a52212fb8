package dataplane

import "net/netip"

// ClassicName is the name of the link to the classic network inside a network's namespace.
const ClassicName = "classic"

// Classic is a network's link to the classic network of its region: a flat network that hosts
// of nobody's VPC are on. Exactly the hosts that are linked and the network's VSwitches reach
// each other by it, untranslated; nothing else passes.
type Classic struct {
	Device    string        // a bridge that the link is a port of, or what it is a macvlan on
	Namespace string        // named network namespace that Device is in; empty for the daemon's own
	MTU       int           // 0 leaves the kernel's choice
	Prefix    netip.Prefix  // of the classic network; overlaps no VSwitch
	Address   netip.Addr    // of this network's router in it
	Linked    []ClassicHost // one or more, by Address, each once
}

// ClassicEnd returns the name of the outer end of network id's link to the classic network, where
// it is a port of a bridge.
func ClassicEnd(id string) string { return LinkName("classic/" + id) }

// ClassicHost is a host of the classic network.
type ClassicHost struct {
	Address netip.Addr
	MAC     string // six bytes as 02:00:00:00:00:01; empty: not known
}
