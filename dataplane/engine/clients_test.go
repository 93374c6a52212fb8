package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// way is a way through the gateway: who begins, and who is spoken to.
type way struct {
	name     string
	from, to *netns.Namespace
	dial     string // host:port that from dials
	listen   string // host:port that to then listens on
}

// ways are those of an SNAT entry, an elastic IP and a DNAT entry.
func (p *populated) ways() []way {
	return []way{
		{"SNAT entry", p.client, p.public, "203.0.113.1:9001", "203.0.113.1:9001"},
		{"elastic IP", p.mapped, p.public, "203.0.113.1:9002", "203.0.113.1:9002"},
		{"elastic IP, from outside", p.public, p.mapped, "203.0.113.12:9003", "10.0.2.7:9003"},
		{"DNAT entry", p.public, p.server, "203.0.113.11:81", "10.0.1.5:9004"},
	}
}

// accept takes TCP connections at the far end.
func (w way) accept(t *testing.T) (accepted <-chan *net.TCPConn) {
	t.Helper()
	var l net.Listener
	if err := w.to.Do(func() (err error) { l, err = net.Listen("tcp4", w.listen); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	took := make(chan *net.TCPConn, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			took <- c.(*net.TCPConn)
		}
	}()
	return took
}

// connect opens a TCP connection from a given local port, and returns both ends
// once each has heard the other.
func (w way) connect(t *testing.T, accepted <-chan *net.TCPConn, port int) (near, far *net.TCPConn) {
	t.Helper()
	dial := func() error {
		d := net.Dialer{Timeout: nstest.Deadline, LocalAddr: &net.TCPAddr{Port: port}, Control: reuse}
		c, err := d.DialContext(t.Context(), "tcp4", w.dial)
		if err == nil {
			near = c.(*net.TCPConn)
		}
		return err
	}
	err := w.from.Do(dial)
	for end := time.Now().Add(nstest.Deadline); errors.Is(err, unix.EADDRNOTAVAIL) && time.Now().Before(end); err = w.from.Do(dial) {
		// The one before waits for the last acknowledgement yet (LAST_ACK).
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatalf("from port %d: %v", port, err)
	}
	t.Cleanup(func() { near.Close() })
	select {
	case far = <-accepted:
	case <-time.After(nstest.Deadline):
		t.Fatal("connected, but to whom?")
	}
	t.Cleanup(func() { far.Close() })
	for range 5 { // enough for the shortcut
		hear(t, near, far)
		hear(t, far, near)
	}
	return near, far
}

// shortened checks that at least so many packets took the shortcut, or none where
// it is off.
func (p *populated) shortened(t *testing.T, least uint64) {
	t.Helper()
	if hits := p.traffic(t).Shortcut.Hits; p.n.Shortcut && hits < least || !p.n.Shortcut && hits > 0 {
		t.Errorf("%d packets took the shortcut", hits)
	}
}

func reuse(_, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, inner)
}

// hear fails the test unless one end hears what the other one says.
func hear(t *testing.T, says, hears net.Conn) {
	t.Helper()
	const what = "hello"
	_ = hears.SetDeadline(time.Now().Add(nstest.Deadline))
	_, err := io.WriteString(says, what)
	heard := make([]byte, len(what))
	if err == nil {
		_, err = io.ReadFull(hears, heard)
	}
	if err != nil || string(heard) != what {
		t.Fatalf("heard %q, %v", heard, err)
	}
}

// vanish ends one end of a connection without a word to the other one.
func vanish(t *testing.T, ns *netns.Namespace, c *net.TCPConn) {
	t.Helper()
	nstest.Command(t, ns, "nft", "table ip mute { chain out { type filter hook output priority 0; tcp flags & (fin|rst) != 0 drop; }; }")
	abort(t, c)
	nstest.Command(t, ns, "nft", "delete table ip mute")
}

// abort ends a connection by an RST.
func abort(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
}

// ends fails the test unless an end is told that the connection is over.
func ends(t *testing.T, c *net.TCPConn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(nstest.Deadline))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("one end does not know that the connection is over")
	}
}

// counter counts what an nft match takes of the packets at a hook, before any is
// translated.
func counter(t *testing.T, ns *netns.Namespace, hook, match string) (count func() int) {
	t.Helper()
	name := "t" + nstest.Random(8)
	nstest.Command(t, ns, "nft", fmt.Sprintf("table ip %s { counter seen { }; chain c { type filter hook %s priority -250; %s counter name seen; }; }", name, hook, match))
	return func() (n int) {
		t.Helper()
		text := nstest.Command(t, ns, "nft", "list", "counter", "ip", name, "seen")
		_, rest, _ := strings.Cut(text, "packets ")
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatalf("no count in %s", text)
		}
		return n
	}
}

