package edge

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/identity"
)

// start runs a site on a free port of the loopback and stops it at the end.
func start(t *testing.T, s *Site) (address string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener, s.Log = l, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), stop
}

func realServer(a *actions) *Server {
	return NewServer(Config{Families: []Family{textFamily{a}}, Keys: testKeys, Log: slog.New(slog.DiscardHandler)})
}

// client calls over connections of its own, which it keeps.
type client struct {
	address string // host:port, or a URL
	http    *http.Client
	calls   int
}

func newClient(address string) *client {
	return &client{address: address, http: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}}
}

func (c *client) call(ctx context.Context) error {
	c.calls++
	nonce, base := fmt.Sprintf("%p %d", c, c.calls), c.address
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	q := url.Values{"action": {"read"}, "key": {"id"}, "nonce": {nonce}, "time": {fmt.Sprint(time.Now().Unix())}, "signature": {signature("secret", "read"+nonce)}}
	r, err := http.NewRequestWithContext(ctx, "GET", base+"/?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		return fmt.Errorf("HTTP %d %s %v", resp.StatusCode, body, err)
	}
	return nil
}

func TestSiteKeepsConnections(t *testing.T) {
	address, _ := start(t, &Site{Handler: realServer(&actions{}), Connections: NewConnections(Places{Total: 1}, slog.New(slog.DiscardHandler))})
	c := newClient(address)
	// With one connection allowed, a second call gets through only by using the first again.
	for range 3 {
		if err := c.call(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.http.CloseIdleConnections()
}

// TestSlowClients: a client that does not get to the end of its request is cut
// off, and meanwhile others are served.
func TestSlowClients(t *testing.T) {
	address, _ := start(t, &Site{Handler: realServer(&actions{}), ReadHeaderTimeout: 50 * time.Millisecond, ReadTimeout: 100 * time.Millisecond})
	for name, text := range map[string]string{
		"slow header": "GET / HTTP/1.1\r\nHost: x\r\nX-",
		"slow body":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nAction=",
		"nothing":     "",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			if err := newClient(address).call(t.Context()); err != nil {
				t.Errorf("another client meanwhile: %v", err)
			}
			// Far beyond the site's timeouts: if it is reached, the connection was kept.
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil {
				t.Fatalf("the connection was not closed: %v", err)
			}
			if strings.HasPrefix(string(answer), "HTTP/1.1 200") {
				t.Errorf("answer %q", answer)
			}
		})
	}
}

func TestLongURL(t *testing.T) {
	address, _ := start(t, &Site{Handler: realServer(&actions{})})
	for n, want := range map[int]int{maxHeaderBytes / 2: 400, 2 * maxHeaderBytes: 431} {
		resp, err := http.Get("http://" + address + "/?a=" + strings.Repeat("x", n))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("URL of %d bytes: HTTP %d, want %d", n, resp.StatusCode, want)
		}
	}
}

// TestStop: when the site stops, a running request is answered and no new
// connection is accepted.
func TestStop(t *testing.T) {
	running, finish := make(chan struct{}), make(chan struct{})
	a := &actions{do: func(context.Context, identity.Caller, string, string) error {
		close(running)
		<-finish
		return nil
	}}
	address, stop := start(t, &Site{Handler: realServer(a), Grace: time.Minute})
	answered := make(chan error, 1)
	go func() {
		answered <- newClient(address).call(context.Background())
	}()
	<-running
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("connections are still accepted")
		}
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Errorf("the running request: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestStopCutsOff: a request that does not end within the grace is cut off.
func TestStopCutsOff(t *testing.T) {
	running := make(chan struct{})
	a := &actions{do: func(ctx context.Context, _ identity.Caller, _, _ string) error {
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}}
	address, stop := start(t, &Site{Handler: realServer(a), Grace: time.Millisecond})
	go newClient(address).call(context.Background())
	<-running
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestTLS(t *testing.T) {
	certificate, key := selfSigned(t)
	address, _ := start(t, &Site{Handler: realServer(&actions{}), GetCertificate: fromFiles(certificate, key)})
	pool := x509.NewCertPool()
	data, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(data)
	c := newClient("https://" + address)
	c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if err := c.call(t.Context()); err != nil {
		t.Error(err)
	}
	// What is not TLS gets a plain refusal.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("plain HTTP to a TLS port: %v, %v", resp, err)
	}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// fromFiles returns what the files hold at each connection.
func fromFiles(certificate, key string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		return &pair, err
	}
}
