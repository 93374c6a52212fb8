package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"sluice/test/lab"
)

// endpoint is a machine of a test: a namespace and its main address. Its
// services answer every line (TCP) or datagram (UDP) with the address that they
// see the caller at, their name, and what was sent.
type endpoint struct {
	g         *gateway
	namespace string
	addr      netip.Addr
}

const answerTimeout = 5 * time.Second

// dial connects from the endpoint; src may be the zero Addr.
func (e *endpoint) dial(proto string, src netip.Addr, to netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	var conn net.Conn
	err := lab.In(e.namespace, func() (err error) {
		d := net.Dialer{Timeout: timeout}
		if src.IsValid() {
			if proto == "tcp" {
				d.LocalAddr = &net.TCPAddr{IP: src.AsSlice()}
			} else {
				d.LocalAddr = &net.UDPAddr{IP: src.AsSlice()}
			}
		}
		conn, err = d.DialContext(context.Background(), proto, to.String())
		return err
	})
	return conn, err
}

// serve answers on an address of the endpoint until the test ends.
func (e *endpoint) serve(t *testing.T, proto, address string) netip.AddrPort {
	t.Helper()
	return e.serveAs(t, proto, address, "-")
}

func (e *endpoint) serveAs(t *testing.T, proto, address, name string) netip.AddrPort {
	t.Helper()
	var at netip.AddrPort
	err := lab.In(e.namespace, func() error {
		if proto == "udp" {
			c, err := net.ListenPacket("udp4", address)
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			at = netip.MustParseAddrPort(c.LocalAddr().String())
			go serveUDP(c, name)
			return nil
		}
		l, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		at = netip.MustParseAddrPort(l.Addr().String())
		go serveTCP(l, name)
		return nil
	})
	if err != nil {
		t.Fatalf("serve %s %s in %s: %v", proto, address, e.namespace, err)
	}
	return netip.AddrPortFrom(e.addr, at.Port())
}

func serveUDP(c net.PacketConn, name string) {
	buf := make([]byte, 16<<10)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.WriteTo(fmt.Appendf(nil, "%s %s %s", from, strings.ReplaceAll(name, " ", "_"), buf[:n]), from)
		}
	}
}

func serveTCP(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprintf(c, "%s %s %s\n", c.RemoteAddr(), strings.ReplaceAll(name, " ", "_"), lines.Text())
			}
		}()
	}
}

// exchange sends one question over a connection and reads its answer.
func exchange(c net.Conn, question string, timeout time.Duration) (seen netip.AddrPort, name string, err error) {
	c.SetDeadline(time.Now().Add(timeout))
	if _, err := fmt.Fprintf(c, "%s\n", question); err != nil {
		return seen, "", err
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return seen, "", err
		}
		f := strings.Fields(string(buf[:n]))
		if len(f) != 3 {
			return seen, "", fmt.Errorf("unexpected answer %q", buf[:n])
		}
		if f[2] != question {
			continue // late answer to an earlier question
		}
		seen, err = netip.ParseAddrPort(f[0])
		return seen, strings.ReplaceAll(f[1], "_", " "), err
	}
}

func (e *endpoint) once(proto string, src netip.Addr, to netip.AddrPort, timeout time.Duration) (netip.AddrPort, string, error) {
	c, err := e.dial(proto, src, to, timeout)
	if err != nil {
		return netip.AddrPort{}, "", err
	}
	defer c.Close()
	return exchange(c, "hello", timeout)
}

// tryEcho asks a service and returns what went wrong.
func (e *endpoint) tryEcho(proto string, to netip.AddrPort, timeout time.Duration) error {
	_, _, err := e.once(proto, netip.Addr{}, to, timeout)
	return err
}

func (e *endpoint) trySeenAs(proto string, to netip.AddrPort, timeout time.Duration) (netip.AddrPort, error) {
	seen, _, err := e.once(proto, netip.Addr{}, to, timeout)
	return seen, err
}

