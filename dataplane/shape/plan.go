package shape

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// The links that hold the queues of the first bandwidth. Those of others have a number,
// from 1 on, as well.
const (
	Inbound  = dataplane.ShapedInbound
	Outbound = dataplane.ShapedOutbound
)

// Bandwidth is how much may pass through some tunnels together.
type Bandwidth struct {
	Links []string // that lead into the tunnels; each has one bandwidth
	Mbit  int      // Mbit/s, each way; 0 for no limit
}

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

// Plan compares what is at links, which lead into tunnels, and at all others of
// namespace ns, with the bandwidths that there shall be. Where there is no limit nothing
// of one shall be there. A link that is not there yet gets its filters when the Plan is
// carried out.
//
// A larger bandwidth loses no packet, a smaller one those that wait just then; so does
// one that is another in the order than it was.
// The plan's Err says that the kernel's state could not be read.
func Plan(ns *netns.Namespace, all ...Bandwidth) *plan.Plan {
	p := &plan.Plan{}
	s, err := read(ns)
	if err != nil {
		p.Err = err
		return p
	}
	for _, d := range directions {
		var limited, used []string
		for i, b := range all {
			if b.Mbit <= 0 || len(b.Links) == 0 {
				continue
			}
			of := d.numbered(i)
			limited, used = append(limited, b.Links...), append(used, of.ifb)
			p.Err = errors.Join(p.Err, planWay(p, ns, s, of, b.Links, b.Mbit))
		}
		p.Err = errors.Join(p.Err, planRest(p, ns, s, d, limited))
		for _, ifb := range s.queues(d) {
			name := ifb.Attrs().Name
			if slices.Contains(used, name) {
				continue
			}
			p.Remove = append(p.Remove, plan.Change{
				What: "remove link " + name, Makes: name,
				Do: func(context.Context) error { return gone(ns.Netlink().LinkDel(ifb)) },
			})
		}
	}
	return p
}

// numbered returns the direction of the bandwidth with that number.
func (d direction) numbered(n int) direction {
	if n > 0 {
		d.ifb += strconv.Itoa(n)
	}
	return d
}

// queues returns the links that hold queues of a direction, whatever their number.
func (s *state) queues(d direction) (all []netlink.Link) {
	for _, l := range s.links {
		rest, ok := strings.CutPrefix(l.Attrs().Name, d.ifb)
		if n, err := strconv.Atoi(rest); ok && l.Type() == kind && (rest == "" || err == nil && n > 0) {
			all = append(all, l)
		}
	}
	return all
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
	for _, ifb := range s.queues(d) {
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
