package session

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// What the programs return (linux/bpf.h, linux/pkt_cls.h).
const (
	xdpPass       = 2
	xdpRedirected = 4
)

// programs are loaded with maps of their own, attached nowhere.
func programs(t testing.TB) *ebpf.Collection {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skip(err)
	}
	spec, err := bpf.LoadGateway()
	if err != nil {
		t.Fatal(err)
	}
	spec.Maps["sessions"].MaxEntries = 1 << 12
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// udp returns a frame with a UDP packet of 64 bytes and its checksums.
func udp(source, destination string, ttl byte) []byte {
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	f := make([]byte, 64)
	copy(f[0:], []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	ip := f[14:]
	copy(ip, []byte{0x45, 0, 0, 50, 0, 0, 0x40, 0, ttl, unix.IPPROTO_UDP})
	copy(ip[12:], src.Addr().AsSlice())
	copy(ip[16:], dst.Addr().AsSlice())
	u := ip[20:]
	binary.BigEndian.PutUint16(u[0:], src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], 30)
	copy(u[8:], "what a host sends")
	seal(f)
	return f
}

// seal puts the right checksums into a frame of udp.
func seal(f []byte) {
	ip, u := f[14:34], f[34:64]
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	binary.BigEndian.PutUint16(u[6:], 0)
	pseudo := sum(uint32(sum(0, ip[12:20])), []byte{0, ip[9], 0, 30})
	check := ^sum(uint32(pseudo), u)
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(u[6:], check)
}

// sum is a one's complement sum (RFC 1071).
func sum(s uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func key(source, destination string, protocol uint8) flowKey {
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	return flowKey{Saddr: word(src.Addr()), Daddr: word(dst.Addr()), Sport: order16(src.Port()), Dport: order16(dst.Port()), Proto: protocol}
}

// learned puts a path into the sessions as the programs would.
func learned(t testing.TB, c *ebpf.Collection) bpf.GatewaySession {
	t.Helper()
	set := settings{Generation: 1, Lifetime: 1 << 30, Flags: setShortcut, Uplink: 9}
	if err := c.Maps["settings"].Put(uint32(0), &set); err != nil {
		t.Fatal(err)
	}
	// Sums of 16 bits: what the kernel writes for the same translation.
	from, to := udp("10.0.1.6:4000", "198.51.100.1:53", 64), udp("203.0.113.10:1025", "198.51.100.1:53", 63)
	delta := func(at int) uint16 {
		s := uint32(^binary.NativeEndian.Uint16(to[at:])) + uint32(binary.NativeEndian.Uint16(from[at:]))
		return uint16(s + s>>16)
	}
	s := bpf.GatewaySession{
		Dmac: [6]uint8{2, 0, 0, 0, 0, 9}, Smac: [6]uint8{2, 0, 0, 0, 0, 8},
		Saddr: word(netip.MustParseAddr("203.0.113.10")), Daddr: word(netip.MustParseAddr("198.51.100.1")),
		Sport: order16(1025), Dport: order16(53), Ifindex: 1, Generation: 1, Mtu: 1500, Slot: 3, Kind: uint8(kindSNAT), Path: 1 | 2,
		Until: 1 << 30, IpDelta: delta(24), L4Delta: delta(40),
	}
	put(t, c, key("10.0.1.6:4000", "198.51.100.1:53", unix.IPPROTO_UDP), s)
	return s
}

func put(t testing.TB, c *ebpf.Collection, k flowKey, s bpf.GatewaySession) {
	t.Helper()
	if err := c.Maps["sessions"].Put(&k, &s); err != nil {
		t.Fatal(err)
	}
}

func TestXDPTranslates(t *testing.T) {
	c := programs(t)
	learned(t, c)
	in := udp("10.0.1.6:4000", "198.51.100.1:53", 64)
	out := make([]byte, 64)
	verdict, err := c.Programs["switch_xdp"].Run(&ebpf.RunOptions{Data: in, DataOut: out})
	if err != nil {
		t.Fatal(err)
	}
	want := udp("203.0.113.10:1025", "198.51.100.1:53", 63)
	copy(want, []byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8})
	if verdict != xdpRedirected {
		t.Errorf("verdict %d, want a redirect", verdict)
	}
	if d := cmp.Diff(want, out); d != "" {
		t.Errorf("frame (-want +got):\n%s", d)
	}
}

// BenchmarkXDP measures the shortcut in XDP without the driver: ns for a packet.
// The translation leaves the addresses as they are, so that a frame can go round
// until its TTL has run down.
func BenchmarkXDP(b *testing.B) {
	c := programs(b)
	s := learned(b, c)
	s.Saddr, s.Sport = word(netip.MustParseAddr("10.0.1.6")), order16(4000)
	s.IpDelta, s.L4Delta = ^order16(0x0100), 0
	put(b, c, key("10.0.1.6:4000", "198.51.100.1:53", unix.IPPROTO_UDP), s)
	in := udp("10.0.1.6:4000", "198.51.100.1:53", 255)
	best := time.Hour
	for b.Loop() {
		verdict, d, err := c.Programs["switch_xdp"].Benchmark(in, 250, nil)
		if err != nil || verdict != xdpRedirected {
			b.Fatal(verdict, err)
		}
		best = min(best, d)
	}
	b.ReportMetric(float64(best.Nanoseconds()), "ns/packet")
}
