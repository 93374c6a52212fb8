package vpn

import (
	"net/netip"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// maxSubnets is how many subnets a side of a connection may have: each local
// one makes a CHILD_SA with each remote one.
const maxSubnets = 10

// everywhere as a subnet means that routes alone decide what goes through a
// tunnel.
var everywhere = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// linkLocal is where the addresses of tunnels come from.
var linkLocal = netip.MustParsePrefix("169.254.0.0/16")

// check refuses a connection as a whole. x is as it should come to be, old as it
// was, nil for a new one; able is what the dataplane can carry.
//
// Subnets of the two sides may overlap, and those of other connections and the
// VPC's blocks, too: what lies in a VSwitch stays there, and of tunnels the one
// with the longer prefix is taken. Remote subnets do not overlap the addresses of
// SSL-VPN clients.
//
// Reasons, in this order: VPNLocalSubnets, VPNRemoteSubnets, VPNRemoteInVPC,
// VPNConnectionExists, ParameterInvalid, those of checkConflicts, VPNHealthCheck, VPNBGP,
// VPNAlgorithmRefused.
func (s *Service) check(v *state.View, old, x *resource.VPNConnection, g *resource.VPNGateway, peer *resource.CustomerGateway, able *dataplane.VPNAbilities) error {
	if err := checkPolicies(v, old, x, s.rules); err != nil {
		return err
	}
	if err := outsidePools(v, x); err != nil {
		return err
	}
	for other := range v.VPNConnections.By(state.ByGateway, x.Gateway).All() {
		if other.ID != x.ID && other.CustomerGateway == x.CustomerGateway &&
			other.Policies.Same(x.Policies) {
			return fault.New(fault.VPNConnectionExists, "connection %s has the same gateways and subnets", other.ID)
		}
	}
	if x.IKE.Version != 1 && x.IKE.Version != 2 || !x.IKE.Proposal.Known() || x.IKE.Proposal.Group == 0 || x.IKE.Proposal.Encryption == dataplane.Null || !x.IPsec.Proposal.Known() {
		return fault.New(fault.ParameterInvalid, "IKEv%d with %+v and %+v: there is no such version, algorithm or group", x.IKE.Version, x.IKE.Proposal, x.IPsec.Proposal)
	}
	if err := s.checkConflicts(v, old, x, g, peer); err != nil {
		return err
	}
	if err := checkHealth(v, x); err != nil {
		return err
	}
	if err := checkBGP(v, x, peer); err != nil {
		return err
	}
	c, err := s.compiled(x, g, peer)
	if err != nil {
		return err
	}
	if err := able.Refuses(&c); err != nil {
		return fault.Explained(fault.VPNAlgorithmRefused, "%v", err)
	}
	return nil
}

// checkPolicies refuses pairs that cannot be, or that the rules do not allow. Those of an
// exclusive connection lie outside the VPC, so that it holds nothing of that.
//
// Reasons, in this order: VPNLocalSubnets, VPNRemoteSubnets, VPNRemoteInVPC.
func checkPolicies(v *state.View, old, x *resource.VPNConnection, rules Rules) error {
	if err := checkSubnets(locals(x.Policies), fault.VPNLocalSubnets); err != nil {
		return err
	}
	for _, p := range x.Policies {
		if err := checkSubnets(p.Remotes, fault.VPNRemoteSubnets); err != nil {
			return err
		}
	}
	vpc, ok := v.VPCs.Get(x.VPC)
	if !ok || !rules.RemoteOutsideVPC || old != nil && old.Policies.Same(x.Policies) {
		return nil
	}
	for _, r := range x.Policies.Remotes() {
		if block, inside := overlapping(r, vpc.Blocks()); inside {
			return fault.Explained(fault.VPNRemoteInVPC, "%s overlaps %s of VPC %s", r, block, vpc.ID)
		}
	}
	return nil
}

// locals returns the local subnet of each policy, one that two have twice.
func locals(list dataplane.VPNPolicies) (all []netip.Prefix) {
	for i := range list {
		all = append(all, list[i].Local)
	}
	return all
}

func checkSubnets(list []netip.Prefix, reason fault.Reason) error {
	if len(list) == 0 || len(list) > maxSubnets {
		return fault.Explained(reason, "%d subnets; a side has 1 to %d", len(list), maxSubnets)
	}
	for i, p := range list {
		switch {
		case !canonical(p):
			return fault.Explained(reason, "%s has host bits; write a network without them", p)
		case slices.Contains(list[:i], p):
			return fault.Explained(reason, "%s is listed twice", p)
		}
	}
	return nil
}

// canonical says whether p is an IPv4 network without host bits.
func canonical(p netip.Prefix) bool {
	return p.IsValid() && p.Addr().Is4() && p == p.Masked()
}

// within says whether inner lies in outer, or equals it.
func within(inner, outer netip.Prefix) bool {
	return inner.Bits() >= outer.Bits() && outer.Contains(inner.Addr())
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// checkHealth refuses probes that could not come through the tunnel: only what
// lies in a local and in a remote subnet does, and not what lies in a VSwitch,
// which comes before any tunnel.
func checkHealth(v *state.View, x *resource.VPNConnection) error {
	h := x.HealthCheck
	if !h.Enabled {
		return nil
	}
	refuse := func(why string, args ...any) error { return fault.Explained(fault.VPNHealthCheck, why, args...) }
	switch {
	case !h.Source.IsValid() || !h.Destination.IsValid():
		return refuse("a health check needs both sip and dip")
	case !holds(x.Policies.Locals(), h.Source):
		return refuse("sip %s is in none of the local subnets", h.Source)
	case !holds(x.Policies.Remotes(), h.Destination):
		return refuse("dip %s is in none of the remote subnets", h.Destination)
	case !x.Policies.Carry(h.Source, h.Destination):
		return refuse("no pair of subnets has sip %s and dip %s", h.Source, h.Destination)
	}
	for sw := range v.VSwitches.By(state.ByVPC, x.VPC).All() {
		if sw.CIDR.Contains(h.Destination) {
			return refuse("dip %s lies in %s of VSwitch %s, not at the remote site", h.Destination, sw.CIDR, sw.ID)
		}
	}
	return nil
}

// checkBGP refuses a BGP session that cannot come up, and the tunnel addresses
// of another connection of the gateway.
func checkBGP(v *state.View, x *resource.VPNConnection, peer *resource.CustomerGateway) error {
	b := x.BGP
	if !b.Enabled {
		return nil
	}
	refuse := func(why string, args ...any) error { return fault.Explained(fault.VPNBGP, why, args...) }
	if !b.Tunnel.IsValid() {
		return refuse("BGP needs a TunnelCidr")
	}
	first, second := resource.TunnelHosts(b.Tunnel)
	switch {
	case !canonical(b.Tunnel) || b.Tunnel.Bits() != 30 || !within(b.Tunnel, linkLocal):
		return refuse("TunnelCidr %s is not a /30 in %s", b.Tunnel, linkLocal)
	case b.LocalIP != first && b.LocalIP != second:
		return refuse("LocalBgpIp %s is none of the two hosts of %s, %s and %s", b.LocalIP, b.Tunnel, first, second)
	case b.LocalASN == 0:
		return refuse("LocalAsn 0 is reserved")
	case peer.ASN == 0:
		return refuse("customer gateway %s has no Asn", peer.ID)
	}
	for other := range v.VPNConnections.By(state.ByGateway, x.Gateway).All() {
		if other.ID != x.ID && other.BGP.Enabled && other.BGP.Tunnel == b.Tunnel {
			return refuse("TunnelCidr %s is that of connection %s", b.Tunnel, other.ID)
		}
	}
	return nil
}
