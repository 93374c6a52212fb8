package securitygroup

import (
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

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Port is where programs belong: a port of a VSwitch that is a bridge, or the link of a VSwitch.
type Port struct {
	Name  string
	Index int

	link, bridge bool // of a VSwitch; that is a bridge
}

// Places are where the programs of a network belong, of the links that there are.
type Places struct {
	Bridged bool   // a VSwitch is a bridge
	Ports   []Port // of those that are
	Links   []Port // of VSwitches
}

// PlacesOf returns where the programs of a network belong.
func PlacesOf(ns *netns.Namespace, n *dataplane.Network) (*Places, error) {
	links, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the links in %s: %w", ns, err)
	}
	out := &Places{}
	bridges, switches := map[int]bool{}, map[string]bool{}
	for i := range n.Switches {
		s := &n.Switches[i]
		bridge := s.Attachment.Kind == dataplane.AttachBridge
		switches[s.Link()] = bridge
		out.Bridged = out.Bridged || bridge
	}
	for _, l := range links {
		a := l.Attrs()
		if bridge, ok := switches[a.Name]; ok {
			out.Links = append(out.Links, Port{Name: a.Name, Index: a.Index, link: true, bridge: bridge})
			bridges[a.Index] = bridge
		}
	}
	for _, l := range links {
		if a := l.Attrs(); bridges[a.MasterIndex] {
			out.Ports = append(out.Ports, Port{Name: a.Name, Index: a.Index})
		}
	}
	return out, nil
}

const (
	filterName = "sluice-groups"
	// The session programs, which may be at the same link, have priority 2, so that they come
	// after these.
	filterPriority = 1
	filterHandle   = 2
)

// side is where packets pass a port.
type side uint32

const (
	ingress side = netlink.HANDLE_MIN_INGRESS
	egress  side = netlink.HANDLE_MIN_EGRESS
)

func (s side) String() string {
	if s == ingress {
		return "ingress"
	}
	return "egress"
}

func (s side) hook() ebpf.AttachType {
	if s == ingress {
		return ebpf.AttachTCXIngress
	}
	return ebpf.AttachTCXEgress
}

var sides = []side{ingress, egress}

// program names what belongs at a side.
func (p Port) program(s side) string {
	switch {
	case p.bridge && s == ingress:
		return bpf.GroupsProgFromSwitch
	case p.bridge:
		return bpf.GroupsProgToSwitch
	case s == ingress:
		return bpf.GroupsProgFromHost
	}
	return bpf.GroupsProgToHost
}

// manyPorts is how many ports of a network get programs by tcx. What a packet costs is less than
// half of it the program, with clsact, and next to nothing else with tcx; but the kernel waits for a
// grace period of RCU (10 to 20 ms) for each program that it attaches by tcx, with the lock of all network
// configuration held, which is too long for each of a thousand ports.
const manyPorts = 128

// byTCX says whether programs come to a port by tcx. At a VSwitch's own link they have to, where there
// is tcx, to have their place among those of the shortcut.
func (n *Network) byTCX(p Port, ports int) bool { return n.f.tcx && (p.link || ports <= manyPorts) }

func (n *Network) pin(p Port, s side) string {
	return filepath.Join(n.dir, pinsDir, p.Name+"-"+s.String())
}

// pinsDir is the directory, in that of a network, of pinned links.
const pinsDir = "links"

// Attached says whether a port has both programs, where they belong.
func (n *Network) Attached(p Port) bool {
	return !slices.ContainsFunc(sides, func(s side) bool {
		if n.linked(p, s) {
			return s == egress && !n.first(p)
		}
		f := filterAt(n.ns, p, s)
		return f == nil || f.Id != int(n.ids[p.program(s)]) || n.f.tcx && p.link
	})
}

// linked says whether a port has a program by a pinned link.
func (n *Network) linked(p Port, s side) bool {
	pinned, err := link.LoadPinnedLink(n.pin(p, s), nil)
	if err != nil {
		return false
	}
	defer pinned.Close()
	info, err := pinned.Info()
	return err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == p.Index && info.Program == n.ids[p.program(s)]
}

// learning are the programs that learn paths from what leaves.
var learning = []string{bpf.GatewayProgSwitchEgress, bpf.GatewayProgFlowEgress}

// first says whether none of our programs that learn paths comes before that of a link's egress:
// they would learn from what this one drops. Ports have none.
func (n *Network) first(p Port) bool {
	if !p.link {
		return true
	}
	ours := n.ids[p.program(egress)]
	var list *link.QueryResult
	err := n.ns.Do(func() (err error) {
		list, err = link.QueryPrograms(link.QueryOptions{Target: p.Index, Attach: ebpf.AttachTCXEgress})
		return err
	})
	if err != nil {
		return false
	}
	for _, other := range list.Programs {
		if other.ID == ours {
			return true
		}
		q, err := ebpf.NewProgramFromID(other.ID)
		if err != nil {
			continue // it is gone
		}
		info, err := q.Info()
		_ = q.Close()
		if err == nil && slices.Contains(learning, info.Name) {
			return false
		}
	}
	return false
}

