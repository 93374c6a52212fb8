package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attackers hold connections to an address from sources of the loopback, doing the same
// on each until it is closed; then they come again.
type attackers struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	opened  atomic.Int64
}

func attack(address string, sources, each int, do func(context.Context, net.Conn)) *attackers {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attackers{cancel: cancel}
	for i := range sources * each {
		dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%sources))}}
		a.running.Go(func() {
			for ctx.Err() == nil {
				conn, err := dial.DialContext(ctx, "tcp", address)
				if err != nil {
					continue
				}
				a.opened.Add(1)
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				do(ctx, conn)
				stop()
				conn.Close()
			}
		})
	}
	return a
}

func (a *attackers) stop() { a.cancel(); a.running.Wait() }

// say sends a text and then waits for the end of the connection.
func say(text string) func(context.Context, net.Conn) {
	return func(_ context.Context, conn net.Conn) {
		if _, err := io.WriteString(conn, text); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// trickle sends a text and then a byte at a time, as slowly as a probe of the end of the
// connection takes.
func trickle(text, more string) func(context.Context, net.Conn) {
	return func(_ context.Context, conn net.Conn) {
		_, err := io.WriteString(conn, text)
		for one := make([]byte, 1); err == nil; _, err = io.WriteString(conn, more) {
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, end := conn.Read(one); end != nil && !errors.Is(end, os.ErrDeadlineExceeded) {
				return
			}
		}
	}
}

// callAgain makes one call after the other that nobody has signed, on one connection.
func callAgain(_ context.Context, conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		if _, err := io.WriteString(conn, "GET /?action=read&key=id HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

// half sends the first half of a TLS handshake.
func half(_ context.Context, conn net.Conn) {
	hello := &cutWriter{Conn: conn, left: 60}
	_ = tls.Client(hello, &tls.Config{ServerName: "localhost"}).Handshake()
	_, _ = io.Copy(io.Discard, conn)
}

// cutWriter sends no more than so many bytes.
type cutWriter struct {
	net.Conn
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestSiegeOfASite: strangers hold all the connections that they get, in every way in
// which one can. A client that is there goes on with its connection, and one that comes
// anew for each call gets in.
func TestSiegeOfASite(t *testing.T) {
	certificate, key := selfSigned(t)
	for i, c := range []struct {
		name string
		tls  bool
		do   func(context.Context, net.Conn)
	}{
		{"nothing sent", false, say("")},
		{"a request line", false, say("GET / HTTP/1.1\r\n")},
		{"a slow header", false, trickle("GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "a")},
		{"a slow body", false, trickle("POST / HTTP/1.1\r\nHost: x\r\nX-Action: read\r\nContent-Length: 100000\r\n\r\n", "a")},
		{"chunks that do not come", false, say("POST / HTTP/1.1\r\nHost: x\r\nX-Action: read\r\nTransfer-Encoding: chunked\r\n\r\n")},
		{"calls that nobody has signed", false, callAgain},
		{"nothing sent for TLS", true, say("")},
		{"half a TLS handshake", true, half},
		{"a TLS client without a request", true, func(_ context.Context, conn net.Conn) {
			secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			if secured.Handshake() == nil {
				_, _ = io.Copy(io.Discard, secured)
			}
		}},
	} {
		if testing.Short() && i%3 > 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			h := &actions{}
			server := NewServer(Config{Families: []Family{jsonFamily{h}, textFamily{h}}, Keys: testKeys, Log: slog.New(slog.DiscardHandler)})
			connections := NewConnections(Places{Total: 32}, slog.New(slog.DiscardHandler))
			site := &Site{Handler: server, Connections: connections}
			base, pool := "http://", x509.NewCertPool()
			if c.tls {
				site.GetCertificate = fromFiles(certificate, key)
				data, err := os.ReadFile(certificate)
				if err != nil {
					t.Fatal(err)
				}
				pool.AppendCertsFromPEM(data)
				base = "https://"
			}
			address, _ := start(t, site)
			client := func(keep bool) *client {
				c := newClient(base + address)
				transport := c.http.Transport.(*http.Transport)
				transport.DisableKeepAlives, transport.TLSClientConfig = !keep, &tls.Config{RootCAs: pool, ServerName: "localhost"}
				t.Cleanup(transport.CloseIdleConnections)
				return c
			}
			there, fresh := client(true), client(false)
			if err := there.call(t.Context()); err != nil {
				t.Fatal(err)
			}
			a := attack(address, 5, 10, c.do)
			defer a.stop()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			// Until they have taken what they can get, and more come.
			for turned := uint64(0); turned < 40; turned = connections.Turned()[turnedFull] + connections.Turned()[turnedShare] {
				if ctx.Err() != nil {
					t.Fatalf("after %d connections of strangers none was turned away: %v", a.opened.Load(), connections.Turned())
				}
				// A call now and then: nobody keeps a client that says nothing for long.
				if err := there.call(ctx); err != nil {
					t.Fatalf("a client that is there: %v", err)
				}
			}
			for range 10 {
				if err := there.call(ctx); err != nil {
					t.Fatalf("a client that is there: %v", err)
				}
				if err := fresh.call(ctx); err != nil {
					t.Fatalf("a client that comes anew: %v", err)
				}
			}
		})
	}
}

// TestAnswerIsSeen: a client that sends all that it has to before it reads finds the
// answer to what is too large.
func TestAnswerIsSeen(t *testing.T) {
	certificate, key := selfSigned(t)
	a := &actions{}
	server := NewServer(Config{Families: []Family{jsonFamily{a}, textFamily{a}}, Keys: testKeys, Log: slog.New(slog.DiscardHandler)})
	const large = 6 << 20
	for _, c := range []struct {
		name string
		text string
		want string // in the answer
	}{
		{"body", "POST / HTTP/1.1\r\nHost: x\r\nX-Action: read\r\nContent-Length: 6291456\r\n\r\n" + strings.Repeat("x", large), jsonCode(BodyTooLarge)},
		{"chunks", "POST / HTTP/1.1\r\nHost: x\r\nX-Action: read\r\nTransfer-Encoding: chunked\r\n\r\n600000\r\n" + strings.Repeat("x", large) + "\r\n0\r\n\r\n", jsonCode(BodyTooLarge)},
		{"header", "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", large) + "\r\n\r\n", "HTTP/1.1 431"},
		{"URL", "GET /?a=" + strings.Repeat("x", large) + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 431"},
		{"many headers", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: x\r\n", large/8) + "\r\n", "HTTP/1.1 431"},
	} {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", c.name, secured), func(t *testing.T) {
				t.Parallel()
				site := &Site{Handler: server}
				if secured {
					site.GetCertificate = fromFiles(certificate, key)
				}
				address, _ := start(t, site)
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if secured {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				// Not later: the answer is there, or it never will be.
				if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(conn, c.text); err != nil {
					t.Fatalf("the request is not taken: %v", err)
				}
				answer, err := io.ReadAll(conn)
				if err != nil || !strings.Contains(string(answer), c.want) {
					t.Fatalf("answer %q, %v; want %s", answer, err, c.want)
				}
			})
		}
	}
}

// TestStopDuringSiege: a site that stops does not wait for strangers.
func TestStopDuringSiege(t *testing.T) {
	address, stop := start(t, &Site{Handler: realServer(&actions{}), Connections: NewConnections(Places{Total: 32}, slog.New(slog.DiscardHandler)), Grace: 100 * time.Millisecond})
	a := attack(address, 5, 10, say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"))
	defer a.stop()
	if err := newClient(address).call(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestStrangersLeaveCalls: calls that nobody has signed can't use up the limit of all
// calls that those need who have called before.
func TestStrangersLeaveCalls(t *testing.T) {
	server := NewServer(Config{Families: []Family{textFamily{&actions{}}}, Keys: testKeys, Total: Rate{PerSecond: 0.001, Burst: 40}, Log: slog.New(slog.DiscardHandler)})
	address, _ := start(t, &Site{Handler: server, Connections: NewConnections(Places{Total: 32}, slog.New(slog.DiscardHandler))})
	there := newClient(address)
	defer there.http.CloseIdleConnections()
	if err := there.call(t.Context()); err != nil {
		t.Fatal(err)
	}
	answers := map[string]int{}
	for range 60 {
		resp, err := http.Get("http://" + address + "/?action=read&key=nobody&time=" + fmt.Sprint(time.Now().Unix()))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		answers[string(bytes.Fields(text)[2])]++
	}
	if answers[textCode(Throttled)] < 30 || answers[textCode(KeyNotFound)] < 15 {
		t.Errorf("strangers were answered %v", answers)
	}
	for range 15 {
		if err := there.call(t.Context()); err != nil {
			t.Fatalf("a client that is there: %v", err)
		}
	}
}