// seenAs returns the address that the service sees the endpoint at.
func (e *endpoint) seenAs(t *testing.T, proto string, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	return e.seenFrom(t, netip.Addr{}, proto, to)
}

func (e *endpoint) seenFrom(t *testing.T, src netip.Addr, proto string, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	seen, _, err := e.once(proto, src, to, answerTimeout)
	if err != nil {
		t.Fatalf("%s from %s to %s: %v", proto, e.namespace, to, err)
	}
	return seen
}

// ask returns the name of the service that answers.
func (e *endpoint) ask(t *testing.T, proto string, to netip.AddrPort) string {
	t.Helper()
	_, name, err := e.once(proto, netip.Addr{}, to, answerTimeout)
	if err != nil {
		t.Fatalf("%s from %s to %s: %v", proto, e.namespace, to, err)
	}
	return name
}

// ping sends ICMP echo requests until one is answered, and returns the time
// that this one took.
func (e *endpoint) ping(t *testing.T, to netip.Addr) time.Duration {
	t.Helper()
	var conn *icmp.PacketConn
	err := lab.In(e.namespace, func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", e.addr.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	id := os.Getpid() & 0xffff
	for seq := range 5 {
		start := time.Now()
		echo := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: seq, Data: []byte("sluice")}}
		b, err := echo.Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteTo(b, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				break
			}
			m, err := icmp.ParseMessage(1, buf[:n])
			if err != nil || m.Type != ipv4.ICMPTypeEchoReply || from.String() != to.String() {
				continue
			}
			if reply := m.Body.(*icmp.Echo); reply.ID == id && reply.Seq == seq {
				return time.Since(start)
			}
		}
	}
	return 0
}

// flow is one open connection that is asked again and again.
type flow struct {
	name string
	conn net.Conn

	mu     sync.Mutex
	next   int
	losses []string
}

// flow opens a connection and proves that it works.
func (e *endpoint) flow(t *testing.T, to netip.AddrPort) *flow {
	t.Helper()
	var c net.Conn
	var proto string
	eventually(t, "a flow to "+to.String(), func() string {
		var err error
		if c, err = e.dial("tcp", netip.Addr{}, to, time.Second/2); err == nil {
			proto = "tcp"
			return ""
		}
		proto = "udp" // or it was late
		if c, err = e.dial("udp", netip.Addr{}, to, time.Second); err == nil {
			if _, _, err = exchange(c, "0", time.Second); err == nil {
				return ""
			}
			c.Close()
		}
		return err.Error()
	})
	t.Cleanup(func() { c.Close() })
	f := &flow{name: fmt.Sprintf("%s from %s to %s", proto, e.namespace, to), conn: c}
	f.more(t, 1)
	f.lost(t, 0)
	return f
}

// more asks n times, one after the other; what isn't answered counts as lost.
func (f *flow) more(t *testing.T, n int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.next++
		if _, _, err := exchange(f.conn, strconv.Itoa(f.next), time.Second); err != nil {
			f.losses = append(f.losses, fmt.Sprintf("%d: %v", f.next, err))
		}
	}
}

// lost fails the test if more than want questions went without an answer.
func (f *flow) lost(t *testing.T, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.losses) > want {
		t.Errorf("%s: %d of %d packets lost: %v", f.name, len(f.losses), f.next, f.losses)
	}
}

// stopped fails the test if the connection still works.
func (f *flow) stopped(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for range 3 {
		f.next++
		if _, _, err := exchange(f.conn, strconv.Itoa(f.next), time.Second/4); err == nil {
			t.Errorf("%s: still answered after what carried it was deleted", f.name)
			return
		}
	}
}

// background repeats fn until the returned function is called.
func background(t *testing.T, fn func()) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				fn()
			}
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(done) }); <-ended }
	t.Cleanup(stop)
	return stop
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func isErrno(err error, want syscall.Errno) bool { return errors.Is(err, want) }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
