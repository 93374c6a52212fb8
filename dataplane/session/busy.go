package session

import (
	"sluice/dataplane"
)

// Programs of router interfaces are attached by clsact, which is done at once. A packet that a filter
// looks at costs some 5 % more than with tcx, so that the way in of an interface that has become busy is
// changed over: a few are busy, and not all at the same moment.
const (
	lookForBusyEvery = 10       // ticks
	busyInterface    = 10 * 500 // packets that have left by it in that time; as many come in, as a rule
)

// busyInterfaces returns the ids of those by which many packets have left between two counts.
func busyInterfaces(before, now map[string]dataplane.Volume) (ids []string) {
	for id, v := range now {
		if was, known := before[id]; known && v.Packets >= was.Packets+busyInterface {
			ids = append(ids, id)
		}
	}
	return ids
}

// hasten changes the way in of busy router interfaces over to tcx. before is what was counted the last
// time; it returns what is counted now. A crash in between leaves both ways, of which the first
// to look takes the slower one away.
func (n *Network) hasten(before map[string]dataplane.Volume) (map[string]dataplane.Volume, error) {
	n.mu.Lock()
	can := n.interfaces && n.s.tcx
	n.mu.Unlock()
	if !can {
		return nil, nil
	}
	now, err := n.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, id := range busyInterfaces(before, now) {
		if err := n.toTCX(dataplane.LinkName(id)); err != nil {
			return now, err
		}
	}
	return now, nil
}

// toTCX has a router interface's link have the program for what comes in by tcx, in place of a filter. It
// succeeds where the link is not there.
func (n *Network) toTCX(name string) error {
	k, err := n.ns.Netlink().LinkByName(name)
	if err != nil {
		return nil // gone, as interfaces go
	}
	l := Link{Name: name, Index: k.Attrs().Index, Flows: true}
	if !n.attached(l, flowIngress, nil) {
		if err := n.attach(l, flowIngress); err != nil {
			return err
		}
	}
	l.Clsact = true
	if f := n.filters(l)[flowIngress]; f != nil {
		return n.removeFilter(f)
	}
	return nil
}
