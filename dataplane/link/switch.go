package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/plan"
)

// defaultVXLANPort is IANA's (RFC 7348, section 5).
const defaultVXLANPort = 4789

func (l *Links) planSwitch(p *Plan, s *State, n *dataplane.Network, sw *dataplane.Switch) {
	name := sw.Link()
	have := s.Links[name]
	a := &sw.Attachment
	var mac net.HardwareAddr
	if a.Kind == dataplane.AttachBridge || a.Kind == dataplane.AttachMacvlan {
		// A bridge without an address of its own takes that of a port, and
		// changes it as ports come and go; a macvlan's is drawn anew each time.
		mac = MAC(n.ID, sw.ID)
	}
	alias := switchAlias(sw.ID)
	if a.Kind == dataplane.AttachDevice {
		alias = movedAlias(alias, a.Device, "")
	}
	if have != nil && !l.isSwitch(s, have, sw) {
		p.going[name] = have
		have = nil
	}
	if have == nil {
		p.ask(s.asks(a)...)
		p.Make = append(p.Make, plan.Change{
			What: fmt.Sprintf("make %s %s", a.Kind, name), Makes: name,
			Do: func(context.Context) error {
				if err := l.makeWay(p, name); err != nil {
					return err
				}
				return l.makeSwitch(s, sw, alias, mac)
			},
		})
	} else {
		l.planSettings(p, have, name, alias, mac, a.MTU)
	}
	l.planAddresses(p, have, name, []netip.Prefix{netip.PrefixFrom(sw.Gateway, sw.Prefix.Bits())})
	if a.Kind == dataplane.AttachBridge {
		l.planPorts(p, s, have, sw.ID)
	}
}

// isSwitch reports whether a link is what the attachment asks for, but for
// what can be changed while it runs.
func (l *Links) isSwitch(s *State, have *Link, sw *dataplane.Switch) bool {
	a := &sw.Attachment
	device, namespace, moved := parseMoved(have.Alias)
	if a.Kind == dataplane.AttachDevice {
		return moved && device == a.Device && namespace == ""
	}
	if moved || have.Kind != string(a.Kind) {
		return false
	}
	under := s.underlay[a.Device]
	switch k := have.kernel.(type) {
	case *netlink.Vlan:
		return under != nil && k.VlanId == int(a.VLAN) && have.Parent == under.Index
	case *netlink.Macvlan:
		return under != nil && have.Parent == under.Index && k.Mode == netlink.MACVLAN_MODE_PRIVATE
	case *netlink.Vxlan:
		port := int(a.Port)
		if port == 0 {
			port = defaultVXLANPort
		}
		return under != nil && k.VxlanId == int(a.VNI) && k.Port == port && k.VtepDevIndex == under.Index &&
			sameAddr(k.SrcAddr, a.Local) && sameAddr(k.Group, a.Remote)
	}
	return true
}

func sameAddr(have net.IP, want netip.Addr) bool {
	a, ok := netip.AddrFromSlice(have)
	if !ok || a.IsUnspecified() {
		return !want.IsValid()
	}
	return a.Unmap() == want
}

// makeSwitch makes a link, down and without addresses.
func (l *Links) makeSwitch(s *State, sw *dataplane.Switch, alias string, mac net.HardwareAddr) error {
	a := &sw.Attachment
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Group, attrs.MTU, attrs.HardwareAddr = sw.Link(), Group, a.MTU, mac
	switch a.Kind {
	case dataplane.AttachBridge:
		return l.makeBridge(attrs, alias)
	case dataplane.AttachDevice:
		if err := l.moveIn(a.Device, "", sw.Link(), alias); err != nil {
			return err
		}
		if a.MTU == 0 {
			return nil
		}
		return l.onLink(sw.Link(), func(k netlink.Link) error { return l.ns.Netlink().LinkSetMTU(k, a.MTU) })(nil)
	case dataplane.AttachVLAN, dataplane.AttachVXLAN, dataplane.AttachMacvlan:
		// It may have come back only now.
		under, err := find(l.self, a.Device)
		if err != nil {
			return err
		}
		if under == nil {
			return l.missing(a.Device, "", "the "+string(a.Kind)+"'s device")
		}
		return l.makeOn(under, attrs, a, alias)
	}
	return fmt.Errorf("attachment kind %q is not known; it must be %s, %s, %s, %s or %s", a.Kind,
		dataplane.AttachBridge, dataplane.AttachDevice, dataplane.AttachVLAN, dataplane.AttachVXLAN, dataplane.AttachMacvlan)
}

// makeBridge makes a bridge without spanning tree: hosts are plugged into it,
// not other bridges, and they want to talk at once.
func (l *Links) makeBridge(attrs netlink.LinkAttrs, alias string) error {
	snooping := false // there is no querier that would keep groups alive
	if err := l.ns.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
		return err
	}
	return l.onLink(attrs.Name, func(k netlink.Link) error {
		if err := configureBridge(l.ns, k.Attrs().Index); err != nil {
			return fmt.Errorf("turn spanning tree off, and bound what is learned: %w", err)
		}
		return l.ns.Netlink().LinkSetAlias(k, alias)
	})(nil)
}

// makeOn makes a link that lies on a device in the daemon's namespace. It is
// made by a message to that namespace, and comes to life in the network's in
// the same step: the kernel keeps the sending side (a VXLAN's UDP socket) where
// the message was sent.
func (l *Links) makeOn(under *Link, attrs netlink.LinkAttrs, a *dataplane.Attachment, alias string) error {
	attrs.Namespace = netlink.NsFd(l.ns.Handle())
	var err error
	switch a.Kind {
	case dataplane.AttachVLAN:
		attrs.ParentIndex = under.Index
		err = l.self.Netlink().LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: int(a.VLAN), VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("this kernel has no 802.1Q links (CONFIG_VLAN_8021Q, module 8021q); load the module, or attach the VSwitch by a bridge, device or VXLAN: %w", err)
		}
	case dataplane.AttachMacvlan:
		// Nothing else is on the device but VLANs, with which it has nothing to do.
		attrs.ParentIndex = under.Index
		err = l.self.Netlink().LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE})
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("this kernel has no macvlan links (CONFIG_MACVLAN, module macvlan); load the module: %w", err)
		}
	case dataplane.AttachVXLAN:
		vxlan := &netlink.Vxlan{LinkAttrs: attrs, VxlanId: int(a.VNI), VtepDevIndex: under.Index, Learning: true, Port: int(a.Port)}
		if vxlan.Port == 0 {
			vxlan.Port = defaultVXLANPort
		}
		if a.Local.IsValid() {
			vxlan.SrcAddr = a.Local.AsSlice()
		}
		if a.Remote.IsValid() {
			vxlan.Group = a.Remote.AsSlice()
		}
		err = l.self.Netlink().LinkAdd(vxlan)
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("this kernel has no VXLAN links (CONFIG_VXLAN, module vxlan); load the module, or attach the VSwitch by a bridge or device: %w", err)
		}
		if errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("VNI %d with UDP port %d is in use on this machine already, or a link named %s is in the way; a VNI serves one VSwitch: %w",
				a.VNI, vxlan.Port, attrs.Name, err)
		}
	}
	if err != nil {
		return err
	}
	return l.onLink(attrs.Name, func(k netlink.Link) error { return l.ns.Netlink().LinkSetAlias(k, alias) })(nil)
}
