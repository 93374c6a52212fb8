package shape

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Site is a public device, at which bandwidths are held, and where a network's packets
// cross it.
type Site struct {
	Namespace string // that the device is in now; empty for the daemon's own
	Device    string
	Link      string // at which the network's packets have their public addresses
	// Outside says that Link is the outer end of the network's uplink: what comes in there
	// goes to the outside.
	Outside bool
	// Maps are those that other programs have of these bandwidths, too; nil for none.
	Maps map[string]*ebpf.Map
}

// Result is what an Apply did.
type Result struct {
	Changes int
	Repairs []string // of what somebody else had changed
}

// key names a public device.
type key struct{ namespace, device string }

// links returns the names of the links with the queues of a device, by way.
func (k key) links() [ways]string {
	return [ways]string{dataplane.BandwidthLink(dataplane.BandwidthOutbound, k.device), dataplane.BandwidthLink(dataplane.BandwidthInbound, k.device)}
}

// wanted is what a network asked for.
type wanted struct {
	site       Site
	bandwidths []dataplane.Bandwidth
	ages       []uint64 // of each: when it was first said so
}

// public holds the bandwidths of the networks at one public device.
type public struct {
	mu     sync.Mutex
	key    key
	self   *netns.Namespace
	wants  map[string]*wanted
	clock  uint64                // of wants
	unsaid map[string]bool       // networks that an earlier process had here, and of which nothing is known yet
	left   []dataplane.Bandwidth // what that one left, as long as there are such networks

	ns       *netns.Namespace // nil as long as it is not needed
	control  *control
	programs *programs
	ifbs     [ways]int // indexes
	numbers  *numbering
	have     *tree          // what the kernel holds; nil where that is not known
	links    map[string]int // that lead to the queues, with their indexes
	swept    bool           // no other links do
	read     time.Time      // when everything was compared last
}

