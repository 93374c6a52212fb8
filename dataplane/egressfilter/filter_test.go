package egressfilter_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/egressfilter"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/plan"
)

func frame(etherType uint16, source string, payload int) []byte {
	b := make([]byte, 14+20+payload)
	binary.BigEndian.PutUint16(b[12:], etherType)
	b[14] = 0x45
	binary.BigEndian.PutUint16(b[16:], uint16(20+payload))
	b[22], b[23] = 64, unix.IPPROTO_UDP
	copy(b[26:], netip.MustParseAddr(source).AsSlice())
	copy(b[30:], []byte{198, 51, 100, 1})
	return b
}

func load(t *testing.T, p egressfilter.Params) *ebpf.Program {
	t.Helper()
	if _, err := egressfilter.New(); err != nil {
		t.Skipf("this kernel cannot run the egress filter: %v", err)
	}
	spec, err := egressfilter.Program(p)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

// skb is the part of __sk_buff that a test can set (linux/bpf.h).
type skb struct {
	_         [36]byte
	Ingress   uint32
	Interface uint32
	_         [148]byte
}

// verdict runs the program on a packet. Loopback's index stands for the link
// that a forwarded packet came in by.
func verdict(t *testing.T, prog *ebpf.Program, data []byte, forwarded bool) uint32 {
	t.Helper()
	opts := &ebpf.RunOptions{Data: data}
	if forwarded {
		opts.Context = &skb{Ingress: 1}
	}
	got, err := prog.Run(opts)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSources(t *testing.T) {
	prefix := netip.MustParsePrefix
	const usual, inside, odd, several, single, elastic, none = "usual", "inside", "odd", "several", "single", "elastic", "none"
	params := map[string]egressfilter.Params{
		usual:   {Public: prefix("203.0.113.0/24"), Private: []netip.Prefix{prefix("10.0.0.0/8")}},
		inside:  {Public: prefix("10.99.0.0/16"), Private: []netip.Prefix{prefix("10.0.0.0/16")}},
		odd:     {Public: prefix("198.18.0.0/15"), Private: []netip.Prefix{prefix("192.0.2.0/24")}},
		several: {Public: prefix("203.0.113.0/24"), Private: []netip.Prefix{prefix("10.0.0.0/16"), prefix("192.0.2.0/24"), prefix("198.51.100.128/25")}},
		single:  {Public: prefix("100.64.0.7/32")},
		elastic: {Public: prefix("203.0.113.0/24"), Private: []netip.Prefix{prefix("10.0.0.0/8")}, Elastic: []netip.Addr{
			netip.MustParseAddr("100.64.0.0"), netip.MustParseAddr("172.16.5.9"), netip.MustParseAddr("8.8.8.8"),
			netip.MustParseAddr("100.127.255.255"), netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("172.16.5.10"),
		}},
		none: {},
	}
	tests := []struct {
		params string
		source string
		want   uint32
	}{
		{usual, "203.0.113.10", egressfilter.Pass}, {usual, "8.8.8.8", egressfilter.Pass}, {usual, "0.0.0.0", egressfilter.Pass}, {usual, "255.255.255.255", egressfilter.Pass},
		{usual, "9.255.255.255", egressfilter.Pass}, {usual, "10.0.0.0", egressfilter.Drop}, {usual, "10.255.255.255", egressfilter.Drop}, {usual, "11.0.0.0", egressfilter.Pass},
		{usual, "172.15.255.255", egressfilter.Pass}, {usual, "172.16.0.0", egressfilter.Drop}, {usual, "172.31.255.255", egressfilter.Drop}, {usual, "172.32.0.0", egressfilter.Pass},
		{usual, "192.167.255.255", egressfilter.Pass}, {usual, "192.168.0.0", egressfilter.Drop}, {usual, "192.168.255.255", egressfilter.Drop}, {usual, "192.169.0.0", egressfilter.Pass},
		{usual, "100.63.255.255", egressfilter.Pass}, {usual, "100.64.0.0", egressfilter.Drop}, {usual, "100.127.255.255", egressfilter.Drop}, {usual, "100.128.0.0", egressfilter.Pass},
		{inside, "10.99.1.1", egressfilter.Pass}, {inside, "10.98.1.1", egressfilter.Drop}, {inside, "10.100.0.0", egressfilter.Drop},
		{odd, "192.0.2.1", egressfilter.Drop}, {odd, "192.0.3.0", egressfilter.Pass}, {odd, "198.19.255.255", egressfilter.Pass}, {odd, "10.1.1.1", egressfilter.Drop},
		{several, "192.0.2.1", egressfilter.Drop}, {several, "198.51.100.128", egressfilter.Drop}, {several, "198.51.100.127", egressfilter.Pass}, {several, "203.0.113.1", egressfilter.Pass},
		{single, "100.64.0.7", egressfilter.Pass}, {single, "100.64.0.8", egressfilter.Drop}, {single, "100.64.0.6", egressfilter.Drop},
		{elastic, "100.64.0.0", egressfilter.Pass}, {elastic, "100.64.0.1", egressfilter.Drop}, {elastic, "100.127.255.254", egressfilter.Drop}, {elastic, "100.127.255.255", egressfilter.Pass},
		{elastic, "172.16.5.8", egressfilter.Drop}, {elastic, "172.16.5.9", egressfilter.Pass}, {elastic, "172.16.5.10", egressfilter.Pass}, {elastic, "172.16.5.11", egressfilter.Drop},
		{elastic, "10.1.0.0", egressfilter.Drop}, {elastic, "10.1.0.1", egressfilter.Pass}, {elastic, "10.1.0.2", egressfilter.Drop}, {elastic, "8.8.8.8", egressfilter.Pass},
		{none, "10.1.1.1", egressfilter.Drop}, {none, "203.0.113.1", egressfilter.Pass},
	}
	programs := map[string]*ebpf.Program{}
	for _, test := range tests {
		if programs[test.params] == nil {
			programs[test.params] = load(t, params[test.params])
		}
		for _, forwarded := range []bool{false, true} {
			if got := verdict(t, programs[test.params], frame(unix.ETH_P_IP, test.source, 8), forwarded); got != test.want {
				t.Errorf("%s, source %s: verdict %d, want %d", test.params, test.source, int32(got), int32(test.want))
			}
		}
	}
}

// ipPacket is a frame with an elastic IP as its source.
func ipPacket(protocol byte, options int, payload ...byte) []byte {
	b := frame(unix.ETH_P_IP, "203.0.113.10", options+len(payload))
	b[14] += byte(options / 4)
	b[23] = protocol
	copy(b[14+20+options:], payload)
	return b
}

func tcpHeader(flags byte) []byte {
	h := make([]byte, 20)
	h[12], h[13] = 0x50, flags
	return h
}

func TestKindsOfPackets(t *testing.T) {
	prog := load(t, egressfilter.Params{Public: netip.MustParsePrefix("203.0.113.0/24")})
	fragment := func(b []byte, high, low byte) []byte { b[20], b[21] = high, low; return b }
	private := func(options int) []byte {
		b := ipPacket(unix.IPPROTO_UDP, options, make([]byte, 8)...)
		copy(b[26:], []byte{10, 0, 0, 1})
		return b
	}
	icmp := func(kind, code byte) []byte { return []byte{kind, code, 0, 0, 0, 0, 0, 0} }
	const rst, ack, syn = 0x04, 0x10, 0x02
	for _, test := range []struct {
		name           string
		data           []byte
		own, forwarded uint32 // verdicts
	}{
		{"ARP", frame(unix.ETH_P_ARP, "10.0.0.1", 8), egressfilter.Pass, egressfilter.Pass},
		{"IPv6", frame(unix.ETH_P_IPV6, "10.0.0.1", 40), egressfilter.Drop, egressfilter.Drop},
		{"RARP", frame(unix.ETH_P_RARP, "203.0.113.1", 40), egressfilter.Drop, egressfilter.Drop},
		{"tag in the frame", frame(unix.ETH_P_8021Q, "203.0.113.1", 40), egressfilter.Drop, egressfilter.Drop},
		{"802.3 length", frame(46, "203.0.113.1", 40), egressfilter.Drop, egressfilter.Drop},
		{"IPv4 with options and a private source", private(40), egressfilter.Drop, egressfilter.Drop},
		{"fragment with a private source", fragment(private(0), 0x20, 5), egressfilter.Drop, egressfilter.Drop},
		{"large", ipPacket(unix.IPPROTO_UDP, 0, make([]byte, 3000)...), egressfilter.Pass, egressfilter.Pass},
		{"RST", ipPacket(unix.IPPROTO_TCP, 0, tcpHeader(rst)...), egressfilter.Drop, egressfilter.Pass},
		{"RST ACK", ipPacket(unix.IPPROTO_TCP, 0, tcpHeader(rst|ack)...), egressfilter.Drop, egressfilter.Pass},
		{"RST after IPv4 options", ipPacket(unix.IPPROTO_TCP, 40, tcpHeader(rst)...), egressfilter.Drop, egressfilter.Pass},
		{"first fragment with RST", fragment(ipPacket(unix.IPPROTO_TCP, 0, tcpHeader(rst)...), 0x20, 0), egressfilter.Drop, egressfilter.Pass},
		{"later fragment", fragment(ipPacket(unix.IPPROTO_TCP, 0, tcpHeader(rst)...), 0x20, 1), egressfilter.Pass, egressfilter.Pass},
		{"SYN ACK", ipPacket(unix.IPPROTO_TCP, 0, tcpHeader(syn|ack)...), egressfilter.Pass, egressfilter.Pass},
		{"TCP without its flags", ipPacket(unix.IPPROTO_TCP, 0, tcpHeader(ack)[:13]...), egressfilter.Drop, egressfilter.Pass},
		{"UDP that looks like RST", ipPacket(unix.IPPROTO_UDP, 0, tcpHeader(rst)...), egressfilter.Pass, egressfilter.Pass},
		{"ESP", ipPacket(unix.IPPROTO_ESP, 0, tcpHeader(rst)...), egressfilter.Pass, egressfilter.Pass},
		{"port unreachable", ipPacket(unix.IPPROTO_ICMP, 0, icmp(3, 3)...), egressfilter.Drop, egressfilter.Pass},
		{"port unreachable after options", ipPacket(unix.IPPROTO_ICMP, 8, icmp(3, 3)...), egressfilter.Drop, egressfilter.Pass},
		{"protocol unreachable", ipPacket(unix.IPPROTO_ICMP, 0, icmp(3, 2)...), egressfilter.Drop, egressfilter.Pass},
		{"host unreachable", ipPacket(unix.IPPROTO_ICMP, 0, icmp(3, 1)...), egressfilter.Pass, egressfilter.Pass},
		{"fragmentation needed", ipPacket(unix.IPPROTO_ICMP, 0, icmp(3, 4)...), egressfilter.Pass, egressfilter.Pass},
		{"time exceeded", ipPacket(unix.IPPROTO_ICMP, 0, icmp(11, 0)...), egressfilter.Pass, egressfilter.Pass},
		{"echo", ipPacket(unix.IPPROTO_ICMP, 0, icmp(8, 0)...), egressfilter.Pass, egressfilter.Pass},
	} {
		if got := verdict(t, prog, test.data, false); got != test.own {
			t.Errorf("%s of the gateway: verdict %d, want %d", test.name, int32(got), int32(test.own))
		}
		if got := verdict(t, prog, test.data, true); got != test.forwarded {
			t.Errorf("%s of a host: verdict %d, want %d", test.name, int32(got), int32(test.forwarded))
		}
	}
}

// Resets of the gateway's own leave from where it listens, and from nowhere else.
func TestResetsOfServers(t *testing.T) {
	at := netip.MustParseAddrPort
	listening := []netip.AddrPort{at("203.0.113.20:443"), at("203.0.113.10:1194"), at("203.0.113.10:443"), at("203.0.113.10:65535"), at("203.0.113.10:443")}
	for n := range len(listening) + 1 {
		prog := load(t, egressfilter.Params{Public: netip.MustParsePrefix("203.0.113.0/24"), Servers: listening[:n]})
		for _, from := range append([]netip.AddrPort{at("203.0.113.10:444"), at("203.0.113.20:1194"), at("203.0.113.11:443"), at("203.0.113.10:0")}, listening...) {
			for _, options := range []int{0, 8} {
				h := tcpHeader(0x04)
				binary.BigEndian.PutUint16(h, from.Port())
				b := ipPacket(unix.IPPROTO_TCP, options, h...)
				copy(b[26:], from.Addr().AsSlice())
				want := uint32(egressfilter.Drop)
				if slices.Contains(listening[:n], from) {
					want = egressfilter.Pass
				}
				if got := verdict(t, prog, b, false); got != want {
					t.Errorf("%d servers, a reset from %s: verdict %d, want %d", n, from, int32(got), int32(want))
				}
				if got := verdict(t, prog, b, true); got != egressfilter.Pass {
					t.Errorf("%d servers, a host's reset from %s: verdict %d", n, from, int32(got))
				}
			}
		}
		b := ipPacket(unix.IPPROTO_ICMP, 0, 3, 3, 0, 0, 0, 0, 0, 0)
		if got := verdict(t, prog, b, false); got != egressfilter.Drop {
			t.Errorf("%d servers, port unreachable: verdict %d", n, int32(got))
		}
	}
}

// A tag beside the packet, as a VLAN link on the uplink sets it.
func TestTagBesideThePacket(t *testing.T) {
	spec, err := egressfilter.Program(egressfilter.Params{})
	if err != nil {
		t.Fatal(err)
	}
	load(t, egressfilter.Params{}) // skips where there is no BPF
	for _, tagged := range []bool{true, false} {
		insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
		if tagged {
			insns = append(insns, asm.Mov.Imm(asm.R2, 0x0081), asm.Mov.Imm(asm.R3, 7), asm.FnSkbVlanPush.Call())
		}
		insns = append(insns, asm.Mov.Reg(asm.R1, asm.R6))
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: append(insns, spec.Instructions...)})
		if err != nil {
			t.Fatal(err)
		}
		want := uint32(egressfilter.Pass)
		if tagged {
			want = egressfilter.Drop
		}
		if got := verdict(t, prog, frame(unix.ETH_P_IP, "203.0.113.1", 40), false); got != want {
			t.Errorf("tagged %v: verdict %d, want %d", tagged, int32(got), int32(want))
		}
		prog.Close()
	}
}

