package session

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/bpf"
	"sluice/dataplane"
)

func ports(external string) refusedFor {
	return refusedFor{reason: dataplane.RefusedPorts, elastic: addrOf(external)}
}

// A shortage is said when it begins, then after one, two, four minutes as long as
// it lasts, and at once again when it was over; each elastic IP's by itself; and
// what an earlier process counted is not said again.
func TestShortagesAreSaid(t *testing.T) {
	var s shortages
	a, b := ports("203.0.113.10"), refusedFor{reason: dataplane.RefusedEntry}
	s.begin(refusedCounts{a: 100})
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		list  refusedCounts
		want  refusedCounts
	}{
		{0, nil, nil},
		{1 * time.Second, refusedCounts{a: 100}, nil},
		{2 * time.Second, refusedCounts{a: 103}, refusedCounts{a: 3}},
		{3 * time.Second, refusedCounts{a: 110, b: 3}, refusedCounts{b: 3}},
		{61 * time.Second, refusedCounts{a: 200, b: 3}, nil},
		{62 * time.Second, refusedCounts{a: 201, b: 3}, refusedCounts{a: 98}},
		{181 * time.Second, refusedCounts{a: 300, b: 3}, nil},
		{182 * time.Second, refusedCounts{a: 301, b: 4}, refusedCounts{a: 100, b: 1}},
		{3600 * time.Second, refusedCounts{a: 302, b: 4}, refusedCounts{a: 1}},
		{3661 * time.Second, refusedCounts{a: 303, b: 4}, refusedCounts{a: 1}}, // it begins anew
	} {
		now := start.Add(step.after)
		say := s.hear(now, step.list)
		got := s.due(now)
		if step.want == nil {
			step.want = refusedCounts{}
		}
		if d := cmp.Diff(step.want, got, cmp.AllowUnexported(refusedFor{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" || say != (len(step.want) > 0) {
			t.Errorf("after %s: say %v (-want +got):\n%s", step.after, say, d)
		}
	}
}

// What a host is told quotes the packet that it sent.
func TestRefusalQuotesWhatWasSent(t *testing.T) {
	for name, c := range map[string]struct{ sent, translated packet }{
		"UDP":  {udp("10.0.1.6:4000", outside+":53", "question"), udp("203.0.113.10:1025", outside+":53", "question")},
		"TCP":  {opening("10.0.1.6", 4000), opening("203.0.113.10", 1025)},
		"ICMP": {icmp("10.0.1.6", outside, 7, echo), icmp("203.0.113.10", outside, 8, echo)},
	} {
		t.Run(name, func(t *testing.T) {
			k := c.sent.key()
			r := bpf.PortsRefusal{Network: 5, Saddr: k.Saddr, Daddr: k.Daddr, Sport: k.Sport}
			frame := c.translated.frame()[ethernetHeader:]
			copy(r.Ip[:], frame)
			copy(r.L4[:], frame[ipHeader:])
			sample, err := binary.Append(nil, binary.NativeEndian, &r)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := refusalOf(sample)
			if !ok || got.network != 5 || got.host != netip.MustParseAddr("10.0.1.6") {
				t.Fatalf("%+v, %v", got, ok)
			}
			want := c.sent.frame()[ethernetHeader:][:ipHeader+8]
			for _, at := range map[string][]int{"UDP": {26, 27}, "TCP": {}, "ICMP": {22, 23}}[name] {
				want[at] = got.quote[at] // the checksum is not made anew
			}
			if d := cmp.Diff(want, got.quote); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			r.Ip[0] = 0x46
			if sample, err = binary.Append(nil, binary.NativeEndian, &r); err != nil {
				t.Fatal(err)
			}
			if _, ok := refusalOf(sample); ok {
				t.Error("a packet with IP options is quoted without them")
			}
		})
	}
}
