package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
	"sluice/dataplane/plan"
	"sluice/dataplane/route"
)

// wire is a gateway's namespace with everything that decides about packets, and
// the other ends of its links, at which packets are made and seen one by one.
type wire struct {
	t      *testing.T
	ns     *netns.Namespace
	nft    *nft.Table
	rules  *nft.Ruleset
	ends   map[string]*end
	table  table
	number uint64 // of the last packet
}

// end is the other end of a link.
type end struct {
	conn   *packet.Conn
	raw    syscall.RawConn
	mac    net.HardwareAddr // of the gateway's end
	buffer []byte
}

// wires are the links of a network: VSwitches, the uplink, two tunnels, and an SSL-VPN server.
var wires = map[string]string{"vsw-a": "10.0.1.253/24", "vsw-b": "10.0.2.253/24", "vsw-c": "10.0.3.253/24", "public": "", "vco-a": "", "vco-b": "", "ssl-t": "10.8.0.1/24"}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{t: t, ns: nstest.New(t), ends: map[string]*end{}}
	far := nstest.New(t)
	for name, address := range wires {
		nstest.Veth(t, w.ns, name, far, name)
		// Nobody is asked for hardware addresses.
		nstest.Command(t, w.ns, "ip", "link", "set", name, "arp", "off", "up")
		nstest.Up(t, far, name)
		if address != "" {
			nstest.Address(t, w.ns, name, address)
		}
		e := &end{mac: nstest.Link(t, w.ns, name).Attrs().HardwareAddr, buffer: make([]byte, 1<<12)}
		err := far.Do(func() (err error) {
			e.conn, err = packet.Listen(&net.Interface{Index: nstest.Link(t, far, name).Attrs().Index}, packet.Raw, unix.ETH_P_IP, nil)
			if err != nil {
				return err
			}
			e.raw, err = e.conn.SyscallConn()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.conn.Close() })
		w.ends[name] = e
	}
	settings := []string{"-qw", "net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_tcp_be_liberal=1", "net.ipv4.conf.all.rp_filter=0"}
	for name := range wires {
		settings = append(settings, "net.ipv4.conf."+name+".rp_filter=0", "net.ipv4.conf."+name+".send_redirects=0")
	}
	w.nft = nft.New(w.ns.Handle())
	t.Cleanup(func() { w.nft.Close() })
	w.apply(network(), nil)
	nstest.Command(t, w.ns, "sysctl", settings...)
	w.table = openTable(t, w.ns)
	// What is sent after something else is seen after it, if one CPU has both.
	runtime.LockOSThread() // for as long as the test runs
	var one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if one.IsSet(cpu) {
			one.Zero()
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	return w
}

