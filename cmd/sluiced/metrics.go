package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"sluice/api/edge"
	"sluice/dataplane"
	"sluice/dataplane/engine"
)

// maxScrapers is how many connections the metrics have at once.
const maxScrapers = 64

// counters gives what the kernel has counted.
type counters struct{ kernel kernel }

// Traffic returns what was counted of a network; nil if it is not counted.
func (c counters) Traffic(ctx context.Context, network string) (*dataplane.Traffic, error) {
	t, err := c.kernel.Traffic(ctx, network)
	if errors.Is(err, engine.ErrNotCounted) {
		return nil, nil
	}
	return t, err
}

// Programs returns how the BPF programs of a network's links are attached; none
// if it has none.
func (c counters) Programs(ctx context.Context, network string) ([]dataplane.Programs, error) {
	p, err := c.kernel.Programs(ctx, network)
	if errors.Is(err, engine.ErrNotCounted) {
		return nil, nil
	}
	return p, err
}

// metricsSite is the task that answers Prometheus. It begins at once: that
// networks are still being looked at is something to see.
type metricsSite struct {
	address   string // host:port to listen on
	handler   http.Handler
	listening func(address string) // is told the address that it got
	log       *slog.Logger
}

// String names the task.
func (s *metricsSite) String() string { return "metrics" }

// Run serves until ctx ends, lets running scrapes finish, and returns nil.
func (s *metricsSite) Run(ctx context.Context) error {
	l, err := listen(ctx, s.address, s.log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.listening(l.Addr().String())
	s.log.Info("metrics listen", "address", l.Addr().String())
	return (&edge.Site{
		Listener:    l,
		Handler:     s.handler,
		Connections: edge.NewConnections(edge.Places{Total: maxScrapers, PerSource: maxScrapers}, s.log),
		Open:        true,
		Grace:       grace,
		Log:         s.log,
	}).Run(ctx)
}
