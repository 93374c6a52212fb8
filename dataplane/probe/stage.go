package probe

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// stage is an unnamed network namespace that a probe may do with as it likes.
// The calling thread is in it.
type stage struct {
	home netns.NsHandle // where the thread came from
	ns   netns.NsHandle
	nl   *netlink.Handle
}

func newStage() (*stage, error) {
	home, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("find the thread's network namespace: %w", err)
	}
	ns, err := netns.New()
	if err != nil {
		home.Close()
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	s := &stage{home: home, ns: ns}
	if s.nl, err = netlink.NewHandleAt(ns); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), s.close())
	}
	return s, nil
}

// close takes the thread home, which ends the namespace.
func (s *stage) close() error {
	defer s.home.Close()
	if s.nl != nil {
		s.nl.Close()
	}
	s.ns.Close()
	return netns.Set(s.home)
}

func (s *stage) nft() (*nftables.Conn, error) {
	return nftables.New(nftables.WithNetNSFd(int(s.ns)))
}

// add makes a link and returns it as the kernel has it.
func (s *stage) add(l netlink.Link) (netlink.Link, error) {
	if err := s.nl.LinkAdd(l); err != nil {
		return nil, fmt.Errorf("make a %s link: %w", l.Type(), err)
	}
	return s.nl.LinkByName(l.Attrs().Name)
}

// veth makes a pair of which one end is returned.
func (s *stage) veth() (netlink.Link, error) {
	return s.add(&netlink.Veth{LinkAttrs: named("a"), PeerName: "b"})
}

func named(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}
