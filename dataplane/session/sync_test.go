package session

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

func flow(protocol uint8, from, to string) *conntrack.Flow {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	f := conntrack.NewFlow(protocol, conntrack.StatusConfirmed, a.Addr(), b.Addr(), a.Port(), b.Port(), 60, 0)
	return &f
}

// A flow of conntrack has the key that the program makes of its packets: there
// the same bytes are in the same places.
func TestKeyOf(t *testing.T) {
	for name, c := range map[string]struct {
		tuple conntrack.Tuple
		want  packet
	}{
		"UDP":        {flow(unix.IPPROTO_UDP, "10.0.1.6:4000", "198.51.100.1:53").TupleOrig, udp("10.0.1.6:4000", "198.51.100.1:53", "")},
		"TCP":        {flow(unix.IPPROTO_TCP, "10.0.1.6:258", "198.51.100.1:256").TupleOrig, tcp("10.0.1.6:258", "198.51.100.1:256", "")},
		"UDP, reply": {flow(unix.IPPROTO_UDP, "10.0.1.6:4000", "198.51.100.1:53").TupleReply, udp("198.51.100.1:53", "10.0.1.6:4000", "")},
		"echo":       {icmpTuple("10.0.1.6", outside, 0x0102, 8, 0), icmp("10.0.1.6", outside, 0x0102, echo)},
		"echo reply": {icmpTuple(outside, "10.0.1.6", 0x0102, 0, 0), icmp(outside, "10.0.1.6", 0x0102, echoReply)},
		"timestamp":  {icmpTuple("10.0.1.6", outside, 0xfffe, 13, 0), icmp("10.0.1.6", outside, 0xfffe, timestamp)},
		"code":       {icmpTuple("10.0.1.6", outside, 1, 8, 3), icmp("10.0.1.6", outside, 1, echo|3)},
	} {
		t.Run(name, func(t *testing.T) {
			got := keyOf(&c.tuple)
			if got != c.want.key() {
				t.Errorf("%+v, want %+v", got, c.want.key())
			}
		})
	}
}

func icmpTuple(from, to string, id uint16, typ, code uint8) conntrack.Tuple {
	return conntrack.Tuple{
		IP:    conntrack.IPTuple{SourceAddress: netip.MustParseAddr(from), DestinationAddress: netip.MustParseAddr(to)},
		Proto: conntrack.ProtoTuple{Protocol: unix.IPPROTO_ICMP, ICMPv4: true, ICMPID: id, ICMPType: typ, ICMPCode: code},
	}
}

// The program finds sessions by the keys that keyOf makes.
func TestKeyOfIsTheProgramsKey(t *testing.T) {
	f := limited(t, connections(0))
	for _, tuple := range []conntrack.Tuple{
		flow(unix.IPPROTO_UDP, "10.0.1.6:4000", outside+":53").TupleOrig,
		flow(unix.IPPROTO_TCP, "10.0.1.6:258", outside+":256").TupleOrig,
		icmpTuple("10.0.1.6", outside, 0x0102, 8, 0),
		icmpTuple("10.0.1.6", outside, 0xfffe, 13, 0),
	} {
		k := keyOf(&tuple)
		var p packet
		switch tuple.Proto.Protocol {
		case unix.IPPROTO_UDP:
			p = udp("10.0.1.6:4000", outside+":53", "")
		case unix.IPPROTO_TCP:
			p = tcp("10.0.1.6:258", outside+":256", "").with(flags(flagSYN))
		default:
			p = icmp("10.0.1.6", outside, tuple.Proto.ICMPID, uint16(tuple.Proto.ICMPType)<<8)
		}
		f.run(t, switchIngress, p.frame())
		if f.session(k) == nil {
			t.Errorf("no session %+v", k)
		}
	}
}

func TestEntryOf(t *testing.T) {
	open := flow(unix.IPPROTO_TCP, "10.0.1.6:4000", outside+":80")
	open.TupleReply.IP.DestinationAddress, open.TupleReply.Proto.DestinationPort = netip.MustParseAddr("203.0.113.10"), 1025
	open.Status.Value = conntrack.StatusConfirmed | conntrack.StatusSrcNAT
	open.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: tcpEstablished}
	got, ok := entryOf(open)
	want := entry{
		Original: tcp("10.0.1.6:4000", outside+":80", "").key(), Reply: tcp(outside+":80", "203.0.113.10:1025", "").key(),
		Status: statusConfirmed | statusSourceNAT,
	}
	if d := cmp.Diff(want, got); d != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, d)
	}
	if _, ok := entryOf(flow(unix.IPPROTO_TCP, "[2001:db8::1]:4000", "[2001:db8::2]:80")); ok {
		t.Error("an entry for IPv6")
	}
	if _, ok := entryOf(&conntrack.Flow{}); ok {
		t.Error("an entry without addresses")
	}
}

