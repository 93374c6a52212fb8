package link

import (
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"

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

// planFreed has those links go before any is made that have what one asks for: a VNI
// that one VSwitch had and another is to have, two that change places, a VSwitch's
// device that becomes the uplink.
func (l *Links) planFreed(p *Plan) {
	var first []plan.Change
	for _, name := range sortedNames(p.going) {
		link := p.going[name]
		if !p.asked[link.has()] {
			continue
		}
		delete(p.going, name)
		first = append(first, plan.Change{
			What: fmt.Sprintf("remove link %s, whose %s is needed", name, link.has()), Makes: name,
			Do: func(context.Context) error { return l.remove(link) },
		})
	}
	p.Make = slices.Concat(first, p.Make)
}

// makeWay removes what has the name of a link that is to be made.
func (l *Links) makeWay(p *Plan, name string) error {
	if old := p.going[name]; old != nil {
		return l.remove(old)
	}
	return nil
}
