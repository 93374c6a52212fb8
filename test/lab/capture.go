package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// captureBuffer is the kernel's buffer of a capture in bytes, large enough for
// the bursts of a test on two cores.
const captureBuffer = 32 << 20

// Capture collects the IPv4 packets that pass an interface, both ways.
type Capture struct {
	conn *packet.Conn
	keep func(Packet) bool
	done chan struct{}

	mu      sync.Mutex
	packets []Packet
	arrived chan struct{} // closed and renewed when a packet is kept
	dropped uint32
	closed  bool
	err     error
}

// CaptureOn starts a capture on an interface of a named network namespace. Only
// packets for which keep returns true are held; nil keeps all. Packets that pass
// after CaptureOn has returned are not missed, unless Dropped says so.
//
// On the way out an interface shows packets as they leave, behind every
// classifier and netfilter chain; on the way in, before all of them.
func CaptureOn(namespace, ifname string, keep func(Packet) bool) (*Capture, error) {
	c := &Capture{keep: keep, done: make(chan struct{}), arrived: make(chan struct{})}
	err := In(namespace, func() error {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		// ETH_P_ALL, since ETH_P_IP would show packets on their way in only.
		c.conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capture on %s in %s: %w", ifname, namespace, err)
	}
	raw, err := c.conn.SyscallConn()
	if err == nil {
		err = control(raw, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer)
		})
	}
	if err == nil {
		err = c.conn.SetPromiscuous(true)
	}
	if err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("capture on %s in %s: %w", ifname, namespace, err)
	}
	go c.read(raw)
	return c, nil
}

func control(raw syscall.RawConn, fn func(fd int) error) error {
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (c *Capture) read(raw syscall.RawConn) {
	defer close(c.done)
	buf := make([]byte, 1<<16)
	for {
		var n int
		var from unix.Sockaddr
		var err error
		// Not by packet.Conn.ReadFrom, which does not tell the direction.
		wait := raw.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
		})
		if wait != nil || err != nil {
			if wait == nil {
				wait = err
			}
			c.end(wait)
			return
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Protocol != htons(unix.ETH_P_IP) {
			continue
		}
		p, err := parsePacket(buf[:n])
		if err != nil {
			continue // not IPv4 after all
		}
		p.Time = time.Now()
		p.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		if c.keep != nil && !c.keep(p) {
			continue
		}
		c.mu.Lock()
		c.packets = append(c.packets, p)
		close(c.arrived)
		c.arrived = make(chan struct{})
		c.mu.Unlock()
	}
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (c *Capture) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.err = err
	}
	close(c.arrived)
}

// Packets returns what was captured so far.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

// Await returns the first captured packet, past or to come, that matches, and
// an error if the context or the capture ends before.
func (c *Capture) Await(ctx context.Context, match func(Packet) bool) (Packet, error) {
	seen := 0
	for {
		c.mu.Lock()
		fresh, arrived, err := c.packets[seen:], c.arrived, c.err
		c.mu.Unlock()
		for _, p := range fresh {
			seen++
			if match(p) {
				return p, nil
			}
		}
		if err != nil {
			return Packet{}, fmt.Errorf("capture: %w", err)
		}
		select {
		case <-c.done:
			c.mu.Lock()
			more := len(c.packets) > seen
			c.mu.Unlock()
			if !more {
				return Packet{}, fmt.Errorf("capture was closed after %d packets, none of which matched", seen)
			}
		case <-arrived:
		case <-ctx.Done():
			return Packet{}, fmt.Errorf("none of %d captured packets matched: %w", seen, context.Cause(ctx))
		}
	}
}

// Dropped returns how many packets the kernel could not hand over. A test that
// claims to have seen every packet has to check that it is 0.
func (c *Capture) Dropped() (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The kernel's counters start anew with each call.
	s, err := c.conn.Stats()
	if err != nil {
		return c.dropped, fmt.Errorf("statistics of a capture: %w", err)
	}
	c.dropped += s.Drops
	return c.dropped, nil
}

// Close ends the capture. Packets remains valid. The error is that of a capture
// that broke, for example because its interface was removed.
func (c *Capture) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	err := c.conn.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}
