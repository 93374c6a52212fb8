package engine

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	vishvananda "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// wire sends frames on a link, whatever the addresses in them. It does so by
// plain system calls, since tests send millions of frames.
type wire struct {
	socket int
	from   net.HardwareAddr
	to     net.HardwareAddr
	sent   uint16
	wrap   func([]byte) []byte // nil: frames are sent as they are
}

func newWire(t *testing.T, ns *netns.Namespace, link string, to net.HardwareAddr) *wire {
	t.Helper()
	w := &wire{to: to}
	err := ns.Do(func() (err error) {
		ifi, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		w.from = ifi.HardwareAddr
		if w.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(w.socket) })
		return unix.Bind(w.socket, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TCP flags (RFC 9293, section 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// send sends a packet of 60 bytes with its checksums. Of ICMP it is an echo
// request, whose identifier is the source's port.
func (w *wire) send(t testing.TB, protocol uint8, src, dst netip.AddrPort, flags byte) {
	var f [60]byte
	copy(f[0:], w.to)
	copy(f[6:], w.from)
	f[12], f[13] = 0x08, 0x00
	ip, l4 := f[14:34], f[34:54]
	if protocol != unix.IPPROTO_TCP {
		l4 = f[34:42]
	}
	copy(ip, []byte{0x45, 0, 0, byte(20 + len(l4)), 0, 0, 0x40, 0, 64, protocol})
	s, d := src.Addr().As4(), dst.Addr().As4()
	copy(ip[12:], s[:])
	copy(ip[16:], d[:])
	binary.BigEndian.PutUint16(ip[10:], ^checksum(0, ip))
	if protocol == unix.IPPROTO_ICMP {
		l4[0] = 8
		binary.BigEndian.PutUint16(l4[4:], src.Port())
		binary.BigEndian.PutUint16(l4[2:], ^checksum(0, l4))
		w.put(t, f[:])
		return
	}
	binary.BigEndian.PutUint16(l4[0:], src.Port())
	binary.BigEndian.PutUint16(l4[2:], dst.Port())
	at := 6
	if protocol == unix.IPPROTO_UDP {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	} else {
		at = 16
		l4[12], l4[13] = 5<<4, flags
		// Another window each time: conntrack gives a connection that only
		// repeats itself more time, even where it was reset.
		w.sent++
		binary.BigEndian.PutUint16(l4[14:], w.sent)
	}
	pseudo := checksum(uint32(protocol)+uint32(len(l4)), ip[12:20])
	binary.BigEndian.PutUint16(l4[at:], ^checksum(uint32(pseudo), l4))
	w.put(t, f[:])
}

func (w *wire) put(t testing.TB, frame []byte) {
	if w.wrap != nil {
		frame = w.wrap(frame)
	}
	if _, err := unix.Write(w.socket, frame); err != nil {
		t.Fatal(err)
	}
}

// checksum is a one's complement sum (RFC 1071).
func checksum(sum uint32, b []byte) uint16 {
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// truth counts the connections that conntrack holds and has not seen closed,
// by what translates them.
func truth(t testing.TB, c *conntrack.Conn) (snat, dnat uint64) {
	t.Helper()
	flows, err := c.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range flows {
		f := &flows[i]
		if tcp := f.ProtoInfo.TCP; tcp != nil && (tcp.State >= 7 || tcp.State == 3 && f.Timeout <= 2) {
			continue // TIME_WAIT or CLOSE; ESTABLISHED, but reset
		}
		switch status := f.Status.Value; {
		case status&(1<<5) != 0:
			dnat++
		case status&(1<<4) != 0:
			snat++
		}
	}
	return snat, dnat
}

// What is counted as open is what conntrack has, whatever happens to
// connections and to the daemon: a million packets that open, answer, close and
// reset connections at random, under timeouts of a second or two, deletions,
// flushes, and restarts with and without traffic between.
func TestCountIsConntracksTruth(t *testing.T) {
	t.Parallel()
	packets := 1_000_000
	if testing.Short() {
		packets = 6_000
	}
	s := newSite(t)
	n := s.network(t)
	n.Shortcut = true
	limit(n, dataplane.Limits{Connections: 100_000})
	n.Timeouts.TCPReset = 2 * time.Second
	e := s.engine(t)
	mustApply(t, e, n)
	space := dataplane.Namespace(n.ID)
	client := nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	server := nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	ns := inNetwork(t, n.ID)
	// Whoever hears of connections that it does not know keeps quiet.
	for _, h := range []*netns.Namespace{client, server} {
		nstest.Command(t, h, "nft", "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; policy drop; }")
	}
	peers := make([]netip.Addr, 6)
	for i := range peers {
		peers[i] = netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)})
		neighbour(t, ns, dataplane.UplinkName, peers[i], nstest.Link(t, s.public, "pub0").Attrs().HardwareAddr)
	}
	neighbour(t, ns, "vsw-a", netip.MustParseAddr("10.0.1.6"), nstest.Link(t, client, "eth0").Attrs().HardwareAddr)
	neighbour(t, ns, "vsw-a", netip.MustParseAddr("10.0.1.5"), nstest.Link(t, server, "eth0").Attrs().HardwareAddr)
	inside := newWire(t, client, "eth0", nstest.Link(t, ns, "vsw-a").Attrs().HardwareAddr)
	answers := newWire(t, server, "eth0", nstest.Link(t, ns, "vsw-a").Attrs().HardwareAddr)
	outside := newWire(t, s.public, "pub0", nstest.Link(t, ns, dataplane.UplinkName).Attrs().HardwareAddr)
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	agree := func(when string) {
		t.Helper()
		nstest.Eventually(t, func() error {
			got := traffic(t, e, n.ID)
			snat, dnat := truth(t, c)
			haveSNAT, _ := open(got, dataplane.SessionSNAT)
			haveDNAT, _ := open(got, dataplane.SessionDNAT)
			if haveSNAT != snat || haveDNAT != dnat {
				return fmt.Errorf("%s: %d SNAT and %d DNAT connections are counted, conntrack has %d and %d", when, haveSNAT, haveDNAT, snat, dnat)
			}
			var sum uint64
			for _, a := range got.Addresses {
				sum += a.Open
			}
			if sum != snat+dnat {
				return fmt.Errorf("%s: all addresses together have %d open connections, conntrack %d", when, sum, snat+dnat)
			}
			return nil
		})
	}
	short := []netns.Sysctl{}
	for _, name := range []string{"udp_timeout", "udp_timeout_stream", "tcp_timeout_syn_sent", "tcp_timeout_syn_recv", "tcp_timeout_fin_wait",
		"tcp_timeout_close_wait", "tcp_timeout_last_ack", "tcp_timeout_time_wait", "tcp_timeout_close"} {
		short = append(short, netns.Sysctl{Path: "netfilter/nf_conntrack_" + name, Value: "2"})
	}

	r := rand.New(rand.NewPCG(1, 2))
	client1, external := netip.MustParseAddr("10.0.1.6"), netip.MustParseAddr("203.0.113.10")
	shared := netip.MustParseAddr("203.0.113.11")
	tcpFlags := []byte{flagSYN, flagSYN, flagACK, flagACK, flagACK, flagFIN | flagACK, flagRST, flagRST | flagACK}
	answerFlags := []byte{flagSYN | flagACK, flagSYN | flagACK, flagACK, flagACK, flagFIN | flagACK, flagRST}
	rounds := 20
	for round := range rounds {
		if err := ns.Set(short...); err != nil {
			t.Fatal(err)
		}
		away := round%5 == 3 // nobody listens in this round
		if away {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for range packets / rounds {
			protocol := uint8(unix.IPPROTO_UDP)
			if r.IntN(2) == 0 {
				protocol = unix.IPPROTO_TCP
			}
			port := uint16(20_000 + r.IntN(400))
			peer := netip.AddrPortFrom(peers[r.IntN(len(peers))], 80)
			switch r.IntN(10) {
			case 0, 1, 2, 3:
				inside.send(t, protocol, netip.AddrPortFrom(client1, port), peer, tcpFlags[r.IntN(len(tcpFlags))])
			case 4, 5, 6:
				outside.send(t, protocol, peer, netip.AddrPortFrom(external, port), answerFlags[r.IntN(len(answerFlags))])
			case 7:
				outside.send(t, unix.IPPROTO_TCP, netip.AddrPortFrom(peer.Addr(), port), netip.AddrPortFrom(shared, 80), tcpFlags[r.IntN(len(tcpFlags))])
			case 8:
				answers.send(t, unix.IPPROTO_TCP, netip.AddrPortFrom(netip.MustParseAddr("10.0.1.5"), 8080), netip.AddrPortFrom(peer.Addr(), port), answerFlags[r.IntN(len(answerFlags))])
			case 9:
				if r.IntN(20) > 0 {
					continue
				}
				// What is not there cannot be deleted; most of these are not.
				_ = c.Delete(conntrack.NewFlow(protocol, 0, client1, peer.Addr(), port, 80, 0, 0))
			}
		}
		if round%4 == 2 {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if away || round%5 == 1 {
			if !away {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			e = s.engine(t)
			mustApply(t, e, n)
		}
		agree(fmt.Sprintf("round %d", round))
	}
	if hits := traffic(t, e, n.ID).Shortcut.Hits; hits == 0 {
		t.Error("no packet took the shortcut")
	}
}

// neighbour tells a link who has an address.
func neighbour(t testing.TB, ns *netns.Namespace, link string, addr netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	err := ns.Netlink().NeighSet(&vishvananda.Neigh{
		LinkIndex: nstest.Link(t, ns, link).Attrs().Index, IP: addr.AsSlice(), HardwareAddr: mac, State: vishvananda.NUD_PERMANENT,
	})
	if err != nil {
		t.Fatal(err)
	}
}
