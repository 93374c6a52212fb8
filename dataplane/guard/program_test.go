package guard

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// frame returns an Ethernet frame with an IPv4 header that has this source.
func frame(etherType uint16, source string) []byte {
	b := make([]byte, 60)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2})
	binary.BigEndian.PutUint16(b[12:], etherType)
	b[14], b[23] = 0x45, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[16:], 46)
	s, d := netip.MustParseAddr(source).As4(), netip.MustParseAddr("198.51.100.1").As4()
	copy(b[26:], s[:])
	copy(b[30:], d[:])
	return b
}

func ipv4(source string) []byte { return frame(unix.ETH_P_IP, source) }

func program(t testing.TB, allow []netip.Prefix) *ebpf.Program {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads a BPF program")
	}
	spans, err := denied(allow)
	if err != nil {
		t.Fatal(err)
	}
	insns, err := instructions(spans)
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(insns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// passes runs the program on one packet.
func passes(t testing.TB, p *ebpf.Program, packet []byte) bool {
	t.Helper()
	verdict, err := p.Run(&ebpf.RunOptions{Data: packet})
	if err != nil {
		t.Fatal(err)
	}
	switch int32(verdict) {
	case verdictPass:
		return true
	case verdictDrop:
		return false
	}
	t.Fatalf("verdict %d", int32(verdict))
	return false
}

func TestVerdicts(t *testing.T) {
	// What is public makes no difference; the rest cuts holes: at the start of
	// a range, at its end, in its midst, and two that touch.
	allow := prefixes("203.0.113.0/24", "198.51.100.7/32",
		"10.0.0.0/24", "10.255.255.255/32", "172.20.0.0/16", "192.168.100.0/25", "192.168.100.128/25")
	p := program(t, allow)
	for _, c := range []struct {
		source string
		passes bool
	}{
		{"0.0.0.0", true}, {"1.1.1.1", true}, {"255.255.255.255", true},
		{"203.0.113.10", true}, {"198.51.100.7", true}, {"198.51.100.8", true},

		{"9.255.255.255", true}, {"10.0.0.0", true}, {"10.0.0.255", true}, {"10.0.1.0", false},
		{"10.128.0.1", false}, {"10.255.255.254", false}, {"10.255.255.255", true}, {"11.0.0.0", true},

		{"100.63.255.255", true}, {"100.64.0.0", false}, {"100.100.0.1", false}, {"100.127.255.255", false}, {"100.128.0.0", true},

		{"172.15.255.255", true}, {"172.16.0.0", false}, {"172.19.255.255", false}, {"172.20.0.0", true},
		{"172.20.255.255", true}, {"172.21.0.0", false}, {"172.31.255.255", false}, {"172.32.0.0", true},

		{"192.167.255.255", true}, {"192.168.0.0", false}, {"192.168.99.255", false}, {"192.168.100.0", true},
		{"192.168.100.127", true}, {"192.168.100.128", true}, {"192.168.100.255", true}, {"192.168.101.0", false},
		{"192.168.255.255", false}, {"192.169.0.0", true},
	} {
		if got := passes(t, p, ipv4(c.source)); got != c.passes {
			t.Errorf("source %s: passes %v, want %v", c.source, got, c.passes)
		}
	}
}

func TestVerdictsByKind(t *testing.T) {
	p := program(t, nil)
	// Kernels from 6.18 on refuse to run a program on less than a whole IPv4
	// header; TestPackets sends runts of IPv4.
	short := func(n int) []byte { return frame(unix.ETH_P_ARP, "1.1.1.1")[:n] }
	for _, c := range []struct {
		name   string
		packet []byte
		passes bool
	}{
		{"IPv4, public", ipv4("1.1.1.1"), true},
		{"IPv4, private", ipv4("10.0.0.1"), false},
		{"ARP", frame(unix.ETH_P_ARP, "1.1.1.1"), true},
		{"ARP, bytes at the place of the source that look private", frame(unix.ETH_P_ARP, "10.0.0.1"), true},
		{"IPv6", frame(unix.ETH_P_IPV6, "1.1.1.1"), false},
		{"VLAN tag", frame(unix.ETH_P_8021Q, "1.1.1.1"), false},
		{"RARP", frame(unix.ETH_P_RARP, "1.1.1.1"), false},
		{"802.3 length", frame(46, "1.1.1.1"), false},
		{"up to where a source ends", short(30), true},
		{"one byte less", short(29), false},
		{"header and one byte", short(15), false},
		{"large", append(ipv4("1.1.1.1"), make([]byte, 3000)...), true},
		{"large, private", append(ipv4("10.0.0.1"), make([]byte, 3000)...), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := passes(t, p, c.packet); got != c.passes {
				t.Errorf("passes %v, want %v", got, c.passes)
			}
		})
	}
}

