package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/plan"
)

// What only one link can have: a device that is moved in, a VNI, a VLAN of a device.

func deviceOf(device, namespace string) string {
	return fmt.Sprintf("device %s in %q", device, namespace)
}

func vniOf(vni, port int) string {
	if port == 0 {
		port = defaultVXLANPort
	}
	return fmt.Sprintf("VNI %d at port %d", vni, port)
}

func vlanOf(parent, vlan int) string { return fmt.Sprintf("VLAN %d of link %d", vlan, parent) }

// asks returns what the link of an attachment has for itself, and what it lies on.
func (s *State) asks(a *dataplane.Attachment) []string {
	switch a.Kind {
	case dataplane.AttachDevice:
		return []string{deviceOf(a.Device, "")}
	case dataplane.AttachVXLAN:
		return []string{vniOf(int(a.VNI), int(a.Port)), deviceOf(a.Device, "")}
	case dataplane.AttachMacvlan:
		return []string{deviceOf(a.Device, "")}
	case dataplane.AttachVLAN:
		all := []string{deviceOf(a.Device, "")}
		if under := s.underlay[a.Device]; under != nil {
			all = append(all, vlanOf(under.Index, int(a.VLAN)))
		}
		return all
	}
	return nil
}

// has returns what a link has for itself.
func (k *Link) has() string {
	if device, namespace, moved := parseMoved(k.Alias); moved {
		return deviceOf(device, namespace)
	}
	switch kernel := k.kernel.(type) {
	case *netlink.Vxlan:
		return vniOf(kernel.VxlanId, kernel.Port)
	case *netlink.Vlan:
		return vlanOf(k.Parent, kernel.VlanId)
	}
	return ""
}

// ask notes what a link that is to be made has for itself.
func (p *Plan) ask(what ...string) {
	for _, w := range what {
		p.asked[w] = true
	}
}

// hosts returns the addresses that hosts have by what a network says: next hops, and what
// entries lead to.
func hosts(n *dataplane.Network) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for r := range n.AllRoutes() {
		for _, h := range r.NextHops {
			all[h.Via] = true
		}
	}
	for i := range n.Mappings {
		all[n.Mappings[i].Internal] = true
	}
	for d := range n.DNAT.All() {
		all[d.Internal] = true
	}
	return all
}

// takes reports whether an address of the gateway takes from a host what that has now: as
// its own, or as the first or last of its block, to which the kernel makes no route.
func (p *Plan) takes(a netip.Prefix) bool {
	return p.hosts[a.Addr()] || p.hosts[a.Masked().Addr()] || p.hosts[netipx.PrefixLastIP(a)]
}

// planFreed has those links go before any is made that have what one asks for: a VNI
// that one VSwitch had and another is to have, two that change places, a VSwitch's
// device that becomes the uplink, a gateway's address that a host has now.
func (l *Links) planFreed(p *Plan) {
	var first []plan.Change
	for _, name := range sortedNames(p.going) {
		link := p.going[name]
		needed := link.has()
		if !p.asked[needed] {
			i := slices.IndexFunc(link.Addresses, p.takes)
			if i < 0 {
				continue
			}
			needed = "address " + link.Addresses[i].Addr().String()
		}
		delete(p.going, name)
		first = append(first, plan.Change{
			What: fmt.Sprintf("remove link %s, whose %s is needed", name, needed), Makes: name,
			Do: func(context.Context) error { return l.remove(link) },
		})
	}
	p.Make = slices.Concat(first, p.Make)
}

// makeWay removes what has the name of a link that is to be made. Where that is a link's
// second name (IFLA_ALT_IFNAME), the kernel takes it for the link's own: only the name goes.
func (l *Links) makeWay(p *Plan, name string) error {
	if old := p.going[name]; old != nil {
		return l.remove(old)
	}
	other, err := l.ns.Netlink().LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look whether something has the name %s: %w", name, err)
	}
	if other.Attrs().Name == name {
		return nil
	}
	if err := l.ns.Netlink().LinkDelAltName(other, name); err != nil {
		return fmt.Errorf("take the name %s from link %s, which has it as another one: %w", name, other.Attrs().Name, err)
	}
	return nil
}
