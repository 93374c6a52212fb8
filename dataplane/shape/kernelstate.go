package shape

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
)

// alias says what a link with queues is for.
func (k key) alias(way int) string {
	return fmt.Sprintf("bandwidths of elastic IPs %s %s, held by sluiced", [ways]string{"to the outside by", "from the outside by"}[way], k.device)
}

// readAll reads what the kernel has, after it has made what is missing of the links with
// the queues. It returns what it made.
func (p *public) readAll(given map[string]*ebpf.Map) (whats []string, err error) {
	p.have, p.read = nil, time.Now()
	if p.programs == nil {
		if err := p.adopt(given); err != nil {
			return nil, err
		}
	}
	for way := range ways {
		made, err := p.makeQueues(way)
		whats = append(whats, made...)
		if err != nil {
			return whats, err
		}
	}
	t, err := p.readTree()
	if err != nil {
		return whats, err
	}
	p.have = t
	if p.numbers == nil {
		p.numbers = t.numbering()
		p.left = t.bandwidths(p.numbers)
	}
	return whats, nil
}

// adopt opens the programs, with the maps of those that are at a link.
func (p *public) adopt(given map[string]*ebpf.Map) error {
	old := uint32(0)
	if given == nil {
		all, err := p.filtersAt()
		if err != nil {
			return err
		}
		for _, f := range all {
			old = f.id
		}
	}
	programs, err := openPrograms(given, old)
	if err != nil {
		return err
	}
	p.programs = programs
	return nil
}

// makeQueues makes what is missing of the link with the queues of one way.
func (p *public) makeQueues(way int) (whats []string, err error) {
	name, nl := p.key.links()[way], p.ns.Netlink()
	link, err := nl.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		link, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	alias := p.key.alias(way)
	if link != nil && (link.Type() != kind || link.Attrs().Alias != alias && link.Attrs().Alias != "") {
		return nil, fmt.Errorf("a %s link %s is in %s already, and is not ours; rename or remove it", link.Type(), name, p.ns)
	}
	if link == nil {
		if err := makeIFB(p.ns, name, nil); err != nil {
			return nil, err
		}
		whats = append(whats, "make link "+name)
		if link, err = nl.LinkByName(name); err != nil {
			return whats, err
		}
	}
	a := link.Attrs()
	p.ifbs[way] = a.Index
	if a.Alias != alias {
		if err := nl.LinkSetAlias(link, alias); err != nil {
			return whats, err
		}
	}
	qdiscs, err := p.control.list(unix.RTM_GETQDISC, a.Index, 0)
	if err != nil {
		return whats, fmt.Errorf("list queueing disciplines in %s: %w", p.ns, err)
	}
	if !slices.ContainsFunc(qdiscs, func(o object) bool { return o.isRoot() }) {
		if err := p.control.addRoot(a.Index); err != nil {
			return whats, fmt.Errorf("make HTB the queue of %s (CONFIG_NET_SCH_HTB is needed): %w", name, err)
		}
		whats = append(whats, "make the queue of "+name)
	}
	program := [ways]string{bpf.ShapeProgOutboundClass, bpf.ShapeProgInboundClass}[way]
	there, err := p.control.filters(a.Index, rootHandle)
	if err != nil {
		return whats, err
	}
	if len(there) != 1 || !p.isFilter(there[0], program, 1, 0) {
		for _, f := range there {
			if f.priority != 1 || f.handle != filterHandle {
				if err := p.control.removeFilter(a.Index, rootHandle, f.priority); err != nil {
					return whats, err
				}
			}
		}
		f := filter{parent: rootHandle, priority: 1, name: p.programs.name, program: p.programs.prog[program].FD()}
		if err := p.control.setFilter(a.Index, f); err != nil {
			return whats, fmt.Errorf("choose classes at %s (CONFIG_NET_CLS_BPF is needed): %w", name, err)
		}
		whats = append(whats, "choose classes at "+name)
	}
	if a.RawFlags&unix.IFF_UP == 0 {
		if err := nl.LinkSetUp(link); err != nil {
			return whats, fmt.Errorf("set link %s up: %w", name, err)
		}
		whats = append(whats, "set link "+name+" up")
	}
	return whats, nil
}

