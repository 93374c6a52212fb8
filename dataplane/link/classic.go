package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/plan"
)

func classicAlias(id string) string { return ours + "classic network of " + id }

// planClassic plans the link to the classic network: a veth pair whose outer end is a port, where
// that is a bridge, and else a macvlan, which hears nothing of other networks' (mode private). A
// macvlan on a bridge would not do: with bridge-nf-call-iptables the kernel takes what came over
// a bridge for filtered already, and nftables in the network's namespace sees none of it.
func (l *Links) planClassic(p *Plan, s *State, n *dataplane.Network) {
	const name = dataplane.ClassicName
	c, have, o := n.Classic, s.Links[name], s.classic
	if err := o.err; err != nil || o.device == nil {
		if err == nil {
			err = l.missing(c.Device, c.Namespace, "its device")
		}
		p.Err = errors.Join(p.Err, fmt.Errorf("link of %s to the classic network: %w", n.ID, err))
		return
	}
	of := pair{name, dataplane.ClassicEnd(n.ID), MAC(n.ID, name), classicAlias(n.ID), "the link of " + n.ID + " to the classic network", c.Namespace, c.Device}
	bridge := o.device.Kind == "bridge"
	if have != nil && !(bridge && have.Kind == "veth" && isOuterEnd(o, have) ||
		!bridge && have.Kind == "macvlan" && have.Parent == o.device.Index && have.ParentNS == o.nsHere) {
		p.going[name] = have
		have = nil
	}
	if have == nil {
		p.Make = append(p.Make, plan.Change{
			What: fmt.Sprintf("make the link %s on %s", name, c.Device), Makes: name,
			Do: func(context.Context) error {
				if err := l.makeWay(p, name); err != nil {
					return err
				}
				out, err := l.open(c.Namespace)
				if err != nil {
					return err
				}
				defer out.Close()
				attrs := netlink.NewLinkAttrs()
				attrs.Group, attrs.MTU = Group, c.MTU
				if bridge {
					err = l.makePair(out, o, of, attrs)
				} else {
					attrs.Name, attrs.HardwareAddr, attrs.ParentIndex, attrs.Namespace = name, of.mac, o.device.Index, netlink.NsFd(l.ns.Handle())
					err = out.Netlink().LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE})
				}
				if err != nil {
					return fmt.Errorf("on %s: %w", c.Device, err)
				}
				return l.onLink(name, func(k netlink.Link) error { return l.ns.Netlink().LinkSetAlias(k, of.alias) })(nil)
			},
		})
	} else {
		l.planSettings(p, have, name, of.alias, of.mac, c.MTU)
		if bridge {
			l.planOuterEnd(p, o, of, c.MTU)
		}
	}
	l.planAddresses(p, have, name, []netip.Prefix{netip.PrefixFrom(c.Address, c.Address.BitLen())})
}