// filterAt returns our filter at a side of a port; nil if there is none, or it cannot be read.
func filterAt(ns *netns.Namespace, p Port, s side) *netlink.BpfFilter {
	list, _ := netns.Dump(func() ([]netlink.Filter, error) {
		return ns.Netlink().FilterList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: p.Index}}, uint32(s))
	})
	i := slices.IndexFunc(list, func(f netlink.Filter) bool {
		b, ok := f.(*netlink.BpfFilter)
		return ok && strings.HasPrefix(b.Name, filterName)
	})
	if i < 0 {
		return nil
	}
	return list[i].(*netlink.BpfFilter)
}

// Attach puts the programs at a port, in the place of earlier ones of ours; ports is how many of them
// the network has. That the port is gone is no error.
func (n *Network) Attach(p Port, ports int) error {
	attach := n.attachFilters
	if n.byTCX(p, ports) {
		attach = n.attachLinks
	}
	err := attach(p)
	if errors.Is(err, unix.ENODEV) || err == nil {
		return nil
	}
	return fmt.Errorf("attach security groups to %s: %w", p.Name, err)
}

func (n *Network) attachFilters(p Port) error {
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: p.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	if err := n.ns.Netlink().QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	var errs []error
	for _, s := range sides {
		errs = append(errs, n.ns.Netlink().FilterReplace(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: p.Index, Parent: uint32(s), Handle: filterHandle, Priority: filterPriority, Protocol: unix.ETH_P_ALL},
			Fd:          n.prog[p.program(s)].FD(), Name: filterName, DirectAction: true,
		}))
		if err := os.Remove(n.pin(p, s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (n *Network) attachLinks(p Port) error {
	if err := os.MkdirAll(filepath.Join(n.dir, pinsDir), 0o700); err != nil {
		return err
	}
	return n.ns.Do(func() error {
		var errs []error
		for _, s := range sides {
			errs = append(errs, n.attachLink(p, s))
		}
		// What an earlier version has attached by clsact.
		for _, s := range sides {
			if f := filterAt(n.ns, p, s); f != nil {
				errs = append(errs, removeFilter(n.ns, f))
			}
		}
		return errors.Join(errs...)
	})
}

// attachLink attaches a program by tcx, where what comes in has been before the programs of the
// shortcut, and where it leaves before those that learn from it.
func (n *Network) attachLink(p Port, s side) error {
	pin, prog := n.pin(p, s), n.prog[p.program(s)]
	if old, err := link.LoadPinnedLink(pin, nil); err == nil {
		defer old.Close()
		info, err := old.Info()
		if err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == p.Index && old.Update(prog) == nil && (s == ingress || n.first(p)) {
			return nil
		}
		if err := old.Unpin(); err != nil {
			return err
		}
		_ = old.Close()
	} else if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o := link.TCXOptions{Interface: p.Index, Program: prog, Attach: s.hook(), Anchor: link.Tail()}
	if s == egress {
		o.Anchor = link.Head()
	}
	made, err := link.AttachTCX(o)
	// The kernel lets go of a link a moment after its last pin or descriptor.
	for until := time.Now().Add(time.Second); errors.Is(err, unix.EEXIST) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
		made, err = link.AttachTCX(o)
	}
	if err != nil {
		return err
	}
	defer made.Close() // the pin keeps it
	return made.Pin(pin)
}

func removeFilter(ns *netns.Namespace, f *netlink.BpfFilter) error {
	err := ns.Netlink().FilterDel(f)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil // the filter, its link or the qdisc is gone
	}
	return err
}

// Detach takes the programs of a network off all links of its namespace, and returns off how many.
func (f *Filters) Detach(id string, ns *netns.Namespace) (changes int, err error) {
	links, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return 0, fmt.Errorf("list the links in %s: %w", ns, err)
	}
	var errs []error
	for _, l := range links {
		for _, s := range sides {
			b := filterAt(ns, Port{Name: l.Attrs().Name, Index: l.Attrs().Index}, s)
			if b == nil {
				continue
			}
			changes++
			if err := removeFilter(ns, b); err != nil {
				errs = append(errs, fmt.Errorf("take security groups off %s: %w", l.Attrs().Name, err))
			}
		}
	}
	dir := f.Pins(id)
	pins, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	changes += len(pins)
	return changes, errors.Join(append(errs, os.RemoveAll(dir))...)
}

// Tidy takes away what is pinned of links that are not there any more.
func (n *Network) Tidy(places *Places) error {
	pins, err := os.ReadDir(filepath.Join(n.dir, pinsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, pin := range pins {
		there := slices.ContainsFunc(slices.Concat(places.Links, places.Ports), func(p Port) bool {
			return slices.ContainsFunc(sides, func(s side) bool { return filepath.Base(n.pin(p, s)) == pin.Name() })
		})
		if !there {
			errs = append(errs, os.Remove(filepath.Join(n.dir, pinsDir, pin.Name())))
		}
	}
	return errors.Join(errs...)
}
