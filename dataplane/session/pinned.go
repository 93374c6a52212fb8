package session

import (
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"sluice/dataplane"
)

// links is the directory of the pinned links.
func (n *Network) links() string { return filepath.Join(n.dir, "links") }

func (n *Network) pin(l Link, h hook) string { return filepath.Join(n.links(), l.Name+"-"+string(h)) }

// allAttached reports whether a link has all its programs.
func (n *Network) allAttached(l Link, by dataplane.ProgramsBy) bool {
	filters := n.filters(l)
	return !slices.ContainsFunc(hooks(l, by), func(h hook) bool { return !n.attached(l, h, filters) })
}

// attached reports whether our program is at the hook of a link, which has those filters.
func (n *Network) attached(l Link, h hook, filters map[hook]*netlink.BpfFilter) bool {
	want := n.numberOf(program(l, h))
	if want == 0 {
		return false
	}
	if f := filters[h]; n.byFilter(l, h) && f != nil {
		return f.Id == int(want)
	}
	if n.byFilter(l, h) && !n.mayBePinned(l, h) {
		return false
	}
	return n.attachedByLink(l, h, want)
}

// mayBePinned reports whether the program for a hook of a link can be at it by a pinned link: by tcx, or as XDP. A
// router interface's may be there for what comes in, once it was busy.
func (n *Network) mayBePinned(l Link, h hook) bool {
	return !n.byFilter(l, h) || n.s.tcx && h == flowIngress
}

// attachedByLink reports whether a program is at a hook of a link by a pinned link.
func (n *Network) attachedByLink(l Link, h hook, want ebpf.ProgramID) bool {
	pinned, err := link.LoadPinnedLink(n.pin(l, h), nil)
	if err != nil {
		return false
	}
	defer pinned.Close()
	info, err := pinned.Info()
	return err == nil && indexOf(info) == l.Index && info.Program == want
}

// indexOf returns the index of the network link that a BPF link is at; 0 if that is gone.
func indexOf(info *link.Info) int {
	if t := info.TCX(); t != nil {
		return int(t.Ifindex)
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex)
	}
	return 0
}
