package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Calls counts the calls of the API. It implements prometheus.Collector, and is
// what the edge tells of each answer.
type Calls struct {
	answered *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewCalls returns a counter that has counted nothing.
func NewCalls() *Calls {
	return &Calls{
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_api_calls_total", Help: "Calls that were answered, by family, action and code.",
		}, []string{"family", "action", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_api_call_seconds", Help: "Time from a request's header to its answer, by family and by whether the action may change something.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 20},
		}, []string{"family", "writes"}),
	}
}

// Answered counts one call. Actions and codes are those of the catalog, so that
// there are no more series than these allow.
func (c *Calls) Answered(family, action, code string, writes bool, took time.Duration) {
	c.answered.WithLabelValues(family, action, code).Inc()
	word := "no"
	if writes {
		word = "yes"
	}
	c.seconds.WithLabelValues(family, word).Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (c *Calls) Describe(out chan<- *prometheus.Desc) {
	c.answered.Describe(out)
	c.seconds.Describe(out)
}

// Collect implements prometheus.Collector.
func (c *Calls) Collect(out chan<- prometheus.Metric) {
	c.answered.Collect(out)
	c.seconds.Collect(out)
}
