package shape

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane/netns"
)

// change makes the kernel hold a tree where it holds another, which it changes to what it held last: what packets wait in is there
// before they are led there, and goes after that. It returns how many objects it changed.
func (p *public) change(have, want *tree) (changes int, err error) {
	for way, index := range p.ifbs {
		// The kernel moves no class to another parent. Children go first.
		moved := func(minor uint16) bool {
			k, wanted := want.classes[way][minor]
			return wanted && k.parent != have.classes[way][minor].parent
		}
		n, err := p.removeClasses(have, have, way, moved)
		if changes += n; err != nil {
			return changes, err
		}
		for _, minor := range want.downwards(way) {
			k := want.classes[way][minor]
			if old, ok := have.classes[way][minor]; !ok || old != k {
				changes++
				if err := p.control.setClass(index, minor, k); err != nil {
					return changes, fmt.Errorf("set class 1:%x of %s: %w", minor, p.key.links()[way], err)
				}
			}
		}
		for minor, q := range want.queues[way] {
			if old, ok := have.queues[way][minor]; !ok || !old.like(q) {
				changes++
				if err := p.control.setQueue(index, minor, q); err != nil {
					return changes, fmt.Errorf("set the queue of class 1:%x of %s (CONFIG_NET_SCH_TBF is needed): %w", minor, p.key.links()[way], err)
				}
			}
		}
	}
	n, err := p.changeMaps(have, want)
	if changes += n; err != nil {
		return changes, fmt.Errorf("tell the BPF programs of bandwidths: %w", err)
	}
	for way := range p.ifbs {
		n, err := p.removeClasses(have, want, way, func(minor uint16) bool { _, wanted := want.classes[way][minor]; return !wanted })
		if changes += n; err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// removeClasses removes the classes for which which is true, with all below them, and notes in have that
// they are gone. What their queues have dropped and sent is kept with their bandwidth, in the tree told,
// which has what the maps say now.
func (p *public) removeClasses(have, told *tree, way int, which func(minor uint16) bool) (changes int, err error) {
	var going []uint16
	for _, minor := range slices.Backward(have.downwards(way)) {
		if which(minor) || have.belongs(way, minor, which) {
			going = append(going, minor)
		}
	}
	if len(going) == 0 {
		return 0, nil
	}
	c, err := p.counted(way)
	if err != nil {
		return 0, err
	}
	for _, minor := range going {
		changes++
		if err := p.remember(have, told, way, minor, c); err != nil {
			return changes, err
		}
		if err := p.control.removeClass(p.ifbs[way], minor); err != nil {
			return changes, fmt.Errorf("remove class 1:%x of %s: %w", minor, p.key.links()[way], err)
		}
		delete(have.classes[way], minor)
		delete(have.queues[way], minor)
	}
	return changes, nil
}

// belongs reports whether a class is below one for which which is true.
func (t *tree) belongs(way int, minor uint16, which func(uint16) bool) bool {
	for range 3 {
		k, ok := t.classes[way][minor]
		if minor = uint16(k.parent); !ok || minor == 0 {
			return false
		}
		if which(minor) {
			return true
		}
	}
	return false
}

// downwards returns the minors of the classes one way, parents before what is in them.
func (t *tree) downwards(way int) []uint16 {
	depth := func(minor uint16) (n int) {
		for n < 3 && minor != 0 {
			minor = uint16(t.classes[way][minor].parent)
			n++
		}
		return n
	}
	return slices.SortedFunc(maps.Keys(t.classes[way]), func(a, b uint16) int { return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a, b)) })
}

