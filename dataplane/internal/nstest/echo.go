package nstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// window bounds how much is under way on a TCP connection: no more packets than
// every queue of a test's links holds, so that none is dropped and sent twice.
const window = 128 << 10

func boundWindow(_, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, window) })
	return errors.Join(err, inner)
}

// Echo returns what is sent to a port of all addresses in a namespace, by TCP
// and UDP.
func Echo(t testing.TB, ns *netns.Namespace, port int) {
	t.Helper()
	address := fmt.Sprintf("0.0.0.0:%d", port)
	var tcp net.Listener
	var udp net.PacketConn
	err := ns.Do(func() (err error) {
		c := net.ListenConfig{Control: boundWindow}
		if tcp, err = c.Listen(context.Background(), "tcp4", address); err != nil {
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
			go func() {
				defer c.Close()
				buf := make([]byte, window)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := udp.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = udp.WriteTo(buf[:n], from)
			}
		}
	}()
}

// noise returns n bytes that look the same nowhere.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// Stream sends so many bytes over a new TCP connection to an Echo, and fails
// unless they come back unchanged.
func Stream(t testing.TB, ns *netns.Namespace, address string, size int) {
	t.Helper()
	var c net.Conn
	err := ns.Do(func() (err error) {
		d := net.Dialer{Timeout: Deadline, FallbackDelay: -1, Control: boundWindow}
		c, err = d.DialContext(context.Background(), "tcp4", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(6 * Deadline))
	want := noise(size)
	sent := make(chan error, 1)
	go func() { _, err := c.Write(want); sent <- err }()
	got := make([]byte, size)
	_, err = io.ReadFull(c, got)
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatalf("%d bytes to %s from %s: %v", size, address, ns, err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes to %s from %s came back as others", size, address, ns)
	}
}

// Datagrams sends UDP datagrams of those sizes to an Echo, one after the other
// over one flow, and fails unless each comes back unchanged.
func Datagrams(t testing.TB, ns *netns.Namespace, address string, sizes ...int) {
	t.Helper()
	c := MustDial(t, ns, "udp4", address)
	defer c.Close()
	buf := make([]byte, 1<<16)
	for _, size := range sizes {
		want := noise(size)
		_ = c.SetDeadline(time.Now().Add(Deadline))
		if _, err := c.Write(want); err != nil {
			t.Fatalf("datagram of %d bytes to %s: %v", size, address, err)
		}
		n, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("datagram of %d bytes to %s: %d others came back, %v", size, address, n, err)
		}
	}
}

// Ping sends ICMP echo requests with so many bytes of data, and fails unless
// each is answered.
func Ping(t testing.TB, ns *netns.Namespace, to string, sizes ...int) {
	t.Helper()
	var c *icmp.PacketConn
	err := ns.Do(func() (err error) {
		c, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(Deadline))
	id, target := rand.IntN(1<<16), netip.MustParseAddr(to)
	buf := make([]byte, 1<<16)
	for seq, size := range sizes {
		m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: seq, Data: noise(size)}}
		b, err := m.Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteTo(b, &net.IPAddr{IP: target.AsSlice()}); err != nil {
			t.Fatal(err)
		}
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				t.Fatalf("ping %s with %d bytes from %s: %v", to, size, ns, err)
			}
			got, err := icmp.ParseMessage(unix.IPPROTO_ICMP, buf[:n])
			if err != nil || got.Type != ipv4.ICMPTypeEchoReply {
				continue
			}
			if e := got.Body.(*icmp.Echo); e.ID == id && e.Seq == seq {
				if !bytes.Equal(e.Data, noise(size)) {
					t.Errorf("ping %s with %d bytes: others came back", to, size)
				}
				break
			}
		}
	}
}
