package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// packet is what a wire saw of one IPv4 packet.
type packet struct {
	src, dst netip.Addr
	protocol uint8
	srcPort  uint16
	dstPort  uint16
	icmpType uint8
}

func (p packet) String() string {
	return fmt.Sprintf("%s:%d > %s:%d protocol %d icmp type %d", p.src, p.srcPort, p.dst, p.dstPort, p.protocol, p.icmpType)
}

// wire records every IPv4 packet that arrives on eth0 of a namespace, before
// its stack sees it.
type wire struct {
	mu      sync.Mutex
	packets []packet
}

func tap(t testing.TB, ns netns.NsHandle) *wire {
	t.Helper()
	w := &wire{}
	fd := -1
	inNamespace(t, ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP))); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
			return err
		}
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer unix.Close(fd)
		buf := make([]byte, 65536)
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if ll, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && ll.Pkttype != unix.PACKET_OUTGOING && ll.Hatype != unix.ARPHRD_LOOPBACK && n >= 20 {
				w.record(buf[:n])
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return w
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

func (w *wire) record(b []byte) {
	p := packet{src: addrAt(b[12:]), dst: addrAt(b[16:]), protocol: b[9]}
	if payload := b[4*(b[0]&15):]; len(payload) >= 4 {
		switch p.protocol {
		case unix.IPPROTO_TCP, unix.IPPROTO_UDP:
			p.srcPort, p.dstPort = binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
		case unix.IPPROTO_ICMP:
			p.icmpType = payload[0]
		}
	}
	w.mu.Lock()
	w.packets = append(w.packets, p)
	w.mu.Unlock()
}

func (w *wire) all() []packet {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]packet(nil), w.packets...)
}

func (w *wire) has(match func(packet) bool) bool {
	for _, p := range w.all() {
		if match(p) {
			return true
		}
	}
	return false
}

// waitFor waits for a packet.
func (w *wire) waitFor(t testing.TB, match func(packet) bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !w.has(match); {
		if time.Now().After(end) {
			t.Fatalf("the packet never came; %d others did", len(w.all()))
		}
		time.Sleep(time.Millisecond) // between probes
	}
}
