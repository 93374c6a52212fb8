package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

func (l *Links) planUplink(p *Plan, s *State, n *dataplane.Network) {
	const name = dataplane.UplinkName
	u, have := n.Uplink, s.Links[name]
	if s.outside.err != nil {
		p.Err = errors.Join(p.Err, fmt.Errorf("uplink of %s: %w", n.ID, s.outside.err))
		return
	}
	alias, mac := uplinkAlias(n.ID), MAC(n.ID, name)
	if u.Mode == dataplane.UplinkDevice {
		alias, mac = movedAlias(alias, u.Device, u.Namespace), nil
	} else if s.outside.device == nil {
		p.Err = errors.Join(p.Err, fmt.Errorf("uplink of %s: %w", n.ID, l.missing(u.Device, u.Namespace, "the "+deviceRole(u.Mode))))
		return
	}
	if have != nil && !isUplink(s, have, u) {
		p.going[name] = have
		have = nil
	}
	if have == nil {
		p.ask(deviceOf(u.Device, u.Namespace))
		p.Make = append(p.Make, plan.Change{
			What: fmt.Sprintf("make uplink %s on %s", name, u.Device), Makes: name,
			Do: func(context.Context) error {
				if err := l.makeWay(p, name); err != nil {
					return err
				}
				return l.makeUplink(s, n, alias)
			},
		})
	} else {
		l.planSettings(p, have, name, alias, mac, u.MTU)
		if u.Mode == dataplane.UplinkBridge {
			l.planOuterEnd(p, s.outside, pairOf(n), u.MTU)
		}
	}
	want := make([]netip.Prefix, 0, len(n.Elastic))
	for _, a := range n.Elastic {
		want = append(want, netip.PrefixFrom(a, a.BitLen()))
	}
	l.planAddresses(p, have, name, want)
}

func deviceRole(m dataplane.UplinkMode) string {
	if m == dataplane.UplinkBridge {
		return "public bridge"
	}
	return "public device"
}

// isUplink reports whether a link is what the uplink asks for, but for what
// can be changed while it runs.
func isUplink(s *State, have *Link, u *dataplane.Uplink) bool {
	o := s.outside
	device, namespace, moved := parseMoved(have.Alias)
	switch u.Mode {
	case dataplane.UplinkDevice:
		return moved && device == u.Device && namespace == u.Namespace
	case dataplane.UplinkMacvlan:
		return !moved && have.Kind == "macvlan" && have.Parent == o.device.Index && have.ParentNS == o.nsHere
	case dataplane.UplinkBridge:
		return !moved && have.Kind == "veth" && isOuterEnd(o, have)
	}
	return false
}

// isOuterEnd reports whether the outer end that was found is that of this
// veth: indices alone may agree by chance.
func isOuterEnd(o *outside, have *Link) bool {
	return o.end != nil && o.end.Kind == "veth" && have.Parent == o.end.Index && o.end.Parent == have.Index &&
		have.ParentNS == o.nsHere && o.end.ParentNS == o.nsOut
}

func (l *Links) makeUplink(s *State, n *dataplane.Network, alias string) error {
	const name = dataplane.UplinkName
	u := n.Uplink
	out, err := l.open(u.Namespace)
	if err != nil {
		return err
	}
	defer out.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Group, attrs.MTU = Group, u.MTU
	switch u.Mode {
	case dataplane.UplinkDevice:
		if err := l.moveIn(u.Device, u.Namespace, name, alias); err != nil || u.MTU == 0 {
			return err
		}
		return l.onLink(name, func(k netlink.Link) error { return l.ns.Netlink().LinkSetMTU(k, u.MTU) })(nil)
	case dataplane.UplinkMacvlan:
		attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = name, s.outside.device.Index, MAC(n.ID, name)
		attrs.Namespace = netlink.NsFd(l.ns.Handle())
		if err := out.Netlink().LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
			return fmt.Errorf("make a macvlan on %s in %s: %w", u.Device, out, err)
		}
	case dataplane.UplinkBridge:
		if err := l.makePair(out, s.outside, pairOf(n), attrs); err != nil {
			return err
		}
	default:
		return fmt.Errorf("uplink mode %q is not known; it must be %s, %s or %s", u.Mode,
			dataplane.UplinkBridge, dataplane.UplinkMacvlan, dataplane.UplinkDevice)
	}
	return l.onLink(name, func(k netlink.Link) error { return l.ns.Netlink().LinkSetAlias(k, alias) })(nil)
}

// pair is a veth pair from a network to a bridge.
type pair struct {
	inner     string // name of the end in the network's namespace
	end       string // of the other one
	mac       net.HardwareAddr
	alias     string // of both
	what      string // it is
	namespace string // named, of the bridge
	device    string // the bridge
}

