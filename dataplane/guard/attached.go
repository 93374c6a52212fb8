package guard

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// guard is a link and the classifier that it should have.
type guard struct {
	nl    *netlink.Handle
	link  netlink.Link
	insns asm.Instructions
}

func open(ns netns.NsHandle, ifname string, allow []netip.Prefix) (*guard, error) {
	spans, err := denied(allow)
	if err != nil {
		return nil, err
	}
	insns, err := instructions(spans)
	if err != nil {
		return nil, err
	}
	nl, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket (needs CAP_SYS_ADMIN): %w", err)
	}
	l, err := nl.LinkByName(ifname)
	if err == nil && l.Attrs().EncapType != "ether" {
		// Elsewhere a packet does not start with an Ethernet header.
		err = fmt.Errorf("it carries %s: must carry Ethernet frames", l.Attrs().EncapType)
	}
	if err != nil {
		nl.Close()
		return nil, err
	}
	return &guard{nl: nl, link: l, insns: insns}, nil
}

func (g *guard) close() { g.nl.Close() }

func (g *guard) index() int { return g.link.Attrs().Index }

// qdisc reports whether the link has clsact, or what it has in its place.
func (g *guard) qdisc() (other string, clsact bool, err error) {
	list, err := g.nl.QdiscList(g.link)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return "", false, fmt.Errorf("list its qdiscs: %w", err)
	}
	for _, q := range list {
		if q.Attrs().Parent != netlink.HANDLE_CLSACT {
			continue
		}
		if q.Type() == "clsact" {
			return "", true, nil
		}
		return q.Type(), false, nil
	}
	return "", false, nil
}

// attached reports whether the wanted classifier is in its place. It fails
// where a foreign one is there.
func (g *guard) attached() (same bool, err error) {
	list, err := g.nl.FilterList(g.link, netlink.HANDLE_MIN_EGRESS)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list its classifiers: %w", err)
	}
	for _, f := range list {
		a := f.Attrs()
		if a.Priority != priority || a.Chain != nil && *a.Chain != 0 {
			continue
		}
		// One that came later to the same priority would run first.
		b, ok := f.(*netlink.BpfFilter)
		if !ok || b.Name != filterName || a.Handle != handle || a.Protocol != unix.ETH_P_ALL {
			return false, fmt.Errorf("it has a foreign classifier of kind %s at priority %d of its egress: remove it", f.Type(), priority)
		}
		if b.DirectAction {
			if same, err = hasTag(g.insns, b.Tag); err != nil {
				return false, err
			}
		}
	}
	return same, nil
}
