package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
)

// ears keep the IPv4 packets of one protocol that come in by a link.
type ears struct {
	mu    sync.Mutex
	heard [][]byte
}

func listenFor(t *testing.T, ns *netns.Namespace, link string, protocol byte) *ears {
	t.Helper()
	var c *packet.Conn
	err := ns.Do(func() (err error) {
		k, err := ns.Netlink().LinkByName(link)
		if err != nil {
			return err
		}
		c, err = packet.Listen(&net.Interface{Index: k.Attrs().Index}, packet.Datagram, unix.ETH_P_IP, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	e, done := &ears{}, make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if n >= 20 && b[9] == protocol {
				e.mu.Lock()
				e.heard = append(e.heard, bytes.Clone(b[:n]))
				e.mu.Unlock()
			}
		}
	}()
	return e
}

// has waits for a packet of those addresses with that payload.
func (e *ears) has(t *testing.T, source, destination string, payload []byte) {
	t.Helper()
	nstest.Eventually(t, func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, p := range e.heard {
			if bytes.Equal(p[12:16], netip.MustParseAddr(source).AsSlice()) && bytes.Equal(p[16:20], netip.MustParseAddr(destination).AsSlice()) && bytes.Equal(p[20:], payload) {
				return nil
			}
		}
		return fmt.Errorf("no such packet from %s to %s among %d", source, destination, len(e.heard))
	})
}

// sendRaw sends a packet with a header of the test's own; offset is where in a
// datagram the payload belongs, in bytes, and more whether others follow.
func sendRaw(t *testing.T, ns *netns.Namespace, protocol byte, source, destination string, payload []byte, offset int, more bool) {
	t.Helper()
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol // the kernel fills in length and checksum
	b[5] = 77                             // identification, the same for all fragments
	binary.BigEndian.PutUint16(b[6:], uint16(offset/8))
	if more {
		b[6] |= 0x20
	}
	to := netip.MustParseAddr(destination)
	copy(b[12:], netip.MustParseAddr(source).AsSlice())
	copy(b[16:], to.AsSlice())
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, append(b, payload...), 0, &unix.SockaddrInet4{Addr: to.As4()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Protocols without ports pass by an elastic IP both ways, and by an SNAT entry
// from inside, answers included; checksums over addresses there are none.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		for protocol, payload := range map[byte][]byte{
			unix.IPPROTO_GRE:  {0, 0, 8, 0, 1, 2, 3, 4},
			unix.IPPROTO_ESP:  []byte("SPI sequence and what is secret"),
			unix.IPPROTO_AH:   []byte("a header of authentication"),
			unix.IPPROTO_IPIP: []byte("not really a packet"),
			unix.IPPROTO_SCTP: sctpINIT(),
		} {
			t.Run(fmt.Sprint(protocol), func(t *testing.T) {
				outside, mapped, client := listenFor(t, p.public, "pub0", protocol), listenFor(t, p.mapped, "eth0", protocol), listenFor(t, p.client, "eth0", protocol)
				sendRaw(t, p.mapped, protocol, "10.0.2.7", outsideAt, payload, 0, false)
				outside.has(t, mappedAt, outsideAt, payload)
				sendRaw(t, p.public, protocol, outsideAt, mappedAt, payload, 0, false)
				mapped.has(t, outsideAt, "10.0.2.7", payload)
				sendRaw(t, p.client, protocol, "10.0.1.6", outsideAt, payload, 0, false)
				outside.has(t, "203.0.113.10", outsideAt, payload)
				if protocol != unix.IPPROTO_SCTP { // an INIT is no answer to one
					sendRaw(t, p.public, protocol, outsideAt, "203.0.113.10", payload, 0, false)
					client.has(t, outsideAt, "10.0.1.6", payload)
				}
			})
		}
	})
}

