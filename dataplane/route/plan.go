package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// Plan compares what namespace ns has with what network n wants while its
// tunnels are in this state. Routes change in one step each, so that no packet
// meets a gap; a route that holds what is meant for a tunnel is there before the
// route and the rule that lead into it, and goes after them.
func Plan(ns *netns.Namespace, s *State, n *dataplane.Network, tunnels Tunnels) *plan.Plan {
	p := &plan.Plan{}
	want, rules, err := Routing(n, tunnels)
	p.Err = err
	planSet(p, ns, s, ofAddresses(n), unix.RTPROT_KERNEL)
	planSet(p, ns, s, want, Protocol)
	planRules(p, ns, s, rules)
	too := s.unwanted(want)
	slices.SortStableFunc(too, func(a, b *kernelRoute) int { return cmp.Compare(a.Metric, b.Metric) })
	for _, r := range too {
		p.Remove = append(p.Remove, plan.Change{
			What: "remove route " + r.Route.String(),
			Do:   func(context.Context) error { return gone(ns.Netlink().RouteDel(deletion(&r.kernel))) },
		})
	}
	return p
}

func planSet(p *plan.Plan, ns *netns.Namespace, s *State, want []Route, protocol int) {
	have := map[key]*kernelRoute{}
	for i := range s.routes {
		if r := &s.routes[i]; r.simple && r.protocol == protocol {
			have[r.key()] = r
		}
	}
	for i := range want {
		w := &want[i]
		if r := have[w.key()]; r != nil && r.same(w) {
			continue
		}
		c := plan.Change{
			What: "set route " + w.String(),
			Do:   func(context.Context) error { return set(ns, w, protocol) },
		}
		for _, h := range w.Hops {
			c.Needs = append(c.Needs, h.Link)
		}
		p.Add = append(p.Add, c)
	}
}

// unwanted returns the routes that are ours and not wanted, default routes in main,
// and what somebody has put before a route that holds. A route that Add replaces is
// not unwanted.
func (s *State) unwanted(want []Route) []*kernelRoute {
	type place struct {
		table       int
		destination netip.Prefix
	}
	wanted, held := map[key]bool{}, map[place]bool{}
	for i := range want {
		w := &want[i]
		wanted[w.key()] = true
		held[place{w.Table, w.Destination}] = held[place{w.Table, w.Destination}] || w.Metric == HoldMetric
	}
	var out []*kernelRoute
	for i := range s.routes {
		r := &s.routes[i]
		replaced := wanted[r.key()] && r.kernel.Tos == 0
		switch {
		case r.Table == unix.RT_TABLE_MAIN && r.Destination.Bits() == 0,
			r.protocol == Protocol && !replaced,
			r.protocol != Protocol && r.protocol != unix.RTPROT_KERNEL && !replaced && held[place{r.Table, r.Destination}]:
			out = append(out, r)
		}
	}
	return out
}

func planRules(p *plan.Plan, ns *netns.Namespace, s *State, want []Rule) {
	for _, w := range want {
		if slices.ContainsFunc(s.rules, func(r kernelRule) bool { return r.simple && r.Rule == w }) {
			continue
		}
		p.Add = append(p.Add, plan.Change{
			What: "add rule " + w.String(),
			Do: func(context.Context) error {
				err := w.add(ns)
				if errors.Is(err, unix.EEXIST) {
					return nil
				}
				return err
			},
		})
	}
	for i := range s.rules {
		r := &s.rules[i]
		clash := r.protocol == Protocol ||
			r.Priority != 0 && slices.ContainsFunc(want, func(w Rule) bool { return w.Priority == r.Priority })
		if !clash || r.simple && slices.Contains(want, r.Rule) {
			continue
		}
		p.Remove = append(p.Remove, plan.Change{
			What: "remove rule " + r.Rule.String(),
			Do:   func(context.Context) error { return gone(ns.Netlink().RuleDel(&r.kernel)) },
		})
	}
}

