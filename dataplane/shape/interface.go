package shape

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/vishvananda/netlink"

	"sluice/bpf"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// Interfaces compares the queues of router interfaces' links with what shall leave by each:
// mbit is in Mbit/s, by the link's name; 0 for no limit. Each is a token bucket filter at the
// link itself. A link that is not there yet gets its queue when the Plan is carried out.
func Interfaces(ns *netns.Namespace, mbit map[string]int) *plan.Plan {
	p := &plan.Plan{}
	if len(mbit) == 0 {
		return p
	}
	s, err := read(ns)
	if err != nil {
		p.Err = err
		return p
	}
	for _, name := range slices.Sorted(maps.Keys(mbit)) {
		l, limit := s.link(name), mbit[name]
		switch {
		case limit > 0:
			b := bucketFor(limit, etherHeader)
			if l != nil && s.holds(l.Attrs().Index, b) {
				continue
			}
			p.Add = append(p.Add, plan.Change{
				What: fmt.Sprintf("hold %s to %d Mbit/s", name, limit), Needs: []string{name},
				Do: func(context.Context) error { return b.set(ns, name) },
			})
		case l != nil:
			if q, ok := s.roots[l.Attrs().Index].(*netlink.Tbf); ok {
				p.Remove = append(p.Remove, plan.Change{
					What: fmt.Sprintf("hold %s to no limit", name), Needs: []string{name},
					Do: func(context.Context) error { return gone(ns.Netlink().QdiscDel(q)) },
				})
			}
		}
	}
	return p
}

// Reckoned returns what the programs at a router interface go by: see bpf/bandwidth.h. They
// let a part of what the queue would let pass at once pass by it. cpus is how many there are.
func Reckoned(mbit, cpus int) bpf.GatewayBandwidth {
	if mbit <= 0 {
		return bpf.GatewayBandwidth{}
	}
	r := rateOf(mbit)
	out := bpf.GatewayBandwidth{Mbit: uint32(mbit), Cost: r.cost(), Credit: r.nanoseconds(r.credit())}
	out.Most = out.Credit + r.nanoseconds(float64(bucketFor(mbit, etherHeader).limit)+largestPacket)
	out.Batch = uint32(r.credit() / 8 / float64(max(cpus, 1)))
	return out
}

// Dropped returns how many packets the queue of a router interface's link had no room for.
func Dropped(ns *netns.Namespace, name string) (uint64, error) {
	l, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return 0, err
	}
	list, err := netns.Dump(func() ([]netlink.Qdisc, error) { return ns.Netlink().QdiscList(l) })
	if err != nil {
		return 0, fmt.Errorf("list queueing disciplines of %s in %s: %w", name, ns, err)
	}
	for _, q := range list {
		if a := q.Attrs(); a.Parent == netlink.HANDLE_ROOT && a.Statistics != nil && a.Statistics.Queue != nil {
			return uint64(a.Statistics.Queue.Drops), nil
		}
	}
	return 0, nil
}
