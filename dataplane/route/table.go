package route

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Protocol marks our routes and rules (rtm_protocol; 'S'). The kernel and the
// routing daemons that have registered a number in rtnetlink.h use others.
const Protocol = 0x53

// The routing tables besides main.
const (
	VPCTable     = 100 // the entries of the VPC's main route table
	PublicTable  = 200 // the public side
	TunnelTable  = 300 // for what comes out of one tunnel and may go into another
	OwnTable     = 310 // for what the gateway itself sends to what is behind tunnels
	NowhereTable = 400 // nothing can be reached by it

	// Each connection has a table with its tunnel, for policy routes, and each route
	// table besides the main one has one. Its number has this bit, and a hash of the id.
	connectionTables = 1 << 30
	routeTables      = 1 << 29
)

// Neighbour is what routes out of router interfaces have as their next hop: the router at the
// other end, which needs no address (192.0.0.8, the IPv4 dummy address, RFC 7600).
var Neighbour = netip.AddrFrom4([4]byte{192, 0, 0, 8})

// HoldMetric is the metric of an unreachable route that stands behind one into a
// tunnel: when that goes with its link, packets end here, whoever is or is not
// there to look after it, instead of leaving by a shorter prefix or another table.
// The number is the one that the kernel's documentation of VRF has for such routes.
const HoldMetric = 4278198272

// Route is one route. Hops is empty for a destination that is unreachable.
type Route struct {
	Table       int
	Destination netip.Prefix // without host bits
	Metric      int          // 0 or HoldMetric; the kernel takes the lowest of a destination
	Hops        []Hop        // in the order in which the kernel chooses; see spread
	Source      netip.Addr   // that the route suggests; invalid for none
	Local       bool         // of routes that the kernel makes of an address: the destination is the address itself
}

// Hop is one next hop.
type Hop struct {
	Link   string
	Via    netip.Addr // invalid where the destination is on the link itself
	Weight int        // 1 to 256; 1 for a single hop
	OnLink bool       // Via is on the link although no address says so
}

// Rule is one routing rule for all packets, or for those with an address, a mark
// or a link that they came in by. The kernel tells no rule for 0.0.0.0/0 from one
// for all, so that is the form for both.
type Rule struct {
	Priority       int
	Source         netip.Prefix // without host bits; the zero Prefix for all
	Destination    netip.Prefix // without host bits; the zero Prefix for all
	Mark           uint32       // 0 for all
	From           string       // link that it comes in by (iif); empty for all; loopback for what the namespace itself sends
	Table          int
	ExceptDefaults bool // suppress_prefixlength 0
	Goto           int  // priority of a later rule, with which the search goes on; 0: by Table
}

// key is what there can be only one route of: the kernel replaces by it.
type key struct {
	table       int
	destination netip.Prefix
	metric      int
}

func (r *Route) key() key { return key{r.Table, r.Destination, r.Metric} }

func (r *Route) same(o *Route) bool {
	return r.key() == o.key() && slices.Equal(r.Hops, o.Hops) && r.Local == o.Local && r.Source == o.Source
}

// String is near to what ip(8) prints.
func (r *Route) String() string {
	var b strings.Builder
	if len(r.Hops) == 0 {
		b.WriteString("unreachable ")
	}
	if r.Local {
		b.WriteString("local ")
	}
	if r.Destination.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(r.Destination.String())
	}
	for _, h := range r.Hops {
		if len(r.Hops) > 1 {
			b.WriteString(" nexthop")
		}
		if h.Via.IsValid() {
			fmt.Fprintf(&b, " via %s", h.Via)
		}
		fmt.Fprintf(&b, " dev %s", h.Link)
		if len(r.Hops) > 1 {
			fmt.Fprintf(&b, " weight %d", h.Weight)
		}
		if h.OnLink {
			b.WriteString(" onlink")
		}
	}
	if r.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", r.Source)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	fmt.Fprintf(&b, " table %s", tableName(r.Table))
	return b.String()
}

// String is near to what ip(8) prints.
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", r.Priority)
	if r.Source.IsValid() {
		fmt.Fprintf(&b, " from %s", r.Source)
	}
	if r.Destination.IsValid() {
		fmt.Fprintf(&b, " to %s", r.Destination)
	}
	if r.Mark != 0 {
		fmt.Fprintf(&b, " fwmark %#x", r.Mark)
	}
	if r.From != "" {
		fmt.Fprintf(&b, " iif %s", r.From)
	}
	if r.Goto != 0 {
		fmt.Fprintf(&b, " goto %d", r.Goto)
		return b.String()
	}
	fmt.Fprintf(&b, " lookup %s", tableName(r.Table))
	if r.ExceptDefaults {
		b.WriteString(" suppress_prefixlength 0")
	}
	return b.String()
}

func tableName(t int) string {
	switch t {
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_LOCAL:
		return "local"
	}
	return fmt.Sprint(t)
}