// The search is compared with a plain one, and grows no further than jumps
// reach.
func TestManyElasticIPs(t *testing.T) {
	var p egressfilter.Params
	for i := range 4900 {
		p.Elastic = append(p.Elastic, netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 7}))
	}
	prog := load(t, p)
	for _, a := range p.Elastic {
		for addr, want := range map[netip.Addr]uint32{a: egressfilter.Pass, a.Next(): egressfilter.Drop, a.Prev(): egressfilter.Drop} {
			if got := verdict(t, prog, frame(unix.ETH_P_IP, addr.String(), 8), true); got != want {
				t.Fatalf("source %s: verdict %d, want %d", addr, int32(got), int32(want))
			}
		}
	}
	for i := range 200 {
		p.Elastic = append(p.Elastic, netip.AddrFrom4([4]byte{172, 16, byte(i), 7}))
	}
	if _, err := egressfilter.Program(p); err == nil || !strings.Contains(err.Error(), "uplink's prefix") {
		t.Errorf("with %d elastic IPs in private space: %v", len(p.Elastic), err)
	}
	if _, err := egressfilter.Program(egressfilter.Params{Private: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}); err == nil {
		t.Error("an IPv6 block is accepted")
	}
}

func TestAttach(t *testing.T) {
	ns, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "public", far, "far")
	g, err := egressfilter.New()
	if err != nil {
		t.Skipf("this kernel cannot run the egress filter: %v", err)
	}
	index := nstest.Link(t, ns, "public").Attrs().Index
	apply := func(p egressfilter.Params) int {
		t.Helper()
		// A new Filter each time: what is attached is told by the kernel alone.
		g, err := egressfilter.New()
		if err != nil {
			t.Fatal(err)
		}
		plan, err := g.Plan(ns, "public", index, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range plan.Add {
			if err := c.Do(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return len(plan.Add)
	}
	a := egressfilter.Params{Public: netip.MustParsePrefix("203.0.113.0/24")}
	b := egressfilter.Params{Public: netip.MustParsePrefix("198.51.100.0/24")}
	var got []int
	// The program depends on no public prefix or elastic IP, but in private
	// space.
	c := egressfilter.Params{Public: b.Public, Elastic: []netip.Addr{netip.MustParseAddr("8.8.8.8")}}
	d := egressfilter.Params{Public: b.Public, Elastic: []netip.Addr{netip.MustParseAddr("100.64.0.9"), netip.MustParseAddr("8.8.8.8")}}
	f := egressfilter.Params{Public: b.Public, Elastic: []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("100.64.0.9")}}
	for _, p := range []egressfilter.Params{a, a, b, c, d, d, f, a, a} {
		got = append(got, apply(p))
	}
	if want := []int{1, 0, 0, 0, 1, 0, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	nstest.Command(t, ns, "tc", "filter", "del", "dev", "public", "egress")
	if apply(a) != 1 {
		t.Error("a deleted filter is not missed")
	}
	plan, err := g.Plan(ns, "gone", 0, a)
	if err != nil || len(plan.Add) != 1 {
		t.Fatalf("plan for a link that is not there: %v, %v", plan, err)
	}
	if err := plan.Add[0].Do(context.Background()); err == nil {
		t.Error("attached to a link that does not exist")
	}
}

// A filter in front of the egress filter could let pass what the egress filter drops.
func TestForeignFilters(t *testing.T) {
	ns, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "public", far, "far")
	g, err := egressfilter.New()
	if err != nil {
		t.Skipf("this kernel cannot run the egress filter: %v", err)
	}
	index := nstest.Link(t, ns, "public").Attrs().Index
	plan := func() []plan.Change {
		t.Helper()
		p, err := g.Plan(ns, "public", index, egressfilter.Params{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Add
	}
	accept, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer accept.Close()
	foreign := func(handle uint32, priority uint16) func() {
		return func() {
			f := &netlink.BpfFilter{
				FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: handle, Priority: priority, Protocol: unix.ETH_P_ALL},
				Fd:          accept.FD(), Name: "foreign", DirectAction: true,
			}
			if err := ns.Netlink().FilterReplace(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	tc := func(args ...string) func() {
		return func() { nstest.Command(t, ns, "tc", append([]string{"filter"}, args...)...) }
	}
	all := func(fs ...func()) func() {
		return func() {
			for _, f := range fs {
				f()
			}
		}
	}
	deleted := tc("del", "dev", "public", "egress")
	const attach, remove = "attach the egress filter to public", "remove foreign traffic filter of kind %s before the egress filter of public"
	for _, test := range []struct {
		name   string
		damage func()
		want   []string
	}{
		{"same priority", foreign(2, 1), []string{fmt.Sprintf(remove, "bpf")}},
		{"two of the same priority", all(foreign(2, 1), foreign(3, 1)), []string{fmt.Sprintf(remove, "bpf"), fmt.Sprintf(remove, "bpf")}},
		{"our handle", foreign(1, 1), []string{attach}},
		{"instead of ours", all(deleted, foreign(2, 1)), []string{attach, fmt.Sprintf(remove, "bpf")}},
		{"after ours", foreign(1, 2), nil},
		{"another kind", all(deleted, tc("add", "dev", "public", "egress", "protocol", "ip", "prio", "1", "u32", "match", "u32", "0", "0")),
			[]string{fmt.Sprintf(remove, "u32"), attach}},
		{"another protocol", all(deleted, tc("add", "dev", "public", "egress", "protocol", "ip", "prio", "1", "bpf", "bytecode", "1,6 0 0 0,")),
			[]string{fmt.Sprintf(remove, "bpf"), attach}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range plan() {
				if err := c.Do(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			test.damage()
			var got []string
			for _, c := range plan() {
				got = append(got, c.What)
				if err := c.Do(t.Context()); err != nil {
					t.Errorf("%s: %v", c.What, err)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("changes %q, want %q", got, test.want)
			}
			if left := plan(); len(left) > 0 {
				t.Errorf("still to do: %s", left[0].What)
			}
		})
	}
}
