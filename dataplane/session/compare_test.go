package session

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
)

// translated is a flow by an SNAT entry.
func translated(protocol uint8, from, to, as string) *conntrack.Flow {
	f, external := flow(protocol, from, to), netip.MustParseAddrPort(as)
	f.TupleReply.IP.DestinationAddress, f.TupleReply.Proto.DestinationPort = external.Addr(), external.Port()
	f.Status.Value |= conntrack.StatusSrcNAT
	return f
}

// What counts is the destination with the most ports in use, for each address
// and protocol.
func TestPortCount(t *testing.T) {
	p := newPortCount()
	use := func(f *conntrack.Flow) { p.add(f, uint32(f.Status.Value)) }
	for i := range 3 {
		use(translated(unix.IPPROTO_TCP, fmt.Sprintf("10.0.1.6:%d", 4000+i), "198.51.100.1:80", fmt.Sprintf("203.0.113.10:%d", 1025+i)))
	}
	for i := range 2 { // the same address, and another port of it
		use(translated(unix.IPPROTO_TCP, fmt.Sprintf("10.0.1.6:%d", 4000+i), "198.51.100.1:443", fmt.Sprintf("203.0.113.10:%d", 1025+i)))
		use(translated(unix.IPPROTO_TCP, fmt.Sprintf("10.0.1.6:%d", 4000+i), "198.51.100.2:80", fmt.Sprintf("203.0.113.10:%d", 1025+i)))
	}
	use(translated(unix.IPPROTO_UDP, "10.0.1.6:4000", "198.51.100.1:80", "203.0.113.10:1025"))
	use(translated(unix.IPPROTO_UDP, "10.0.1.6:4000", "198.51.100.1:80", "203.0.113.9:1025"))
	use(translated(unix.IPPROTO_ICMP, "10.0.1.6:7", "198.51.100.1:0", "203.0.113.10:7"))
	// These use none.
	called := flow(unix.IPPROTO_TCP, "198.51.100.1:5000", "203.0.113.10:80")
	called.Status.Value |= conntrack.StatusDstNAT
	use(called)
	use(flow(unix.IPPROTO_TCP, "10.0.1.6:4000", "10.0.2.7:80"))

	want := []dataplane.Ports{
		{External: addrOf("203.0.113.9"), Protocol: 17, Used: 1, Most: 64512},
		{External: addrOf("203.0.113.10"), Protocol: 1, Used: 1, Most: 65536},
		{External: addrOf("203.0.113.10"), Protocol: 6, Used: 3, Most: 64512},
		{External: addrOf("203.0.113.10"), Protocol: 17, Used: 1, Most: 64512},
	}
	if d := cmp.Diff(want, p.list(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if none := newPortCount().list(); len(none) != 0 {
		t.Errorf("of nothing: %v", none)
	}
}

func TestClosedOf(t *testing.T) {
	day := uint32(24 * time.Hour / time.Second)
	for _, c := range []struct {
		name    string
		tcp     *conntrack.ProtoInfoTCP
		timeout uint32
		want    bool
	}{
		{"UDP", nil, 10, false},
		{"SYN_SENT", &conntrack.ProtoInfoTCP{State: 1}, 120, false},
		{"SYN_RECV", &conntrack.ProtoInfoTCP{State: 2}, 60, false},
		{"ESTABLISHED", &conntrack.ProtoInfoTCP{State: 3}, day, false},
		{"ESTABLISHED, for long", &conntrack.ProtoInfoTCP{State: 3}, 600, false},
		{"ESTABLISHED, and reset, which the session knows", &conntrack.ProtoInfoTCP{State: 3}, 10, false},
		{"FIN_WAIT", &conntrack.ProtoInfoTCP{State: 4}, 120, false},
		{"CLOSE_WAIT", &conntrack.ProtoInfoTCP{State: 5}, 60, false},
		{"LAST_ACK", &conntrack.ProtoInfoTCP{State: 6}, 30, false},
		{"TIME_WAIT", &conntrack.ProtoInfoTCP{State: 7}, 120, true},
		{"CLOSE", &conntrack.ProtoInfoTCP{State: 8}, 10, true},
		{"SYN_SENT2", &conntrack.ProtoInfoTCP{State: 9}, 120, false},
	} {
		f := &conntrack.Flow{Timeout: c.timeout, ProtoInfo: conntrack.ProtoInfo{TCP: c.tcp}}
		if got := closedOf(f); got != c.want {
			t.Errorf("%s: closed %v, want %v", c.name, got, c.want)
		}
	}
}

// Of a table without translations nothing is left: all sessions and the reply
// directions of others go.
func TestCompareRemoves(t *testing.T) {
	f := limited(t, connections(0))
	begun, back := udp("10.0.1.6:4000", outside+":53", ""), udp(outside+":53", "203.0.113.10:4000", "")
	ping, old := icmp("10.0.1.6", outside, 7, echo), icmp("10.0.1.6", outside, 8, echo)
	for _, p := range []packet{begun, ping, old} {
		f.want(t, p, tcNext)
	}
	f.learned(back, begun, func(s *bpf.GatewaySession) { s.Flow = flowReply | flowInbound })
	// Conntrack cannot be asked for ICMP: only what is older than the list goes,
	// and what came with it is given a moment.
	for p, age := range map[packet]uint32{ping: 0, old: 1 << 20} {
		k := p.key()
		s := *f.session(k)
		s.Until = f.now + 1<<20 - age*2
		f.put("sessions", &k, &s)
	}
	if err := f.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []packet{begun, back, old} {
		if f.session(p.key()) != nil {
			t.Errorf("a session %s to %s is left", p.from, p.to)
		}
	}
	if f.session(ping.key()) == nil {
		t.Error("a session that began since is gone")
	}
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindSNAT: 1}, Opened: map[uint32]uint64{}, Pending: 1,
		Addresses: map[string][2]uint64{"10.0.1.6": {1, 0}},
	})
}

// What conntrack never had goes after a moment; what is on its way stays.
func TestDropPending(t *testing.T) {
	f := limited(t, connections(0))
	lost, underway := icmp("10.0.1.6", outside, 7, echo), icmp("10.0.1.6", outside, 8, echo)
	f.want(t, lost, tcNext)
	f.want(t, underway, tcNext)
	for p, made := range map[packet]uint32{lost: f.now - bpf.Ticks(time.Second), underway: f.now + 1<<20} {
		k := p.key()
		s := *f.session(k)
		s.Until = made
		f.put("sessions", &k, &s)
	}
	if err := f.dropPending(); err != nil {
		t.Fatal(err)
	}
	if f.session(lost.key()) != nil {
		t.Error("what was lost is left")
	}
	if f.session(underway.key()) == nil {
		t.Error("what is on its way is gone")
	}
}
