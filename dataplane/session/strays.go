package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"sluice/bpf"
	"sluice/dataplane/netns"
)

// DetachStrays takes programs of Sluice off the links of a network, whose namespace is ns, that are attached by
// links of BPF (tcx, XDP) which are pinned neither where this package does that nor in one of the folders, and returns
// where they were: "switch_ingress at vsw-1". An earlier process has pinned them in a file system that another is mounted
// over now, or somebody has them open. By maps that nobody looks after they would let packets of connections pass that
// are allowed no longer. It is to be called before anything is attached.
func (s *Sessions) DetachStrays(id string, ns *netns.Namespace, folders ...string) (found []string, err error) {
	ours, err := bpf.ProgramNames()
	if err != nil {
		return nil, err
	}
	pinned, err := pinnedIn(append(folders, filepath.Join(s.opt.Dir, id, linksDir)))
	if err != nil {
		return nil, err
	}
	err = ns.Do(func() error {
		links, err := netns.Dump(ns.Netlink().LinkList)
		if err != nil {
			return fmt.Errorf("list the links in %s: %w", ns, err)
		}
		for _, k := range links {
			attached, err := s.attachedAt(k.Attrs())
			if err != nil {
				return err
			}
			for _, a := range attached {
				name := programName(a.program)
				if !ours[name] || pinned[a.link] {
					continue
				}
				if err := detachLink(a.link); err != nil {
					return fmt.Errorf("detach program %s from %s: %w", name, k.Attrs().Name, err)
				}
				found = append(found, name+" at "+k.Attrs().Name)
			}
		}
		return nil
	})
	return found, err
}

// linked is a program that is attached by a link of BPF.
type linked struct {
	program ebpf.ProgramID
	link    link.ID
}

// attachedAt returns what is attached to a network link of this namespace by links of BPF.
func (s *Sessions) attachedAt(k *netlink.LinkAttrs) (out []linked, err error) {
	for _, side := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		if !s.hasTCX {
			break
		}
		list, err := link.QueryPrograms(link.QueryOptions{Target: k.Index, Attach: side})
		if err != nil {
			if gone(k.Index) {
				return nil, nil
			}
			return nil, fmt.Errorf("list the programs at %s: %w", k.Name, err)
		}
		for _, p := range list.Programs {
			if id, ok := p.LinkID(); ok {
				out = append(out, linked{p.ID, id})
			}
		}
	}
	if k.Xdp == nil || !k.Xdp.Attached {
		return out, nil
	}
	it := link.Iterator{}
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err == nil && info.Program == ebpf.ProgramID(k.Xdp.ProgId) && info.XDP() != nil && indexOf(info) == k.Index {
			out = append(out, linked{info.Program, it.ID})
		}
	}
	return out, it.Err()
}

// gone reports whether there is no link of an index in this namespace.
func gone(index int) bool {
	_, err := netlink.LinkByIndex(index)
	_, none := errors.AsType[netlink.LinkNotFoundError](err)
	return none
}

// pinnedIn returns the links of BPF that are pinned in folders.
func pinnedIn(folders []string) (map[link.ID]bool, error) {
	out := map[link.ID]bool{}
	for _, dir := range folders {
		pins, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, p := range pins {
			l, err := link.LoadPinnedLink(filepath.Join(dir, p.Name()), nil)
			if err != nil {
				continue // Plan makes it anew
			}
			if info, err := l.Info(); err == nil {
				out[info.ID] = true
			}
			l.Close()
		}
	}
	return out, nil
}

// programName returns the name of a program; nothing if it is gone.
func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

func detachLink(id link.ID) error {
	l, err := link.NewFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Detach()
}
