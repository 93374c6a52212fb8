package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// attachments decides which links get XDP, and says why others don't, of which By is empty. XDP is worth it
// only where packets both come in and leave by it, so it takes the uplink and one VSwitch at least.
func (n *Network) attachments(links []Link, shortcut bool) ([]dataplane.Programs, error) {
	out := make([]dataplane.Programs, len(links))
	able, switches := 0, 0
	var errs []error
	for i, l := range links {
		why, err := n.whyNoXDP(l, shortcut)
		errs = append(errs, err)
		out[i] = dataplane.Programs{Link: l.Name, Why: why}
		if why == "" {
			able++
			if l.Name != dataplane.UplinkName {
				switches++
			}
		}
	}
	for i := range out {
		if out[i].Why != "" {
			continue
		}
		switch {
		case able == switches:
			out[i].Why = "the uplink has no XDP, and packets from here leave by it"
		case switches == 0:
			out[i].Why = "no VSwitch has XDP, and packets from here leave by one"
		default:
			out[i].By = dataplane.ByXDP
		}
	}
	return out, errors.Join(errs...)
}

// whyNoXDP says why a link cannot have XDP, or nothing where it can.
func (n *Network) whyNoXDP(l Link, shortcut bool) (string, error) {
	switch {
	case !l.Sessions:
		return "the network has no public side", nil
	case !shortcut:
		return "the shortcut is off", nil
	case n.s.opt.WithoutXDP:
		return "XDP is switched off", nil
	case !l.Moved:
		return "not a device that was handed over; tc keeps its offloads", nil
	case l.Held:
		return "security groups hold at it, by programs that XDP would go past", nil
	case l.Index == 0:
		return "the link is not there yet", nil
	}
	features, err := xdpFeatures(n.ns, l.Index)
	switch {
	case errors.Is(err, errNoFeatures) && n.s.opt.AssumeXDP:
		return "", nil
	case errors.Is(err, errNoFeatures):
		return err.Error(), nil
	case err != nil:
		return "its XDP features could not be read", err
	case features&xdpBasic == 0 || features&xdpRedirect == 0:
		return "its driver has no XDP with redirects", nil
	case features&xdpTransmit == 0:
		return "its driver cannot be redirected to (a veth needs NAPI on its peer: ethtool -K PEER gro on)", nil
	}
	return "", nil
}

// Plan compares the programs on a network's links with what belongs there.
func (n *Network) Plan(links []Link, shortcut bool) *plan.Plan {
	p := &plan.Plan{}
	modes, err := n.attachments(links, shortcut)
	p.Err = err
	targets := map[uint32]uint32{}
	for i, l := range links {
		if modes[i].By == dataplane.ByXDP {
			targets[uint32(l.Index)] = 1
		}
	}
	if have, err := contents(n.maps["devices"]); err != nil || !equalKeys(have, targets) {
		p.Add = append(p.Add, plan.Change{
			What: "note the links that can be redirected to",
			Do:   func(context.Context) error { return fill(n.maps["devices"], targets) },
		})
	}
	// Before the links are looked at: what toTCX pins meanwhile is none that is not wanted.
	pins, err := os.ReadDir(n.links())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.Err = errors.Join(p.Err, err)
	}
	pinned := map[string]bool{} // that are wanted
	var slow []Link
	doubled := false
	for i, l := range links {
		if l.Index == 0 {
			continue
		}
		changing := n.isChanging()
		ways, wanted := n.ways(l), hooks(l, modes[i].By)
		filtered := false
		for _, h := range wanted {
			w, byLink := ways[h], n.byLink(l, h, ways[h])
			pinned[filepath.Base(n.pin(l, h))] = byLink
			filtered = filtered || !byLink
			twice := !changing && (byLink && w.filter != nil || !byLink && w.linked != 0)
			doubled = doubled || twice
			if twice && byLink {
				p.Remove = append(p.Remove, n.detachFilter(l, h, w.filter))
			}
			if n.isAt(l, h, w) {
				continue
			}
			if twice {
				p.Add = append(p.Add, plan.Change{
					What: fmt.Sprintf("have the %s program of %s look for its double", h, l.Name),
					Do:   func(context.Context) error { return n.setDoubled(true) },
				})
			}
			p.Add = append(p.Add, plan.Change{
				What: fmt.Sprintf("attach %s program to %s by %s", h, l.Name, means(h, byLink)), Makes: l.Name,
				Do: func(context.Context) error { return n.attach(l, h, byLink) },
			})
		}
		for _, h := range classifiers {
			if f := ways[h].filter; f != nil && !slices.Contains(wanted, h) {
				p.Remove = append(p.Remove, n.detachFilter(l, h, f))
			}
		}
		if filtered && n.s.tcx {
			slow = append(slow, l)
		}
	}
	n.setSlow(slow)
	for _, pin := range pins {
		if pinned[pin.Name()] {
			continue
		}
		p.Remove = append(p.Remove, plan.Change{
			What: "detach program " + pin.Name(),
			Do:   func(context.Context) error { return os.RemoveAll(filepath.Join(n.links(), pin.Name())) },
		})
	}
	if doubled || n.isDoubled() {
		p.Remove = append(p.Remove, plan.Change{
			What: "have no program look for its double any more",
			Do:   func(context.Context) error { return n.setDoubled(false) },
		})
	}
	if len(n.oldPrograms()) > 0 {
		p.Remove = append(p.Remove, plan.Change{
			What: "drop the programs of another version",
			Do:   func(context.Context) error { return n.dropOldPrograms() },
		})
	}
	return p
}

