package dhcp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Link is the link of a VSwitch.
type Link struct {
	Index int
	MAC   net.HardwareAddr
}

// Server answers the hosts at one link. Its methods may be called concurrently.
type Server struct {
	link     Link
	conn     *packet.Conn
	settings atomic.Pointer[Settings]
	closed   atomic.Bool
	done     sync.WaitGroup
}

// Serve answers at a link, in a goroutine of its own, until Close. The settings must not be
// changed afterwards. failed is called once if nothing can be read any more.
func Serve(ns *netns.Namespace, link Link, set *Settings, failed func(error)) (*Server, error) {
	s := &Server{link: link}
	s.settings.Store(set)
	filter, err := bpf.Assemble(toServer)
	if err != nil {
		return nil, fmt.Errorf("answer DHCP: %w", err)
	}
	err = ns.Do(func() (err error) {
		s.conn, err = packet.Listen(&net.Interface{Index: link.Index, HardwareAddr: link.MAC}, packet.Datagram, unix.ETH_P_IP, &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("answer DHCP on link %d in %s: open packet socket (needs CAP_NET_RAW): %w", link.Index, ns, err)
	}
	s.done.Go(func() {
		if err := s.serve(); !s.closed.Load() {
			failed(err)
		}
	})
	return s, nil
}

// Change has the next messages answered by other settings, which must not be changed
// afterwards.
func (s *Server) Change(set *Settings) { s.settings.Store(set) }

// Link returns the link.
func (s *Server) Link() Link { return s.link }

// Close ends it, and waits until nothing is answered any more.
func (s *Server) Close() {
	s.closed.Store(true)
	s.conn.Close()
	s.done.Wait()
}

// toServer lets through UDP to the port of servers: of an IPv4 packet, which begins with its
// header, and is the first or only part of it.
var toServer = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4},
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: dhcpv4.ServerPort, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
}

func (s *Server) serve() error {
	in := nclient4.NewBroadcastUDPConn(s.conn, &net.UDPAddr{Port: dhcpv4.ServerPort})
	buf := make([]byte, 1500)
	for {
		n, _, err := in.ReadFrom(buf)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENETDOWN):
			continue // the link is down; it is told of once, and comes back
		default:
			return err
		}
		m, err := dhcpv4.FromBytes(buf[:n])
		if err != nil {
			continue // no message of DHCP
		}
		set := s.settings.Load()
		if out := set.answer(m); out != nil {
			mac, ip := destination(m, out)
			to := nclient4.NewBroadcastUDPConn(unicast{s.conn, mac}, &net.UDPAddr{IP: set.Gateway.AsSlice(), Port: dhcpv4.ServerPort})
			// One that is lost is asked for again.
			_, _ = to.WriteTo(out.ToBytes(), &net.UDPAddr{IP: ip, Port: dhcpv4.ClientPort})
		}
	}
}

// unicast sends what nclient4 would broadcast to one Ethernet address.
type unicast struct {
	*packet.Conn
	to net.HardwareAddr
}

// WriteTo implements net.PacketConn.
func (u unicast) WriteTo(b []byte, _ net.Addr) (int, error) {
	return u.Conn.WriteTo(b, &packet.Addr{HardwareAddr: u.to})
}