// Of conntrack (bpf/kernel.h).
const (
	statusConfirmed = 1 << 3
	tcpEstablished  = 3
)

// Sessions of connections that conntrack does not have go, with their reply
// direction, and count no longer; those that it has are confirmed.
func TestSyncRemoves(t *testing.T) {
	f := limited(t, connections(0))
	kept, gone := udp("10.0.1.6:4000", outside+":53", ""), udp("10.0.1.6:4001", outside+":53", "")
	ping, syn := icmp("10.0.1.7", outside, 7, echo), opening("10.0.1.7", 4000)
	for _, p := range []packet{kept, gone, ping, syn} {
		f.want(t, p, tcNext)
	}
	f.track(t, unix.IPPROTO_UDP, kept.from, kept.to)
	back := udp(outside+":53", "203.0.113.10:4001", "")
	f.learned(back, gone, func(s *bpf.GatewaySession) { s.Flow = flowReply | flowInbound })
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindSNAT: 4}, Opened: map[uint32]uint64{}, Pending: 4,
		Addresses: map[string][2]uint64{"10.0.1.6": {2, 0}, "10.0.1.7": {2, 0}},
	})
	entries := []entry{
		{Original: kept.key(), Reply: udp(outside+":53", "203.0.113.10:4000", "").key()},
		{Original: gone.key(), Reply: back.key()},
		{Original: ping.key()}, {Original: syn.key()},
		{Original: udp("10.0.1.6:4009", outside+":53", "").key()}, // never there
	}
	for range 2 { // once more changes nothing
		if err := f.syncSessions(entries); err != nil {
			t.Fatal(err)
		}
		f.wantCounts(t, counts{
			Open: map[uint32]uint64{kindSNAT: 1}, Opened: map[uint32]uint64{kindSNAT: 1}, Pending: 0,
			Addresses: map[string][2]uint64{"10.0.1.6": {1, 1}},
		})
		if s := f.session(kept.key()); s == nil || s.State != stateConfirmed {
			t.Errorf("session that conntrack has: %+v", s)
		}
		for _, p := range []packet{gone, back, ping, syn} {
			if f.session(p.key()) != nil {
				t.Errorf("a session %s to %s is left", p.from, p.to)
			}
		}
	}
}

// An entry never takes away the other direction's element of another session.
func TestSyncKnowsDirections(t *testing.T) {
	f := limited(t, connections(0))
	out := udp("10.0.1.6:4000", outside+":53", "")
	f.want(t, out, tcNext)
	back := udp(outside+":53", "203.0.113.10:4000", "")
	f.learned(back, out, func(s *bpf.GatewaySession) { s.Flow = flowReply | flowInbound })
	if err := f.syncSessions([]entry{{Original: back.key(), Reply: out.key()}}); err != nil {
		t.Fatal(err)
	}
	if f.session(out.key()) == nil || f.session(back.key()) == nil {
		t.Error("removed")
	}
}

// More than fit into one call are looked after in several.
func TestSyncMany(t *testing.T) {
	const many = 2*entriesAtOnce + 7
	f := limited(t, connections(0))
	var entries []entry
	for i := range many {
		p := udp(fmt.Sprintf("10.0.1.6:%d", 4000+i), outside+":53", "")
		f.want(t, p, tcNext)
		entries = append(entries, entry{Original: p.key()})
	}
	if c := f.counts(); c.Open[kindSNAT] != many {
		t.Fatalf("%+v", c)
	}
	if err := f.syncSessions(entries); err != nil {
		t.Fatal(err)
	}
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{}, Opened: map[uint32]uint64{}, Addresses: map[string][2]uint64{},
	})
}

