package session

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"sluice/dataplane"
)

// links is the directory of the pinned links.
func (n *Network) links() string { return filepath.Join(n.dir, linksDir) }

const linksDir = "links"

func (n *Network) pin(l Link, h hook) string { return filepath.Join(n.links(), l.Name+"-"+string(h)) }

// way is how a program of ours is at a hook of a link, if it is: by a filter of clsact, or by a link of BPF
// that is pinned (tcx, XDP). It is there by both while that is changed.
type way struct {
	filter *netlink.BpfFilter
	linked ebpf.ProgramID // what is attached by a pinned link, also of another version; 0 for nothing
}

// ways returns how programs are at a link.
func (n *Network) ways(l Link) map[hook]way {
	out := map[hook]way{}
	// In this order: what changes over is there by a link before it loses its filter.
	for h, f := range n.filters(l) {
		out[h] = way{filter: f}
	}
	pins, err := os.ReadDir(n.links())
	if err != nil || len(pins) == 0 {
		return out
	}
	for _, h := range append(slices.Clone(classifiers), xdp) {
		if at := n.linkedAt(l, h); at != 0 {
			out[h] = way{filter: out[h].filter, linked: at}
		}
	}
	return out
}

// linkedAt returns which program is at a hook of a link by a pinned link; 0 if there is none.
func (n *Network) linkedAt(l Link, h hook) ebpf.ProgramID {
	pinned, err := link.LoadPinnedLink(n.pin(l, h), nil)
	if err != nil {
		return 0
	}
	defer pinned.Close()
	info, err := pinned.Info()
	if err != nil || indexOf(info) != l.Index {
		return 0
	}
	return info.Program
}

// byLink reports whether the program for a hook of a link, where it is as w says, belongs there by
// a link of BPF. Security groups' programs are by tcx, and the others' at the same link have a place among them.
func (n *Network) byLink(l Link, h hook, w way) bool {
	return h == xdp || n.s.tcx && (l.Held || n.s.opt.TCXAtOnce || w.linked != 0)
}

// isAt reports whether our program is at the hook of a link by the way that it belongs there.
func (n *Network) isAt(l Link, h hook, w way) bool {
	want := n.numberOf(program(l, h))
	if n.byLink(l, h, w) {
		return want != 0 && w.linked == want
	}
	return want != 0 && w.filter != nil && w.filter.Id == int(want)
}

// attachedBy returns how a link has all its programs; mode is ByXDP for one that is to have them by XDP, too. If
// one is there by a filter, the link has them by clsact.
func (n *Network) attachedBy(l Link, mode dataplane.ProgramsBy) dataplane.ProgramsBy {
	if l.Index == 0 {
		return dataplane.ByNothing
	}
	by, ways := dataplane.ByTCX, n.ways(l)
	for _, h := range hooks(l, mode) {
		if !n.isAt(l, h, ways[h]) {
			return dataplane.ByNothing
		}
		if !n.byLink(l, h, ways[h]) {
			by = dataplane.ByClsact
		}
	}
	if mode == dataplane.ByXDP {
		return mode
	}
	return by
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
