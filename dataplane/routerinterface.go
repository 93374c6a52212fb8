package dataplane

import (
	"hash/fnv"
	"net/netip"
)

// RouterInterface is a network's end of a link to another network's router. Packets cross
// it as they are, untranslated, and only by route entries that lead out of it (NextHop). What
// comes in by it is dropped if none of the network's route tables leads its source back
// there. The link is there once both networks ask for their ends of it.
type RouterInterface struct {
	ID        string // of this end
	Peer      string // of the other end
	Network   string // id of the network that has the other end
	Bandwidth int    // of what leaves by it: Mbit/s; 0 for no limit
	// Public says that hosts of the outside call by it hosts of this network, which see them as
	// they are: what comes in by it may be from anywhere, but not from a VSwitch of this network. Answers go
	// back by it, whatever route tables say, and nothing else does.
	Public bool
	// Check says how to find out whether what is behind the other end can be reached; nil: it
	// is taken for reached while the link is there.
	Check *InterfaceCheck
}

// MostRouterInterfaces is how many a network may have (INTERFACES in bpf/types.h).
const MostRouterInterfaces = 64

// InterfaceCheck is a health check of what is behind a router interface: ICMP echo requests
// from an address that no host of the network has, sent out of the interface. While they
// are not answered, routes lead nowhere by that interface, or by the others of an ECMP route.
type InterfaceCheck struct {
	Source, Target netip.Addr
}

// Link returns the name of the interface's link in the network's namespace.
func (r *RouterInterface) Link() string { return LinkName(r.ID) }

// The marks by which connections that have come in by a public router interface are known.
const interfaceMarks = 1 << 31

// Mark returns the mark of connections that have come in by a public router interface, and
// of packets that answer: it is even. That of packets which come in by it is one more.
func (r *RouterInterface) Mark() uint32 {
	h := fnv.New32a()
	h.Write([]byte(r.ID))
	return interfaceMarks | h.Sum32()&^1
}

// IsInterfaceMark reports whether a mark may be one of those.
func IsInterfaceMark(mark uint32) bool { return mark&interfaceMarks != 0 }

// InterfaceStatus is what the kernel has of a router interface.
type InterfaceStatus struct {
	ID       string
	Linked   bool   // its link leads to its peer, and is up at both ends
	Reached  bool   // its check, if it has one, is answered
	Outbound Volume // since it was linked
	Inbound  Volume
	Dropped  uint64 // packets that were to leave by it and found its queue full
}
