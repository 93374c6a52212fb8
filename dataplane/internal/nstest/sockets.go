package nstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"sluice/dataplane/netns"
)

// timeout is how long one attempt to say something waits for the answer.
const timeout = 500 * time.Millisecond

// Listen opens a TCP and a UDP server on a port of all addresses in a
// namespace. Each answers with the address and port of who speaks to it, once
// for each line or datagram.
func Listen(t testing.TB, ns *netns.Namespace, port int) {
	t.Helper()
	ListenAt(t, ns, fmt.Sprintf("0.0.0.0:%d", port))
}

// ListenAt does so at one address: answers come from there, whatever others the
// namespace has.
func ListenAt(t testing.TB, ns *netns.Namespace, address string) {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	err := ns.Do(func() (err error) {
		if tcp, err = net.Listen("tcp4", address); err != nil {
			return err
		}
		udp, err = net.ListenPacket("udp4", address)
		return err
	})
	if err != nil {
		t.Fatalf("listen on %s in %s: %v", address, ns, err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := udp.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = udp.WriteTo([]byte(from.String()), from)
			}
		}
	}()
}

func answer(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 2048)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := io.WriteString(c, c.RemoteAddr().String()); err != nil {
			return
		}
	}
}

// Dial opens a connection ("tcp4" or "udp4") from a namespace.
func Dial(ns *netns.Namespace, network, address string) (net.Conn, error) {
	var c net.Conn
	err := ns.Do(func() (err error) {
		// Not net.Dialer's own goroutines: they would be in another namespace.
		d := net.Dialer{Timeout: timeout, FallbackDelay: -1}
		c, err = d.DialContext(context.Background(), network, address)
		return err
	})
	return c, err
}

// MustDial is Dial that ends with the test.
func MustDial(t testing.TB, ns *netns.Namespace, network, address string) net.Conn {
	t.Helper()
	var c net.Conn
	Eventually(t, func() (err error) {
		c, err = Dial(ns, network, address)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// Ask says something on a connection and returns the answer: under which
// address and port the other side sees it.
func Ask(c net.Conn) (string, error) { return AskWithin(c, timeout) }

// AskWithin is Ask that waits so long for the answer, which may be late on a busy machine.
func AskWithin(c net.Conn, limit time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "who am I?"); err != nil {
		return "", err
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

// Seen dials, asks once, and returns the host part of the answer.
func Seen(ns *netns.Namespace, network, address string) (string, error) {
	c, err := Dial(ns, network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	said, err := Ask(c)
	if err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(said)
	return host, err
}
