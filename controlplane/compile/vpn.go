package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Opener decrypts the secret that was sealed for a name.
type Opener func(name string, sealed []byte) ([]byte, error)

// vpn are the VPC's VPN gateways, by id.
func (j *job) vpn() error {
	j.network.VPNGateways = nil
	if j.network.Uplink == nil {
		return nil
	}
	for g := range j.v.VPNGateways.By(state.ByVPC, j.id).All() {
		if !g.IPsec && !g.SSL {
			continue
		}
		made, err := vpnGateway(j.v, j.vpc, g, j.open)
		if err != nil {
			return err
		}
		j.network.VPNGateways = append(j.network.VPNGateways, *made)
	}
	slices.SortFunc(j.network.VPNGateways, func(a, b dataplane.VPNGateway) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// vpnGateway fails if a pre-shared or private key does not open, or if the customer gateway of
// a connection is gone, which the services refuse.
func vpnGateway(v *state.View, vpc *resource.VPC, g *resource.VPNGateway, open Opener) (*dataplane.VPNGateway, error) {
	out := &dataplane.VPNGateway{ID: g.ID, Address: g.Address, IPsec: g.IPsec, Bandwidth: g.Bandwidth, Propagate: g.AutoPropagate}
	var err error
	if out.SSL, err = sslServers(v, g, open); err != nil {
		return nil, err
	}
	if !g.IPsec {
		return out, nil
	}
	connected, bgp := make(map[string]bool), false
	for c := range v.VPNConnections.By(state.ByGateway, g.ID).All() {
		peer, ok := v.CustomerGateways.Get(c.CustomerGateway)
		if !ok {
			return nil, fmt.Errorf("VPN connection %s: its customer gateway %s is gone: delete the connection", c.ID, c.CustomerGateway)
		}
		if open == nil {
			return nil, fmt.Errorf("VPN connection %s: nothing opens its pre-shared key", c.ID)
		}
		psk, err := open(c.ID, c.IKE.PSK)
		if err != nil {
			return nil, fmt.Errorf("VPN connection %s: %w", c.ID, err)
		}
		x := Connection(c, g, peer, string(psk))
		connected[c.ID], bgp = true, bgp || x.BGP != nil
		out.Connections = append(out.Connections, x)
	}
	slices.SortFunc(out.Connections, func(a, b dataplane.VPNConnection) int { return strings.Compare(a.ID, b.ID) })
	if bgp {
		out.Announce = append(out.Announce, vpc.Blocks()...)
	}
	for r := range v.VPNRoutes.By(state.ByGateway, g.ID).All() {
		if !connected[r.Connection] {
			continue // it leads nowhere (any more)
		}
		out.Routes = append(out.Routes, dataplane.VPNRoute{
			Source: r.Source, Destination: r.Destination, Connection: r.Connection,
			Standby: r.Standby, Published: r.Published,
		})
		if bgp && r.Published {
			out.Announce = append(out.Announce, r.Destination)
		}
	}
	slices.SortFunc(out.Routes, func(a, b dataplane.VPNRoute) int {
		return cmp.Or(a.Source.Compare(b.Source), a.Destination.Compare(b.Destination), strings.Compare(a.Connection, b.Connection))
	})
	out.Announce = ascending(out.Announce)
	return out, nil
}

// Connection returns what the dataplane should know of a connection of g with
// peer. psk is the pre-shared key in clear.
func Connection(c *resource.VPNConnection, g *resource.VPNGateway, peer *resource.CustomerGateway, psk string) dataplane.VPNConnection {
	out := dataplane.VPNConnection{
		ID:           c.ID,
		Remote:       peer.Address,
		LocalID:      cmp.Or(c.IKE.LocalID, g.Address.String()),
		RemoteID:     cmp.Or(c.IKE.RemoteID, peer.Address.String()),
		PSK:          dataplane.Secret(psk),
		IKE:          c.IKE.IKE,
		ESP:          c.IPsec,
		Policies:     policies(c.Policies),
		Exclusive:    c.Exclusive,
		Resets:       c.Resets,
		Start:        c.EffectImmediately,
		DPD:          c.DPD,
		NATTraversal: c.NATTraversal,
	}
	out.IKE.Aggressive = out.IKE.Version == 1 && out.IKE.Aggressive
	if h := c.HealthCheck; h.Enabled {
		out.Health = &dataplane.VPNHealth{Source: h.Source, Destination: h.Destination, Interval: seconds(h.Interval), Retries: h.Retries}
	}
	if b := c.BGP; b.Enabled {
		out.BGP = &dataplane.VPNBGP{Tunnel: b.Tunnel, LocalIP: b.LocalIP, LocalASN: b.LocalASN, PeerASN: peer.ASN}
	}
	return out
}

// policies returns them in the dataplane's order, each local subnet once.
func policies(list dataplane.VPNPolicies) dataplane.VPNPolicies {
	remotes := map[netip.Prefix][]netip.Prefix{}
	for l, r := range list.Pairs() {
		remotes[l] = append(remotes[l], r)
	}
	var out dataplane.VPNPolicies
	for _, l := range ascending(list.Locals()) {
		out = append(out, dataplane.VPNPolicy{Local: l, Remotes: ascending(remotes[l])})
	}
	return out
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func ascending(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}
