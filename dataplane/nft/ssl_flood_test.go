package nft

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// floodLab is a lab with SSL-VPN servers, by UDP and by TCP, at one address, that answer nobody.
type floodLab struct {
	*lab
	udp     net.PacketConn
	tcp     net.Listener
	arrived atomic.Uint64 // datagrams
}

const (
	callee     = "203.0.113.20"
	calleeUDP  = callee + ":1194"
	calleeTCP  = callee + ":443"
	firstOne   = "203.0.113.1" // of the Internet's addresses
	anotherOne = "198.51.100.1"
)

func newFloodLab(t *testing.T) *floodLab {
	t.Helper()
	f := &floodLab{lab: newLab(t)}
	f.elastic[addr(callee)] = true
	n := withSSL("10.0.1.0/24")
	second := n.VPNGateways[0].SSL[0]
	second.ID, second.Protocol, second.Port, second.Pool = "ssl-u", unix.IPPROTO_UDP, 1194, prefix("172.30.0.0/24")
	n.VPNGateways[0].SSL = append(n.VPNGateways[0].SSL, second)
	must(t, handle(t, f.gateway).AddrAdd(linkOf(t, f.gateway, dataplane.UplinkName), linkAddr(t, callee+"/32")))
	mustApply(t, f.table, f.current, mustCompile(t, n))
	inNamespace(t, f.gateway, func() (err error) {
		if f.udp, err = net.ListenPacket("udp4", calleeUDP); err == nil {
			f.tcp, err = net.Listen("tcp4", calleeTCP)
		}
		return err
	})
	t.Cleanup(func() { f.udp.Close(); f.tcp.Close() })
	socket, err := f.udp.(*net.UDPConn).SyscallConn()
	must(t, err)
	must(t, socket.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20) }))
	must(t, err)
	go func() {
		for b := make([]byte, 2048); ; {
			if _, _, err := f.udp.ReadFrom(b); err != nil {
				return
			}
			f.arrived.Add(1)
		}
	}()
	return f
}

// settled waits until so many datagrams have arrived or been dropped, and returns how many
// have arrived since the last time.
func (f *floodLab) settled(t *testing.T, sent uint64, send func()) (arrived uint64) {
	t.Helper()
	before, dropped := f.arrived.Load(), f.count(t, CounterFlooded)
	send()
	for end := time.Now().Add(deadline); ; {
		arrived = f.arrived.Load() - before
		gone := f.count(t, CounterFlooded) - dropped
		if arrived+gone >= sent {
			return arrived
		}
		if time.Now().After(end) {
			t.Fatalf("of %d datagrams %d have arrived, and %d were dropped", sent, arrived, gone)
		}
	}
}

// Who calls an SSL-VPN server without its key, which therefore does not answer, is held to a
// rate; whom it answers is not, and others notice nothing.
func TestSSLFlood(t *testing.T) {
	f := newFloodLab(t)
	stranger := dialUDP(t, f.internet, firstOne, calleeUDP)
	call := func(c *net.UDPConn, n int) func() {
		return func() {
			for range n {
				must(t, write(c))
			}
		}
	}
	began := time.Now()
	got := f.settled(t, 1000, call(stranger, 1000))
	if most := callBurst + callRate*uint64(time.Since(began)/time.Second+1); got < callBurst || got > most {
		t.Errorf("of 1000 datagrams of a stranger %d arrive, not %d to %d", got, callBurst, most)
	}
	other := dialUDP(t, f.internet, anotherOne, calleeUDP)
	if got := f.settled(t, 1, call(other, 1)); got != 1 {
		t.Error("a stranger's flood keeps another one out")
	}

	// One packet of the server's, to any port of its, and it is let through.
	_, err := f.udp.WriteTo([]byte("come in"), other.LocalAddr())
	must(t, err)
	again := dialUDP(t, f.internet, anotherOne, calleeUDP)
	if got := f.settled(t, 1000, call(again, 1000)); got != 1000 {
		t.Errorf("of 1000 datagrams of whom the server has answered %d arrive", got)
	}
	if got := f.settled(t, 500, call(stranger, 500)); got > 100 {
		t.Errorf("of 500 more datagrams of the stranger %d arrive", got)
	}
}

// A stranger opens no more connections than leave room for others; the kernel's handshake is
// no answer of the server's, what that sends is one.
func TestSSLFloodTCP(t *testing.T) {
	f := newFloodLab(t)
	dial := func(local string) (net.Conn, error) {
		var c net.Conn
		err := runLocked(f.internet, func() (err error) {
			d := net.Dialer{Timeout: 200 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: addr(local).AsSlice()}}
			c, err = d.Dial("tcp4", calleeTCP)
			return err
		})
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return c, err
	}
	began, open := time.Now(), 0
	for range 3 * callBurst {
		if _, err := dial(firstOne); err != nil {
			break
		}
		open++
	}
	if most := callBurst + callRate*int(time.Since(began)/time.Second+1); open < callBurst || open > most {
		t.Errorf("a stranger has opened %d connections, not %d to %d", open, callBurst, most)
	}
	if f.count(t, CounterFlooded) == 0 {
		t.Error("nothing is counted")
	}
	_, err := dial(anotherOne)
	must(t, err)

	// The server answers on one of the connections.
	c, err := f.tcp.Accept()
	must(t, err)
	defer c.Close()
	_, err = c.Write(make([]byte, 100))
	must(t, err)
	for i := range 20 {
		if _, err := dial(firstOne); err != nil {
			t.Fatalf("connection %d of whom the server has answered: %v", i, err)
		}
	}
}

// Strangers from everywhere are held to a rate together.
func TestSSLFloodFromEverywhere(t *testing.T) {
	f := newFloodLab(t)
	raw := rawSocket(t, f.internet)
	const sent = 3 * strangersBurst
	began := time.Now()
	got := f.settled(t, sent, func() {
		for i := range sent {
			must(t, unix.Sendto(raw, datagram(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), netip.MustParseAddrPort(calleeUDP)), 0, &unix.SockaddrInet4{Addr: addr(callee).As4()}))
		}
	})
	if most := strangersBurst + strangersRate*uint64(time.Since(began)/time.Second+1); got < strangersBurst/2 || got > most {
		t.Errorf("of %d datagrams %d arrive, not about %d", sent, got, strangersBurst)
	}
}

func rawSocket(t *testing.T, ns netns.NsHandle) (fd int) {
	t.Helper()
	inNamespace(t, ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// datagram returns a UDP datagram with its IP header.
func datagram(from netip.Addr, to netip.AddrPort) []byte {
	h := ipv4.Header{Version: 4, Len: 20, TotalLen: 29, TTL: 64, Protocol: unix.IPPROTO_UDP, Src: from.AsSlice(), Dst: to.Addr().AsSlice()}
	b, err := h.Marshal()
	if err != nil {
		panic(fmt.Sprintf("header: %v", err)) // it is a constant's
	}
	b = binary.BigEndian.AppendUint16(b, 4000)
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, 9)
	return append(b, 0, 0, '?')
}
