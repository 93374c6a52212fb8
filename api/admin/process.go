package admin

import (
	"context"
	"net/http"
	"time"
)

// Process tells about the daemon itself.
type Process interface {
	Info() Info
	// Ready says whether the daemon serves: the networks that it found at its
	// start have been looked at, and the API is listening.
	Ready() bool
}

// Info is about the running daemon.
type Info struct {
	Version   string     `json:"version"`
	GoVersion string     `json:"goVersion"`
	PID       int        `json:"pid"`
	Started   time.Time  `json:"started"`
	Config    string     `json:"config,omitempty"`  // file; empty: the built-in configuration
	Listen    string     `json:"listen"`            // address of the signed API
	Others    []Listener `json:"others,omitempty"`  // further listeners of it, of one wire family each
	Metrics   string     `json:"metrics,omitempty"` // address of Prometheus' /metrics; empty: none
	Absent    []string   `json:"absent,omitempty"`  // those of Listen, Others and Metrics whose address is not this machine's now
	DataDir   string     `json:"dataDir"`
	Ready     bool       `json:"ready"`
}

// Listener is a listener that answers one wire family alone.
type Listener struct {
	Family string `json:"family"`
	Listen string `json:"listen"`
}

func processRoutes(p Process) map[string]handler {
	info := func(*http.Request) (any, error) {
		i := p.Info()
		i.Ready = p.Ready()
		return i, nil
	}
	return map[string]handler{
		"GET /v1/version": info,
		// health: the daemon answers. ready: it serves.
		"GET /v1/health": func(*http.Request) (any, error) { return done{}, nil },
		"GET /v1/ready": func(*http.Request) (any, error) {
			if !p.Ready() {
				return nil, &Error{Status: http.StatusServiceUnavailable, Message: "sluiced is starting: not every network has been looked at yet"}
			}
			return done{}, nil
		},
	}
}

// Info returns what runs behind the socket.
func (c *Client) Info(ctx context.Context) (i Info, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/version", nil, &i)
	return i, err
}

// Health returns nil if the daemon answers.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/v1/health", nil, nil)
}

// Ready returns nil if the daemon serves.
func (c *Client) Ready(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/v1/ready", nil, nil)
}