// apply makes the namespace what the engine makes of a network.
func (w *wire) apply(n *dataplane.Network, tunnels route.Tunnels) {
	w.t.Helper()
	nstest.Command(w.t, w.ns, "ip", "addr", "flush", "dev", "public")
	for _, a := range n.Elastic {
		nstest.Address(w.t, w.ns, "public", netip.PrefixFrom(a, 32).String())
	}
	rules, err := nft.RulesetOf(n, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.nft.Apply(w.t.Context(), w.rules, rules); err != nil {
		w.t.Fatal(err)
	}
	w.rules = rules
	names := map[int]string{}
	for name := range wires {
		names[nstest.Link(w.t, w.ns, name).Attrs().Index] = name
	}
	state, err := route.Read(w.t.Context(), w.ns, func(i int) string { return names[i] })
	if err != nil {
		w.t.Fatal(err)
	}
	p := route.Plan(w.ns, state, n, tunnels)
	var r plan.Runner
	r.Run(w.t.Context(), p.Add)
	r.Run(w.t.Context(), p.Remove)
	if err := r.Err(); err != nil {
		w.t.Fatal(err)
	}
}

// seen is where a packet came out of the gateway, and what it was like then. The
// zero value is a packet that did not.
type seen struct {
	link                string
	source, destination netip.AddrPort
}

func (s seen) String() string {
	if s.link == "" {
		return "nowhere"
	}
	return fmt.Sprintf("%s > %s by %s", s.source, s.destination, s.link)
}

// fence is a flow that passes whatever is configured.
var fence = seen{source: netip.MustParseAddrPort("10.0.3.99:9"), destination: netip.MustParseAddrPort("10.0.1.99:9")}

// pass sends a packet into the gateway by a link and says what became of it. An
// ICMP packet is an echo request, or the reply to one if answer is set; its id is
// the source's port, or the destination's.
func (w *wire) pass(link string, protocol uint8, source, destination netip.AddrPort, answer bool) seen {
	w.t.Helper()
	number := w.send(link, protocol, source, destination, answer)
	last := w.send("vsw-c", udp, fence.source, fence.destination, false)
	var out seen
	for {
		s, n := w.receive("vsw-a", true)
		if n == last {
			break
		}
		if n == number {
			out = s
		}
	}
	for name := range w.ends {
		for out.link == "" {
			s, n := w.receive(name, false)
			if n == 0 {
				break
			}
			if n == number {
				out = s
			}
		}
	}
	return out
}

// receive returns the next packet that came out by a link, and its number: 0 if
// there is none and it does not wait for one.
func (w *wire) receive(link string, wait bool) (seen, uint64) {
	w.t.Helper()
	e := w.ends[link]
	for {
		var n int
		var err error
		_ = e.conn.SetReadDeadline(time.Now().Add(nstest.Deadline))
		over := e.raw.Read(func(fd uintptr) bool {
			n, _, err = unix.Recvfrom(int(fd), e.buffer, unix.MSG_DONTWAIT)
			return !wait || !errors.Is(err, unix.EAGAIN)
		})
		if errors.Is(err, unix.EAGAIN) && over == nil {
			return seen{}, 0
		}
		if err := errors.Join(err, over); err != nil {
			w.t.Fatal(err)
		}
		ip := e.buffer[14:n]
		s := seen{link: link}
		at, ports := 28, true
		switch ip[9] {
		case tcp:
			at = 40
		case icmp:
			ports = false
			if ip[20] != 0 && ip[20] != 8 {
				continue // an error of the gateway's
			}
		}
		if len(ip) < at+8 {
			continue
		}
		port := func(at int) uint16 { return binary.BigEndian.Uint16(ip[at:]) }
		s.source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), port(20))
		s.destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), port(22))
		if !ports {
			s.source, s.destination = netip.AddrPortFrom(s.source.Addr(), port(24)), netip.AddrPortFrom(s.destination.Addr(), port(24))
		}
		return s, binary.BigEndian.Uint64(ip[at:])
	}
}

// send sends a packet and returns the number that it carries.
func (w *wire) send(link string, protocol uint8, source, destination netip.AddrPort, answer bool) uint64 {
	w.t.Helper()
	w.number++
	var l4 []byte
	switch protocol {
	case icmp:
		l4 = make([]byte, 8)
		l4[0] = 8
		binary.BigEndian.PutUint16(l4[4:], source.Port())
		if answer {
			l4[0] = 0
			binary.BigEndian.PutUint16(l4[4:], destination.Port())
		}
	case udp:
		l4 = make([]byte, 8)
		binary.BigEndian.PutUint16(l4[4:], 16)
	case tcp:
		l4 = make([]byte, 20)
		l4[12], l4[13] = 5<<4, 0x10 // ACK, of a connection that the gateway did not see begin
		binary.BigEndian.PutUint16(l4[14:], 4096)
	}
	if protocol != icmp {
		binary.BigEndian.PutUint16(l4, source.Port())
		binary.BigEndian.PutUint16(l4[2:], destination.Port())
	}
	l4 = binary.BigEndian.AppendUint64(l4, w.number)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
	from, to := source.Addr().As4(), destination.Addr().As4()
	copy(ip[12:], from[:])
	copy(ip[16:], to[:])
	binary.BigEndian.PutUint16(ip[10:], sum(ip))
	switch protocol {
	case icmp:
		binary.BigEndian.PutUint16(l4[2:], sum(l4))
	case tcp:
		pseudo := append(append([]byte{}, ip[12:20]...), 0, protocol, 0, byte(len(l4)))
		binary.BigEndian.PutUint16(l4[16:], sum(append(pseudo, l4...)))
	}
	e := w.ends[link]
	frame := append(append(append([]byte{}, e.mac...), 2, 0, 0, 0, 0, 1, 8, 0), append(ip, l4...)...)
	if _, err := e.conn.WriteTo(frame, &packet.Addr{HardwareAddr: e.mac}); err != nil {
		w.t.Fatal(err)
	}
	return w.number
}

// sum is the checksum of the Internet (RFC 1071).
func sum(b []byte) uint16 {
	var s uint32
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}
