package compile

import (
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// part is a part of a Network with the kinds of resource that decide about it: where none
// of those has changed, it stays as it is. What it looks at of the parts before it is made
// of kinds that are named with it too.
type part struct {
	of      []resource.Kind
	compile func(*job) error
}

// parts are what the Network of a VPC is made of, in order.
var parts = []part{
	{[]resource.Kind{resource.KindVPC}, (*job).constants},
	{[]resource.Kind{resource.KindVPC, resource.KindVSwitch}, (*job).switches},
	{[]resource.Kind{resource.KindVPC, resource.KindVSwitch, resource.KindInstance, resource.KindNetworkInterface}, (*job).bindings},
	{[]resource.Kind{resource.KindVPC, resource.KindNetworkInterface}, (*job).dhcp},
	{[]resource.Kind{resource.KindVPC, resource.KindVSwitch, resource.KindInstance, resource.KindHaVip}, (*job).haVips},
	{groupKindsOf, (*job).securityGroups},
	{[]resource.Kind{resource.KindVPC, resource.KindVSwitch, resource.KindNetworkInterface}, (*job).placements},
	{publicKinds, (*job).uplink},
	{publicKinds, (*job).gateways},
	{append(publicKinds, resource.KindCommonPackage, resource.KindNATPackage), (*job).bandwidths},
	{[]resource.Kind{resource.KindVPC, resource.KindInstance}, (*job).hostLimits},
	{append(publicKinds, resource.KindVSwitch, resource.KindForwardEntry), (*job).dnat},
	{append(publicKinds, resource.KindVSwitch, resource.KindRouteEntry, resource.KindSNATEntry), (*job).snat},
	{append(publicKinds, resource.KindVSwitch, resource.KindRouteEntry, resource.KindForwardEntry, resource.KindSNATEntry), (*job).checkPools},
	{append(publicKinds, resource.KindCustomerGateway, resource.KindVPNConnection, resource.KindVPNRoute, resource.KindSSLServer, resource.KindSSLCertificate), (*job).vpn},
	{[]resource.Kind{resource.KindVPC, resource.KindRouterInterface, resource.KindAcceleration}, (*job).routerInterfaces},
	{[]resource.Kind{resource.KindVPC, resource.KindClassicInstance, resource.KindClassicLink}, (*job).classic},
	{append(publicKinds, resource.KindVSwitch, resource.KindRouteEntry), (*job).routes},
}

// publicKinds decide what a VPC has on the public side.
var publicKinds = []resource.Kind{resource.KindVPC, resource.KindNATGateway, resource.KindElasticIP, resource.KindInstance, resource.KindNetworkInterface, resource.KindHaVip, resource.KindVPNGateway}

// job is one compilation.
type job struct {
	*Compiler
	v        *state.View
	vpc      *resource.VPC                  // whose network it is; else
	border   *resource.VirtualBorderRouter  // whose it is
	instance *resource.AccelerationInstance // likewise
	old      compiled                       // of the view before; without a Network everything is made anew
	dirty    dirty
	network  *dataplane.Network
	read     *public
}

// public returns what the VPC has on the public side.
func (j *job) public() *public {
	switch {
	case j.read != nil:
	case j.old.Network != nil && !j.dirty.any(publicKinds...):
		j.read = j.old.public
	default:
		j.read = readPublic(j.v, j.id)
	}
	return j.read
}

// dirty is what has changed, by kind.
type dirty map[resource.Kind][]state.Change

func newDirty(list []state.Change) dirty {
	d := make(dirty)
	for _, c := range list {
		r := c.New
		if r == nil {
			r = c.Old
		}
		d[r.Kind()] = append(d[r.Kind()], c)
	}
	return d
}

func (d dirty) any(kinds ...resource.Kind) bool {
	for _, k := range kinds {
		if len(d[k]) > 0 {
			return true
		}
	}
	return false
}

// versions calls f with each version of the resources of a kind that has changed.
func versions[R resource.Resource](d dirty, f func(R)) {
	var kind R
	for _, c := range d[kind.Kind()] {
		for _, r := range []resource.Resource{c.Old, c.New} {
			if r, ok := r.(R); ok {
				f(r)
			}
		}
	}
}

func (j *job) constants() error {
	n, s := j.network, j.settings
	n.Prefix, n.Secondary = j.vpc.CIDR, ascending(slices.Clone(j.vpc.Secondary))
	n.Timeouts, n.Bounds, n.Refusal = s.Timeouts, s.Bounds, s.Refusal
	n.Shortcut, n.SourceCheck, n.PortSecurity, n.HostShare = s.Shortcut, s.SourceCheck, s.PortSecurity, s.HostShare
	if n.Timeouts == (dataplane.Timeouts{}) {
		n.Timeouts = dataplane.DefaultTimeouts()
	}
	return nil
}
