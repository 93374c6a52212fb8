package shape

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// lineDirections are the two ways through the device of a leased line.
func lineDirections(device string) [2]direction {
	in, out := directions[0], directions[1]
	in.ifb, out.ifb = dataplane.BandwidthLink(dataplane.LineInbound, device), dataplane.BandwidthLink(dataplane.LineOutbound, device)
	return [2]direction{in, out}
}

// PlanLine compares what is at the device of a leased line with the bandwidth that it shall be
// held to, in Mbit/s each way; 0 for no limit, of which nothing shall be there. All that is on
// the device shares it, whatever its VLAN.
func PlanLine(ns *netns.Namespace, device string, mbit int) *plan.Plan {
	p := &plan.Plan{}
	s, err := read(ns)
	if err != nil {
		p.Err = err
		return p
	}
	for _, d := range lineDirections(device) {
		if mbit > 0 {
			p.Err = errors.Join(p.Err, planWay(p, ns, s, d, []string{device}, mbit))
			continue
		}
		ifb, port := s.link(d.ifb), s.link(device)
		if ifb == nil || ifb.Type() != kind {
			continue
		}
		if port != nil && s.classed[port.Attrs().Index] {
			fs, err := d.filters(ns, port.Attrs().Index)
			p.Err = errors.Join(p.Err, err)
			for _, f := range fs {
				if ours(f, ifb.Attrs().Index) {
					p.Remove = append(p.Remove, plan.Change{
						What: fmt.Sprintf("lead %s no longer through %s", device, d.ifb),
						Do:   func(context.Context) error { return leave(ns, f) },
					})
				}
			}
		}
		p.Remove = append(p.Remove, plan.Change{
			What: "remove link " + d.ifb, Makes: d.ifb,
			Do: func(context.Context) error { return gone(ns.Netlink().LinkDel(ifb)) },
		})
	}
	return p
}

// LineTraffic returns what has passed the device of a line since its bandwidth is held.
func LineTraffic(ns *netns.Namespace, device string) (t dataplane.LineTraffic, err error) {
	for _, d := range lineDirections(device) {
		count := &t.Outbound
		if d.inbound {
			count = &t.Inbound
		}
		ifb, err := ns.Netlink().LinkByName(d.ifb)
		if err != nil {
			continue // there is none
		}
		list, err := netns.Dump(func() ([]netlink.Qdisc, error) { return ns.Netlink().QdiscList(ifb) })
		if err != nil {
			return t, fmt.Errorf("read what passes line %s: %w", device, err)
		}
		for _, q := range list {
			tbf, ok := q.(*netlink.Tbf)
			if !ok || tbf.Parent != netlink.HANDLE_ROOT {
				continue
			}
			count.Limit = int(float64(tbf.Rate) * 8 / 1e6 * dataplane.VPNMTU / (dataplane.VPNMTU + etherHeader))
			if st := tbf.Statistics; st != nil {
				if st.Basic != nil {
					count.Packets = uint64(st.Basic.Packets)
					count.Bytes = st.Basic.Bytes - min(st.Basic.Bytes, uint64(st.Basic.Packets)*etherHeader)
				}
				if st.Queue != nil {
					count.Dropped = uint64(st.Queue.Drops)
				}
			}
		}
	}
	return t, nil
}