// isRoot reports whether an object is HTB as addRoot makes it.
func (o *object) isRoot() bool {
	base := false
	eachAttribute(o.stab, func(t uint16, b []byte) {
		base = base || t == stabBase && slices.Equal(b[:min(len(b), len(sizeSpec))], sizeSpec)
	})
	return o.kind == "htb" && o.parent == 0xffffffff && o.handle == rootHandle && base
}

func (p *public) isFilter(f held, program string, priority uint16, to int) bool {
	return f.priority == priority && f.handle == filterHandle && f.to == to && f.name == p.programs.name && p.programs.is(f.id, program)
}

// readTree reads classes, queues and maps.
func (p *public) readTree() (*tree, error) {
	t := newTree()
	for way, index := range p.ifbs {
		classes, err := p.control.list(unix.RTM_GETTCLASS, index, 0)
		if err != nil {
			return nil, fmt.Errorf("list traffic classes in %s: %w", p.ns, err)
		}
		for _, o := range classes {
			if k, ok := o.class(); ok {
				t.classes[way][uint16(o.handle)] = k
			}
		}
		qdiscs, err := p.control.list(unix.RTM_GETQDISC, index, 0)
		if err != nil {
			return nil, fmt.Errorf("list queueing disciplines in %s: %w", p.ns, err)
		}
		for _, o := range qdiscs {
			if minor := uint16(o.parent); o.parent>>16 == 1 && o.handle == uint32(minor)<<16 {
				t.queues[way][minor] = o.queue()
			}
		}
	}
	var errs []error
	shaped, bandwidths := p.programs.maps[bpf.ShapeMapShaped], p.programs.maps[bpf.ShapeMapBandwidths]
	var address [4]byte
	var of bpf.ShapeShapedAddress
	it := shaped.Iterate()
	for it.Next(&address, &of) {
		t.shaped[address] = of
	}
	errs = append(errs, it.Err())
	all := make([]bpf.ShapeBandwidth, bandwidths.MaxEntries())
	keys := make([]uint32, len(all))
	var cursor ebpf.MapBatchCursor
	n, err := bandwidths.BatchLookup(&cursor, keys, all, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		errs = append(errs, err)
	}
	for i := range n {
		if all[i].Id != [64]uint8{} {
			t.configs[keys[i]] = all[i]
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read the BPF maps of bandwidths: %w", err)
	}
	return t, nil
}

// numbering returns who has which number and leaf, as the maps say.
func (t *tree) numbering() *numbering {
	n := &numbering{numbers: map[place]uint32{}, leaves: map[leaf]uint16{}}
	for at, config := range t.configs {
		within := ""
		if whole, ok := t.configs[config.Within*ways]; ok && config.Within != 0 {
			within = idOf(whole)
		}
		n.numbers[place{idOf(config), within}] = at / ways
	}
	for address, of := range t.shaped {
		for way := range ways {
			if of.Class[way] != 0 {
				n.leaves[leaf{netip.AddrFrom4(address), of.Of}] = uint16(of.Class[way])
			}
		}
	}
	return n
}

func idOf(b bpf.ShapeBandwidth) string { return strings.TrimRight(string(b.Id[:]), "\x00") }

// bandwidths returns those that the maps say.
func (t *tree) bandwidths(n *numbering) (all []dataplane.Bandwidth) {
	elastic := map[uint32][]netip.Addr{}
	for _, l := range slices.SortedFunc(maps.Keys(n.leaves), func(a, b leaf) int { return a.address.Compare(b.address) }) {
		elastic[l.number] = append(elastic[l.number], l.address)
	}
	for p, number := range n.numbers {
		all = append(all, dataplane.Bandwidth{
			ID: p.id, Within: p.within, Elastic: elastic[number],
			Outbound: int(t.configs[number*ways+outbound].Mbit), Inbound: int(t.configs[number*ways+inbound].Mbit),
		})
	}
	return all
}