// changeMaps changes what differs in the maps: what is asked of a bandwidth before who it is for.
func (p *public) changeMaps(have, want *tree) (changes int, err error) {
	configs, shaped := p.programs.maps[bpf.ShapeMapBandwidths], p.programs.maps[bpf.ShapeMapShaped]
	for at, config := range want.configs {
		old := have.configs[at]
		if old.Id == config.Id {
			config.Dropped, config.Led, config.LedPackets = old.Dropped, old.Led, old.LedPackets
			want.configs[at] = config
		}
		if old == config {
			continue
		}
		changes++
		if err := configs.Put(at, config); err != nil {
			return changes, err
		}
	}
	for address, of := range want.shaped {
		if old, ok := have.shaped[address]; !ok || old != of {
			changes++
			if err := shaped.Put(address, of); err != nil {
				return changes, err
			}
		}
	}
	for address := range have.shaped {
		if _, wanted := want.shaped[address]; wanted {
			continue
		}
		changes++
		if err := shaped.Delete(address); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return changes, err
		}
	}
	for at := range have.configs {
		if _, wanted := want.configs[at]; wanted {
			continue
		}
		changes++
		if err := configs.Put(at, bpf.ShapeBandwidth{}); err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// damage says how what the kernel has is other than what it held.
func (t *tree) damage(now *tree, k key) (whats []string) {
	for way, name := range k.links() {
		if !maps.Equal(t.classes[way], now.classes[way]) {
			whats = append(whats, "put the classes of "+name+" right")
		}
		if !maps.EqualFunc(t.queues[way], now.queues[way], queue.like) {
			whats = append(whats, "put the queues of "+name+" right")
		}
	}
	if !maps.Equal(t.shaped, now.shaped) || !maps.Equal(t.configs, now.configs) {
		whats = append(whats, "put the BPF maps of bandwidths at "+k.device+" right")
	}
	return whats
}

// The filters that lead to the queues come after those of package session, whose programs
// do not see a packet again that has waited.
const filterPriority = 3

// hook is a place for a filter at a link.
type hook struct {
	parent  uint32
	way     int
	program string
}

// hooks returns those of a network's link.
func (s Site) hooks() [ways]hook {
	in, out := uint32(tcIngress), uint32(tcEgress)
	if s.Outside {
		in, out = out, in
	}
	return [ways]hook{{out, outbound, bpf.ShapeProgOutbound}, {in, inbound, bpf.ShapeProgInbound}}
}

const (
	tcIngress, tcEgress = 0xfffffff2, 0xfffffff3
	clsactParent        = 0xfffffff1
	clsactHandle        = 0xffff << 16
)

// lead leads what passes the networks' links to the queues, and nothing that passes others.
// Without all, only links that were not there before are looked at.
func (p *public) lead(all bool) (whats []string, err error) {
	links := map[string]int{}
	for _, w := range p.wants {
		name := w.site.Link
		if _, done := links[name]; done {
			continue
		}
		link, err := p.ns.Netlink().LinkByName(name)
		if err != nil {
			return whats, fmt.Errorf("find link %s: %w", name, err)
		}
		index := link.Attrs().Index
		if links[name] = index; p.links[name] == index && !all {
			continue
		}
		led, err := p.leadLink(index, w.site)
		if err != nil {
			return whats, err
		}
		if led {
			whats = append(whats, "lead "+name+" to the queues of bandwidths")
		}
	}
	for name := range p.links {
		if _, wanted := links[name]; !wanted {
			p.swept = false
		}
	}
	p.links = links
	// Links of networks that have not said yet what they want stay as they are.
	if len(p.unsaid) == 0 && (all || !p.swept) {
		left, err := p.leaveOthers()
		p.swept = err == nil
		return append(whats, left...), err
	}
	return whats, nil
}

// leadLink puts the filters at a link, and reports whether any was not there.
func (p *public) leadLink(index int, s Site) (changed bool, err error) {
	for _, h := range s.hooks() {
		to := p.ifbs[h.way]
		there, err := p.control.filters(index, h.parent)
		if err != nil {
			return changed, err
		}
		if slices.ContainsFunc(there, func(f held) bool { return p.isFilter(f, h.program, filterPriority, to) }) {
			continue
		}
		changed = true
		clsact := &object{ifindex: index, handle: clsactHandle, parent: clsactParent, kind: "clsact"}
		if err := p.control.do(unix.RTM_NEWQDISC, netlink.Create|netlink.Excl, clsact, func(*netlink.AttributeEncoder) error { return nil }); err != nil && !errors.Is(err, unix.EEXIST) {
			return changed, fmt.Errorf("add queueing discipline clsact to %s (CONFIG_NET_SCH_INGRESS is needed): %w", s.Link, err)
		}
		f := filter{parent: h.parent, priority: filterPriority, name: p.programs.name, program: p.programs.prog[h.program].FD(), to: to}
		err = p.control.setFilter(index, f)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EOPNOTSUPP) {
			// Something of another kind is in the place.
			if err := p.control.removeFilter(index, h.parent, filterPriority); err != nil {
				return changed, err
			}
			err = p.control.setFilter(index, f)
		}
		if err != nil {
			return changed, fmt.Errorf("lead %s to the queues (CONFIG_NET_CLS_BPF and CONFIG_NET_ACT_MIRRED are needed): %w", s.Link, err)
		}
	}
	return changed, nil
}

// placed is a filter with the link that it is at.
type placed struct {
	held
	ifindex int
}

// filtersAt returns all filters in the namespace that lead to queues of this device, or
// would if these were there.
func (p *public) filtersAt() (all []placed, err error) {
	qdiscs, err := p.control.list(unix.RTM_GETQDISC, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("list queueing disciplines in %s: %w", p.ns, err)
	}
	queues, links := p.key.links(), map[int]string{}
	list, err := netns.Dump(p.ns.Netlink().LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links in %s: %w", p.ns, err)
	}
	for _, l := range list {
		links[l.Attrs().Index] = l.Attrs().Name
	}
	for _, q := range qdiscs {
		if q.parent != clsactParent {
			continue
		}
		for _, parent := range []uint32{tcIngress, tcEgress} {
			filters, err := p.control.filters(q.ifindex, parent)
			if err != nil {
				return nil, err
			}
			for _, f := range filters {
				to, there := links[f.to]
				if strings.HasPrefix(f.name, filterName) && (!there || to == queues[outbound] || to == queues[inbound]) {
					all = append(all, placed{f, q.ifindex})
				}
			}
		}
	}
	return all, nil
}

// leaveOthers takes the filters away from all links but those of p.wants.
func (p *public) leaveOthers() (whats []string, err error) {
	all, err := p.filtersAt()
	if err != nil {
		return nil, err
	}
	wanted := map[int]bool{}
	for _, w := range p.wants {
		wanted[p.links[w.site.Link]] = true
	}
	for _, f := range all {
		if wanted[f.ifindex] {
			continue
		}
		if err := p.control.removeFilter(f.ifindex, f.parent, f.priority); err != nil {
			return whats, err
		}
		whats = append(whats, "lead a link no longer to the queues of bandwidths")
		left := 0
		for _, parent := range []uint32{tcIngress, tcEgress} {
			filters, err := p.control.list(unix.RTM_GETTFILTER, f.ifindex, parent)
			if err != nil {
				return whats, err
			}
			left += len(filters)
		}
		if left == 0 {
			clsact := &object{ifindex: f.ifindex, handle: clsactHandle, parent: clsactParent}
			if err := gone(p.control.do(unix.RTM_DELQDISC, 0, clsact, nil)); err != nil {
				return whats, err
			}
		}
	}
	return whats, nil
}
