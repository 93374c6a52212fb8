package dataplane

import (
	"net/netip"
	"slices"
)

// Bandwidth is what some elastic IPs together may send to the outside, and get from
// there: that of one address, or of a package that addresses share.
//
// The elastic IPs of a package may be of several networks. Then each of these has the
// Bandwidth, with its own of the addresses, and what is held is the sum over all networks
// whose public sides are on one Device of one Namespace (Uplink).
type Bandwidth struct {
	ID      string       // 1 to 64 bytes; a Bandwidth of the same ID in another network is the same one
	Within  string       // ID of the Bandwidth that this is a part of, and which holds, too; empty for none. One level deep at most
	Elastic []netip.Addr // ascending; each in one Bandwidth at most: those of a part are not repeated in the whole
	// In Mbit/s of IP packets with their headers; 0 for no limit. Inbound is
	// what the hosts receive.
	Outbound, Inbound int
}

// Equal reports whether two bandwidths are the same.
func (b Bandwidth) Equal(o Bandwidth) bool {
	return b.ID == o.ID && b.Within == o.Within && b.Outbound == o.Outbound && b.Inbound == o.Inbound && slices.Equal(b.Elastic, o.Elastic)
}

// BandwidthTraffic is what was counted of a Bandwidth since it is held, over all networks that have it.
// A direction without a limit of its own counts nothing.
type BandwidthTraffic struct {
	ID                string
	Outbound, Inbound BandwidthCount
}

// BandwidthCount is what was counted of a Bandwidth in one direction.
type BandwidthCount struct {
	Limit   int    // Mbit/s; 0 for none
	Volume         // that passed; bytes at layer 3, to about one percent of what had to wait
	Dropped uint64 // packets, for want of room to wait
}
