package compile

import (
	"net/netip"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// accelerationParts are what the Network of a global acceleration instance is made of.
var accelerationParts = []part{
	{[]resource.Kind{resource.KindAcceleration}, (*job).acceleration},
}

// acceleration is the network of a global acceleration instance. While it has a backend,
// its address leads to that, and it is linked with the backend's VPC; without one there
// is nothing in it.
func (j *job) acceleration() error {
	n, s, a := j.network, j.settings, j.instance
	n.Timeouts, n.Bounds, n.Refusal, n.Shortcut = s.Timeouts, s.Bounds, s.Refusal, s.Shortcut
	if n.Timeouts == (dataplane.Timeouts{}) {
		n.Timeouts = dataplane.DefaultTimeouts()
	}
	n.Prefix, n.Uplink, n.Elastic, n.Mappings, n.Bandwidths, n.RouterInterfaces, n.Routes = netip.Prefix{}, nil, nil, nil, nil, nil, nil
	public, ok := s.PublicNetworkOf(a.Region)
	if a.Backend == nil || !ok {
		return nil
	}
	own, vpc := a.Ends()
	n.Uplink, n.Elastic = &public.Uplink, []netip.Addr{a.Address}
	n.Mappings = []dataplane.Mapping{{External: a.Address, Internal: a.Backend.Address}}
	if held := s.Bandwidth; held.Held {
		n.Bandwidths = []dataplane.Bandwidth{{ID: a.ID, Elastic: n.Elastic, Outbound: a.Bandwidth, Inbound: held.Inbound(a.Bandwidth)}}
	}
	// The backend's address is all that is private here.
	n.Prefix = netip.PrefixFrom(a.Backend.Address, a.Backend.Address.BitLen())
	n.RouterInterfaces = []dataplane.RouterInterface{{ID: own, Peer: vpc, Network: a.VPC}}
	n.Routes = []dataplane.Route{{Destination: n.Prefix, NextHops: []dataplane.NextHop{{Interface: own}}}}
	return nil
}

// accelerated returns the VPC's ends of the links by which global acceleration instances
// lead to backends in it: whoever calls those is seen as who he is.
func (j *job) accelerated() (out []dataplane.RouterInterface) {
	for a := range j.v.Accelerations.By(state.ByVPC, j.id).All() {
		if a.Backend != nil {
			own, vpc := a.Ends()
			out = append(out, dataplane.RouterInterface{ID: vpc, Peer: own, Network: a.ID, Public: true})
		}
	}
	return out
}
