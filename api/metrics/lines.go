package metrics

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/controlplane/leasedline"
	"sluice/dataplane"
)

// Lines tells which ports leased lines end in, and how their devices are.
type Lines interface {
	Ports() []leasedline.Port
}

// LineMeter reads what has passed the device of a line.
type LineMeter interface {
	LineTraffic(device string) (dataplane.LineTraffic, error)
}

// lineSeries are those of the ports of access points. Each has the label device.
type lineSeries struct {
	lines Lines
	meter LineMeter
	log   *slog.Logger

	info, carrier, up, speed, changed series
	limit, bytes, packets, dropped    series
}

func newLineSeries(l Lines, m LineMeter, log *slog.Logger) *lineSeries {
	of := func(more ...string) []string { return append([]string{"device"}, more...) }
	return &lineSeries{
		lines: l, meter: m, log: log,
		info:    gauge("sluice_line_info", "1 for each port of an access point, with what describes it, and the physical connection that it has, as labels.", of("access_point", "port", "line", "account")...),
		carrier: gauge("sluice_line_carrier", "Whether the device of a port has a link.", of()...),
		up:      gauge("sluice_line_up", "Whether the device of a port is there and set up.", of()...),
		speed:   gauge("sluice_line_speed_bytes", "Speed of a port's device in bytes a second; missing where its driver does not tell.", of()...),
		changed: gauge("sluice_line_change_seconds", "When the device of a port was seen to change last, in seconds since 1970.", of()...),
		limit:   gauge("sluice_line_bandwidth_limit_bytes", "What a line is held to in bytes a second, by direction.", of("direction")...),
		bytes:   counter("sluice_line_traffic_bytes_total", "Bytes that passed a line since its bandwidth is held, by direction.", of("direction")...),
		packets: counter("sluice_line_traffic_packets_total", "Packets that passed a line since its bandwidth is held, by direction.", of("direction")...),
		dropped: counter("sluice_line_dropped_packets_total", "Packets that a line had no bandwidth for, by direction.", of("direction")...),
	}
}

// Describe implements prometheus.Collector.
func (s *lineSeries) Describe(out chan<- *prometheus.Desc) {
	for _, x := range []series{s.info, s.carrier, s.up, s.speed, s.changed, s.limit, s.bytes, s.packets, s.dropped} {
		out <- x.desc
	}
}

// Collect implements prometheus.Collector.
func (s *lineSeries) Collect(out chan<- prometheus.Metric) {
	truth := func(v bool) float64 {
		if v {
			return 1
		}
		return 0
	}
	for _, p := range s.lines.Ports() {
		s.info.send(out, 1, p.Device, p.AccessPoint, p.Number, p.Line, p.Account)
		s.carrier.send(out, truth(p.Link.Carrier), p.Device)
		s.up.send(out, truth(p.Link.Present && p.Link.Up), p.Device)
		if p.Link.Speed > 0 {
			s.speed.send(out, float64(p.Link.Speed)*1e6/8, p.Device)
		}
		if !p.Link.Since.IsZero() {
			s.changed.send(out, float64(p.Link.Since.Unix()), p.Device)
		}
		t, err := s.meter.LineTraffic(p.Device)
		if err != nil {
			s.log.Debug("what passes a line cannot be read for /metrics", "device", p.Device, "error", err)
			continue
		}
		for direction, n := range map[string]dataplane.BandwidthCount{outbound: t.Outbound, inbound: t.Inbound} {
			if n.Limit == 0 {
				continue
			}
			s.limit.send(out, float64(n.Limit)*1e6/8, p.Device, direction)
			s.bytes.send(out, float64(n.Bytes), p.Device, direction)
			s.packets.send(out, float64(n.Packets), p.Device, direction)
			s.dropped.send(out, float64(n.Dropped), p.Device, direction)
		}
	}
}
