package health

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// check probes one tunnel.
type check struct {
	want dataplane.VPNHealth
	link string           // the tunnel's, if there is one
	ns   *netns.Namespace // the network's
	conn *icmp.PacketConn // in the namespace; hears all echo replies
	id   int              // of the echo requests
	mark []byte           // what they carry
	tell chan<- struct{}
	log  *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	tally tally
}

// prepare makes the socket hear echo replies only, and chooses what this
// check's are told from others by.
func (k *check) prepare() error {
	var filter ipv4.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv4.ICMPTypeEchoReply)
	if err := k.conn.IPv4PacketConn().SetICMPFilter(&filter); err != nil {
		return fmt.Errorf("filter echo replies: %w", err)
	}
	if err := k.conn.IPv4PacketConn().SetControlMessage(ipv4.FlagInterface, true); err != nil {
		return fmt.Errorf("ask by which link answers come: %w", err)
	}
	k.mark = make([]byte, 16)
	_, _ = rand.Read(k.mark) // never fails
	k.id = int(binary.BigEndian.Uint16(k.mark))
	return nil
}

// stop ends the check and waits for that.
func (k *check) stop() {
	k.cancel()
	<-k.done
}

func (k *check) result() Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tally.Result
}

func (k *check) run() {
	defer close(k.done)
	defer k.conn.Close()
	// A probe that waits for its answer waits no longer.
	defer context.AfterFunc(k.ctx, func() { _ = k.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for seq := 0; ; seq++ {
		began := time.Now()
		err := k.probe(seq & 0xffff)
		if k.ctx.Err() != nil {
			return
		}
		k.mu.Lock()
		changed := k.tally.note(err == nil, k.want.Retries, time.Now())
		failed := k.tally.Failed
		k.mu.Unlock()
		if changed {
			k.log.Info("health check", "failed", failed, "source", k.want.Source, "destination", k.want.Destination, "error", err)
			select {
			case k.tell <- struct{}{}:
			default:
			}
		}
		pause := k.want.Interval
		if err != nil && !failed {
			pause = again(k.want)
		}
		select {
		case <-k.ctx.Done():
			return
		case <-time.After(time.Until(began.Add(pause))):
		}
	}
}

// again returns how long after a lost probe the next one is sent, until the check
// has failed: all of its retries take one interval.
func again(w dataplane.VPNHealth) time.Duration {
	return min(w.Interval, max(w.Interval/time.Duration(w.Retries), leastWait))
}

// errLost is what probe returns where no answer came in time.
var errLost = errors.New("no answer")

// probe sends a request and waits for the answer.
func (k *check) probe(seq int) error {
	message := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: k.id, Seq: seq, Data: k.mark}}
	b, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	by, err := k.way()
	if err != nil {
		return err
	}
	if err := k.conn.SetReadDeadline(time.Now().Add(min(again(k.want), Patience))); err != nil {
		return err
	}
	if k.ctx.Err() != nil { // after the deadline: stop sets one, too
		return k.ctx.Err()
	}
	if _, err := k.conn.IPv4PacketConn().WriteTo(b, by, &net.IPAddr{IP: k.want.Destination.AsSlice()}); err != nil {
		return err
	}
	for buf := make([]byte, 1500); ; {
		n, came, from, err := k.conn.IPv4PacketConn().ReadFrom(buf)
		if err != nil {
			return errLost
		}
		a, ok := from.(*net.IPAddr)
		if !ok || !a.IP.Equal(k.want.Destination.AsSlice()) {
			continue
		}
		if k.want.SameWay && by.IfIndex != 0 && (came == nil || came.IfIndex != by.IfIndex) {
			continue
		}
		got, err := icmp.ParseMessage(unix.IPPROTO_ICMP, buf[:n])
		if err != nil {
			continue
		}
		if e, ok := got.Body.(*icmp.Echo); ok && got.Type == ipv4.ICMPTypeEchoReply &&
			e.ID == k.id && e.Seq == seq && bytes.Equal(e.Data, k.mark) {
			return nil
		}
	}
}

// way returns the source that a probe is sent from and the link that it leaves
// by, 0 for the routes' choice.
func (k *check) way() (*ipv4.ControlMessage, error) {
	source, err := k.source()
	if err != nil {
		return nil, err
	}
	by := &ipv4.ControlMessage{Src: source.AsSlice()}
	link, err := k.ns.Netlink().LinkByName(k.link)
	switch {
	case err == nil:
		by.IfIndex = link.Attrs().Index
	case !errors.As(err, &netlink.LinkNotFoundError{}):
		return nil, fmt.Errorf("look for link %s: %w", k.link, err)
	}
	return by, nil
}

// source returns the namespace's address that stands for the check's Source.
func (k *check) source() (netip.Addr, error) {
	list, err := netns.Dump(func() ([]netlink.Addr, error) { return k.ns.Netlink().AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses: %w", err)
	}
	var best netip.Prefix
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP.To4())
		if !ok {
			continue
		}
		bits, _ := a.Mask.Size()
		p := netip.PrefixFrom(addr, bits)
		if addr == k.want.Source {
			return addr, nil
		}
		if p.Masked().Contains(k.want.Source) && (!best.IsValid() || bits > best.Bits()) {
			best = p
		}
	}
	if !best.IsValid() {
		return netip.Addr{}, fmt.Errorf("no address here is %s or in a subnet with it", k.want.Source)
	}
	return best.Addr(), nil
}
