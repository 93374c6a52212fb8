package session

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A path holds the hardware address of the frame's next owner. Of what the
// kernel says of neighbours, what matters is that an address has moved, or that
// nobody answers for it any more.

type neighbour struct {
	link int32
	addr netip.Addr
}

// neighbours is what was last heard of neighbours.
type neighbours map[neighbour][]byte

// ndmsg is the length of struct ndmsg: family, three of padding, ifindex, state,
// flags, type.
const ndmsg = 12

// ask asks for all neighbours. What is answered is heard like an event.
func ask(c *netlink.Conn) error {
	data := make([]byte, ndmsg)
	data[0] = unix.AF_INET
	_, err := c.Send(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETNEIGH, Flags: netlink.Request | netlink.Dump}, Data: data,
	})
	return err
}

// hear takes in a message and reports whether paths may lead astray. A
// neighbour that is heard of for the first time is new: those that were there
// before have been asked for.
func (n neighbours) hear(m netlink.Message) bool {
	if len(m.Data) < ndmsg || m.Data[0] != unix.AF_INET {
		return false
	}
	who := neighbour{link: int32(binary.NativeEndian.Uint32(m.Data[4:]))}
	state := binary.NativeEndian.Uint16(m.Data[8:])
	attrs, err := netlink.UnmarshalAttributes(m.Data[ndmsg:])
	if err != nil {
		return true
	}
	var hardware []byte
	for _, a := range attrs {
		switch a.Type {
		case unix.NDA_DST:
			who.addr, _ = netip.AddrFromSlice(a.Data)
		case unix.NDA_LLADDR:
			hardware = a.Data
		}
	}
	switch {
	case m.Header.Type == unix.RTM_DELNEIGH:
		// The kernel forgets those that it has no use for, as while the
		// shortcut has their packets. They are still where they were.
		return false
	case state&unix.NUD_FAILED != 0:
		_, known := n[who]
		delete(n, who)
		return known
	case len(hardware) == 0:
		return false // it is being looked for
	}
	before, known := n[who]
	n[who] = slices.Clone(hardware)
	return known && !slices.Equal(before, hardware)
}

// listenToNeighbours makes paths void when neighbours change, until ctx ends.
func (w *watch) listenToNeighbours(ctx context.Context) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: int(w.n.ns.Handle()), Groups: unix.RTMGRP_NEIGH})
	if err != nil {
		w.n.s.opt.Logger.Warn("changes of neighbours are noticed late", "network", w.n.id, "error", err)
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	known := neighbours{}
	ask := func() {
		if err := ask(c); err != nil && ctx.Err() == nil {
			w.n.s.opt.Logger.Warn("neighbours are not known; when they move it is noticed late", "network", w.n.id, "error", err)
		}
	}
	ask()
	for ctx.Err() == nil {
		messages, err := c.Receive()
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			w.n.s.opt.Logger.Warn("changes of neighbours are noticed late from now on", "network", w.n.id, "error", err)
			return
		}
		renew := err != nil // some were lost
		if renew {
			ask()
		}
		for _, m := range messages {
			if known.hear(m) {
				renew = true
			}
		}
		if !renew {
			continue
		}
		if err := w.n.Renew(); err != nil {
			w.n.s.opt.Logger.Warn("paths that may lead astray end by themselves", "network", w.n.id, "within", w.n.s.opt.Lifetime, "error", err)
		}
	}
}
