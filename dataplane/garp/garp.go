package garp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Times is how often an address is announced, and Interval what lies between.
// A round that fails is tried again, until there were Attempts.
const (
	Times    = 3
	Interval = time.Second
	Attempts = 30
)

// Clock is the time that an Announcer waits by.
type Clock interface {
	After(d time.Duration) <-chan time.Time
}

// Announcer sends announcements in the background.
type Announcer struct {
	clock Clock
	log   *slog.Logger

	wg sync.WaitGroup
	mu sync.Mutex
	// running holds the announcements of each network, and is nil after Close.
	running map[string][]*announcement
}

// announcement is one call of Announce. It has a socket of its own.
type announcement struct {
	id     string
	conn   *packet.Conn
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when its socket is

	mu     sync.Mutex // held while a frame is sent
	frames []frame    // a withdrawn address has none
}

type frame struct {
	addr netip.Addr
	data []byte
}

// New returns an Announcer.
func New(clock Clock, log *slog.Logger) *Announcer {
	return &Announcer{clock: clock, log: log, running: map[string][]*announcement{}}
}

// Announce announces addresses on a link of namespace ns, for the network id.
// All rounds are sent in the background, the first at once. One that cannot be
// sent, while the link is down above all, is sent later. ns may be closed after
// Announce has returned. After Close nothing is announced.
func (a *Announcer) Announce(id string, ns *netns.Namespace, index int, mac net.HardwareAddr, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	n := &announcement{id: id, done: make(chan struct{})}
	for _, addr := range addrs {
		frames, err := Frames(mac, []netip.Addr{addr})
		if err != nil {
			return fmt.Errorf("announce %v: %w", addrs, err)
		}
		for _, data := range frames {
			n.frames = append(n.frames, frame{addr, data})
		}
	}
	err := ns.Do(func() (err error) {
		n.conn, err = packet.Listen(&net.Interface{Index: index, HardwareAddr: mac}, packet.Raw, 0, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("announce %v: open packet socket (needs CAP_NET_RAW): %w", addrs, err)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	// What an earlier call said of the same addresses may be outdated.
	again := set(addrs)
	for _, o := range a.of(id) {
		o.withdraw(func(addr netip.Addr) bool { return again[addr] })
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil {
		n.cancel()
		return n.conn.Close()
	}
	a.running[id] = append(a.running[id], n)
	a.wg.Go(func() {
		defer close(n.done)
		defer a.forget(n)
		n.run(a.clock, a.log)
	})
	return nil
}

func (a *Announcer) forget(n *announcement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := slices.DeleteFunc(a.running[n.id], func(o *announcement) bool { return o == n })
	if len(left) > 0 {
		a.running[n.id] = left
	} else {
		delete(a.running, n.id)
	}
}

func (n *announcement) run(clock Clock, log *slog.Logger) {
	defer n.conn.Close()
	defer n.cancel()
	sent := 0
	var failed error
	for range Attempts {
		err := n.send()
		switch {
		case err == nil:
			if sent++; sent == Times {
				return
			}
		case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
			log.Debug("announcement of elastic IPs ended with its link", "network", n.id)
			return
		default:
			failed = err
		}
		select {
		case <-n.ctx.Done():
			return
		case <-clock.After(Interval):
		}
	}
	log.Warn("elastic IPs announced less often than they should be; neighbours that know them elsewhere may be late to learn",
		"network", n.id, "rounds", sent, "want", Times, "error", failed)
}

// send sends one round. It stops at the first error, as the others would fail,
// too.
func (n *announcement) send() error {
	for i := range n.frames {
		if err := n.sendFrame(&n.frames[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *announcement) sendFrame(f *frame) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f.data == nil {
		return nil
	}
	_, err := n.conn.WriteTo(f.data, &packet.Addr{HardwareAddr: ethernet.Broadcast})
	return err
}

// withdraw takes addresses out, and ends the announcement with the last one.
func (n *announcement) withdraw(gone func(netip.Addr) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := false
	for i := range n.frames {
		if gone(n.frames[i].addr) {
			n.frames[i].data = nil
		}
		left = left || n.frames[i].data != nil
	}
	if !left {
		n.cancel()
	}
}

// Keep ends the announcements of a network's addresses, but for some. None of
// the others is sent after it has returned.
func (a *Announcer) Keep(id string, addrs []netip.Addr) {
	running := a.of(id)
	if len(running) == 0 {
		return
	}
	kept := set(addrs)
	for _, n := range running {
		n.withdraw(func(addr netip.Addr) bool { return !kept[addr] })
	}
}

func (a *Announcer) of(id string) []*announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.running[id])
}

func set(addrs []netip.Addr) map[netip.Addr]bool {
	s := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		s[addr] = true
	}
	return s
}

// Cancel ends all announcements of a network and waits until none is under
// way.
func (a *Announcer) Cancel(id string) {
	running := a.of(id)
	a.Keep(id, nil)
	for _, n := range running {
		<-n.done
	}
}

// Close ends all announcements, after the round that is under way. Later ones
// are not sent.
func (a *Announcer) Close() {
	a.mu.Lock()
	for _, list := range a.running {
		for _, n := range list {
			n.cancel()
		}
	}
	a.running = nil
	a.mu.Unlock()
	a.wg.Wait()
}

// Tell says once, on a link of namespace ns, that addresses are at another neighbour, whose
// Ethernet address is at. The frames come from own, the link's address: switches do not learn
// from them where the other one is.
func Tell(ns *netns.Namespace, index int, own, at net.HardwareAddr, addrs []netip.Addr) error {
	frames, err := framesFrom(own, at, addrs)
	if err != nil {
		return fmt.Errorf("tell of %v: %w", addrs, err)
	}
	return ns.Do(func() error {
		conn, err := packet.Listen(&net.Interface{Index: index, HardwareAddr: own}, packet.Raw, 0, nil)
		if err != nil {
			return fmt.Errorf("tell of %v: open packet socket (needs CAP_NET_RAW): %w", addrs, err)
		}
		defer conn.Close()
		for _, f := range frames {
			if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
				return fmt.Errorf("tell of %v: %w", addrs, err)
			}
		}
		return nil
	})
}

// Frames returns the Ethernet frames of one round.
func Frames(mac net.HardwareAddr, addrs []netip.Addr) ([][]byte, error) {
	return framesFrom(mac, mac, addrs)
}

// framesFrom returns the frames of one round by which one neighbour says where addresses are.
func framesFrom(from, mac net.HardwareAddr, addrs []netip.Addr) ([][]byte, error) {
	out := make([][]byte, 0, 2*len(addrs))
	for _, addr := range addrs {
		// An announcement is a request whose target is its sender, with nothing
		// as the target's hardware address (RFC 5227, section 3), or an answer
		// that nobody asked for.
		for _, p := range []struct {
			op     arp.Operation
			target net.HardwareAddr
		}{{arp.OperationRequest, make(net.HardwareAddr, len(mac))}, {arp.OperationReply, mac}} {
			body, err := arp.NewPacket(p.op, mac, addr, p.target, addr)
			if err != nil {
				return nil, fmt.Errorf("ARP packet for %s from %s: %w", addr, mac, err)
			}
			payload, err := body.MarshalBinary()
			if err != nil {
				return nil, err
			}
			frame := ethernet.Frame{Destination: ethernet.Broadcast, Source: from, EtherType: ethernet.EtherTypeARP, Payload: payload}
			b, err := frame.MarshalBinary()
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}
