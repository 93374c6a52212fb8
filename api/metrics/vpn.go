package metrics

import (
	"context"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/dataplane"
)

// Tunnels reads how VPN connections and SSL-VPN servers are.
type Tunnels interface {
	// SSL returns the live state of the SSL-VPN servers of a network, by id.
	SSL(ctx context.Context, network string) (map[string]dataplane.SSLStatus, error)
	// VPN returns the live state of the connections of a network, by id.
	VPN(ctx context.Context, network string) (map[string]dataplane.VPNStatus, error)
}

// VPNConnection is a connection of a network's VPN gateway.
type VPNConnection struct {
	ID, Gateway, Account, Region, Name string
	Peer                               string // the customer gateway's address
	BGP                                bool   // it is to have a BGP session
}

// vpnSeries are those of VPN connections. Each begins with the labels
// connection, gateway and vpc.
type vpnSeries struct {
	info, ike, child, failed, bgp       series
	fault, sas, pairs                   series
	rekeys, dpd, failures, bytes, parts series
}

func newVPNSeries() *vpnSeries {
	of := func(more ...string) []string { return append([]string{"connection", "gateway", "vpc"}, more...) }
	return &vpnSeries{
		info:     gauge("sluice_vpn_connection_info", "1 for each VPN connection, with what describes it as labels.", of("account", "region", "name", "peer")...),
		ike:      gauge("sluice_vpn_ike_sa_established", "Whether a VPN connection has an IKE_SA.", of()...),
		child:    gauge("sluice_vpn_ipsec_sa_established", "Whether a VPN connection has a CHILD_SA.", of()...),
		failed:   gauge("sluice_vpn_health_check_failed", "Whether the health check of a VPN connection has failed.", of()...),
		bgp:      gauge("sluice_vpn_bgp_session_established", "Whether the BGP session of a VPN connection is established.", of()...),
		fault:    gauge("sluice_vpn_fault", "1 while a VPN connection, or a part of it, cannot be negotiated, by what is wrong and where to look first.", of("kind", "side")...),
		sas:      gauge("sluice_vpn_ike_sas", "IKE_SAs of a VPN connection, those being negotiated or taken down included.", of()...),
		pairs:    gauge("sluice_vpn_subnet_pairs", "Pairs of a local and a remote subnet of a VPN connection that are carried (up), and that are not (missing).", of("state")...),
		rekeys:   counter("sluice_vpn_rekeys_total", "IKE_SAs and CHILD_SAs of a VPN connection that were rekeyed.", of()...),
		dpd:      counter("sluice_vpn_dpd_events_total", "How often dead peer detection found the peer of a VPN connection dead.", of()...),
		failures: counter("sluice_vpn_negotiation_failures_total", "Negotiations of a VPN connection that failed.", of()...),
		bytes:    counter("sluice_vpn_traffic_bytes_total", "Bytes that a VPN connection carried, by direction.", of("direction")...),
		parts:    counter("sluice_vpn_traffic_packets_total", "Packets that a VPN connection carried, by direction.", of("direction")...),
	}
}

func (s *vpnSeries) list() []series {
	return []series{s.info, s.ike, s.child, s.failed, s.bgp, s.fault, s.sas, s.pairs, s.rekeys, s.dpd, s.failures, s.bytes, s.parts}
}

// send sends what is known of a network's connections. What has no state yet is
// not established.
func (s *vpnSeries) send(out chan<- prometheus.Metric, n Network, states map[string]dataplane.VPNStatus) {
	for _, c := range n.Connections {
		labels := []string{c.ID, c.Gateway, n.VPC}
		one := func(of series, v float64, more ...string) { of.send(out, v, append(slices.Clone(labels), more...)...) }
		one(s.info, 1, c.Account, c.Region, strings.ToValidUTF8(c.Name, "\uFFFD"), c.Peer)
		state := states[c.ID]
		one(s.ike, truth(state.IKE))
		one(s.child, truth(state.Child))
		if state.Checked {
			one(s.failed, truth(state.Failed))
		}
		if c.BGP {
			one(s.bgp, truth(state.BGP))
		}
		if state.Error != "" {
			one(s.fault, 1, state.Fault.Kind, string(state.Fault.Side))
		}
		one(s.sas, float64(len(state.SAs)))
		up := 0
		for _, p := range state.Pairs {
			if p.Up {
				up++
			}
		}
		one(s.pairs, float64(up), "up")
		one(s.pairs, float64(len(state.Pairs)-up), "missing")
		one(s.rekeys, float64(state.Rekeys))
		one(s.dpd, float64(state.DPDEvents))
		one(s.failures, float64(state.Failures))
		one(s.bytes, float64(state.Outbound.Bytes), outbound)
		one(s.bytes, float64(state.Inbound.Bytes), inbound)
		one(s.parts, float64(state.Outbound.Packets), outbound)
		one(s.parts, float64(state.Inbound.Packets), inbound)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
