package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/nft"
)

// Protocol marks our routes and rules (rtm_protocol; 'S'). The kernel and the
// routing daemons that have registered a number in rtnetlink.h use others.
const Protocol = 0x53

// The routing tables besides main.
const (
	VPCTable    = 100 // the VPC's route entries
	PublicTable = 200 // the public side
	TunnelTable = 300 // for what comes out of one tunnel and may go into another

	// Each connection has a table with its tunnel, for policy routes. Its number
	// has this bit, and a hash of the connection's id.
	connectionTables = 1 << 30
)

// Route is one route. Hops is empty for a destination that is unreachable.
type Route struct {
	Table       int
	Destination netip.Prefix
	Hops        []Hop // by Link, Via, Weight

	// Of routes that the kernel makes of an address: that the destination is
	// the address itself, and the source that the route suggests.
	Local  bool
	Source netip.Addr
}

// Hop is one next hop.
type Hop struct {
	Link   string
	Via    netip.Addr // invalid where the destination is on the link itself
	Weight int        // 1 to 256; 1 for a single hop
	OnLink bool       // Via is on the link although no address says so
}

// Rule is one routing rule for all packets, or for those with an address, a mark
// or a link that they came in by.
type Rule struct {
	Priority       int
	Source         netip.Prefix // the zero Prefix for all
	Destination    netip.Prefix // the zero Prefix for all
	Mark           uint32       // 0 for all
	From           string       // link that it comes in by (iif); empty for all; loopback for what the namespace itself sends
	Table          int
	ExceptDefaults bool // suppress_prefixlength 0
}

func (r *Route) same(o *Route) bool {
	return r.Table == o.Table && r.Destination == o.Destination && slices.Equal(r.Hops, o.Hops) &&
		r.Local == o.Local && r.Source == o.Source
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

// commonRules returns the rules that every namespace has. The first is the kernel's
// own, and only put back where someone deleted it.
func commonRules() []Rule {
	return []Rule{
		{Priority: 0, Table: unix.RT_TABLE_LOCAL},
		{Priority: 1000, Table: unix.RT_TABLE_MAIN},
		{Priority: 1010, Table: PublicTable, Mark: nft.MarkPublic},
		{Priority: 2020, Table: VPCTable, ExceptDefaults: true},
		{Priority: 2030, Table: PublicTable, Mark: nft.MarkMapped},
		{Priority: 2040, Table: VPCTable},
		{Priority: 2050, Table: PublicTable, From: loopback},
	}
}

// ofAddresses returns the routes that the kernel makes of network n's
// addresses by itself, and that are only put back where someone deleted them.
func ofAddresses(n *dataplane.Network) []Route {
	var out []Route
	local := func(a netip.Addr, link string) {
		out = append(out, Route{
			Table: unix.RT_TABLE_LOCAL, Destination: netip.PrefixFrom(a, a.BitLen()),
			Hops: []Hop{{Link: link, Weight: 1}}, Local: true, Source: a,
		})
	}
	for i := range n.Switches {
		sw := &n.Switches[i]
		local(sw.Gateway, sw.ID)
		out = append(out, Route{
			Table: unix.RT_TABLE_MAIN, Destination: sw.Prefix.Masked(),
			Hops: []Hop{{Link: sw.ID, Weight: 1}}, Source: sw.Gateway,
		})
	}
	if n.Uplink != nil {
		for _, a := range n.Elastic {
			local(a, dataplane.UplinkName)
		}
	}
	return out
}

// Compile returns the routes that network n wants, besides those that the
// kernel makes of addresses, and its rules. The error names route entries with a next hop
// that lies in no VSwitch; the routes are those of the remaining next hops.
func Compile(n *dataplane.Network, tunnels Tunnels) ([]Route, []Rule, error) {
	out, rules := throughTunnels(n, tunnels)
	if u := n.Uplink; u != nil {
		direct := []Hop{{Link: dataplane.UplinkName, Weight: 1}}
		out = append(out, Route{Table: PublicTable, Destination: u.Prefix.Masked(), Hops: direct})
		if leadsOut(n) {
			out = append(out, Route{Table: VPCTable, Destination: u.Prefix.Masked(), Hops: direct})
		}
		if u.Gateway.IsValid() {
			out = append(out, Route{Table: PublicTable, Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
				Hops: []Hop{publicHop(u, 1)}})
		}
	}
	var errs []error
	for i := range n.Routes {
		r := &n.Routes[i]
		if byVPNGateway(r) {
			continue // throughTunnels has them
		}
		want := Route{Table: VPCTable, Destination: r.Destination.Masked()}
		for _, h := range r.NextHops {
			hop, err := resolve(n, h)
			if err != nil {
				errs = append(errs, fmt.Errorf("route %s of %s: %w", r.Destination, n.ID, err))
			} else if hop.Link != "" {
				want.Hops = append(want.Hops, hop)
			}
		}
		if len(want.Hops) == 0 && want.Destination.Bits() == 0 {
			continue
		}
		if len(want.Hops) == 1 {
			want.Hops[0].Weight = 1
		}
		slices.SortFunc(want.Hops, compareHops)
		out = append(out, want)
	}
	return out, append(commonRules(), rules...), errors.Join(errs...)
}

// leadsOut reports whether the route table leads to the public side by default,
// and has no entry of its own for the public prefix: then what is on that link
// is reached directly.
func leadsOut(n *dataplane.Network) bool {
	out := false
	for i := range n.Routes {
		r := &n.Routes[i]
		if r.Destination.Masked() == n.Uplink.Prefix.Masked() {
			return false
		}
		out = out || r.Destination.Bits() == 0 && slices.ContainsFunc(r.NextHops, func(h dataplane.NextHop) bool { return h.Uplink })
	}
	return out
}

func publicHop(u *dataplane.Uplink, weight int) Hop {
	return Hop{Link: dataplane.UplinkName, Via: u.Gateway, Weight: weight, OnLink: true}
}

// resolve returns the hop, or an empty one where the network has no way to the
// public side (yet).
func resolve(n *dataplane.Network, h dataplane.NextHop) (Hop, error) {
	weight := max(h.Weight, 1)
	if h.Uplink {
		if n.Uplink == nil || !n.Uplink.Gateway.IsValid() {
			return Hop{}, nil
		}
		return publicHop(n.Uplink, weight), nil
	}
	for i := range n.Switches {
		sw := &n.Switches[i]
		if !sw.Prefix.Contains(h.Via) {
			continue
		}
		if h.Via == sw.Gateway {
			return Hop{}, fmt.Errorf("next hop %s is the gateway itself; it must be a host of VSwitch %s", h.Via, sw.ID)
		}
		return Hop{Link: sw.ID, Via: h.Via, Weight: weight}, nil
	}
	return Hop{}, fmt.Errorf("next hop %s lies in no VSwitch; it must be a host in one of the VPC's", h.Via)
}

func compareHops(a, b Hop) int {
	return cmp.Or(strings.Compare(a.Link, b.Link), a.Via.Compare(b.Via), cmp.Compare(a.Weight, b.Weight))
}
