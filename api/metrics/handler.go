package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes may run at once; more are answered with 503.
const maxScrapes = 4

// Config is what a handler shows. Every field is needed but TopAddresses, Lines and Audit.
type Config struct {
	Networks Networks
	Traffic  Traffic
	Tunnels  Tunnels
	Machine  Machine
	Calls    *Calls
	// Lines and LineMeter tell of leased lines; nil: they are not shown.
	Lines     Lines
	LineMeter LineMeter
	// Connections are shown, too.
	Connections Connections
	Audit       Audit // nil: no audit log is kept
	// TopAddresses is how many private addresses of a network have series of
	// their own, by each ranking; with 0 none has.
	TopAddresses int
	Version      string // of the daemon
	Now          func() time.Time
	Log          *slog.Logger
}

// NewHandler returns the site that has /metrics.
func NewHandler(c Config) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{networks: c.Networks, traffic: c.Traffic, tunnels: c.Tunnels, machine: c.Machine, top: c.TopAddresses, now: c.Now, log: c.Log, series: newSeries(), vpn: newVPNSeries(), ssl: newSSLSeries()},
		c.Calls,
		newConnectionSeries(c.Connections),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_build_info", Help: "1, with the version of sluiced and of Go as labels.",
			ConstLabels: prometheus.Labels{"version": c.Version, "goversion": runtime.Version()},
		}, func() float64 { return 1 }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if c.Lines != nil {
		registry.MustRegister(newLineSeries(c.Lines, c.LineMeter, c.Log))
	}
	if c.Audit != nil {
		registry.MustRegister(newAuditSeries(c.Audit))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
	}))
	return mux
}
