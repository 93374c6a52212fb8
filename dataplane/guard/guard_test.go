package guard_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/dataplane/guard"
	"sluice/dataplane/internal/nstest"
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

func load(t *testing.T, p guard.Params) *ebpf.Program {
	t.Helper()
	if _, err := guard.New(); err != nil {
		t.Skipf("this kernel cannot run the guard: %v", err)
	}
	prog, err := ebpf.NewProgram(guard.Program(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

func TestVerdicts(t *testing.T) {
	prefix := netip.MustParsePrefix
	usual := guard.Params{Public: prefix("203.0.113.0/24"), Private: prefix("10.0.0.0/8")}
	inside := guard.Params{Public: prefix("10.99.0.0/16"), Private: prefix("10.0.0.0/16")}
	odd := guard.Params{Public: prefix("198.18.0.0/15"), Private: prefix("192.0.2.0/24")}
	single := guard.Params{Public: prefix("100.64.0.7/32")}
	tests := []struct {
		params guard.Params
		source string
		want   uint32
	}{
		{usual, "203.0.113.10", guard.Pass}, {usual, "8.8.8.8", guard.Pass}, {usual, "255.255.255.255", guard.Pass},
		{usual, "9.255.255.255", guard.Pass}, {usual, "10.0.0.0", guard.Drop}, {usual, "10.255.255.255", guard.Drop}, {usual, "11.0.0.0", guard.Pass},
		{usual, "172.15.255.255", guard.Pass}, {usual, "172.16.0.0", guard.Drop}, {usual, "172.31.255.255", guard.Drop}, {usual, "172.32.0.0", guard.Pass},
		{usual, "192.167.255.255", guard.Pass}, {usual, "192.168.0.0", guard.Drop}, {usual, "192.168.255.255", guard.Drop}, {usual, "192.169.0.0", guard.Pass},
		{usual, "100.63.255.255", guard.Pass}, {usual, "100.64.0.0", guard.Drop}, {usual, "100.127.255.255", guard.Drop}, {usual, "100.128.0.0", guard.Pass},
		{inside, "10.99.1.1", guard.Pass}, {inside, "10.98.1.1", guard.Drop},
		{odd, "192.0.2.1", guard.Drop}, {odd, "198.19.255.255", guard.Pass}, {odd, "10.1.1.1", guard.Drop},
		{single, "100.64.0.7", guard.Pass}, {single, "100.64.0.8", guard.Drop},
		{guard.Params{}, "10.1.1.1", guard.Drop}, {guard.Params{}, "203.0.113.1", guard.Pass},
	}
	programs := map[guard.Params]*ebpf.Program{}
	for _, test := range tests {
		if programs[test.params] == nil {
			programs[test.params] = load(t, test.params)
		}
		got, err := programs[test.params].Run(&ebpf.RunOptions{Data: frame(unix.ETH_P_IP, test.source, 8)})
		if err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("%+v, source %s: verdict %d, want %d", test.params, test.source, int32(got), int32(test.want))
		}
	}
}

func TestOtherPackets(t *testing.T) {
	prog := load(t, guard.Params{Public: netip.MustParsePrefix("203.0.113.0/24")})
	arp := frame(unix.ETH_P_ARP, "10.0.0.1", 8)
	for _, test := range []struct {
		name string
		data []byte
		want uint32
	}{
		{"ARP", arp, guard.Pass},
		{"IPv6", frame(unix.ETH_P_IPV6, "10.0.0.1", 40), guard.Pass},
		{"IPv4 with options and a private source", func() []byte { b := frame(unix.ETH_P_IP, "10.0.0.1", 48); b[14] = 0x4a; return b }(), guard.Drop},
		{"fragment with a private source", func() []byte { b := frame(unix.ETH_P_IP, "10.0.0.1", 8); b[20] = 0x20; b[21] = 5; return b }(), guard.Drop},
	} {
		got, err := prog.Run(&ebpf.RunOptions{Data: test.data})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if got != test.want {
			t.Errorf("%s: verdict %d, want %d", test.name, int32(got), int32(test.want))
		}
	}
}

func TestAttach(t *testing.T) {
	ns, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "public", far, "far")
	g, err := guard.New()
	if err != nil {
		t.Skipf("this kernel cannot run the guard: %v", err)
	}
	index := nstest.Link(t, ns, "public").Attrs().Index
	apply := func(p guard.Params) int {
		t.Helper()
		// A new Guard each time: what is attached is told by the kernel alone.
		g, err := guard.New()
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
	a := guard.Params{Public: netip.MustParsePrefix("203.0.113.0/24")}
	b := guard.Params{Public: netip.MustParsePrefix("198.51.100.0/24")}
	var got []int
	for _, p := range []guard.Params{a, a, b, b, a} {
		got = append(got, apply(p))
	}
	if want := []int{1, 0, 1, 0, 1}; !slices.Equal(got, want) {
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
