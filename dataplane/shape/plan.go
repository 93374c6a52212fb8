package shape

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// The links that hold the queues.
const (
	Inbound  = dataplane.ShapedInbound
	Outbound = dataplane.ShapedOutbound
)

const kind = "ifb"

// direction is one of the two ways through the tunnels.
type direction struct {
	inbound bool
	ifb     string
	hook    uint32 // where the filters are, at the tunnels' links
	// The u32 filters of one link are listed at both places, and only told apart
	// by their priority. Before the one of ingress, 2 is that of package session.
	priority uint16
}

var directions = [...]direction{
	{inbound: true, ifb: Inbound, hook: netlink.HANDLE_MIN_INGRESS, priority: 3},
	{ifb: Outbound, hook: netlink.HANDLE_MIN_EGRESS, priority: 2},
}

// Plan compares what is at links, which lead into the tunnels, and at all others
// of namespace ns, with a bandwidth of mbit Mbit/s for what passes through all
// of them together, each way. 0 is for none: then nothing of it shall be there.
// A link that is not there yet gets its filters when the Plan is carried out.
//
// A larger bandwidth loses no packet, a smaller one those that wait just then.
// The plan's Err says that the kernel's state could not be read.
func Plan(ns *netns.Namespace, links []string, mbit int) *plan.Plan {
	p := &plan.Plan{}
	s, err := read(ns)
	if err != nil {
		p.Err = err
		return p
	}
	if mbit <= 0 {
		links = nil
	}
	for _, d := range directions {
		ifb := s.link(d.ifb)
		if len(links) > 0 {
			p.Err = errors.Join(p.Err, planWay(p, ns, s, d, links, mbit))
		}
		p.Err = errors.Join(p.Err, planRest(p, ns, s, d, links))
		if len(links) == 0 && ifb != nil && ifb.Type() == kind {
			p.Remove = append(p.Remove, plan.Change{
				What: "remove link " + d.ifb, Makes: d.ifb,
				Do: func(context.Context) error { return gone(ns.Netlink().LinkDel(ifb)) },
			})
		}
	}
	return p
}

// planWay plans what a direction needs: the queue first, then what leads to it.
func planWay(p *plan.Plan, ns *netns.Namespace, s *state, d direction, links []string, mbit int) error {
	header := 0
	for _, name := range links {
		if l := s.link(name); l != nil {
			header = max(header, d.header(l))
		}
	}
	b := bucketFor(mbit, header)
	ifb, index := s.link(d.ifb), 0
	if ifb != nil && ifb.Type() == kind {
		index = ifb.Attrs().Index
	}
	step := func(what string, do func() error) {
		p.Add = append(p.Add, plan.Change{What: what, Makes: d.ifb, Do: func(context.Context) error { return do() }})
	}
	if index == 0 {
		step("make link "+d.ifb, func() error { return makeIFB(ns, d.ifb, ifb) })
	}
	if index == 0 || !s.holds(index, b) {
		step(fmt.Sprintf("hold %s to %d Mbit/s", d.ifb, mbit), func() error { return b.set(ns, d.ifb) })
	}
	if index == 0 || ifb.Attrs().RawFlags&unix.IFF_UP == 0 {
		step("set link "+d.ifb+" up", func() error { return setUp(ns, d.ifb) })
	}
	var errs []error
	for _, name := range links {
		if l := s.link(name); l != nil && index != 0 && s.classed[l.Attrs().Index] {
			fs, err := d.filters(ns, l.Attrs().Index)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if leads(fs, index) {
				continue
			}
		}
		p.Add = append(p.Add, plan.Change{
			What: fmt.Sprintf("lead %s through %s", name, d.ifb), Needs: []string{d.ifb, name},
			Do: func(context.Context) error { return d.lead(ns, name) },
		})
	}
	return errors.Join(errs...)
}

// planRest plans to take the filters away from all links but those. One whose
// target is gone drops every packet.
func planRest(p *plan.Plan, ns *netns.Namespace, s *state, d direction, links []string) error {
	targets := []int{0} // a link that is gone
	if ifb := s.link(d.ifb); ifb != nil {
		targets = append(targets, ifb.Attrs().Index)
	}
	var errs []error
	for _, l := range s.links {
		name, index := l.Attrs().Name, l.Attrs().Index
		if !s.classed[index] || slices.Contains(links, name) {
			continue
		}
		fs, err := d.filters(ns, index)
		errs = append(errs, err)
		for _, f := range fs {
			if !ours(f, targets...) {
				continue
			}
			p.Remove = append(p.Remove, plan.Change{
				What: fmt.Sprintf("lead %s no longer through %s", name, d.ifb),
				Do:   func(context.Context) error { return leave(ns, f) },
			})
		}
	}
	return errors.Join(errs...)
}

// gone is err, unless it says that what was to be deleted is not there.
func gone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
