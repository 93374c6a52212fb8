package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/api/audit"
)

// Audit is the audit log: *audit.Log is one.
type Audit interface {
	Stats() audit.Stats
}

// auditSeries shows Audit. It implements prometheus.Collector.
type auditSeries struct {
	of                                Audit
	recorded, missed, errors, failing *prometheus.Desc
}

func newAuditSeries(of Audit) auditSeries {
	return auditSeries{
		of:       of,
		recorded: prometheus.NewDesc("sluice_audit_events_total", "Calls that were recorded in the audit log.", nil, nil),
		missed:   prometheus.NewDesc("sluice_audit_events_missed_total", "Calls that are not in the audit log, by why: disk (it takes no more), unsigned (too many calls without a valid signature).", []string{"reason"}, nil),
		errors:   prometheus.NewDesc("sluice_audit_write_errors_total", "Writes to the audit log that have failed.", nil, nil),
		failing:  prometheus.NewDesc("sluice_audit_failing", "1 while the audit log cannot be written.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (s auditSeries) Describe(out chan<- *prometheus.Desc) {
	out <- s.recorded
	out <- s.missed
	out <- s.errors
	out <- s.failing
}

// Collect implements prometheus.Collector.
func (s auditSeries) Collect(out chan<- prometheus.Metric) {
	st := s.of.Stats()
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(s.recorded, st.Recorded)
	count(s.missed, st.Missed, "disk")
	count(s.missed, st.Strangers, "unsigned")
	count(s.errors, st.WriteErrors)
	failing := 0.0
	if st.Failing {
		failing = 1
	}
	out <- prometheus.MustNewConstMetric(s.failing, prometheus.GaugeValue, failing)
}
