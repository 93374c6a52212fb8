package session

import (
	"errors"
	"slices"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
)

// Programs are attached by filters of clsact at first, which is done at once. With tcx the kernel waits for a
// grace period of RCU (10 to 40 ms) for each program, and again when the link goes, and holds the lock of
// all network configuration the while. But a packet that a filter looks at costs some 5 % more, so that links
// that have become busy are changed over: a few are busy, and not all at the same moment.
const (
	lookForBusyEvery = 5                      // ticks
	busyLink         = lookForBusyEvery * 500 // packets of a link in that time, in and out
)

// setSlow notes the links that have a program by a filter, and may get it by tcx.
func (n *Network) setSlow(links []Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow = links
}

// isDoubled reports whether a link may have a program twice that an earlier process or
// comparison left.
func (n *Network) isDoubled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.doubled
}

// isChanging reports whether toTCX is at work.
func (n *Network) isChanging() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changing > 0
}

// setDoubled tells the programs whether a link may have one of them twice.
func (n *Network) setDoubled(doubled bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doubled = doubled
	return n.putSettings()
}

// packets returns how many packets each of the links has had, by index.
func (n *Network) packets(links []Link) (map[int]uint64, error) {
	out := map[int]uint64{}
	for _, l := range links {
		k, err := n.ns.Netlink().LinkByIndex(l.Index)
		if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s := k.Attrs().Statistics; s != nil {
			out[l.Index] = s.RxPackets + s.TxPackets
		}
	}
	return out, nil
}

// hasten changes links that are busy over to tcx. before is what it returned the last time: the packets of those that
// have a program by a filter; idle says that there is no session, without which only router interfaces can be busy.
func (n *Network) hasten(before map[int]uint64, idle bool) (map[int]uint64, error) {
	n.mu.Lock()
	links := n.slow
	if idle && !n.interfaces {
		links = nil
	}
	n.mu.Unlock()
	now, err := n.packets(links)
	if err != nil {
		return nil, err
	}
	for _, l := range busy(links, before, now) {
		if err := n.toTCX(l); err != nil {
			return now, err
		}
	}
	return now, nil
}

// busy returns those of the links that have had many packets between two counts, by index.
func busy(links []Link, before, now map[int]uint64) (out []Link) {
	for _, l := range links {
		if was, known := before[l.Index]; known && now[l.Index] >= was+busyLink {
			out = append(out, l)
		}
	}
	return out
}

// toTCX has a link have its programs by tcx, in place of filters. It succeeds where the link is not there any
// more. A crash in between leaves a program by both ways, and the programs told of it; Plan mends that.
func (n *Network) toTCX(l Link) error {
	n.mu.Lock()
	n.changing++
	err := n.putSettings()
	n.mu.Unlock()
	if err == nil {
		err = n.exchangeFilters(l)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changing--
	if err == nil {
		n.slow = slices.DeleteFunc(slices.Clone(n.slow), func(other Link) bool { return other.Index == l.Index })
	}
	return errors.Join(err, n.putSettings())
}

func (n *Network) exchangeFilters(l Link) error {
	ways := n.ways(l)
	// In the order in which they come, so that none that has to be behind another is before it for a while.
	for _, h := range hooks(l, dataplane.ByTCX) {
		w := ways[h]
		if w.filter == nil {
			continue
		}
		if w.linked == 0 {
			if err := n.attach(l, h, true); err != nil {
				return err
			}
		}
		if err := n.removeFilter(w.filter); err != nil {
			return err
		}
	}
	return nil
}
