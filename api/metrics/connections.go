package metrics

import "github.com/prometheus/client_golang/prometheus"

// Connections are those of the API's site.
type Connections interface {
	// Open returns how many there are: strangers', of clients that have shown a valid
	// signature and wait, and with a call under way.
	Open() (strangers, known, calling int)
	// Turned returns how many were closed or refused to make room, by why.
	Turned() map[string]uint64
}

// connectionSeries shows Connections. It implements prometheus.Collector.
type connectionSeries struct {
	of           Connections
	open, turned *prometheus.Desc
}

func newConnectionSeries(of Connections) connectionSeries {
	return connectionSeries{
		of:     of,
		open:   prometheus.NewDesc("sluice_api_connections", "Connections of the API that are open, by what is known of the client.", []string{"state"}, nil),
		turned: prometheus.NewDesc("sluice_api_connections_turned_away_total", "Connections of the API that were closed or refused to make room, by why.", []string{"reason"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s connectionSeries) Describe(out chan<- *prometheus.Desc) { out <- s.open; out <- s.turned }

// Collect implements prometheus.Collector.
func (s connectionSeries) Collect(out chan<- prometheus.Metric) {
	strangers, known, calling := s.of.Open()
	for state, n := range map[string]int{"stranger": strangers, "known": known, "calling": calling} {
		out <- prometheus.MustNewConstMetric(s.open, prometheus.GaugeValue, float64(n), state)
	}
	for reason, n := range s.of.Turned() {
		out <- prometheus.MustNewConstMetric(s.turned, prometheus.CounterValue, float64(n), reason)
	}
}