// networks returns those that have something here, ascending.
func (p *public) networks() []string {
	all := maps.Clone(p.unsaid)
	for id := range p.wants {
		all[id] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// apply makes the kernel hold what network id wants, nil for nothing. With reread, everything
// is compared with the kernel.
func (p *public) apply(id string, w *wanted, reread bool) (r Result, err error) {
	unsaid := len(p.unsaid)
	delete(p.unsaid, id)
	var before, now []dataplane.Bandwidth
	if old := p.wants[id]; old != nil {
		before = old.bandwidths
	}
	if w == nil {
		delete(p.wants, id)
	} else {
		now = w.bandwidths
		p.clock++
		w.ages = make([]uint64, len(now))
		for i := range now {
			w.ages[i] = p.clock
			k, found := slices.BinarySearchFunc(before, now[i].ID, func(b dataplane.Bandwidth, id string) int { return strings.Compare(b.ID, id) })
			if found && before[k].Equal(now[i]) {
				w.ages[i] = p.wants[id].ages[k] // it says nothing new
			}
		}
		p.wants[id] = w
	}
	defer func() {
		if err != nil {
			p.have = nil
			err = fmt.Errorf("hold bandwidths at %s: %w", p.key.device, err)
		}
	}()
	if err := p.open(); err != nil {
		return r, err
	}
	if w != nil && w.site.Maps != nil && p.programs != nil && p.programs.maps[bpf.ShapeMapShaped] != w.site.Maps[bpf.ShapeMapShaped] {
		p.closePrograms()
	}
	known := p.have
	if reread || p.have == nil {
		whats, err := p.readAll(p.maps())
		r.Changes += len(whats)
		if err != nil {
			return r, err
		}
		if known != nil {
			r.Repairs = append(whats, known.damage(p.have, p.key)...)
		}
	}
	// While others may have left something, what is one's is known only when all is.
	if few, ok := families(before, now); ok && unsaid == 0 && p.have == known && known != nil {
		r.Changes, err = p.follow(few)
	} else {
		n, e := p.follow(nil)
		r.Changes, err = r.Changes+n, e
	}
	if err != nil {
		return r, err
	}
	whats, err := p.lead(reread)
	r.Changes += len(whats)
	if known != nil && reread {
		r.Repairs = append(r.Repairs, whats...)
	}
	return r, err
}

// follow makes the kernel hold what the networks want of some families of bandwidths, nil
// for all.
func (p *public) follow(few map[string]bool) (changes int, err error) {
	have, numbers := p.have, p.numbers
	if few != nil {
		numbers = p.numbers.of(few)
		have = p.have.of(numbers)
	}
	want, next, err := p.tree(few)
	if err != nil {
		return 0, err
	}
	if few != nil && p.have.moved(want, numbers) {
		return p.follow(nil)
	}
	used := map[uint32]bool{}
	for _, number := range numbers.numbers {
		used[number] = true
	}
	for _, number := range next.numbers {
		if used[number] {
			continue
		}
		if err := p.programs.forget(number); err != nil {
			return 0, err
		}
	}
	if few == nil {
		changes, err = p.change(have, want)
		p.have, p.numbers = want, next
		return changes, err
	}
	changes, err = p.change(have, want)
	p.have.replace(p.have.of(numbers), want)
	p.numbers.replace(numbers, next)
	return changes, err
}

// maps returns those that a network has given; nil if there are none.
func (p *public) maps() map[string]*ebpf.Map {
	for _, w := range p.wants {
		if w.site.Maps != nil {
			return w.site.Maps
		}
	}
	return nil
}

// tree returns what the kernel is to hold. As long as it is not known what all networks
// want that had something here, what was left of them stays. With few, it is the part of the
// tree that has those families.
func (p *public) tree(few map[string]bool) (*tree, *numbering, error) {
	var all []aged
	if len(p.unsaid) == 0 {
		p.left = nil
	}
	for i := range p.left {
		all = append(all, aged{&p.left[i], 0})
	}
	for _, w := range p.wants {
		for i := range w.bandwidths {
			if b := &w.bandwidths[i]; few == nil || few[b.ID] || few[b.Within] {
				all = append(all, aged{b, w.ages[i]})
			}
		}
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		cpus = runtime.NumCPU()
	}
	z := size{cpus: cpus, numbers: p.programs.numbers()}
	if link, err := p.ns.Netlink().LinkByName(p.key.device); err == nil {
		z.packet = link.Attrs().MTU + 64
	}
	return grow(merge(all), p.numbers, z)
}

// open opens the device's namespace.
func (p *public) open() (err error) {
	if p.ns != nil && p.ns.Bound() {
		return nil
	}
	p.close()
	if p.key.namespace == "" {
		p.ns, err = p.self.Again()
	} else {
		p.ns, err = netns.Open(p.key.namespace)
	}
	if err != nil {
		p.ns = nil
		return err
	}
	p.control, err = newControl(p.ns)
	return err
}

func (p *public) close() {
	p.closePrograms()
	if p.control != nil {
		p.control.close()
	}
	if p.ns != nil {
		p.ns.Close()
	}
	p.control, p.ns = nil, nil
}

func (p *public) closePrograms() {
	if p.programs != nil {
		p.programs.close()
	}
	p.programs, p.have, p.links, p.numbers = nil, nil, nil, nil
}

// remove takes away everything, in the kernel.
func (p *public) remove() error {
	err := p.open()
	if errors.Is(err, netns.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p.wants = map[string]*wanted{}
	// Filters first: one whose link is gone drops what it would have led there.
	_, err = p.leaveOthers()
	for way, name := range p.key.links() {
		link, e := p.ns.Netlink().LinkByName(name)
		if missing := (netlink.LinkNotFoundError{}); errors.As(e, &missing) {
			continue
		}
		if e == nil && link.Type() == kind && link.Attrs().Alias == p.key.alias(way) {
			e = gone(p.ns.Netlink().LinkDel(link))
		}
		err = errors.Join(err, e)
	}
	p.close()
	return err
}

// there reports whether the links that lead to the queues are those that were led there.
func (p *public) there() bool {
	for name, index := range p.links {
		link, err := p.ns.Netlink().LinkByName(name)
		if err != nil || link.Attrs().Index != index {
			return false
		}
	}
	return p.ns.Bound()
}

// differs returns what there is to put right, unless that was looked at within a time.
func (p *public) differs(within time.Duration) (whats []string) {
	if p.have == nil || p.ns == nil {
		return []string{unread}
	}
	if !p.there() {
		return []string{"lead the links of networks to the queues of bandwidths"}
	}
	if within > 0 && time.Since(p.read) < within {
		return nil
	}
	p.read = time.Now()
	for way, name := range p.key.links() {
		link, err := p.ns.Netlink().LinkByName(name)
		if err != nil || link.Attrs().Index != p.ifbs[way] || link.Type() != kind || link.Attrs().RawFlags&unix.IFF_UP == 0 {
			whats = append(whats, "make link "+name)
			continue
		}
		qdiscs, err := p.control.list(unix.RTM_GETQDISC, link.Attrs().Index, 0)
		if err != nil || !slices.ContainsFunc(qdiscs, func(o object) bool { return o.isRoot() }) {
			whats = append(whats, "make the queue of "+name)
			continue
		}
		program := [ways]string{bpf.ShapeProgOutboundClass, bpf.ShapeProgInboundClass}[way]
		there, err := p.control.filters(link.Attrs().Index, rootHandle)
		if err != nil || len(there) != 1 || !p.isFilter(there[0], program, 1, 0) {
			whats = append(whats, "choose classes at "+name)
		}
	}
	for _, w := range p.wants {
		for _, h := range w.site.hooks() {
			there, err := p.control.filters(p.links[w.site.Link], h.parent)
			if err != nil || !slices.ContainsFunc(there, func(f held) bool { return p.isFilter(f, h.program, filterPriority, p.ifbs[h.way]) }) {
				whats = append(whats, "lead "+w.site.Link+" to the queues of bandwidths")
				break
			}
		}
	}
	if len(whats) > 0 {
		return whats
	}
	now, err := p.readTree()
	if err != nil {
		return []string{unread}
	}
	return p.have.damage(now, p.key)
}

// unread stands for what cannot be read, and so is no repair.
const unread = "read it again"

// same reports whether two sites are the same one.
func (s Site) same(o Site) bool {
	return s.Namespace == o.Namespace && s.Device == o.Device && s.Link == o.Link && s.Outside == o.Outside &&
		s.Maps[bpf.ShapeMapShaped] == o.Maps[bpf.ShapeMapShaped]
}
