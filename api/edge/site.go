package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
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
	// GetCertificate returns the certificate of now. Without it the site speaks plain
	// HTTP.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Connections    *Connections // which of them are kept; nil: all
	// Open says that the handler asks nobody for a signature: the connection of a
	// request that is carried out is not closed, whoever it is.
	Open  bool
	Grace time.Duration // that running requests have to finish when the site stops
	Log   *slog.Logger

	// ReadHeaderTimeout and ReadTimeout replace the usual ones, for tests.
	ReadHeaderTimeout, ReadTimeout time.Duration
}

// Run serves until ctx ends, then stops listening, lets running requests
// finish for Grace, and returns nil. It closes the listener in any case.
func (s *Site) Run(ctx context.Context) error {
	of := s.Connections
	if of == nil {
		of = NewConnections(Places{}, s.Log)
	}
	var closing atomic.Bool
	l := &doors{Listener: s.Listener, of: of, closing: &closing}
	srv := &http.Server{
		Handler:           s.handler(),
		ConnContext:       withConn,
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
		closing.Store(true)
		err := srv.Shutdown(grace)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		stopped <- err
	})
	var err error
	if s.GetCertificate != nil {
		srv.TLSConfig = &tls.Config{GetCertificate: s.GetCertificate}
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	if finish() { // Serve failed by itself
		closing.Store(true)
		return fmt.Errorf("serve %s: %w", s.Listener.Addr(), errors.Join(err, srv.Close()))
	}
	if err := <-stopped; err != nil {
		s.Log.Warn("requests were cut off", "listen", s.Listener.Addr().String(), "error", err)
	}
	return nil
}

// handler returns the handler, within what keeps the connections of an open site.
func (s *Site) handler() http.Handler {
	if !s.Open {
		return s.Handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := guestOf(r.Context())
		g.vouch()
		defer g.release()
		s.Handler.ServeHTTP(w, r)
	})
}

func or(d, usual time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return usual
}
