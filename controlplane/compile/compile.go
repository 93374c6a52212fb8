package compile

import (
	"fmt"

	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Compile returns what the dataplane of a VPC should hold by v; open decrypts
// pre-shared keys, and may be nil where there are no VPN connections. It fails if
// the VPC is not in v, and if resources contradict one another in a way that
// the services refuse: half of a contradiction is not put into the kernel.
func Compile(v *state.View, s *settings.Settings, vpc string, open Opener) (*dataplane.Network, error) {
	r, ok := v.VPCs.Get(vpc)
	if !ok {
		return nil, fmt.Errorf("compile network %s: there is no such VPC", vpc)
	}
	n := &dataplane.Network{
		ID:       r.ID,
		Revision: v.Revision,
		Prefix:   r.CIDR,
		Switches: switches(v, s, vpc),
		Timeouts: s.Timeouts,
		Limits:   limits(v, vpc),
		Bounds:   s.Bounds,
		Refusal:  s.Refusal,
		Shortcut: s.Shortcut,
	}
	if n.Timeouts == (dataplane.Timeouts{}) {
		n.Timeouts = dataplane.DefaultTimeouts()
	}
	p := readPublic(v, vpc)
	if network, ok := s.PublicNetworkOf(r.Region); ok && p.used() {
		uplink := network.Uplink
		n.Uplink = &uplink
		n.Elastic = p.addresses()
		n.Mappings = p.mappings()
		var err error
		if n.DNAT, err = dnat(v, n, p); err != nil {
			return nil, fmt.Errorf("compile network %s: %w", vpc, err)
		}
		if n.SNAT, err = snat(v, n, p); err != nil {
			return nil, fmt.Errorf("compile network %s: %w", vpc, err)
		}
		if n.VPN, err = vpnGateway(v, r, open); err != nil {
			return nil, fmt.Errorf("compile network %s: %w", vpc, err)
		}
	}
	n.Routes = routes(v, n)
	return n, nil
}

// limits are those of the VPC's NAT gateway. Without one nothing is translated that they could hold for.
func limits(v *state.View, vpc string) dataplane.Limits {
	for g := range v.NATGateways.By(state.ByVPC, vpc).All() {
		return dataplane.Limits{Connections: g.Limits.Sessions, NewPerSecond: g.Limits.NewASecond}
	}
	return dataplane.Limits{}
}

// isECS says whether an instance of the inventory is an ECS instance, the only
// kind that DNAT entries lead to.
func isECS(i *resource.Instance) bool { return i.Type == resource.Host }
