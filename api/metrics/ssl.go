package metrics

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/dataplane"
)

// SSLServer is an SSL-VPN server of a network's VPN gateway.
type SSLServer struct {
	ID, Gateway, Account, Region, Name string
	Limit                              int       // most clients at once
	Expires                            time.Time // its own certificate
	Certificates                       []SSLCertificate
}

// SSLCertificate is a client certificate of an SSL-VPN server.
type SSLCertificate struct {
	ID, Name string
	Expires  time.Time
}

// sslSeries are those of SSL-VPN servers. Each begins with the labels server, gateway and vpc.
type sslSeries struct {
	info, up, clients, limit          series
	starts, refused, failures         series
	bytes, packets                    series
	serverExpires, certificateExpires series
}

func newSSLSeries() *sslSeries {
	of := func(more ...string) []string { return append([]string{"server", "gateway", "vpc"}, more...) }
	return &sslSeries{
		info:               gauge("sluice_ssl_vpn_server_info", "1 for each SSL-VPN server, with what describes it as labels.", of("account", "region", "name")...),
		up:                 gauge("sluice_ssl_vpn_server_up", "Whether OpenVPN runs for an SSL-VPN server and listens, with the settings that it should have.", of()...),
		clients:            gauge("sluice_ssl_vpn_clients", "Clients of an SSL-VPN server that are connected.", of()...),
		limit:              gauge("sluice_ssl_vpn_clients_limit", "How many clients of an SSL-VPN server may be connected at once.", of()...),
		starts:             counter("sluice_ssl_vpn_server_starts_total", "How often OpenVPN was started for an SSL-VPN server.", of()...),
		refused:            counter("sluice_ssl_vpn_clients_refused_total", "Clients that an SSL-VPN server refused beyond its limit.", of()...),
		failures:           counter("sluice_ssl_vpn_login_failures_total", "Handshakes and logins at an SSL-VPN server that failed, by reason.", of("reason")...),
		bytes:              counter("sluice_ssl_vpn_traffic_bytes_total", "Bytes that an SSL-VPN server carried, by direction.", of("direction")...),
		packets:            counter("sluice_ssl_vpn_traffic_packets_total", "Packets that an SSL-VPN server carried, by direction.", of("direction")...),
		serverExpires:      gauge("sluice_ssl_vpn_server_certificate_expiry_seconds", "When an SSL-VPN server's own certificate ends, in seconds since 1970.", of()...),
		certificateExpires: gauge("sluice_ssl_vpn_client_certificate_expiry_seconds", "When a client certificate of an SSL-VPN server ends, in seconds since 1970.", of("certificate", "name")...),
	}
}

func (s *sslSeries) list() []series {
	return []series{s.info, s.up, s.clients, s.limit, s.starts, s.refused, s.failures, s.bytes, s.packets, s.serverExpires, s.certificateExpires}
}

// send sends what is known of a network's SSL-VPN servers. One of which nothing is known
// does not run.
func (s *sslSeries) send(out chan<- prometheus.Metric, n Network, states map[string]dataplane.SSLStatus) {
	valid := func(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }
	for _, x := range n.SSLServers {
		labels := []string{x.ID, x.Gateway, n.VPC}
		one := func(of series, v float64, more ...string) { of.send(out, v, append(slices.Clone(labels), more...)...) }
		state := states[x.ID]
		one(s.info, 1, x.Account, x.Region, valid(x.Name))
		one(s.up, truth(state.Running))
		one(s.clients, float64(len(state.Clients)))
		limit := x.Limit
		if state.Limit > 0 {
			limit = state.Limit
		}
		one(s.limit, float64(limit))
		one(s.starts, float64(state.Starts))
		one(s.refused, float64(state.Refused))
		for reason, count := range state.Failures {
			one(s.failures, float64(count), reason)
		}
		one(s.bytes, float64(state.Outbound.Bytes), outbound)
		one(s.bytes, float64(state.Inbound.Bytes), inbound)
		one(s.packets, float64(state.Outbound.Packets), outbound)
		one(s.packets, float64(state.Inbound.Packets), inbound)
		one(s.serverExpires, float64(x.Expires.Unix()))
		for _, c := range x.Certificates {
			one(s.certificateExpires, float64(c.Expires.Unix()), c.ID, valid(c.Name))
		}
	}
}

// sslServers sends what is known of the SSL-VPN servers of a network.
func (c *collector) sslServers(ctx context.Context, out chan<- prometheus.Metric, n Network) {
	states, err := c.tunnels.SSL(ctx, n.VPC)
	if err != nil {
		c.log.Debug("SSL-VPN servers cannot be read for /metrics", "vpc", n.VPC, "error", err)
	}
	c.ssl.send(out, n, states)
}
