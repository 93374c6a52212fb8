package config

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"sluice/controlplane/settings"
	"sluice/dataplane"
)

func (k *checker) public() error {
	k.config.Settings.Public = make([]settings.PublicNetwork, 0, len(k.doc.Public))
	for i := range k.doc.Public {
		if err := k.publicNetwork(i); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) publicNetwork(i int) error {
	p, field := &k.doc.Public[i], fmt.Sprintf("public[%d]", i)
	if p.Name == "" {
		return k.errorf(field+".name", "is missing; write a name for this public network")
	}
	for j, other := range k.doc.Public[:i] {
		if other.Name == p.Name {
			return k.errorf(field+".name", "%q stands already at public[%d]; names of public networks are unique", p.Name, j)
		}
	}
	for _, check := range []func(*publicDoc, string) error{k.publicLink, k.publicAddresses, k.publicPool} {
		if err := check(p, field); err != nil {
			return err
		}
	}
	if err := k.publicRegions(i, field); err != nil {
		return err
	}
	network := settings.PublicNetwork{
		Name:    p.Name,
		Regions: p.Regions,
		Uplink: dataplane.Uplink{
			Mode: dataplane.UplinkMode(p.Mode), Device: p.Device, Namespace: p.Namespace,
			Prefix: p.Prefix, Gateway: p.Gateway, MTU: p.MTU,
		},
	}
	for _, r := range p.Pool {
		network.Pool = append(network.Pool, settings.Range{First: r.From(), Last: r.To()})
	}
	k.config.Settings.Public = append(k.config.Settings.Public, network)
	if p.Create {
		b := Bridge{Name: p.Device, Namespace: p.Namespace}
		if p.Address.IsValid() {
			b.Address = netip.PrefixFrom(p.Address, p.Prefix.Bits())
		}
		k.config.Bridges = append(k.config.Bridges, b)
	}
	return nil
}

func (k *checker) publicLink(p *publicDoc, field string) error {
	switch dataplane.UplinkMode(p.Mode) {
	case dataplane.UplinkBridge, dataplane.UplinkMacvlan, dataplane.UplinkDevice:
	case "":
		return k.errorf(field+".mode", "is missing; write bridge, macvlan or device")
	default:
		return k.errorf(field+".mode", "%q is not a mode; write bridge, macvlan or device", p.Mode)
	}
	if err := k.device(field+".device", p.Device); err != nil {
		return err
	}
	if p.Create && p.Mode != string(dataplane.UplinkBridge) {
		return k.errorf(field+".create", "only a bridge can be made; leave it out in mode %s", p.Mode)
	}
	if p.Address.IsValid() && !p.Create {
		return k.errorf(field+".address", "is given only to a bridge that is made here; add create: true, or leave it out")
	}
	return k.mtu(field+".mtu", p.MTU)
}

func (k *checker) publicAddresses(p *publicDoc, field string) error {
	switch {
	case !p.Prefix.IsValid():
		return k.errorf(field+".prefix", "is missing; write the network that is on the link, for example 203.0.113.0/24")
	case !p.Prefix.Addr().Is4() || p.Prefix.Bits() < 8 || p.Prefix.Bits() > 31:
		return k.errorf(field+".prefix", "%s is not usable; write an IPv4 network from /8 to /31", p.Prefix)
	case p.Prefix != p.Prefix.Masked():
		return k.errorf(field+".prefix", "%s has bits set behind its mask; did you mean %s?", p.Prefix, p.Prefix.Masked())
	}
	for _, a := range []struct {
		name    string
		address netip.Addr
	}{{"gateway", p.Gateway}, {"address", p.Address}} {
		if a.address.IsValid() && !isHost(a.address, p.Prefix) {
			return k.errorf(field+"."+a.name, "%s is not an address of a host in %s; write one that is", a.address, p.Prefix)
		}
	}
	for j := range k.config.Settings.Public {
		if other := k.doc.Public[j]; other.Prefix.Overlaps(p.Prefix) && (other.Device != p.Device || other.Namespace != p.Namespace) {
			return k.errorf(field+".prefix", "%s overlaps %s of public[%d] on another device; public networks lie side by side", p.Prefix, other.Prefix, j)
		}
	}
	return nil
}

// isHost says whether an address can be a host's in a network: it lies in it
// and is neither its first nor its last address (a /31 has none to spare,
// RFC 3021).
func isHost(a netip.Addr, in netip.Prefix) bool {
	if !in.Contains(a) {
		return false
	}
	return in.Bits() >= 31 || a != in.Addr() && a != netipx.PrefixLastIP(in)
}

func (k *checker) publicPool(p *publicDoc, field string) error {
	if len(p.Pool) == 0 {
		return k.errorf(field+".pool", "is empty; write the addresses to allocate from, for example %s", example(p.Prefix))
	}
	for i, r := range p.Pool {
		at := fmt.Sprintf("%s.pool[%d]", field, i)
		switch {
		case !isHost(r.From(), p.Prefix) || !isHost(r.To(), p.Prefix):
			return k.errorf(at, "%s does not lie among the hosts of %s; write for example %s", r, p.Prefix, example(p.Prefix))
		case p.Gateway.IsValid() && r.Contains(p.Gateway):
			return k.errorf(at, "%s contains the gateway %s; leave it out of the pool", r, p.Gateway)
		case p.Address.IsValid() && r.Contains(p.Address):
			return k.errorf(at, "%s contains the bridge's own address %s; leave it out of the pool", r, p.Address)
		}
		if other := k.overlapping(r, at); other != "" {
			return k.errorf(at, "%s overlaps %s; every address stands in one pool once", r, other)
		}
	}
	return nil
}

// overlapping returns the field before at whose range overlaps r.
func (k *checker) overlapping(r rangeText, at string) string {
	for i, p := range k.doc.Public {
		for j, o := range p.Pool {
			field := fmt.Sprintf("public[%d].pool[%d]", i, j)
			if field == at {
				return ""
			}
			if o.Overlaps(r.IPRange) {
				return field
			}
		}
	}
	return ""
}

// example returns a pool that fits into a prefix.
func example(p netip.Prefix) string {
	first, last := p.Addr(), netipx.PrefixLastIP(p)
	if p.Bits() < 30 {
		first, last = first.Next().Next(), last.Prev()
	}
	return first.String() + "-" + last.String()
}

// publicRegions makes sure that every region has one public network at most.
func (k *checker) publicRegions(i int, field string) error {
	p := k.doc.Public[i]
	for j, id := range p.Regions {
		at := fmt.Sprintf("%s.regions[%d]", field, j)
		if _, ok := k.config.Settings.Region(id); !ok {
			return k.errorf(at, "%q is not a region of this configuration; write one of regions", id)
		}
		if slices.Contains(p.Regions[:j], id) {
			return k.errorf(at, "%q stands here twice", id)
		}
	}
	for j, other := range k.doc.Public[:i] {
		if len(other.Regions) == 0 || len(p.Regions) == 0 {
			return k.errorf(field+".regions", "collides with public[%d]: without regions a public network serves all; name the regions of both", j)
		}
		for l, id := range p.Regions {
			if slices.Contains(other.Regions, id) {
				return k.errorf(fmt.Sprintf("%s.regions[%d]", field, l), "%q is served by public[%d] already; a region has one public network", id, j)
			}
		}
	}
	return nil
}

func (k *checker) vswitches() error {
	if s := k.doc.PortSecurity; s != "strict" && s != "off" {
		return k.errorf("port_security", "%q is neither; write strict or off", s)
	}
	k.config.Settings.PortSecurity = k.doc.PortSecurity == "strict"
	if s := k.doc.DHCP; s != "on" && s != "off" {
		return k.errorf("dhcp", "%q is neither; write on or off", s)
	}
	k.config.Settings.DHCP = k.doc.DHCP == "on"
	for i := range k.doc.VSwitches {
		v, field := &k.doc.VSwitches[i], fmt.Sprintf("vswitches[%d]", i)
		if err := k.vswitchMatch(i, field); err != nil {
			return err
		}
		if err := k.vswitchLink(v, field); err != nil {
			return err
		}
		for j, o := range k.doc.VSwitches[:i] {
			if o.Mode == v.Mode && (v.Mode == string(dataplane.AttachVLAN) && o.Device == v.Device && o.VLAN == v.VLAN ||
				v.Mode == string(dataplane.AttachVXLAN) && o.VNI == v.VNI && port(o.Port) == port(v.Port)) {
				return k.errorf(field, "is the same %s as vswitches[%d]; a link serves one VSwitch", v.Mode, j)
			}
		}
		k.config.Settings.Attachments = append(k.config.Settings.Attachments, settings.Attachment{
			Account: v.Account,
			VSwitch: v.VSwitch,
			CIDR:    v.CIDR,
			Link: dataplane.Attachment{
				Kind: dataplane.AttachmentKind(v.Mode), Device: v.Device, VLAN: uint16(v.VLAN), VNI: uint32(v.VNI),
				Local: v.Local, Remote: v.Remote, Port: uint16(v.Port), MTU: v.MTU,
			},
			MovesAddresses: v.MovesAddresses,
		})
	}
	return nil
}

// port is the UDP port of a VXLAN link, with its default (RFC 7348).
func port(p int) int {
	if p == 0 {
		return 4789
	}
	return p
}

func (k *checker) vswitchMatch(i int, field string) error {
	v := k.doc.VSwitches[i]
	if v.VSwitch == "" && !v.CIDR.IsValid() {
		return k.errorf(field, "matches nothing; write vswitch (an id or a name), cidr, or both")
	}
	if v.CIDR.IsValid() && (!v.CIDR.Addr().Is4() || v.CIDR != v.CIDR.Masked()) {
		return k.errorf(field+".cidr", "%s is not an IPv4 network; write for example %s", v.CIDR, "10.0.1.0/24")
	}
	for j, o := range k.doc.VSwitches[:i] {
		if o.Account == v.Account && o.VSwitch == v.VSwitch && o.CIDR == v.CIDR {
			return k.errorf(field, "matches the same VSwitch as vswitches[%d]; the first match decides, so this one never does", j)
		}
	}
	return nil
}

func (k *checker) vswitchLink(v *vswitchDoc, field string) error {
	// Which fields a mode takes, beside mtu; the rest would be misunderstood.
	kind := dataplane.AttachmentKind(v.Mode)
	takes := map[dataplane.AttachmentKind][]string{
		dataplane.AttachBridge: {},
		dataplane.AttachDevice: {"device"},
		dataplane.AttachVLAN:   {"device", "vlan"},
		dataplane.AttachVXLAN:  {"device", "vni", "local", "remote", "port"},
	}
	allowed, ok := takes[kind]
	if !ok {
		return k.errorf(field+".mode", "%q is not a mode; write bridge, device, vlan or vxlan", v.Mode)
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"device", v.Device != ""}, {"vlan", v.VLAN != 0}, {"vni", v.VNI != 0},
		{"local", v.Local.IsValid()}, {"remote", v.Remote.IsValid()}, {"port", v.Port != 0},
	} {
		if f.given && !slices.Contains(allowed, f.name) {
			return k.errorf(field+"."+f.name, "does not belong to mode %s; leave it out", kind)
		}
	}
	if kind == dataplane.AttachDevice || kind == dataplane.AttachVLAN || v.Device != "" {
		if err := k.device(field+".device", v.Device); err != nil {
			return err
		}
	}
	switch kind {
	case dataplane.AttachVLAN:
		if err := k.between(field+".vlan", v.VLAN, 1, 4094); err != nil {
			return err
		}
	case dataplane.AttachVXLAN:
		if err := k.vxlan(v, field); err != nil {
			return err
		}
	}
	return k.mtu(field+".mtu", v.MTU)
}

func (k *checker) vxlan(v *vswitchDoc, field string) error {
	if err := k.between(field+".vni", v.VNI, 1, 1<<24-1); err != nil {
		return err
	}
	switch {
	case !v.Remote.IsValid():
		return k.errorf(field+".remote", "is missing; write the peer's address or a multicast group")
	case v.Remote.IsMulticast() && v.Device == "":
		return k.errorf(field+".device", "is missing; a multicast group needs the device of the underlay")
	case v.Local.IsValid() && v.Local.Is4() != v.Remote.Is4():
		return k.errorf(field+".local", "%s and remote %s are of different families", v.Local, v.Remote)
	}
	return k.between(field+".port", port(v.Port), 1, 65535)
}
