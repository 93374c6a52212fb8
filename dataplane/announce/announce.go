package announce

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"

	"sluice/dataplane/netns"
)

// Times is how often an address is announced, and Interval what lies between.
const (
	Times    = 3
	Interval = time.Second
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
	// running holds, for each network, what ends its announcements, and is nil
	// after Close.
	running map[string]*group
}

type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns an Announcer.
func New(clock Clock, log *slog.Logger) *Announcer {
	return &Announcer{clock: clock, log: log, running: map[string]*group{}}
}

// Announce announces addresses on a link of namespace ns, for the network id.
// The first round is sent before it returns; the others follow in the
// background, and are left out if they fail or are cancelled. ns may be closed
// after Announce has returned.
func (a *Announcer) Announce(id string, ns *netns.Namespace, index int, mac net.HardwareAddr, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	frames, err := Frames(mac, addrs)
	if err != nil {
		return fmt.Errorf("announce %v: %w", addrs, err)
	}
	var conn *packet.Conn
	err = ns.Do(func() (err error) {
		conn, err = packet.Listen(&net.Interface{Index: index, HardwareAddr: mac}, packet.Raw, 0, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("announce %v: open packet socket (needs CAP_NET_RAW): %w", addrs, err)
	}
	if err := send(conn, frames); err != nil {
		conn.Close()
		return fmt.Errorf("announce %v: %w", addrs, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil {
		return conn.Close()
	}
	g := a.running[id]
	if g == nil {
		g = &group{}
		g.ctx, g.cancel = context.WithCancel(context.Background())
		a.running[id] = g
	}
	a.wg.Add(1)
	g.wg.Add(1)
	go func() {
		defer a.wg.Done()
		defer g.wg.Done()
		defer conn.Close()
		a.repeat(g.ctx, id, conn, frames)
	}()
	return nil
}

func (a *Announcer) repeat(ctx context.Context, id string, conn *packet.Conn, frames [][]byte) {
	for range Times - 1 {
		select {
		case <-ctx.Done():
			return
		case <-a.clock.After(Interval):
		}
		if err := send(conn, frames); err != nil {
			if ctx.Err() == nil {
				a.log.Info("announcement of elastic IPs not repeated", "network", id, "error", err)
			}
			return
		}
	}
}

func send(conn *packet.Conn, frames [][]byte) error {
	for _, f := range frames {
		if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
			return err
		}
	}
	return nil
}

// Cancel ends the announcements of a network and waits until none is under
// way.
func (a *Announcer) Cancel(id string) {
	a.mu.Lock()
	g := a.running[id]
	delete(a.running, id)
	a.mu.Unlock()
	if g != nil {
		g.cancel()
		g.wg.Wait()
	}
}

// Close ends all announcements. Later ones are sent once.
func (a *Announcer) Close() {
	a.mu.Lock()
	for _, g := range a.running {
		g.cancel()
	}
	a.running = nil
	a.mu.Unlock()
	a.wg.Wait()
}

// Frames returns the Ethernet frames of one round.
func Frames(mac net.HardwareAddr, addrs []netip.Addr) ([][]byte, error) {
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
			frame := ethernet.Frame{Destination: ethernet.Broadcast, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
			b, err := frame.MarshalBinary()
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}
