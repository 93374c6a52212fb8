package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// public is what a VPC has on the public side.
type public struct {
	gateways map[string]*resource.NATGateway // by id
	shared   map[netip.Addr]string           // elastic IP of a NAT gateway → id of that
	own      map[netip.Addr]netip.Addr       // private address of an instance → its elastic IP
	others   map[netip.Addr]bool             // private addresses of what is no ECS instance
	bound    []*resource.ElasticIP           // all elastic IPs that are bound
	vpn      []netip.Addr                    // of VPN gateways with IPsec or SSL-VPN on
}

// uplink is the way to the public network, with the addresses on it.
func (j *job) uplink() error {
	n, p := j.network, j.public()
	n.Uplink, n.Elastic, n.Mappings = nil, nil, nil
	if network, ok := j.settings.PublicNetworkOf(j.vpc.Region); ok && p.used() {
		uplink := network.Uplink
		n.Uplink, n.Elastic, n.Mappings = &uplink, p.addresses(), p.mappings()
	}
	return nil
}

// gateways are the VPC's NAT gateways, with the elastic IPs that are bound to them.
func (j *job) gateways() error {
	n, p := j.network, j.public()
	n.NATGateways = nil
	for id, g := range p.gateways {
		out := dataplane.NATGateway{ID: id, Limits: g.Limits, EchoReply: g.EchoReply}
		if g.ByUse {
			out.Limits = j.settings.ByUse
		}
		for _, e := range p.bound {
			if n.Uplink != nil && p.shared[e.Address] == id {
				out.Elastic = append(out.Elastic, e.Address)
			}
		}
		slices.SortFunc(out.Elastic, netip.Addr.Compare)
		n.NATGateways = append(n.NATGateways, out)
	}
	slices.SortFunc(n.NATGateways, func(a, b dataplane.NATGateway) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// hostLimits are what instances may have of their gateways' limits, where the inventory
// says so.
func (j *job) hostLimits() error {
	j.network.HostLimits = nil
	for i := range j.v.Instances.By(state.ByVPC, j.id).All() {
		if i.Limits != nil {
			j.network.HostLimits = append(j.network.HostLimits, dataplane.HostLimit{Address: i.PrivateIP, Limits: *i.Limits})
		}
	}
	slices.SortFunc(j.network.HostLimits, func(a, b dataplane.HostLimit) int { return a.Address.Compare(b.Address) })
	return nil
}

func readPublic(v *state.View, vpc string) *public {
	p := &public{
		gateways: make(map[string]*resource.NATGateway), shared: make(map[netip.Addr]string),
		own: make(map[netip.Addr]netip.Addr), others: make(map[netip.Addr]bool),
	}
	for g := range v.NATGateways.By(state.ByVPC, vpc).All() {
		p.gateways[g.ID] = g
	}
	for g := range v.VPNGateways.By(state.ByVPC, vpc).All() {
		if g.IPsec || g.SSL {
			p.vpn = append(p.vpn, g.Address)
		}
	}
	for e := range v.ElasticIPs.By(state.ByVPC, vpc).All() {
		if e.Binding == nil {
			continue // it worked here once
		}
		if e.Binding.Type == resource.BoundToNATGateway {
			if p.gateways[e.Binding.ID] != nil {
				p.shared[e.Address] = e.Binding.ID
				p.bound = append(p.bound, e)
			}
			continue
		}
		private, ok := v.BoundAddress(vpc, e.Binding)
		if !ok {
			continue // the instance has left the inventory
		}
		p.own[private] = e.Address
		p.bound = append(p.bound, e)
	}
	for i := range v.Instances.By(state.ByVPC, vpc).All() {
		if !isECS(i) {
			p.others[i.PrivateIP] = true
		}
	}
	for h := range v.HaVips.By(state.ByVPC, vpc).All() {
		if len(h.Instances) == 0 {
			p.others[h.PrivateIP] = true // it is not known to be at an ECS instance
		}
	}
	return p
}

// used says whether the VPC needs an uplink.
func (p *public) used() bool { return len(p.gateways) > 0 || len(p.bound) > 0 || len(p.vpn) > 0 }

// addresses returns the elastic IPs and the VPN gateways' addresses, ascending.
func (p *public) addresses() []netip.Addr {
	var out []netip.Addr
	for _, e := range p.bound {
		out = append(out, e.Address)
	}
	out = append(out, p.vpn...)
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// mappings returns the elastic IPs that instances have of their own, by
// external address.
func (p *public) mappings() []dataplane.Mapping {
	var out []dataplane.Mapping
	for internal, external := range p.own {
		out = append(out, dataplane.Mapping{External: external, Internal: internal})
	}
	slices.SortFunc(out, func(a, b dataplane.Mapping) int { return a.External.Compare(b.External) })
	return out
}