func means(h hook, byLink bool) string {
	switch {
	case h == xdp:
		return "XDP"
	case byLink:
		return string(dataplane.ByTCX)
	}
	return string(dataplane.ByClsact)
}

// attach puts our program at a hook, by a link of BPF or a filter: in the place of an earlier one of ours in
// one step.
func (n *Network) attach(l Link, h hook, byLink bool) error {
	name := program(l, h)
	if err := n.load(name); err != nil {
		return err
	}
	p := n.loaded(name)
	return n.ns.Do(func() error {
		k, err := n.ns.Netlink().LinkByName(l.Name)
		if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone && l.Tunnel {
			return nil // with what carried the tunnel; the next one is looked at when it comes
		}
		if err != nil {
			return err
		}
		l.Index = k.Attrs().Index
		if byLink {
			return n.attachLink(l, h, p)
		}
		return n.attachFilter(l, h, p)
	})
}

func (n *Network) attachLink(l Link, h hook, p *ebpf.Program) error {
	pin := n.pin(l, h)
	if old, err := link.LoadPinnedLink(pin, nil); err == nil {
		defer old.Close()
		if info, err := old.Info(); err == nil && indexOf(info) == l.Index && old.Update(p) == nil {
			return nil
		}
		if err := old.Unpin(); err != nil {
			return err
		}
	} else if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := mkdir(n.links()); err != nil {
		return err
	}
	made, err := newLink(l, h, p)
	// The kernel lets go of a link a moment after its last pin or descriptor.
	for until := time.Now().Add(time.Second); errors.Is(err, unix.EEXIST) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
		made, err = newLink(l, h, p)
	}
	if err != nil {
		return err
	}
	defer made.Close() // the pin keeps it
	return made.Pin(pin)
}

func newLink(l Link, h hook, p *ebpf.Program) (link.Link, error) {
	o := link.TCXOptions{Interface: l.Index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()}
	switch h {
	case xdp:
		return link.AttachXDP(link.XDPOptions{Program: p, Interface: l.Index, Flags: link.XDPDriverMode})
	case egress:
		o.Attach = ebpf.AttachTCXEgress
		if l.Held {
			anchor, err := behindGroups(l)
			if err != nil {
				return nil, err
			}
			o.Anchor = anchor
		}
	case flowEgress: // after the program of sessions, to which it leaves what that wants to know
		o.Attach, o.Anchor = ebpf.AttachTCXEgress, link.Tail()
	}
	return link.AttachTCX(o)
}

