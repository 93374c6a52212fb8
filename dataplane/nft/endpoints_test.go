package nft

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
)

// serve answers every UDP datagram and every TCP connection to an address with
// the address that it came from.
func serve(t testing.TB, ns netns.NsHandle, address string) {
	t.Helper()
	serveUDP(t, ns, address)
	var l net.Listener
	inNamespace(t, ns, func() (err error) { l, err = net.Listen("tcp4", address); return err })
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, c.RemoteAddr().String())
			c.Close()
		}
	}()
}

func serveUDP(t testing.TB, ns netns.NsHandle, address string) {
	t.Helper()
	var pc net.PacketConn
	inNamespace(t, ns, func() (err error) { pc, err = net.ListenPacket("udp4", address); return err })
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := pc.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				pc.WriteTo([]byte(from.String()), from)
			}
		}
	}()
}

// dialUDP returns a socket that is connected: it takes answers from remote
// alone.
func dialUDP(t testing.TB, ns netns.NsHandle, local, remote string) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	inNamespace(t, ns, func() (err error) {
		var from *net.UDPAddr
		if local != "" {
			from = &net.UDPAddr{IP: addr(local).AsSlice()}
		}
		c, err = net.DialUDP("udp4", from, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(remote)))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// seenUDP asks a server by UDP where the question came from.
func seenUDP(t testing.TB, ns netns.NsHandle, local, remote string) netip.Addr {
	t.Helper()
	got, err := ask(dialUDP(t, ns, local, remote))
	if err != nil {
		t.Fatalf("UDP from %s to %s: %v", local, remote, err)
	}
	return got
}

// ask sends until an answer comes, at most until the deadline.
func ask(c *net.UDPConn) (netip.Addr, error) {
	buf := make([]byte, 64)
	for end := time.Now().Add(deadline); ; {
		if _, err := c.Write([]byte("?")); err != nil {
			return netip.Addr{}, err
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		n, err := c.Read(buf)
		if err == nil {
			from, err := netip.ParseAddrPort(string(buf[:n]))
			return from.Addr(), err
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			return netip.Addr{}, err
		}
	}
}

// seenTCP asks a server by TCP where the connection came from.
func seenTCP(t testing.TB, ns netns.NsHandle, local, remote string) netip.Addr {
	t.Helper()
	var seen netip.AddrPort
	inNamespace(t, ns, func() error {
		d := net.Dialer{Timeout: deadline}
		if local != "" {
			d.LocalAddr = &net.TCPAddr{IP: addr(local).AsSlice()}
		}
		c, err := d.Dial("tcp4", remote)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(deadline))
		b, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		seen, err = netip.ParseAddrPort(string(b))
		return err
	})
	return seen.Addr()
}

// sendICMP sends one ICMP message and returns the socket.
func sendICMP(t testing.TB, ns netns.NsHandle, local, remote string, typ ipv4.ICMPType) *net.IPConn {
	t.Helper()
	var c *net.IPConn
	inNamespace(t, ns, func() (err error) {
		var from *net.IPAddr
		if local != "" {
			from = &net.IPAddr{IP: addr(local).AsSlice()}
		}
		c, err = net.DialIP("ip4:icmp", from, &net.IPAddr{IP: addr(remote).AsSlice()})
		return err
	})
	t.Cleanup(func() { c.Close() })
	b, err := (&icmp.Message{Type: typ, Body: &icmp.Echo{ID: 77, Seq: 1, Data: []byte("sluice")}}).Marshal(nil)
	must(t, err)
	_, err = c.Write(b)
	must(t, err)
	return c
}

// ping sends an echo request and waits for its reply.
func ping(t testing.TB, ns netns.NsHandle, local, remote string) {
	t.Helper()
	c := sendICMP(t, ns, local, remote, ipv4.ICMPTypeEcho)
	c.SetReadDeadline(time.Now().Add(deadline))
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(buf) // without the IP header
		if err != nil {
			t.Fatalf("ping from %s to %s: %v", local, remote, err)
		}
		if m, err := icmp.ParseMessage(1, buf[:n]); err == nil && m.Type == ipv4.ICMPTypeEchoReply {
			return
		}
	}
}
