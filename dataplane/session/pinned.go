package session

import (
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// links is the directory of the pinned links.
func (n *Network) links() string { return filepath.Join(n.dir, "links") }

func (n *Network) pin(l Link, h hook) string { return filepath.Join(n.links(), l.Name+"-"+string(h)) }

// attached reports whether our program is at the hook.
func (n *Network) attached(l Link, h hook) bool {
	want, err := n.programID(l, h)
	if err != nil {
		return false
	}
	if h != xdp && !n.s.tcx {
		f, err := n.filter(l, h)
		return err == nil && f != nil && f.Id == int(want)
	}
	pinned, err := link.LoadPinnedLink(n.pin(l, h), nil)
	if err != nil {
		return false
	}
	defer pinned.Close()
	return attachedTo(pinned) == l.Index && programOf(pinned) == want
}

func (n *Network) programID(l Link, h hook) (ebpf.ProgramID, error) {
	info, err := n.prog[program(l, h)].Info()
	if err != nil {
		return 0, err
	}
	id, _ := info.ID()
	return id, nil
}

// attachedTo returns the index of the network link that a BPF link is at; 0 if
// that is gone.
func attachedTo(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	if t := info.TCX(); t != nil {
		return int(t.Ifindex)
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex)
	}
	return 0
}

func programOf(l link.Link) ebpf.ProgramID {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	return info.Program
}
