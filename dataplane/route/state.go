package route

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// State is what the kernel has, besides table default.
type State struct {
	routes []kernelRoute
	rules  []kernelRule
}

type kernelRoute struct {
	Route
	protocol int
	simple   bool // has nothing that Route cannot say
	kernel   netlink.Route
}

type kernelRule struct {
	Rule
	protocol uint8
	simple   bool
	kernel   netlink.Rule
}

// Read returns the routes and rules of a namespace. name gives the name of a
// link by its index.
func Read(ctx context.Context, ns *netns.Namespace, name func(index int) string) (*State, error) {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := netns.Dump(func() ([]netlink.Route, error) {
		return ns.Netlink().RouteListFiltered(netlink.FAMILY_V4, all, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes in %s: %w", ns, err)
	}
	s := &State{}
	for _, k := range routes {
		if k.Table != unix.RT_TABLE_DEFAULT {
			s.routes = append(s.routes, fromKernel(k, name))
		}
	}
	rules, err := netns.Dump(func() ([]netlink.Rule, error) { return ns.Netlink().RuleList(netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list routing rules in %s: %w", ns, err)
	}
	for _, k := range rules {
		s.rules = append(s.rules, ruleFromKernel(k))
	}
	return s, nil
}

func fromKernel(k netlink.Route, name func(int) string) kernelRoute {
	r := kernelRoute{Route: Route{Table: k.Table, Destination: prefix(k.Dst), Metric: k.Priority, Source: addr(k.Src)}, protocol: int(k.Protocol), kernel: k}
	r.Local = k.Type == unix.RTN_LOCAL
	r.simple = k.Tos == 0 && k.MTU == 0 && k.Encap == nil && k.Via == nil
	switch {
	case k.Type == unix.RTN_UNREACHABLE:
	case k.Type != unix.RTN_UNICAST && k.Type != unix.RTN_LOCAL:
		r.simple = false
	case len(k.MultiPath) == 0:
		r.Hops = []Hop{{Link: name(k.LinkIndex), Via: addr(k.Gw), Weight: 1, OnLink: k.Flags&unix.RTNH_F_ONLINK != 0}}
	default:
		for _, h := range k.MultiPath {
			r.Hops = append(r.Hops, Hop{Link: name(h.LinkIndex), Via: addr(h.Gw), Weight: h.Hops + 1, OnLink: h.Flags&unix.RTNH_F_ONLINK != 0})
			r.simple = r.simple && h.Encap == nil && h.Via == nil
		}
	}
	return r
}

func prefix(n *net.IPNet) netip.Prefix {
	if n != nil {
		if p, ok := netipx.FromStdIPNet(n); ok {
			return p
		}
	}
	return everything
}

// selector is the normal form of a rule's prefix: the zero Prefix for all packets.
func selector(p netip.Prefix) netip.Prefix {
	if p.Bits() <= 0 {
		return netip.Prefix{}
	}
	return p.Masked()
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func ruleFromKernel(k netlink.Rule) kernelRule {
	return kernelRule{
		Rule: Rule{Priority: k.Priority, Source: selector(prefix(k.Src)), Destination: selector(prefix(k.Dst)), Mark: k.Mark, From: k.IifName, Table: k.Table,
			ExceptDefaults: k.SuppressPrefixlen == 0, Goto: max(k.Goto, 0)},
		protocol: k.Protocol,
		simple: k.OifName == "" && k.Tos == 0 && !k.Invert && k.TunID == 0 &&
			k.SuppressPrefixlen <= 0 && k.SuppressIfgroup == -1 && k.Flow <= 0 && k.IPProto == 0 &&
			k.Dport == nil && k.Sport == nil && k.UIDRange == nil && (k.Mask == nil || *k.Mask == ^uint32(0) || k.Mark == 0),
		kernel: k,
	}
}

// String returns rules and routes as text, one line for each, sorted, without
// table local; those of other protocols than ours and the kernel's are marked.
func (s *State) String() string {
	var b strings.Builder
	for _, r := range s.rules {
		fmt.Fprintf(&b, "rule %s%s\n", r.Rule, foreign(int(r.protocol)))
	}
	lines := make([]string, 0, len(s.routes))
	for i := range s.routes {
		r := &s.routes[i]
		if r.Table == unix.RT_TABLE_LOCAL {
			continue
		}
		lines = append(lines, fmt.Sprintf("route table %-4s %s%s\n", tableName(r.Table),
			strings.TrimSuffix(r.Route.String(), " table "+tableName(r.Table)), foreign(r.protocol)))
	}
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString(l)
	}
	return b.String()
}

func foreign(protocol int) string {
	if protocol == Protocol || protocol == unix.RTPROT_KERNEL {
		return ""
	}
	return fmt.Sprintf(" protocol %d", protocol)
}
