package shape

import (
	"github.com/vishvananda/netlink"

	"sluice/dataplane"
)

const (
	// patience is how long a packet waits at most, in seconds. A queue that is
	// worth 0.4 round trips keeps one TCP connection (CUBIC, RFC 9438) at full
	// speed.
	patience = 0.1
	// credit is what may pass at once after a pause, in seconds: it makes up for
	// a CPU that comes late. At low rates it is worth a few packets.
	credit    = 0.01
	minCredit = 16 << 10 // bytes

	etherHeader = 14 // bytes
)

// bucket is how a token bucket filter is set.
type bucket struct {
	rate  uint64 // bytes a second
	limit uint32 // bytes that wait
	burst uint32 // time that burst bytes take at that rate, in the kernel's ticks
}

// bucketFor returns the bucket for a bandwidth in Mbit/s. The kernel counts
// packets with that many bytes of a link layer's header before them, which are
// allowed for with packets of the tunnels' size.
func bucketFor(mbit, header int) bucket {
	rate := float64(mbit) * 1e6 / 8 * (dataplane.VPNMTU + float64(header)) / dataplane.VPNMTU
	burst := max(rate*credit, minCredit)
	return bucket{
		rate:  uint64(rate),
		limit: uint32(rate*patience + burst),
		burst: netlink.Xmittime(uint64(rate), uint32(burst)),
	}
}

// header returns how long the link layer's header is with which packets of the
// link come to the direction's queue.
func (d direction) header(l netlink.Link) int {
	switch {
	case l.Attrs().EncapType == "ether":
		return etherHeader
	case l.Type() == "xfrm" && d.inbound:
		return etherHeader // that of the ESP packet is still before the one that was in it
	}
	return 0
}
