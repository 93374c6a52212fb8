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

// What bandwidths of elastic IPs are held with, in bytes and bytes a second.
const (
	leastRate     = 100      // what a class has that is to take from others
	mostRate      = 1 << 37  // no limit
	leastPacket   = 2048     // larger ones are split at the lowest rates, unless the link takes them
	largestPacket = 64 << 10 // that the kernel makes of several
	leastQueue    = 16 << 10 // of an elastic IP among many
	splitTime     = 0.002    // seconds that a packet which is not split may take
)

// rate is in bytes a second.
type rate float64

func rateOf(mbit int) rate { return rate(mbit) * 1e6 / 8 }

// credit returns how many bytes may pass at once after a pause. The programs let half of
// it pass before packets wait, the queue the other half then.
func (r rate) credit() float64 { return max(float64(r)*credit, minCredit) / 2 }

// nanoseconds returns how long bytes take.
func (r rate) nanoseconds(bytes float64) uint64 { return uint64(bytes / float64(r) * 1e9) }

func (r rate) ticks(bytes float64) uint32 { return uint32(r.nanoseconds(bytes) / uint64(tick)) }

// cost returns how long a byte takes, in ns times 2^16.
func (r rate) cost() uint64 { return uint64((1 << 16) * 1e9 / float64(r)) }

// packet returns how large a packet may be that is not split, in bytes: one that takes too
// long keeps others waiting, and does not fit into a short queue.
func (r rate) packet(z size) uint32 {
	return uint32(min(max(float64(r)*splitTime, leastPacket, float64(z.packet)), 2*largestPacket))
}
