package shape

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// state is what a namespace has.
type state struct {
	links   []netlink.Link
	roots   map[int]netlink.Qdisc // by link index
	classed map[int]bool          // links with filters at ingress and egress
}

func read(ns *netns.Namespace) (*state, error) {
	links, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links in %s: %w", ns, err)
	}
	qdiscs, err := netns.Dump(func() ([]netlink.Qdisc, error) { return ns.Netlink().QdiscList(nil) })
	if err != nil {
		return nil, fmt.Errorf("list queueing disciplines in %s: %w", ns, err)
	}
	s := &state{links: links, roots: map[int]netlink.Qdisc{}, classed: map[int]bool{}}
	for _, q := range qdiscs {
		switch a := q.Attrs(); a.Parent {
		case netlink.HANDLE_ROOT:
			s.roots[a.LinkIndex] = q
		case netlink.HANDLE_CLSACT:
			s.classed[a.LinkIndex] = true
		}
	}
	return s, nil
}

// link returns nil where there is none of that name.
func (s *state) link(name string) netlink.Link {
	for _, l := range s.links {
		if l.Attrs().Name == name {
			return l
		}
	}
	return nil
}

// holds reports whether the link's queue is such a bucket.
func (s *state) holds(index int, b bucket) bool {
	q, ok := s.roots[index].(*netlink.Tbf)
	return ok && q.Rate == b.rate && q.Limit == b.limit && q.Buffer == b.burst && q.Peakrate == 0
}

// filters returns the filters of the direction's place and priority at a link.
func (d direction) filters(ns *netns.Namespace, index int) ([]netlink.Filter, error) {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	list, err := netns.Dump(func() ([]netlink.Filter, error) { return ns.Netlink().FilterList(link, d.hook) })
	if err != nil {
		return nil, fmt.Errorf("list traffic filters of link %d in %s: %w", index, ns, err)
	}
	var out []netlink.Filter
	for _, f := range list {
		if a := f.Attrs(); a.Priority == d.priority && (a.Chain == nil || *a.Chain == 0) {
			out = append(out, f)
		}
	}
	return out, nil
}

// leads reports whether there is just the filter that leads all packets to the
// link of index ifb.
func leads(fs []netlink.Filter, ifb int) bool {
	if len(fs) != 1 || fs[0].Attrs().Protocol != unix.ETH_P_ALL || !ours(fs[0], ifb) {
		return false
	}
	keys := fs[0].(*netlink.U32).Sel.Keys
	return len(keys) == 1 && keys[0].Mask == 0
}

// ours reports whether a filter redirects to one of those links, and does
// nothing else.
func ours(f netlink.Filter, ifbs ...int) bool {
	u, ok := f.(*netlink.U32)
	if !ok || len(u.Actions) != 1 {
		return false
	}
	m, ok := u.Actions[0].(*netlink.MirredAction)
	if !ok || m.MirredAction != netlink.TCA_EGRESS_REDIR || m.Action != netlink.TC_ACT_STOLEN {
		return false
	}
	for _, i := range ifbs {
		if m.Ifindex == i {
			return true
		}
	}
	return false
}
