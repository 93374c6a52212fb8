package securitygroup

import (
	"net/netip"

	"sluice/dataplane"
)

// Lets says whether rules let a flow begin, whose other end is remote: of a protocol, to a port of
// the end that is called (0 of what has no ports). It is what the tables in the kernel say.
func Lets(rules []dataplane.GroupRule, remote netip.Addr, protocol uint8, port uint16) bool {
	for _, r := range rules {
		if meets(&r, remote, protocol, port) {
			return r.Accept
		}
	}
	return false
}

func meets(r *dataplane.GroupRule, remote netip.Addr, protocol uint8, port uint16) bool {
	service := false
	for _, s := range r.Services {
		service = service || s.Covers(protocol, port)
	}
	if !service {
		return false
	}
	for _, p := range r.Remotes {
		if p.Contains(remote) {
			return true
		}
	}
	return false
}
