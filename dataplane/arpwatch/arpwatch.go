package arpwatch

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Link is a link to listen on.
type Link struct {
	Index int
	MAC   net.HardwareAddr
	Own   netip.Addr // address on it as which is asked
}

// Heard is that somebody has said that an address is theirs.
type Heard struct {
	Address netip.Addr
	MAC     net.HardwareAddr
}

// Listener hears of some addresses on a link. Its methods may be called concurrently.
type Listener struct {
	link   Link
	conn   *packet.Conn
	closed atomic.Bool
	done   sync.WaitGroup
}

// mostFiltered is how many addresses the kernel can look for: a jump of its filters reaches
// 255 instructions. Of more, all messages are looked at here.
const mostFiltered = 250

// Where the sender's protocol address stands in an Ethernet frame with ARP, and where the
// operation.
const (
	senderAt  = 14 + 14
	arpLength = 14 + 28
)

// Listen calls heard, in a goroutine of its own, for each message about one of addrs that
// arrives at a link, until Close. What nftables drops at the link's ingress, or at a bridge's
// ports, is not heard. failed is called once if nothing can be heard any more.
func Listen(ns *netns.Namespace, link Link, addrs []netip.Addr, heard func(Heard), failed func(error)) (*Listener, error) {
	l := &Listener{link: link}
	filter, err := bpf.Assemble(filterFor(addrs))
	if err != nil {
		return nil, fmt.Errorf("listen to ARP: %w", err)
	}
	err = ns.Do(func() (err error) {
		l.conn, err = packet.Listen(&net.Interface{Index: link.Index, HardwareAddr: link.MAC}, packet.Raw, unix.ETH_P_ARP, &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen to ARP on link %d in %s: open packet socket (needs CAP_NET_RAW): %w", link.Index, ns, err)
	}
	of := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		of[a] = true
	}
	l.done.Go(func() {
		if err := l.read(of, heard); !l.closed.Load() {
			failed(err)
		}
	})
	return l, nil
}

// filterFor lets through ARP whose sender has one of the addresses.
func filterFor(addrs []netip.Addr) []bpf.Instruction {
	if len(addrs) > mostFiltered {
		return []bpf.Instruction{bpf.RetConstant{Val: arpLength}}
	}
	out := []bpf.Instruction{bpf.LoadAbsolute{Off: senderAt, Size: 4}}
	for i, a := range addrs {
		b := a.As4()
		out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), SkipTrue: uint8(len(addrs) - i)})
	}
	return append(out, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: arpLength})
}

func (l *Listener) read(of map[netip.Addr]bool, heard func(Heard)) error {
	buf := make([]byte, arpLength)
	for {
		n, _, err := l.conn.ReadFrom(buf)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENETDOWN):
			continue // the link is down; it is told of once, and comes back
		default:
			return err
		}
		if h, ok := parse(buf[:n]); ok && of[h.Address] {
			heard(h)
		}
	}
}

// parse reads who says that which address is theirs in a frame.
func parse(b []byte) (Heard, bool) {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(b); err != nil || f.EtherType != ethernet.EtherTypeARP {
		return Heard{}, false
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(f.Payload); err != nil || len(p.SenderHardwareAddr) != 6 {
		return Heard{}, false
	}
	if p.Operation != arp.OperationRequest && p.Operation != arp.OperationReply || p.SenderHardwareAddr[0]&1 != 0 || bytes.Equal(p.SenderHardwareAddr, make([]byte, 6)) {
		return Heard{}, false
	}
	return Heard{Address: p.SenderIP, MAC: bytes.Clone(p.SenderHardwareAddr)}, true
}

// Ask asks who has an address: the host with an Ethernet address alone, or all where that is
// nil.
func (l *Listener) Ask(addr netip.Addr, of net.HardwareAddr) error {
	to, target := ethernet.Broadcast, make(net.HardwareAddr, 6)
	if of != nil {
		to = of
	}
	body, err := arp.NewPacket(arp.OperationRequest, l.link.MAC, l.link.Own, target, addr)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	payload, err := body.MarshalBinary()
	if err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	frame := ethernet.Frame{Destination: to, Source: l.link.MAC, EtherType: ethernet.EtherTypeARP, Payload: payload}
	b, err := frame.MarshalBinary()
	if err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	if _, err := l.conn.WriteTo(b, &packet.Addr{HardwareAddr: to}); err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	return nil
}

// Close ends it, and waits until nobody is told of anything any more.
func (l *Listener) Close() {
	l.closed.Store(true)
	l.conn.Close()
	l.done.Wait()
}