// TestManyHoles compares the program's search with a plain one.
func TestManyHoles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var allow []netip.Prefix
	for len(allow) < 2000 {
		v := [4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
		allow = append(allow, netip.PrefixFrom(netip.AddrFrom4(v), 30+r.IntN(3)).Masked())
	}
	p := program(t, allow)
	contains := func(list []netip.Prefix, a netip.Addr) bool {
		for _, q := range list {
			if q.Contains(a) {
				return true
			}
		}
		return false
	}
	for _, q := range allow {
		for _, a := range []netip.Addr{q.Addr(), q.Addr().Prev(), q.Addr().Next()} {
			want := !contains(privatePrefixes(), a) || contains(allow, a)
			if got := passes(t, p, ipv4(a.String())); got != want {
				t.Fatalf("source %s: passes %v, want %v", a, got, want)
			}
		}
	}
}

func TestTooManyHoles(t *testing.T) {
	alternate := func(n int) (allow []netip.Prefix) {
		for i := range n {
			allow = append(allow, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i<<1) | 1}), 32))
		}
		return allow
	}
	// n holes make n+4 spans of the four prefixes.
	program(t, alternate(maxSpans-4))
	spans, err := denied(alternate(maxSpans - 3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := instructions(spans); err == nil {
		t.Errorf("%d spans are accepted", len(spans))
	}
}

func TestDenied(t *testing.T) {
	text := func(allow ...string) string {
		spans, err := denied(prefixes(allow...))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", spans)
	}
	all := text()
	if want := "[{a000000 affffff} {64400000 647fffff} {ac100000 ac1fffff} {c0a80000 c0a8ffff}]"; all != want {
		t.Errorf("denied = %s, want %s", all, want)
	}
	if got := text("203.0.113.0/24", "8.8.8.8/32"); got != all {
		t.Errorf("public prefixes make a difference: %s", got)
	}
	if a, b := text("10.1.0.0/16", "192.168.0.0/24"), text("192.168.0.0/24", "10.1.0.0/16", "10.1.1.0/24"); a != b {
		t.Errorf("order or repetition make a difference: %s, %s", a, b)
	}
	if got := text("0.0.0.0/0"); got != "[]" {
		t.Errorf("denied = %s although all is allowed", got)
	}
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("2001:db8::/32")} {
		if _, err := denied([]netip.Prefix{bad}); err == nil {
			t.Errorf("prefix %v is accepted", bad)
		}
	}
}

func TestAllAllowed(t *testing.T) {
	p := program(t, prefixes("0.0.0.0/0"))
	if !passes(t, p, ipv4("10.0.0.1")) || passes(t, p, frame(unix.ETH_P_IPV6, "1.1.1.1")) {
		t.Error("must pass all IPv4, and nothing else")
	}
}

func TestTag(t *testing.T) {
	for _, allow := range [][]netip.Prefix{nil, prefixes("10.0.0.0/24"), prefixes("0.0.0.0/0")} {
		info, err := program(t, allow).Info()
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range [][]netip.Prefix{nil, prefixes("10.0.0.0/24"), prefixes("0.0.0.0/0"), prefixes("10.0.0.0/25")} {
			spans, _ := denied(other)
			insns, err := instructions(spans)
			if err != nil {
				t.Fatal(err)
			}
			got, err := hasTag(insns, info.Tag)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprint(allow) == fmt.Sprint(other); got != want {
				t.Errorf("program for %v has the tag of the one for %v: %v", allow, other, got)
			}
		}
	}
}

func BenchmarkVerdict(b *testing.B) {
	p := program(b, prefixes("10.0.0.0/24", "172.16.5.0/24"))
	_, perRun, err := p.Benchmark(ipv4("203.0.113.10"), b.N, b.ResetTimer)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(perRun.Nanoseconds()), "ns/packet")
}