func (r Rule) toKernel() *netlink.Rule {
	k := netlink.NewRule()
	k.Family, k.Priority, k.Table, k.Mark, k.Protocol = netlink.FAMILY_V4, r.Priority, r.Table, r.Mark, Protocol
	if r.Priority == 0 {
		k.Protocol = unix.RTPROT_KERNEL // as it was
	}
	if r.ExceptDefaults {
		k.SuppressPrefixlen = 0
	}
	if r.Source.IsValid() {
		k.Src = netipx.PrefixIPNet(r.Source)
	}
	if r.Destination.IsValid() {
		k.Dst = netipx.PrefixIPNet(r.Destination)
	}
	k.IifName = r.From
	if r.Goto != 0 {
		k.Goto = r.Goto
	}
	return k
}

// add adds the rule. The library leaves suppress_prefixlength out where the number of the
// table has more than a byte.
func (r Rule) add(ns *netns.Namespace) error {
	if !r.ExceptDefaults || r.Table < 256 {
		return ns.Netlink().RuleAdd(r.toKernel())
	}
	if r.Source.IsValid() || r.Destination.IsValid() || r.Mark != 0 {
		return fmt.Errorf("rule %s has selectors that it cannot be added with", r)
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	msg := nl.NewRtMsg()
	msg.Family, msg.Protocol, msg.Type, msg.Table = unix.AF_INET, unix.RTPROT_BOOT, nl.FR_ACT_TO_TBL, unix.RT_TABLE_UNSPEC
	req.AddData(msg)
	for kind, value := range map[int]int{nl.FRA_PRIORITY: r.Priority, nl.FRA_TABLE: r.Table, nl.FRA_SUPPRESS_PREFIXLEN: 0} {
		req.AddData(nl.NewRtAttr(kind, nl.Uint32Attr(uint32(value))))
	}
	req.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(Protocol)))
	if r.From != "" {
		req.AddData(nl.NewRtAttr(nl.FRA_IIFNAME, nl.ZeroTerminated(r.From)))
	}
	return ns.Do(func() error {
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// loopback is the link that what the namespace itself sends comes in by, as
// far as rules see it.
const loopback = "lo"

// set adds the route, or puts it in the place of another to its destination.
func set(ns *netns.Namespace, r *Route, protocol int) error {
	k := &netlink.Route{
		Table: r.Table, Priority: r.Metric, Dst: netipx.PrefixIPNet(r.Destination), Protocol: netlink.RouteProtocol(protocol), Type: unix.RTN_UNICAST, Family: netlink.FAMILY_V4,
	}
	switch {
	case len(r.Hops) == 0:
		k.Type = unix.RTN_UNREACHABLE
	case r.Local:
		k.Type, k.Scope = unix.RTN_LOCAL, netlink.SCOPE_HOST
	case len(r.Hops) == 1 && !r.Hops[0].Via.IsValid():
		k.Scope = netlink.SCOPE_LINK
	}
	if r.Source.IsValid() {
		k.Src = r.Source.AsSlice()
	}
	hops := make([]*netlink.NexthopInfo, 0, len(r.Hops))
	for _, h := range r.Hops {
		link, err := ns.Netlink().LinkByName(h.Link)
		if err != nil {
			return fmt.Errorf("link %s: %w", h.Link, err)
		}
		hop := &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Hops: h.Weight - 1}
		if h.Via.IsValid() {
			hop.Gw = h.Via.AsSlice()
		}
		if h.OnLink {
			hop.Flags = unix.RTNH_F_ONLINK
		}
		hops = append(hops, hop)
	}
	if len(hops) == 1 {
		k.LinkIndex, k.Gw, k.Flags = hops[0].LinkIndex, hops[0].Gw, hops[0].Flags
	} else {
		k.MultiPath = hops
	}
	return ns.Netlink().RouteReplace(k)
}

// deletion says which route to delete. The kernel compares all attributes that
// are given; flags that it sets by itself must not be.
func deletion(k *netlink.Route) *netlink.Route {
	return &netlink.Route{
		Table: k.Table, Dst: netipx.PrefixIPNet(prefix(k.Dst)), Priority: k.Priority, Tos: k.Tos,
		Protocol: k.Protocol, Type: k.Type, Scope: k.Scope, LinkIndex: k.LinkIndex, Gw: k.Gw, Family: netlink.FAMILY_V4,
	}
}

// gone is err, unless it says that what was to be deleted is not there.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
