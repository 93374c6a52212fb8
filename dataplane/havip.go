package dataplane

import (
	"net/netip"
	"slices"
	"time"
)

// HaVip is an address of a switch that moves between hosts: whoever announces it by ARP has
// it.
type HaVip struct {
	Address netip.Addr
	Hosts   []HaVipHost // that may have it, by Address
	AnyHost bool        // every host may; Hosts are those that are expected to
}

// HaVipHost is a host that a HaVip may be at.
type HaVipHost struct {
	Address netip.Addr // its own
	MAC     string     // six bytes as 02:00:00:00:00:01; empty: not known
}

// Held says whether it is known who may have the address: port security then lets nobody
// else claim it. With a host of which the Ethernet address is not known it may be anybody.
func (h *HaVip) Held() bool {
	return !h.AnyHost && !slices.ContainsFunc(h.Hosts, func(o HaVipHost) bool { return o.MAC == "" })
}

// Equal reports whether two are the same.
func (h HaVip) Equal(o HaVip) bool {
	return h.Address == o.Address && h.AnyHost == o.AnyHost && slices.Equal(h.Hosts, o.Hosts)
}

// HaVipHolder is who was seen to have a HaVip's address.
type HaVipHolder struct {
	MAC   string     // of who announced it, or answered for it, last
	Host  netip.Addr // own address of the host that this is; invalid for none of HaVip.Hosts
	Since time.Time  // when it was first seen there
	Seen  time.Time  // when it was last
}
