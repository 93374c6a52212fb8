package metrics

import (
	"net/netip"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/dataplane"
)

// series is a metric: its values differ in their labels.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) series {
	return series{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) series {
	return series{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

func (s series) send(out chan<- prometheus.Metric, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(s.desc, s.kind, v, labels...)
}

// The labels of a direction: as the hosts of the VPC see it.
const (
	outbound = "out"
	inbound  = "in"
)

// allSeries are those of the control plane and of networks. The latter begin
// with the labels gateway and vpc. What is a gateway's has its id; what no gateway
// translates has none.
type allSeries struct {
	networks, info, failures, repairs, claims, groupDrops series
	neighbours, neighboursMost, neighboursFull            series // of the machine

	bandwidthLimit, bandwidthBytes, bandwidthPackets, bandwidthDropped series // of elastic IPs, whichever VPCs they are in

	open, opened, limit, rateLimit, refused series
	bytes, packets, hits, misses            series
	portsUsed, portsFree, portsRatio        series
	portsRefused, misplaced                 series
	tableEntries, tableMost                 series
	entryOpen, entryRefused                 series

	addresses                              series
	addressBytes, addressPackets           series
	addressSessions, addressSessionsOpened series
	addressSessionsRefused                 series
}

func newSeries() *allSeries {
	of := func(more ...string) []string { return append([]string{"gateway", "vpc"}, more...) }
	return &allSeries{
		networks: gauge("sluice_networks", "VPCs by how far the kernel has followed them: applied, pending or failed.", "state"),
		info:     gauge("sluice_gateway_info", "1 for each NAT gateway, with what describes it as labels.", of("account", "region", "name", "spec")...),
		failures: counter("sluice_traffic_read_failures_total", "Scrapes for which the counters of a network could not be read.", of()...),

		repairs: counter("sluice_repairs_total", "What somebody else changed in the kernel and was put right, by whether that was for the first times or again and again.", of("repeated")...),

		groupDrops: counter("sluice_security_group_dropped_packets_total", "Packets that security groups have dropped, by reason.", of("reason")...),
		claims:     counter("sluice_claims_dropped_total", "Frames from VSwitches that were dropped because their sender used an address that is not its own, by reason.", of("reason")...),

		neighbours:     gauge("sluice_neighbours", "Neighbours that the kernel knows, of all network namespaces of the machine."),
		neighboursMost: gauge("sluice_neighbours_limit", "Neighbours that there may be."),
		neighboursFull: counter("sluice_neighbour_overflows_total", "How often a neighbour could not be added because there were as many as there may be."),

		bandwidthLimit:   gauge("sluice_bandwidth_limit_bytes_per_second", "Bytes of layer 3 that a bandwidth of elastic IPs lets pass in a second, by direction.", "bandwidth", "direction"),
		bandwidthBytes:   counter("sluice_bandwidth_bytes_total", "Bytes of layer 3 that passed a limited bandwidth, by direction.", "bandwidth", "direction"),
		bandwidthPackets: counter("sluice_bandwidth_packets_total", "Packets that passed a limited bandwidth, by direction.", "bandwidth", "direction"),
		bandwidthDropped: counter("sluice_bandwidth_dropped_packets_total", "Packets that were dropped because more came than a bandwidth allows, by direction.", "bandwidth", "direction"),

		open:      gauge("sluice_sessions_open", "Sessions open now, by the kind of entry that translates them.", of("kind")...),
		opened:    counter("sluice_sessions_opened_total", "Sessions opened, by the kind of entry that translates them.", of("kind")...),
		limit:     gauge("sluice_sessions_limit", "Sessions that the gateway's specification allows to be open at once.", of("kind")...),
		rateLimit: gauge("sluice_session_rate_limit", "Sessions that the gateway's specification allows to be opened in a second.", of("kind")...),
		refused:   counter("sluice_sessions_refused_total", "Sessions refused, by reason.", of("reason")...),

		bytes:   counter("sluice_traffic_bytes_total", "Bytes of layer 3 that crossed the public side, by direction.", of("direction")...),
		packets: counter("sluice_traffic_packets_total", "Packets that crossed the public side, by direction.", of("direction")...),
		hits:    counter("sluice_shortcut_hits_total", "Packets that the flow cache forwarded.", of()...),
		misses:  counter("sluice_shortcut_misses_total", "Packets that the flow cache left to the kernel's own path, by reason.", of("reason")...),

		misplaced: counter("sluice_out_of_window_packets_total", "TCP packets with RST or FIN that were dropped, because they were not where their connection is.", of()...),

		portsUsed:  gauge("sluice_elastic_ip_ports_used", "Ports of an elastic IP in use towards the destination with the most.", of("elastic_ip", "protocol")...),
		portsFree:  gauge("sluice_elastic_ip_ports_free", "Ports of an elastic IP that the kernel can still hand out towards that destination.", of("elastic_ip", "protocol")...),
		portsRatio: gauge("sluice_elastic_ip_ports_used_ratio", "Ports in use, as a share of those that the kernel can hand out: at 1 new connections fail.", of("elastic_ip", "protocol")...),

		portsRefused: counter("sluice_elastic_ip_sessions_refused_total", "Sessions refused because no port of the elastic IP was free.", of("elastic_ip", "protocol")...),

		tableEntries: gauge("sluice_conntrack_entries", "Entries that conntrack's table of the VPC has, of whatever is tracked.", of()...),
		tableMost:    gauge("sluice_conntrack_entries_limit", "Entries that there may be.", of()...),
		entryOpen:    gauge("sluice_entry_sessions_open", "Sessions open now of a top DNAT entry, or from outside to a host's own elastic IP.", of("elastic_ip", "protocol", "port")...),
		entryRefused: counter("sluice_entry_sessions_refused_total", "Sessions refused of a top entry because as many were open as may be.", of("elastic_ip", "protocol", "port")...),

		addresses:              gauge("sluice_addresses", "Private addresses that have been counted, with and without series of their own.", of()...),
		addressBytes:           counter("sluice_address_traffic_bytes_total", "Bytes of layer 3 of a top private address that crossed the public side, by direction.", of("address", "direction")...),
		addressPackets:         counter("sluice_address_traffic_packets_total", "Packets of a top private address that crossed the public side, by direction.", of("address", "direction")...),
		addressSessions:        gauge("sluice_address_sessions_open", "Sessions of a top private address that are open now.", of("address")...),
		addressSessionsOpened:  counter("sluice_address_sessions_opened_total", "Sessions opened of a top private address.", of("address")...),
		addressSessionsRefused: counter("sluice_address_sessions_refused_total", "Sessions of a top private address that were refused, by reason.", of("address", "reason")...),
	}
}

func (s *allSeries) list() []series {
	return []series{
		s.networks, s.info, s.failures, s.repairs, s.claims, s.groupDrops,
		s.neighbours, s.neighboursMost, s.neighboursFull,
		s.bandwidthLimit, s.bandwidthBytes, s.bandwidthPackets, s.bandwidthDropped,
		s.open, s.opened, s.limit, s.rateLimit, s.refused,
		s.bytes, s.packets, s.hits, s.misses, s.misplaced,
		s.portsUsed, s.portsFree, s.portsRatio, s.portsRefused,
		s.tableEntries, s.tableMost, s.entryOpen, s.entryRefused,
		s.addresses, s.addressBytes, s.addressPackets, s.addressSessions, s.addressSessionsOpened, s.addressSessionsRefused,
	}
}

// traffic sends what was counted of a network; top are the addresses that have
// series of their own, most how many entries do, by each ranking.
func (s *allSeries) traffic(out chan<- prometheus.Metric, n Network, t *dataplane.Traffic, top []dataplane.AddressTraffic, most int) {
	send := func(of series, v float64, labels ...string) {
		of.send(out, v, append([]string{n.gateway(), n.VPC}, labels...)...)
	}
	for i := range t.Gateways {
		s.gateway(out, n.VPC, &t.Gateways[i])
	}
	for _, r := range t.Refused {
		// Elastic IPs move from one gateway to another, and would take along what was counted.
		if r.Reason == dataplane.RefusedPorts {
			send(s.refused, float64(r.Count), r.Reason)
		}
	}
	send(s.hits, float64(t.Shortcut.Hits))
	for _, m := range t.Shortcut.Misses {
		send(s.misses, float64(m.Count), m.Reason)
	}
	send(s.misplaced, float64(t.Misplaced))
	for _, p := range t.Ports {
		ip, protocol := p.External.String(), protocolName(p.Protocol)
		send(s.portsUsed, float64(p.Used), ip, protocol)
		send(s.portsFree, float64(max(0, p.Most-p.Used)), ip, protocol)
		if p.Most > 0 {
			send(s.portsRatio, float64(p.Used)/float64(p.Most), ip, protocol)
		}
	}
	if t.Table.Most > 0 {
		send(s.tableEntries, float64(t.Table.Entries))
		send(s.tableMost, float64(t.Table.Most))
	}
	for _, e := range topEntries(t.Entries, most) {
		protocol := "any"
		if e.Protocol != 0 {
			protocol = protocolName(e.Protocol)
		}
		labels := []string{e.External.String(), protocol, strconv.Itoa(int(e.Port))}
		send(s.entryOpen, float64(e.Open), labels...)
		send(s.entryRefused, float64(e.Refused), labels...)
	}
	type externalPorts struct {
		ip       netip.Addr
		protocol uint8
	}
	noPort := map[externalPorts]uint64{}
	for _, p := range t.Ports { // so that the first refusal is an increase
		noPort[externalPorts{p.External, p.Protocol}] = 0
	}
	for _, p := range t.NoPort {
		noPort[externalPorts{p.External, p.Protocol}] += p.Count
	}
	for p, count := range noPort {
		send(s.portsRefused, float64(count), p.ip.String(), protocolName(p.protocol))
	}
	send(s.addresses, float64(countAddresses(t.Addresses)))
	for _, a := range top {
		address, send := a.Address.String(), func(of series, v float64, labels ...string) {
			of.send(out, v, append([]string{a.Gateway, n.VPC}, labels...)...)
		}
		send(s.addressBytes, float64(a.Outbound.Bytes), address, outbound)
		send(s.addressBytes, float64(a.Inbound.Bytes), address, inbound)
		send(s.addressPackets, float64(a.Outbound.Packets), address, outbound)
		send(s.addressPackets, float64(a.Inbound.Packets), address, inbound)
		send(s.addressSessions, float64(a.Open), address)
		send(s.addressSessionsOpened, float64(a.Opened), address)
		send(s.addressSessionsRefused, float64(a.NoPort), address, dataplane.RefusedPorts)
		send(s.addressSessionsRefused, float64(a.Share), address, dataplane.RefusedShare)
	}
}

// gateway sends what was counted of a NAT gateway, or of what none translates.
func (s *allSeries) gateway(out chan<- prometheus.Metric, vpc string, g *dataplane.GatewayTraffic) {
	send := func(of series, v float64, labels ...string) {
		of.send(out, v, append([]string{g.ID, vpc}, labels...)...)
	}
	for _, k := range g.Sessions {
		send(s.open, float64(k.Open), string(k.Kind))
		send(s.opened, float64(k.Opened), string(k.Kind))
	}
	// The label makes the limit match what it holds for.
	if l := g.Limits.Connections; l > 0 {
		send(s.limit, float64(l), string(dataplane.SessionSNAT))
	}
	if l := g.Limits.NewPerSecond; l > 0 {
		send(s.rateLimit, float64(l), string(dataplane.SessionSNAT))
	}
	for _, r := range g.Refused {
		if r.Reason != dataplane.RefusedPorts {
			send(s.refused, float64(r.Count), r.Reason)
		}
	}
	send(s.bytes, float64(g.Outbound.Bytes), outbound)
	send(s.bytes, float64(g.Inbound.Bytes), inbound)
	send(s.packets, float64(g.Outbound.Packets), outbound)
	send(s.packets, float64(g.Inbound.Packets), inbound)
}

// countAddresses counts addresses that are listed once for each gateway.
func countAddresses(list []dataplane.AddressTraffic) (n int) {
	for i := range list {
		if i == 0 || list[i].Address != list[i-1].Address {
			n++
		}
	}
	return n
}

// repaired sends how often something was put right in a network.
func (s *allSeries) repaired(out chan<- prometheus.Metric, n Network, r dataplane.Repairs) {
	s.repairs.send(out, float64(r.First), n.gateway(), n.VPC, "no")
	s.repairs.send(out, float64(r.Again), n.gateway(), n.VPC, "yes")
}

// claimed sends how many frames were dropped because of whose address they used.
func (s *allSeries) claimed(out chan<- prometheus.Metric, n Network, counts dataplane.ClaimCounts) {
	for reason, frames := range counts {
		s.claims.send(out, float64(frames), n.gateway(), n.VPC, reason)
	}
}

// barred sends how many packets security groups have dropped.
func (s *allSeries) barred(out chan<- prometheus.Metric, n Network, drops map[string]uint64) {
	for reason, packets := range drops {
		s.groupDrops.send(out, float64(packets), n.gateway(), n.VPC, reason)
	}
}

func protocolName(p uint8) string {
	switch p {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	default:
		return strconv.Itoa(int(p))
	}
}