func pairOf(n *dataplane.Network) pair {
	return pair{dataplane.UplinkName, dataplane.LinkName(n.ID), MAC(n.ID, dataplane.UplinkName), uplinkAlias(n.ID), "the uplink of " + n.ID, n.Uplink.Namespace, n.Uplink.Device}
}

// makePair makes the veth pair, each end in its namespace from the start, so
// that a crash leaves no end where it does not belong; one may be left that is
// no port of the bridge yet, which the next Plan sees.
func (l *Links) makePair(out opened, o *outside, of pair, attrs netlink.LinkAttrs) error {
	end, err := find(out.Namespace, of.end)
	if err != nil {
		return err
	}
	if end != nil {
		// Left by a namespace that was deleted and that the kernel has not
		// cleaned up yet.
		if !endsPair(end, of.alias) {
			return foreignName(end, of.what)
		}
		if err := gone(out.Netlink().LinkDel(end.kernel)); err != nil {
			return fmt.Errorf("delete the left over link %s in %s: %w", of.end, out, err)
		}
	}
	attrs.Name = of.end
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerHardwareAddr = of.inner, netlink.NsFd(l.ns.Handle()), of.mac
	if err := out.Netlink().LinkAdd(veth); err != nil {
		return fmt.Errorf("make a veth pair %s, %s: %w", of.end, of.inner, err)
	}
	if end, err = find(out.Namespace, of.end); err != nil {
		return err
	}
	if end == nil {
		return fmt.Errorf("link %s in %s went away as soon as it was made; another program deletes it", of.end, out)
	}
	return startOuterEnd(out, end, o.device, of.alias)
}

// endsPair reports whether a link is the outer end of the pair with that alias. One that
// was made a moment ago has no alias yet.
func endsPair(end *Link, alias string) bool {
	return end.Group == Group && end.Kind == "veth" && (end.Alias == "" || end.Alias == alias)
}

func startOuterEnd(out opened, end, bridge *Link, alias string) error {
	nl := out.Netlink()
	if err := nl.LinkSetAlias(end.kernel, alias); err != nil {
		return fmt.Errorf("set alias of %s: %w", end.Name, err)
	}
	if err := nl.LinkSetMasterByIndex(end.kernel, bridge.Index); err != nil {
		return fmt.Errorf("make %s a port of %s (must be a bridge, and is a %s): %w", end.Name, bridge.Name, bridge.Kind, err)
	}
	if err := nl.LinkSetUp(end.kernel); err != nil {
		return fmt.Errorf("set %s up: %w", end.Name, err)
	}
	return nil
}

// planOuterEnd compares the end of a pair that is at the bridge. mtu 0 leaves it as it is.
func (l *Links) planOuterEnd(p *Plan, o *outside, of pair, mtu int) {
	outer := func(what string, f func(out opened) error) {
		p.Make = append(p.Make, plan.Change{What: what, Makes: of.inner, Do: func(context.Context) error {
			out, err := l.open(of.namespace)
			if err != nil {
				return err
			}
			defer out.Close()
			return f(out)
		}})
	}
	if o.end.Master != o.device.Index || !o.end.Up || o.end.Alias != of.alias {
		outer(fmt.Sprintf("make %s a port of %s", o.end.Name, of.device), func(out opened) error {
			return startOuterEnd(out, o.end, o.device, of.alias)
		})
	}
	if mtu != 0 && o.end.MTU != mtu {
		outer("set MTU of "+o.end.Name, func(out opened) error { return out.Netlink().LinkSetMTU(o.end.kernel, mtu) })
	}
}

// RemoveOuterEnd deletes the end of network id's uplink that is in the named
// namespace (empty: self), and with it the other one, wherever that is. It
// succeeds where there is none.
func RemoveOuterEnd(self *netns.Namespace, namespace, id string) error {
	return removeEnd(self, namespace, dataplane.LinkName(id), uplinkAlias(id))
}

// RemoveClassicEnd likewise deletes that of its link to the classic network, where it is a port
// of a bridge.
func RemoveClassicEnd(self *netns.Namespace, namespace, id string) error {
	return removeEnd(self, namespace, dataplane.ClassicEnd(id), classicAlias(id))
}

func removeEnd(self *netns.Namespace, namespace, name, alias string) error {
	out, err := New(nil, self).open(namespace)
	if errors.Is(err, netns.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer out.Close()
	end, err := find(out.Namespace, name)
	if err != nil || end == nil || !endsPair(end, alias) {
		return err
	}
	if err := gone(out.Netlink().LinkDel(end.kernel)); err != nil {
		return fmt.Errorf("delete link %s in %s: %w", end.Name, out, err)
	}
	return nil
}