// sctpINIT is a chunk that opens an association (RFC 9260, section 3.3.2).
func sctpINIT() []byte {
	b := make([]byte, 12+20)
	binary.BigEndian.PutUint16(b, 3868)
	binary.BigEndian.PutUint16(b[2:], 3868)
	b[12], b[15] = 1, 20
	binary.BigEndian.PutUint32(b[16:], 4711)  // initiate tag
	binary.BigEndian.PutUint32(b[20:], 65536) // window
	b[25], b[27], b[31] = 1, 1, 1             // streams, first TSN
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Fragments of a datagram may come in any order, and more than once (RFC 4787
// REQ-14).
func TestFragmentsInAnyOrder(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		text := bytes.Repeat([]byte("fragment"), 400)
		for _, w := range []struct {
			name                      string
			from                      *netns.Namespace
			link, source, destination string
			port                      uint16
		}{
			{"SNAT entry", p.client, "eth0", "10.0.1.6", outsideAt, 9000},
			{"elastic IP", p.mapped, "eth0", "10.0.2.7", outsideAt, 9000},
			{"DNAT entry", p.public, "pub0", outsideAt, "203.0.113.11", 53},
		} {
			for i, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {0, 0, 1, 2}, {2, 2, 0, 1, 1}} {
				datagram := make([]byte, 8, 8+len(text)) // without a checksum
				binary.BigEndian.PutUint16(datagram, uint16(30000+i))
				binary.BigEndian.PutUint16(datagram[2:], w.port)
				datagram = append(datagram, text...)
				binary.BigEndian.PutUint16(datagram[4:], uint16(len(datagram)))
				cuts := []int{0, 1400, 2800, len(datagram)}
				back := listenFor(t, w.from, w.link, unix.IPPROTO_UDP)
				for _, k := range order {
					sendRaw(t, w.from, unix.IPPROTO_UDP, w.source, w.destination, datagram[cuts[k]:cuts[k+1]], cuts[k], k < 2)
				}
				nstest.Eventually(t, func() error { // it is echoed, in fragments as well
					back.mu.Lock()
					defer back.mu.Unlock()
					size := 0
					for _, f := range back.heard {
						size += len(f) - 20
					}
					if size < len(datagram) {
						return fmt.Errorf("%s, fragments %v: %d of %d bytes came back", w.name, order, size, len(datagram))
					}
					return nil
				})
			}
		}
	})
}

// Two hosts behind two gateways reach each other once both have sent: by UDP, and
// by TCP that both open at once (RFC 5128, section 3.3; RFC 5382 REQ-2).
func TestHolePunching(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		n := p.network(t)
		there := netip.MustParseAddr("203.0.113.21")
		n.Shortcut, n.Elastic, n.DNAT, n.SNAT[0].Pool = on, []netip.Addr{there}, sorted.Set[dataplane.DNAT]{}, []netip.Addr{there}
		mustApply(t, p.e, n)
		other := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.6/24", "10.0.1.253")
		nstest.Ping(t, other, "10.0.1.253", 1)

		var ends []net.Conn
		for _, e := range []struct {
			ns      *netns.Namespace
			port    int
			to      string
			unheard int // packets that come before the other end has sent
		}{{p.client, 5555, "203.0.113.21:6666", 3}, {other, 6666, "203.0.113.10:5555", 0}} {
			err := e.ns.Do(func() error {
				c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{Port: e.port}}).DialContext(t.Context(), "udp4", e.to)
				ends = append(ends, c)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer ends[len(ends)-1].Close()
			for range e.unheard {
				_, _ = io.WriteString(ends[len(ends)-1], "is anybody there?")
			}
		}
		for _, way := range [][2]net.Conn{{ends[0], ends[1]}, {ends[1], ends[0]}} {
			nstest.Eventually(t, func() error {
				_, _ = io.WriteString(ends[1], "here") // opens the way for the first
				if _, err := io.WriteString(way[0], "hello"); err != nil {
					return err
				}
				return hears(way[1], "hello")
			})
		}

		failed := make([]error, 2)
		var both sync.WaitGroup
		for i, e := range []struct {
			ns   *netns.Namespace
			port int
			to   string
		}{{p.client, 5556, "203.0.113.21:6667"}, {other, 6667, "203.0.113.10:5556"}} {
			both.Go(func() {
				failed[i] = e.ns.Do(func() error {
					d := net.Dialer{Timeout: nstest.Deadline, LocalAddr: &net.TCPAddr{Port: e.port}}
					c, err := d.DialContext(t.Context(), "tcp4", e.to)
					if err != nil {
						return err
					}
					defer c.Close()
					_ = c.SetDeadline(time.Now().Add(nstest.Deadline))
					for range 20 { // enough for the shortcut
						_, err = io.WriteString(c, "hello")
						if err == nil {
							_, err = io.ReadFull(c, make([]byte, len("hello")))
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			})
		}
		both.Wait()
		if err := errors.Join(failed...); err != nil {
			t.Errorf("TCP opened by both: %v", err)
		}
	})
}

// hears reads until it hears what it waits for.
func hears(c net.Conn, what string) error {
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	for buf := make([]byte, 100); ; {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		if slices.Equal(buf[:n], []byte(what)) {
			return nil
		}
	}
}