// A local port that is used again and again, after an orderly end, a reset, and
// the death of either end, connects each time, and no SYN is lost on the way.
func TestSamePortAgain(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		p.change(t, func(n *dataplane.Network) {
			n.DNAT = n.DNAT.With(dataplane.DNAT{
				External: netip.MustParseAddr("203.0.113.11"), Protocol: unix.IPPROTO_TCP, ExternalPort: 81, Internal: netip.MustParseAddr("10.0.1.5"), InternalPort: 9004,
			})
		})
		for _, w := range p.ways() {
			t.Run(w.name, func(t *testing.T) {
				const syn, port = "tcp flags & (syn|ack) == syn", 33333
				sent, arrived := counter(t, w.from, "output", syn), counter(t, w.to, "input", syn)
				accepted := w.accept(t)
				for round := range 10 {
					// The far end first: it is the one that remembers (TIME_WAIT).
					near, far := w.connect(t, accepted, port)
					far.Close()
					ends(t, near)
					near.Close()

					near, far = w.connect(t, accepted, port)
					abort(t, near)
					ends(t, far)

					near, far = w.connect(t, accepted, port)
					abort(t, far)
					ends(t, near)

					if round >= 3 {
						continue
					}
					near, _ = w.connect(t, accepted, port)
					vanish(t, w.from, near)

					near, far = w.connect(t, accepted, port) // the far end has it still open
					vanish(t, w.to, far)
					if _, err := io.WriteString(near, "still there?"); err != nil && !errors.Is(err, unix.ECONNRESET) {
						t.Fatal(err)
					}
					ends(t, near)
				}
				if a, b := sent(), arrived(); a != b || a < 36 {
					t.Errorf("%d SYNs were sent, %d arrived", a, b)
				}
			})
		}
		p.shortened(t, 500)
	})
}

// Two questions from one socket at the same moment (as resolvers ask for A and
// AAAA) are two answers: of two packets that make the same entry at once, none is
// lost.
func TestTwoQuestionsAtOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	const questions = 300
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		for _, w := range []way{
			{name: "SNAT entry", from: p.client, dial: outsideEcho},
			{name: "elastic IP", from: p.mapped, dial: outsideEcho},
			{name: "DNAT entry", from: p.public, dial: serverUDP},
			{name: "hairpin", from: p.client, dial: serverUDP},
		} {
			t.Run(w.name, func(t *testing.T) {
				pair := newPair(t)
				lost := 0
				for range questions {
					c := nstest.MustDial(t, w.from, "udp4", w.dial)
					pair.ask(t, c.(*net.UDPConn))
					_ = c.SetDeadline(time.Now().Add(nstest.Deadline / 5))
					for buf, answers := make([]byte, 100), 0; answers < 2; answers++ {
						if _, err := c.Read(buf); err != nil {
							lost += 2 - answers
							break
						}
					}
					c.Close()
				}
				if lost > 0 {
					t.Errorf("%d of %d answers did not come", lost, 2*questions)
				}
			})
		}
	})
}

// pair is two threads that send at the same moment: the caller's, and one that
// waits for it on another processor.
type pair struct {
	fd    atomic.Int64 // the socket of the next question, of the other thread; -1 is the end
	armed atomic.Bool  // the other thread is about to send
	sent  chan error   // what came of it
}

func newPair(t *testing.T) *pair {
	p := &pair{sent: make(chan error)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with it
		for {
			fd := p.fd.Load()
			if fd < 0 {
				return
			}
			if fd == 0 {
				continue // no sleep, which would end too late
			}
			p.fd.Store(0)
			p.armed.Store(true)
			_, err := unix.Write(int(fd), []byte("AAAA?"))
			p.sent <- err
		}
	}()
	t.Cleanup(func() { p.fd.Store(-1); <-done })
	return p
}

// ask sends both questions from one socket.
func (p *pair) ask(t *testing.T, c *net.UDPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var first, second error
	err = raw.Control(func(fd uintptr) {
		p.fd.Store(int64(fd))
		for !p.armed.CompareAndSwap(true, false) {
		}
		_, first = unix.Write(int(fd), []byte("A?"))
		second = <-p.sent
	})
	if err := errors.Join(err, first, second); err != nil {
		t.Fatal(err)
	}
}
