package session

import (
	"path/filepath"

	"github.com/cilium/ebpf/link"
)

// links is the directory of the pinned links.
func (n *Network) links() string { return filepath.Join(n.dir, "links") }

func (n *Network) pin(l Link, h hook) string { return filepath.Join(n.links(), l.Name+"-"+string(h)) }

// attached reports whether our program is at the hook.
func (n *Network) attached(l Link, h hook) bool {
	want := n.ids[program(l, h)]
	if h != xdp && !n.s.tcx {
		f, err := n.filter(l, h)
		return err == nil && f != nil && f.Id == int(want)
	}
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
