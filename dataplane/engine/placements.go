package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/garp"
	"sluice/dataplane/netns"
)

// place leads packets to where addresses have moved since the last Apply: the kernel's
// neighbour has the new Ethernet address, or is asked for anew where that is not known; a
// bridge forgets at which port that one was; and the hosts of the VSwitch are told by
// gratuitous ARP, as the host that has the address now may say nothing. Connections stay.
//
// What cannot be done is no reason to keep the rest from the kernel: the host's own
// announcement, or the kernel's next question, leads packets right then.
func (j *job) place() error {
	n := j.n
	was := []dataplane.Placement(nil)
	if n.applied != nil {
		was = n.applied.Placements
	}
	moved := moves(was, j.want.Placements)
	if len(moved) == 0 {
		return nil
	}
	var errs []error
	for i := range j.want.Switches {
		sw := &j.want.Switches[i]
		var here []dataplane.Placement
		for _, p := range moved {
			if sw.Prefix.Contains(p.Address) {
				here = append(here, p)
			}
		}
		if len(here) == 0 {
			continue
		}
		if err := j.placeIn(sw, here); err != nil {
			errs = append(errs, fmt.Errorf("lead packets in %s to where addresses are: %w", sw.ID, err))
		}
	}
	n.renewPaths()
	return errors.Join(errs...)
}

// moves returns the placements of b that are not the same in a, and those of a that are not
// in b, which are nowhere then. With none in a, which is so after a start, all may have moved.
func moves(a, b []dataplane.Placement) (out []dataplane.Placement) {
	for len(a)+len(b) > 0 {
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = a[0].Address.Compare(b[0].Address)
		}
		switch {
		case order < 0:
			out, a = append(out, dataplane.Placement{Address: a[0].Address}), a[1:]
		case order > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			if a[0] != b[0] {
				out = append(out, b[0])
			}
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// placeIn is place for the addresses of one VSwitch.
func (j *job) placeIn(sw *dataplane.Switch, moved []dataplane.Placement) error {
	ns := j.n.ns
	link, err := ns.Netlink().LinkByName(sw.Link())
	if err != nil {
		return err
	}
	known, err := netns.Dump(func() ([]netlink.Neigh, error) {
		return ns.Netlink().NeighList(link.Attrs().Index, netlink.FAMILY_V4)
	})
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	var errs []error
	announce := map[string][]netip.Addr{}
	gone := map[string]bool{}
	for _, p := range moved {
		if err := j.placeOne(link, known, p); err != nil {
			errs = append(errs, err)
		}
		if p.MAC != "" {
			gone[p.MAC] = true
			announce[p.MAC] = append(announce[p.MAC], p.Address)
		}
	}
	if j.n.applied == nil {
		// After a start it is not known which have moved: what has, has been told of, or the
		// hosts find out.
		return errors.Join(errs...)
	}
	if link.Type() == "bridge" {
		errs = append(errs, forgetPorts(ns, link, gone))
	}
	for mac, addrs := range announce {
		to, err := net.ParseMAC(mac)
		if err == nil {
			err = garp.Tell(ns, link.Attrs().Index, link.Attrs().HardwareAddr, to, addrs)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// placeOne puts the kernel's neighbour for an address right. One that it does not know it
// asks for when there is a packet for it.
func (j *job) placeOne(link netlink.Link, known []netlink.Neigh, p dataplane.Placement) error {
	at := slices.IndexFunc(known, func(k netlink.Neigh) bool { return k.IP.Equal(p.Address.AsSlice()) })
	if at < 0 || p.MAC != "" && known[at].HardwareAddr.String() == p.MAC {
		return nil
	}
	if p.MAC == "" {
		return j.n.forgetNeighbour(p.Address, j.want)
	}
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		return err
	}
	err = j.n.ns.Netlink().NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V4, IP: p.Address.AsSlice(), HardwareAddr: mac, State: netlink.NUD_REACHABLE})
	if err != nil {
		return fmt.Errorf("set who has %s: %w", p.Address, err)
	}
	return nil
}

// forgetPorts has a bridge forget at which ports it has seen Ethernet addresses: the next
// frame for one of them goes to all ports, and its answer tells.
func forgetPorts(ns *netns.Namespace, bridge netlink.Link, macs map[string]bool) error {
	entries, err := netns.Dump(func() ([]netlink.Neigh, error) { return ns.Netlink().NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return fmt.Errorf("list the bridge's addresses: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !macs[e.HardwareAddr.String()] || e.MasterIndex != bridge.Attrs().Index || e.State&netlink.NUD_PERMANENT != 0 {
			continue
		}
		err := ns.Netlink().NeighDel(&netlink.Neigh{LinkIndex: e.LinkIndex, Family: unix.AF_BRIDGE, HardwareAddr: e.HardwareAddr, Flags: netlink.NTF_MASTER, Vlan: e.Vlan})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("forget at which port %s is: %w", e.HardwareAddr, err))
		}
	}
	return errors.Join(errs...)
}
