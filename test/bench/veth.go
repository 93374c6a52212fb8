package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// wire is a veth pair: one end stays in the rig's namespace, the other is
// handed to a gateway as a device.
type wire struct {
	outer, inner string // names; the gateway may rename the inner end
	xdp          link.Link
}

// makeWire makes a veth pair in the namespace of the caller's thread. The outer
// end is up.
func makeWire(outer, inner string) (*wire, error) {
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: inner}
	pair.Name = outer
	// One queue, as the generator uses one processor.
	pair.NumTxQueues, pair.NumRxQueues = 1, 1
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("make the veth pair %s: %w", outer, err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return nil, fmt.Errorf("set %s up: %w", outer, err)
	}
	return &wire{outer: outer, inner: inner}, nil
}

// sinkAt attaches a sink to the outer end. XDP there gives that end NAPI too.
func (w *wire) sinkAt(p *ebpf.Program) error {
	dev, err := netlink.LinkByName(w.outer)
	if err != nil {
		return fmt.Errorf("find %s: %w", w.outer, err)
	}
	w.xdp, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: dev.Attrs().Index, Flags: link.XDPDriverMode})
	if err != nil {
		return fmt.Errorf("attach the sink to %s: %w", w.outer, err)
	}
	return nil
}

func (w *wire) close() error {
	if w.xdp == nil {
		return nil
	}
	return w.xdp.Close()
}

// neighbour makes the address's neighbour entry on a link of a namespace
// permanent, so that nothing has to be asked for during a measurement.
func neighbour(h *netlink.Handle, onLink string, entries ...netlink.Neigh) error {
	dev, err := h.LinkByName(onLink)
	if err != nil {
		return fmt.Errorf("find link %s: %w", onLink, err)
	}
	var errs []error
	for _, e := range entries {
		e.LinkIndex, e.Family, e.State = dev.Attrs().Index, netlink.FAMILY_V4, netlink.NUD_PERMANENT
		if err := h.NeighSet(&e); err != nil {
			errs = append(errs, fmt.Errorf("set the neighbour %s of %s: %w", e.IP, onLink, err))
		}
	}
	return errors.Join(errs...)
}

// removeWires removes all wires in the rig's namespace, and with them their
// ends elsewhere.
func (r *run) removeWires() error {
	ns, err := netns.GetFromName(r.name("rig"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the rig's namespace: %w", err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if errors.Is(err, unix.EINVAL) {
		return nil // a name without a namespace
	}
	if err != nil {
		return fmt.Errorf("open netlink in the rig's namespace: %w", err)
	}
	defer h.Close()
	all, err := h.LinkList()
	if err != nil {
		return fmt.Errorf("list the rig's links: %w", err)
	}
	var errs []error
	for _, l := range all {
		if !strings.HasPrefix(l.Attrs().Name, r.name("")) {
			continue
		}
		// Both ends may be in the rig: the other one goes with the first.
		err := h.LinkDel(l)
		if err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove link %s: %w", l.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}
