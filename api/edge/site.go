package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Timeouts and sizes of a connection. A client that is slower is cut off.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 64 << 10 // with the request line: a longer URL is answered with 431
)

// Site serves a handler on a listener. The fields are set before Run.
type Site struct {
	Listener net.Listener
	Handler  http.Handler
	// Certificate and Key are PEM files; without them the site speaks plain HTTP.
	Certificate, Key string
	MaxConnections   int           // more have to wait; 0 sets no limit
	Grace            time.Duration // that running requests have to finish when the site stops
	Log              *slog.Logger

	// ReadHeaderTimeout and ReadTimeout replace the usual ones, for tests.
	ReadHeaderTimeout, ReadTimeout time.Duration
}

// Run serves until ctx ends, then stops listening, lets running requests
// finish for Grace, and returns nil. It closes the listener in any case.
func (s *Site) Run(ctx context.Context) error {
	l := s.Listener
	if s.MaxConnections > 0 {
		l = netutil.LimitListener(l, s.MaxConnections)
	}
	srv := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: or(s.ReadHeaderTimeout, readHeaderTimeout),
		ReadTimeout:       or(s.ReadTimeout, readTimeout),
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		// net/http adds 4096 bytes of its own.
		MaxHeaderBytes: maxHeaderBytes - 4096,
		ErrorLog:       slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		Protocols:      new(http.Protocols),
	}
	// HTTP/1 alone: its timeouts above hold for every request, while a slow
	// stream of an HTTP/2 connection has none.
	srv.Protocols.SetHTTP1(true)

	stopped := make(chan error, 1)
	finish := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
		defer cancel()
		err := srv.Shutdown(grace)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		stopped <- err
	})
	var err error
	if s.Certificate != "" {
		err = srv.ServeTLS(l, s.Certificate, s.Key)
	} else {
		err = srv.Serve(l)
	}
	if finish() { // Serve failed by itself
		return fmt.Errorf("serve %s: %w", s.Listener.Addr(), errors.Join(err, srv.Close()))
	}
	if err := <-stopped; err != nil {
		s.Log.Warn("requests were cut off", "listen", s.Listener.Addr().String(), "error", err)
	}
	return nil
}

func or(d, usual time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return usual
}
