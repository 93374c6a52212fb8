package securitygroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Port is where programs belong: a port of a VSwitch that is a bridge, or the link of another.
type Port struct {
	Name  string
	Index int
}

// Places are where the programs of a network belong, of the links that there are.
type Places struct {
	Bridged bool   // a VSwitch is a bridge
	Ports   []Port // of those that are
	Links   []Port // VSwitches of another kind
}

// PlacesOf returns where the programs of a network belong.
func PlacesOf(ns *netns.Namespace, n *dataplane.Network) (*Places, error) {
	links, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the links in %s: %w", ns, err)
	}
	out := &Places{}
	bridges, others := map[int]bool{}, map[string]bool{}
	for i := range n.Switches {
		s := &n.Switches[i]
		if s.Attachment.Kind != dataplane.AttachBridge {
			others[s.Link()] = true
			continue
		}
		out.Bridged = true
		for _, l := range links {
			if l.Attrs().Name == s.Link() {
				bridges[l.Attrs().Index] = true
			}
		}
	}
	for _, l := range links {
		a := l.Attrs()
		switch p := (Port{a.Name, a.Index}); {
		case bridges[a.MasterIndex]:
			out.Ports = append(out.Ports, p)
		case others[a.Name]:
			out.Links = append(out.Links, p)
		}
	}
	return out, nil
}

const (
	filterName = "sluice-groups"
	// The session programs, which may be at the same link, have handle 1.
	filterPriority = 1
	filterHandle   = 2
)

// sides are the hooks of a port, and what belongs there.
var sides = map[uint32]string{netlink.HANDLE_MIN_INGRESS: bpf.GroupsProgFromHost, netlink.HANDLE_MIN_EGRESS: bpf.GroupsProgToHost}

// Attached says whether a port has both programs.
func (n *Network) Attached(p Port) bool {
	for side, name := range sides {
		f := filterAt(n.ns, p, side)
		if f == nil || f.Id != int(n.ids[name]) {
			return false
		}
	}
	return true
}

// filterAt returns our filter at a side of a port; nil if there is none, or it cannot be read.
func filterAt(ns *netns.Namespace, p Port, side uint32) *netlink.BpfFilter {
	list, _ := netns.Dump(func() ([]netlink.Filter, error) {
		return ns.Netlink().FilterList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: p.Index}}, side)
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

// Attach puts the programs at a port, in the place of earlier ones of ours. That the port is
// gone is no error.
func (n *Network) Attach(p Port) error {
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: p.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	err := n.ns.Netlink().QdiscAdd(qdisc)
	if err == nil || errors.Is(err, unix.EEXIST) {
		err = nil
		for side, name := range sides {
			err = errors.Join(err, n.ns.Netlink().FilterReplace(&netlink.BpfFilter{
				FilterAttrs: netlink.FilterAttrs{LinkIndex: p.Index, Parent: side, Handle: filterHandle, Priority: filterPriority, Protocol: unix.ETH_P_ALL},
				Fd:          n.prog[name].FD(), Name: filterName, DirectAction: true,
			}))
		}
	}
	if errors.Is(err, unix.ENODEV) || err == nil {
		return nil
	}
	return fmt.Errorf("attach security groups to %s: %w", p.Name, err)
}

// Detach takes our programs off all links of a namespace, and returns off how many.
func Detach(ns *netns.Namespace) (changes int, err error) {
	links, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return 0, fmt.Errorf("list the links in %s: %w", ns, err)
	}
	var errs []error
	for _, l := range links {
		for side := range sides {
			f := filterAt(ns, Port{l.Attrs().Name, l.Attrs().Index}, side)
			if f == nil {
				continue
			}
			changes++
			if err := ns.Netlink().FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, fmt.Errorf("take security groups off %s: %w", l.Attrs().Name, err))
			}
		}
	}
	return changes, errors.Join(errs...)
}