// Conntrack cannot be asked for ICMP, so that what user space saw is taken for
// what is: a session is made of what is translated, of its kind.
func TestSyncMakes(t *testing.T) {
	const destNAT = statusDestNAT
	from := icmp("10.0.1.6", outside, 7, echo).key()
	called := icmp(outside, "203.0.113.11", 7, echo).key()
	for name, c := range map[string]struct {
		entry entry
		kind  uint32
		flow  uint8
		host  string
	}{
		"SNAT": {entry{Original: from, Reply: icmp(outside, "203.0.113.10", 7, echoReply).key(), Status: statusConfirmed | statusSourceNAT},
			kindSNAT, 0, "10.0.1.6"},
		"elastic IP": {entry{Original: icmp("10.0.1.9", outside, 7, echo).key(), Reply: icmp(outside, elasticIP, 7, echoReply).key(), Status: statusConfirmed | statusSourceNAT},
			kindElastic, flowByHost, "10.0.1.9"},
		"DNAT": {entry{Original: called, Reply: icmp("10.0.2.7", outside, 7, echoReply).key(), Status: statusConfirmed | destNAT},
			kindDNAT, flowInbound, "10.0.2.7"},
		"elastic IP, called": {entry{Original: called, Reply: icmp("10.0.1.9", outside, 7, echoReply).key(), Status: statusConfirmed | destNAT},
			kindElastic, flowInbound, "10.0.1.9"},
		"hairpin": {entry{Original: icmp("10.0.1.6", "203.0.113.11", 7, echo).key(), Reply: icmp("10.0.2.7", "203.0.113.10", 7, echoReply).key(),
			Status: statusConfirmed | destNAT | statusSourceNAT}, kindDNAT, flowInbound | flowKernel, "10.0.2.7"},
		"not translated": {entry{Original: from, Reply: icmp(outside, "10.0.1.6", 7, echoReply).key(), Status: statusConfirmed}, 0, 0, ""},
		"not confirmed":  {entry{Original: from, Reply: from, Status: statusSourceNAT}, 0, 0, ""},
		"UDP, which conntrack would have": {entry{Original: udp("10.0.1.6:4000", outside+":53", "").key(),
			Reply: udp(outside+":53", "203.0.113.10:4000", "").key(), Status: statusConfirmed | statusSourceNAT}, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := limited(t, connections(1))
			want := counts{Open: map[uint32]uint64{}, Opened: map[uint32]uint64{}, Addresses: map[string][2]uint64{}}
			if c.kind != 0 {
				want.Open[c.kind], want.Opened[c.kind], want.Addresses[c.host] = 1, 1, [2]uint64{1, 1}
			}
			for range 2 {
				if err := f.syncSessions([]entry{c.entry}); err != nil {
					t.Fatal(err)
				}
				f.wantCounts(t, want)
			}
			s := f.session(c.entry.Original)
			if (s != nil) != (c.kind != 0) {
				t.Fatalf("session %+v", s)
			}
			if s != nil && (uint32(s.Kind) != c.kind || s.Flow != c.flow || s.State != stateConfirmed) {
				t.Errorf("session %+v, want kind %d, flow %#x", s, c.kind, c.flow)
			}
		})
	}
}

// A connection that conntrack has seen closed counts no longer, though its
// session stays; one that goes on after all counts again.
func TestSyncCloses(t *testing.T) {
	f := limited(t, connections(1))
	p := opening("10.0.1.6", 4000)
	f.want(t, p, tcNext)
	c, known := f.conntrack(t), f.track(t, unix.IPPROTO_TCP, p.from, p.to)
	for _, step := range []struct {
		tcp   uint8
		open  uint64
		state uint32
	}{
		{tcpEstablished, 1, stateConfirmed},
		{tcpTimeWait, 0, stateConfirmed | stateClosed | stateClosing},
		{tcpTimeWait, 0, stateConfirmed | stateClosed | stateClosing},
		{tcpEstablished, 1, stateConfirmed},
		{tcpTimeWait + 1, 0, stateConfirmed | stateClosed | stateClosing}, // CLOSE
	} {
		known.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: step.tcp}
		if err := c.Update(known); err != nil {
			t.Fatal(err)
		}
		if err := f.syncSessions([]entry{{Original: p.key()}}); err != nil {
			t.Fatal(err)
		}
		f.wantCounts(t, counts{
			Open: map[uint32]uint64{kindSNAT: step.open}, Opened: map[uint32]uint64{kindSNAT: 1},
			Addresses: map[string][2]uint64{"10.0.1.6": {step.open, 1}},
		})
		if s := f.session(p.key()); s == nil || s.State != step.state {
			t.Errorf("TCP state %d: session %+v, want state %#x", step.tcp, s, step.state)
		}
	}
	// Removed, it is not counted off once more.
	if err := c.Delete(known); err != nil {
		t.Fatal(err)
	}
	if err := f.syncSessions([]entry{{Original: p.key()}}); err != nil {
		t.Fatal(err)
	}
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindSNAT: 0}, Opened: map[uint32]uint64{kindSNAT: 1}, Addresses: map[string][2]uint64{"10.0.1.6": {0, 1}},
	})
}
