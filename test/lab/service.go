package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Service is the HTTP server of a lab's hosts. To any request it answers one
// line, the address and port that the request came from, for example
// "203.0.113.10:40001"; the Server header carries the host's name.
func Service(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", name)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, r.RemoteAddr)
	})
}

// Serve runs a Service on an address until the context ends.
func Serve(ctx context.Context, name, address string) error {
	// Multipath TCP would add options that a gateway's tests did not ask for.
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp4", address)
	if err != nil {
		return fmt.Errorf("HTTP server of %s: %w", name, err)
	}
	s := &http.Server{Handler: Service(name), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("HTTP server of %s: %w", name, err)
	}
	return nil
}

// Answer is what a Service answered.
type Answer struct {
	Server string // name of the host that answered
	Body   string
}

// Get asks an HTTP server, each time over a new connection made by dial; nil
// dials from where the program runs.
func Get(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), url string) (Answer, error) {
	t := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Answer{}, err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return Answer{}, fmt.Errorf("get %s: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return Answer{}, fmt.Errorf("get %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("get %s: status %s", url, resp.Status)
	}
	return Answer{Server: resp.Header.Get("Server"), Body: string(body)}, nil
}