// behindGroups returns a place at a link's egress after the program of security groups, so that
// nothing is learned from what that drops, and before ours of flows.
func behindGroups(l Link) (link.Anchor, error) {
	list, err := link.QueryPrograms(link.QueryOptions{Target: l.Index, Attach: ebpf.AttachTCXEgress})
	if err != nil {
		return nil, fmt.Errorf("list the programs at %s: %w", l.Name, err)
	}
	for _, other := range list.Programs {
		if programName(other.ID) == program(l, flowEgress) {
			return link.BeforeProgramByID(other.ID), nil
		}
	}
	return link.Tail(), nil
}

const (
	filterName = "sluice-session"
	// The egress filter is at the egress of the uplink with priority 1, and drops what
	// must not be counted.
	filterPriority = 2
	filterHandle   = 1
)

func (h hook) priority() uint16 {
	switch h {
	case flowIngress:
		return filterPriority - 1
	case flowEgress:
		return filterPriority + 1
	}
	return filterPriority
}

func parent(h hook) uint32 {
	if h.out() {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

// filters returns our classifiers that are filters of a link. Those that cannot be read are taken for missing.
func (n *Network) filters(l Link) map[hook]*netlink.BpfFilter {
	out := map[hook]*netlink.BpfFilter{}
	for _, side := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}
		list, _ := netns.Dump(func() ([]netlink.Filter, error) { return n.ns.Netlink().FilterList(link, side) })
		for _, f := range list {
			b, ok := f.(*netlink.BpfFilter)
			if !ok || !strings.HasPrefix(b.Name, filterName) {
				continue
			}
			for _, h := range classifiers {
				if parent(h) == side && h.priority() == b.Attrs().Priority {
					out[h] = b
				}
			}
		}
	}
	return out
}

// Detach takes all programs off the network's links.
func (n *Network) Detach() error {
	links, err := netns.Dump(n.ns.Netlink().LinkList)
	if err != nil {
		return fmt.Errorf("list the links in %s: %w", n.ns, err)
	}
	errs := []error{os.RemoveAll(n.links())}
	for _, k := range links {
		for _, f := range n.filters(Link{Name: k.Attrs().Name, Index: k.Attrs().Index}) {
			errs = append(errs, n.removeFilter(f))
		}
	}
	return errors.Join(errs...)
}

func (n *Network) detachFilter(l Link, h hook, f *netlink.BpfFilter) plan.Change {
	return plan.Change{
		What: fmt.Sprintf("detach %s program from %s", h, l.Name),
		Do:   func(context.Context) error { return n.removeFilter(f) },
	}
}

// removeFilter removes a classifier, if it is still there.
func (n *Network) removeFilter(f *netlink.BpfFilter) error {
	err := n.ns.Netlink().FilterDel(f)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil // the filter, its link or the qdisc is gone
	}
	return err
}

func (n *Network) attachFilter(l Link, h hook, p *ebpf.Program) error {
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	if err := n.ns.Netlink().QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add queueing discipline clsact: %w", err)
	}
	return n.ns.Netlink().FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Index, Parent: parent(h), Handle: filterHandle, Priority: h.priority(), Protocol: unix.ETH_P_ALL,
		},
		Fd: p.FD(), Name: filterName, DirectAction: true,
	})
}

// Attachments says where the programs of a network run, and why there. They are
// nowhere on a link that lacks one of them.
func (n *Network) Attachments(links []Link, shortcut bool) []dataplane.Programs {
	out, _ := n.attachments(links, shortcut)
	for i, l := range links {
		by := n.attachedBy(l, out[i].By)
		if out[i].By = by; by == dataplane.ByNothing {
			out[i].Why = "not attached; the next comparison with the kernel tries again"
		}
	}
	slices.SortFunc(out, func(a, b dataplane.Programs) int { return strings.Compare(a.Link, b.Link) })
	return out
}

func contents(m *ebpf.Map) (map[uint32]uint32, error) {
	out := map[uint32]uint32{}
	var k, v uint32
	it := m.Iterate()
	for it.Next(&k, &v) {
		out[k] = v
	}
	return out, it.Err()
}

func equalKeys(a, b map[uint32]uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return true
}
