package vpn

import (
	"net/netip"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Mask lengths, both ends included, and how many subnets clients may reach, as of today's API.
const (
	poolMaskMin, poolMaskMax   = 16, 29
	reachMaskMin, reachMaskMax = 8, 32
	maxReach                   = 5
)

// poolTaken is how many addresses of a pool no client gets: the network's, the server's own
// and the broadcast address.
const poolTaken = 3

// sslPorts are those that a server may not have (VPN Gateway API reference,
// CreateSslVpnServer).
var sslPorts = []uint16{22, 2222, 22222, 9000, 9001, 9002, 7505, 80, 443, 53, 68, 123, 4510, 4560, 500, 4500}

// checkSSLServer refuses a server as a whole: x as it should come to be.
//
// Reasons, in this order: SSLPort, SSLLocalSubnets, SSLPool.
func (s *Service) checkSSLServer(v *state.View, x *resource.SSLServer, g *resource.VPNGateway, vpc *resource.VPC) error {
	if err := checkSSLPort(v, x); err != nil {
		return err
	}
	if err := checkReach(x.Local, g); err != nil {
		return err
	}
	return s.checkPool(v, x, g, vpc)
}

func checkSSLPort(v *state.View, x *resource.SSLServer) error {
	if x.Port == 0 || slices.Contains(sslPorts, x.Port) {
		return fault.Explained(fault.SSLPort, "%d is not for an SSL-VPN server; take 1194 or another port but for %v", x.Port, sslPorts)
	}
	for other := range v.SSLServers.By(state.ByGateway, x.Gateway).All() {
		if other.ID != x.ID && other.Port == x.Port && other.Protocol == x.Protocol {
			return fault.Explained(fault.SSLPort, "%s port %d is that of SSL-VPN server %s", x.Protocol, x.Port, other.ID)
		}
	}
	return nil
}

// checkReach refuses subnets that clients can't be led to. Outside the VPC there may be remote
// sites; that one may lie in another changes nothing.
func checkReach(list []netip.Prefix, g *resource.VPNGateway) error {
	refuse := func(format string, args ...any) error {
		return fault.Explained(fault.SSLLocalSubnets, format, args...)
	}
	if len(list) == 0 || len(list) > maxReach {
		return refuse("%d subnets; clients reach 1 to %d", len(list), maxReach)
	}
	for i, p := range list {
		switch {
		case !canonical(p):
			return refuse("%s has host bits; write a network without them", p)
		case p.Bits() < reachMaskMin || p.Bits() > reachMaskMax:
			return refuse("%s; the mask is %d to %d bits", p, reachMaskMin, reachMaskMax)
		case slices.Contains(list[:i], p):
			return refuse("%s is listed twice", p)
		case p.Contains(g.Address):
			return refuse("%s holds %s, by which clients reach the VPN gateway itself", p, g.Address)
		}
		if n, ok := overlapping(p, network.Unroutable()); ok {
			return refuse("%s overlaps %s, where nothing can be routed", p, n)
		}
	}
	return nil
}

// checkPool refuses a pool in which addresses would mean something else, too, or that has too
// few for the clients that may be connected.
//
// A route entry may lead to a block that the pool lies in: the pool has the longer prefix. What
// lies in the pool, or is said to be at a remote site, is refused.
func (s *Service) checkPool(v *state.View, x *resource.SSLServer, g *resource.VPNGateway, vpc *resource.VPC) error {
	refuse := func(format string, args ...any) error { return fault.Explained(fault.SSLPool, format, args...) }
	p := x.Pool
	switch {
	case !canonical(p):
		return refuse("%s has host bits; write a network without them", p)
	case p.Bits() < poolMaskMin || p.Bits() > poolMaskMax:
		return refuse("%s; the mask is %d to %d bits", p, poolMaskMin, poolMaskMax)
	}
	if n := 1<<(32-p.Bits()) - poolTaken; n < g.SSLConnections {
		return refuse("%s has addresses for %d clients, and %d may be connected", p, n, g.SSLConnections)
	}
	if n, ok := overlapping(p, append(network.Unroutable(), network.CarrierGrade)); ok {
		return refuse("%s overlaps %s, which is not for clients", p, n)
	}
	if !network.Private(p) && !slices.ContainsFunc(vpc.UserCIDRs, func(u netip.Prefix) bool { return within(p, u) }) {
		return refuse("%s is neither private nor within a UserCidr of the VPC", p)
	}
	for _, public := range s.settings.Public {
		if public.Uplink.Prefix.IsValid() && p.Overlaps(public.Uplink.Prefix) {
			return refuse("%s overlaps %s of a public network", p, public.Uplink.Prefix)
		}
	}
	if n, ok := overlapping(p, vpc.Blocks()); ok {
		return refuse("%s overlaps %s of VPC %s", p, n, vpc.ID)
	}
	if n, ok := overlapping(p, x.Local); ok {
		return refuse("%s overlaps %s, which clients are to reach", p, n)
	}
	if n, ok := s.settings.ClassicNetworkOf(vpc.Region); ok && n.Prefix.Overlaps(p) && v.ClassicLinks.By(state.ByVPC, vpc.ID).Len() > 0 {
		return refuse("%s overlaps %s, the classic network, with instances of which VPC %s is linked", p, n.Prefix, vpc.ID)
	}
	for other := range v.SSLServers.By(state.ByVPC, vpc.ID).All() {
		if other.ID != x.ID && other.Pool.Overlaps(p) {
			return refuse("%s overlaps %s of SSL-VPN server %s", p, other.Pool, other.ID)
		}
	}
	for c := range v.VPNConnections.By(state.ByVPC, vpc.ID).All() {
		if n, ok := atSite(p, c.Policies.Remotes()); ok {
			return refuse("%s overlaps %s at the remote site of VPN connection %s", p, n, c.ID)
		}
	}
	if what, ok := network.LedInto(v, vpc.ID, p); ok {
		return refuse("%s contains the destination of %s", p, what)
	}
	return nil
}

// atSite returns the first of a connection's remote subnets that a pool overlaps. 0.0.0.0/0
// says nothing of what is at the site.
func atSite(pool netip.Prefix, remote []netip.Prefix) (netip.Prefix, bool) {
	return overlapping(pool, slices.DeleteFunc(slices.Clone(remote), func(p netip.Prefix) bool { return p == everywhere }))
}

func overlapping(p netip.Prefix, list []netip.Prefix) (netip.Prefix, bool) {
	for _, n := range list {
		if n.Overlaps(p) {
			return n, true
		}
	}
	return netip.Prefix{}, false
}

// outsidePools refuses a connection whose remote site has addresses of a pool of clients.
// Reason: VPNRemoteSubnets.
func outsidePools(v *state.View, x *resource.VPNConnection) error {
	for server := range v.SSLServers.By(state.ByVPC, x.VPC).All() {
		if n, ok := atSite(server.Pool, x.Policies.Remotes()); ok {
			return fault.Explained(fault.VPNRemoteSubnets, "%s overlaps %s, the addresses of the clients of SSL-VPN server %s", n, server.Pool, server.ID)
		}
	}
	return nil
}
