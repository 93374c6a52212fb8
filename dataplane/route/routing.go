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

// commonRules returns the rules that every namespace has. The first is the kernel's
// own, and only put back where someone deleted it.
func commonRules() []Rule {
	return []Rule{
		{Priority: 0, Table: unix.RT_TABLE_LOCAL},
		{Priority: 1000, Table: unix.RT_TABLE_MAIN},
		{Priority: 1005, Table: PublicTable, Mark: nft.MarkOutside, From: loopback},
		{Priority: 1010, Table: PublicTable, Mark: nft.MarkPublic},
		{Priority: 2220, Table: VPCTable, ExceptDefaults: true},
		{Priority: 2230, Table: PublicTable, Mark: nft.MarkMapped},
		{Priority: 2240, Table: VPCTable},
		{Priority: afterTables, Table: PublicTable, From: loopback},
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
		local(sw.Gateway, sw.Link())
		out = append(out, Route{
			Table: unix.RT_TABLE_MAIN, Destination: sw.Prefix.Masked(),
			Hops: []Hop{{Link: sw.Link(), Weight: 1}}, Source: sw.Gateway,
		})
	}
	for _, server := range n.AllSSL() {
		local(server.Own(), server.Link())
		out = append(out, Route{
			Table: unix.RT_TABLE_MAIN, Destination: server.Pool.Masked(),
			Hops: []Hop{{Link: server.Link(), Weight: 1}}, Source: server.Own(),
		})
	}
	if c := n.Classic; c != nil {
		local(c.Address, dataplane.ClassicName)
	}
	if n.Uplink != nil {
		for _, a := range n.Elastic {
			local(a, dataplane.UplinkName)
		}
	}
	return out
}

// Routing returns the routes that network n wants, besides those that the
// kernel makes of addresses, and its rules, in the form in which the kernel gives
// them back. The error names route entries with a next hop that lies in no VSwitch;
// the routes are those of the remaining next hops.
//
// Routes that hold what is meant for a tunnel come first: they have to be there
// before those into tunnels.
func Routing(n *dataplane.Network, tunnels Tunnels) ([]Route, []Rule, error) {
	s := &routes{at: map[key]bool{}}
	vpc, err := vpcTables(n)
	rules := throughTunnels(s, n, vpc, tunnels)
	for i := range vpc {
		err = errors.Join(err, s.entries(n, &vpc[i], tunnels))
		rules = append(rules, vpc[i].boundRules()...)
		if vpc[i].number == NowhereTable {
			s.add(Route{Table: NowhereTable, Destination: everything})
		}
	}
	rules = append(rules, answers(s, n, tunnels)...)
	rules = append(rules, classic(s, n)...)
	_, clash := tablesOf(n.VPNGateways)
	err = errors.Join(err, clash)
	if u := n.Uplink; u != nil {
		direct := []Hop{{Link: dataplane.UplinkName, Weight: 1}}
		s.add(Route{Table: PublicTable, Destination: u.Prefix, Hops: direct})
		for i := range vpc {
			if leadsOut(vpc[i].entries, u.Prefix) {
				s.add(Route{Table: vpc[i].number, Destination: u.Prefix, Hops: direct})
			}
		}
		if u.Gateway.IsValid() {
			s.add(Route{Table: PublicTable, Destination: everything, Hops: []Hop{publicHop(u, 1)}})
		}
	}
	return s.all(), append(commonRules(), rules...), err
}

// routes collects routes.
type routes struct {
	list []Route
	at   map[key]bool
}

// add adds a route in its normal form, unless there is one for its key: two would
// take each other's place for ever. So what is added first counts.
func (s *routes) add(r Route) {
	r.Destination = r.Destination.Masked()
	if s.at[r.key()] {
		return
	}
	s.at[r.key()] = true
	if len(r.Hops) == 1 {
		r.Hops[0].Weight = 1
	}
	s.list = append(s.list, r)
}

// all returns the routes, those that hold first.
func (s *routes) all() []Route {
	slices.SortStableFunc(s.list, func(a, b Route) int { return cmp.Compare(b.Metric, a.Metric) })
	return s.list
}

// entries adds the entries of a route table of the VPC that do not lead to the VPN
// gateway.
//
// One that leads out of router interfaces leads nowhere while none of them works, and not
// by a shorter entry: what is meant for another network would be translated.
func (s *routes) entries(n *dataplane.Network, t *vpcTable, tunnels Tunnels) error {
	var errs []error
	for i := range t.entries {
		r := &t.entries[i]
		if byVPNGateway(r) != "" {
			continue // throughTunnels has them
		}
		want := Route{Table: t.number, Destination: r.Destination}
		var ways []way
		for _, h := range r.NextHops {
			hop, err := resolve(n, h, tunnels)
			if err != nil {
				errs = append(errs, fmt.Errorf("route %s of %s: %w", r.Destination, n.ID, err))
			} else if hop.Link != "" || h.Interface != "" {
				ways = append(ways, wayOf(h, hop))
			}
		}
		want.Hops = spread(ways)
		if slices.ContainsFunc(r.NextHops, func(h dataplane.NextHop) bool { return h.Interface != "" }) {
			s.through(t.number, want.Destination, want.Hops, netip.Addr{})
			continue
		}
		if len(want.Hops) == 0 && want.Destination.Bits() == 0 {
			continue
		}
		s.add(want)
	}
	return errors.Join(errs...)
}

// everything is the destination of a default route.
var everything = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// leadsOut reports whether a route table leads to the public side by default,
// and has no entry of its own for the public prefix: then what is on that link
// is reached directly.
func leadsOut(entries []dataplane.Route, public netip.Prefix) bool {
	out := false
	for i := range entries {
		r := &entries[i]
		if r.Destination.Masked() == public.Masked() {
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
// public side, or to another network (yet).
func resolve(n *dataplane.Network, h dataplane.NextHop, tunnels Tunnels) (Hop, error) {
	weight := max(h.Weight, 1)
	if h.Uplink {
		if n.Uplink == nil || !n.Uplink.Gateway.IsValid() {
			return Hop{}, nil
		}
		return publicHop(n.Uplink, weight), nil
	}
	if h.Interface != "" {
		t := tunnels[h.Interface]
		if t.Link == "" || !t.Up {
			return Hop{}, nil
		}
		return Hop{Link: t.Link, Via: Neighbour, Weight: weight, OnLink: true}, nil
	}
	for i := range n.Switches {
		sw := &n.Switches[i]
		if !sw.Prefix.Contains(h.Via) {
			continue
		}
		if h.Via == sw.Gateway {
			return Hop{}, fmt.Errorf("next hop %s is the gateway itself; it must be a host of VSwitch %s", h.Via, sw.ID)
		}
		return Hop{Link: sw.Link(), Via: h.Via, Weight: weight}, nil
	}
	return Hop{}, fmt.Errorf("next hop %s lies in no VSwitch; it must be a host in one of the VPC's", h.Via)
}

func compareHops(a, b Hop) int {
	return cmp.Or(strings.Compare(a.Link, b.Link), a.Via.Compare(b.Via), cmp.Compare(a.Weight, b.Weight))
}
