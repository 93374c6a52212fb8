package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// queues returns what traffic control has of bandwidths in the public namespace.
func (s *site) queues(t testing.TB, device string) (text string) {
	t.Helper()
	for _, link := range []string{"bw-out-" + device, "bw-in-" + device} {
		classes, err := nstest.TryCommand(s.public, "tc", "class", "show", "dev", link)
		if err != nil {
			return ""
		}
		text += classes
	}
	return text
}

// A bandwidth is there with its network, is put right where somebody has changed it, is
// adopted by the next process, and is gone with the last network that has it.
func TestBandwidths(t *testing.T) {
	s := newSite(t)
	e := s.engine(t)
	a, b := s.network(t), s.network(t)
	b.Elastic, b.Mappings, b.SNAT = nil, nil, nil
	b.DNAT = b.DNAT.Without(b.DNAT.Slice()...)
	b.NATGateways = nil
	a.Bandwidths = []dataplane.Bandwidth{
		{ID: "cbwp-1", Elastic: a.Elastic[:1], Outbound: 50, Inbound: 50},
		{ID: "eip-1", Within: "cbwp-1", Elastic: a.Elastic[1:2], Outbound: 5, Inbound: 10},
	}
	b.Bandwidths = []dataplane.Bandwidth{{ID: "cbwp-1", Outbound: 50, Inbound: 50}}
	mustApply(t, e, a)
	mustApply(t, e, b)
	was := s.queues(t, "pub0")
	for part, times := range map[string]int{"rate 50Mbit ceil 50Mbit": 2, "ceil 5Mbit": 1, "ceil 10Mbit": 1, " leaf ": 4} {
		if got := strings.Count(was, part); got != times {
			t.Errorf("%q is there %d times, not %d:\n%s", part, got, times, was)
		}
	}
	for name, damage := range map[string][]string{
		"class":           {"tc", "class", "del", "dev", "bw-out-pub0", "classid", "1:4000"},
		"rate":            {"tc", "class", "change", "dev", "bw-in-pub0", "parent", "1:", "classid", "1:1", "htb", "rate", "1mbit"},
		"queue":           {"tc", "qdisc", "replace", "dev", "bw-in-pub0", "parent", "1:4001", "bfifo", "limit", "3000"},
		"all queues":      {"tc", "qdisc", "del", "dev", "bw-in-pub0", "root"},
		"choice of class": {"tc", "filter", "del", "dev", "bw-out-pub0", "parent", "1:"},
		"link":            {"ip", "link", "del", "bw-out-pub0"},
		"link is down":    {"ip", "link", "set", "bw-in-pub0", "down"},
		"filter":          {"tc", "filter", "del", "dev", dataplane.LinkName(a.ID), "ingress"},
		"clsact":          {"tc", "qdisc", "del", "dev", dataplane.LinkName(a.ID), "clsact"},
		"uplink":          {"ip", "link", "del", dataplane.LinkName(a.ID)},
	} {
		nstest.Command(t, s.public, damage[0], damage[1:]...)
		if len(e.shaper.Differs(a.ID, 0)) == 0 {
			t.Errorf("%s: nobody sees it", name)
		}
		e.Invalidate(a.ID)
		if again := mustApply(t, e, a); again.Changes == 0 {
			t.Errorf("%s: nothing was put right", name)
		}
		if now := s.queues(t, "pub0"); count(now) != count(was) {
			t.Errorf("%s: it was\n%s\nand is\n%s", name, was, now)
		}
		if again := mustApply(t, e, a); again.Changes != 0 {
			t.Errorf("%s: %d changes more", name, again.Changes)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = s.engine(t)
	if o := mustApply(t, e, b); o.Changes != 0 {
		t.Errorf("adopting a network: %d changes", o.Changes)
	}
	if now := s.queues(t, "pub0"); count(now) != count(was) {
		t.Errorf("before all networks are adopted it is\n%s", now)
	}
	if o := mustApply(t, e, a); o.Changes != 0 {
		t.Errorf("adopting the other: %d changes", o.Changes)
	}
	if err := e.Remove(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if now := s.queues(t, "pub0"); strings.Count(now, "class htb") != 2 {
		t.Errorf("without the first network there is\n%s", now)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = s.engine(t)
	if err := e.Remove(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if left := nstest.Command(t, s.public, "ip", "-br", "link"); strings.Contains(left, "bw-") {
		t.Errorf("without networks there is still\n%s", left)
	}
}

// count sums up classes as text.
func count(text string) string {
	return fmt.Sprint(strings.Count(text, "class htb"), strings.Count(text, " leaf "), strings.Count(text, "ceil 5Mbit"),
		strings.Count(text, "ceil 10Mbit"), strings.Count(text, "rate 50Mbit ceil 50Mbit"))
}

// Where the uplink is a device of its own, a limit holds for what the shortcut carries, in
// the driver and elsewhere: nothing takes less time than the limit allows, however it goes.
func TestBandwidthOfDevice(t *testing.T) {
	const mbit, size = 80, 2 << 20
	for _, c := range []struct {
		shortcut, napi bool
		xdp            bool
	}{{true, true, true}, {true, false, false}, {false, true, false}} {
		t.Run(fmt.Sprintf("shortcut=%v,xdp=%v", c.shortcut, c.xdp), func(t *testing.T) {
			w := newWired(t, c.shortcut, c.napi)
			for ns, link := range map[*netns.Namespace]string{w.host: hostEnd, w.public: "pub0"} {
				nstest.Switch(t, ns, link, nstest.Checksum, false)
			}
			n := *w.n
			w.n = &n
			n.Bandwidths = []dataplane.Bandwidth{{ID: "eip-1", Elastic: w.n.Elastic[:1], Outbound: mbit, Inbound: mbit}, {ID: "eip-2", Elastic: w.n.Elastic[1:2], Outbound: mbit, Inbound: mbit}}
			mustApply(t, w.e, w.n)
			if modes := w.mode(t); c.xdp && modes[0] != string(dataplane.ByXDP) {
				t.Skipf("programs are attached by %v: this kernel does not say what links can do with XDP", modes)
			}
			if again := mustApply(t, w.e, w.n); again.Changes != 0 {
				t.Errorf("a second Apply changes %d", again.Changes)
			}
			w.heldTo(t, mbit, size)
			got, err := w.e.Bandwidths(t.Context())
			countedOnce(t, got, err, size)
			hits := traffic(t, w.e, w.n.ID).Shortcut
			t.Logf("%+v %+v", got, hits)
			if (hits.Hits > 100) != c.shortcut {
				t.Errorf("%d packets took the shortcut", hits.Hits)
			}
		})
	}
}

// heldTo sends so many bytes each way, and back, and fails if that takes less time than a
// limit allows.
func (w *wired) heldTo(t *testing.T, mbit, size int) {
	t.Helper()
	for name, way := range map[string]struct {
		from    *netns.Namespace
		address string
	}{"out": {w.host, outsideEcho}, "in": {w.public, serverStream}} {
		began := time.Now()
		nstest.Stream(t, way.from, way.address, size)
		took := time.Since(began)
		// Of payload alone, and with what may pass at once.
		rate := float64(mbit) * 1e6 / 8
		least := time.Duration((float64(size) - rate/100) / rate * float64(time.Second))
		if took < least {
			t.Errorf("%s: %d bytes took %v; at %d Mbit/s they take %v at least", name, size, took, mbit, least)
		}
	}
}

// countedOnce fails unless two bandwidths have counted what heldTo has sent.
func countedOnce(t *testing.T, got []dataplane.BandwidthTraffic, err error, size uint64) {
	t.Helper()
	if err != nil || len(got) != 2 {
		t.Fatalf("counted were %+v, %v", got, err)
	}
	for _, b := range got {
		// It was sent, and came back; what was repeated, and headers, come on top.
		if b.Outbound.Bytes < size || b.Inbound.Bytes < size || b.Outbound.Bytes+b.Inbound.Bytes > 4*size {
			t.Errorf("%s: counted are %+v", b.ID, b)
		}
	}
}

// Where networks have macvlans over a device, bandwidths are held at that device: both ways,
// with the shortcut and without, for several networks together; what somebody changes is
// put right, and with the last network the device is as it was.
func TestBandwidthOfMacvlan(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		const mbit, size = 80, 2 << 20
		w := newWiredBy(t, dataplane.UplinkMacvlan, on, false, session.Options{})
		was := nstest.Command(t, w.public, "tc", "qdisc")
		n := *w.n
		w.n = &n
		n.Bandwidths = []dataplane.Bandwidth{
			{ID: "cbwp-1", Outbound: mbit, Inbound: mbit},
			{ID: "eip-1", Elastic: n.Elastic[:1], Outbound: mbit, Inbound: mbit},
			{ID: "eip-2", Elastic: n.Elastic[1:2], Outbound: mbit, Inbound: mbit},
		}
		other := w.network(t)
		other.Uplink.Mode, other.Uplink.Device = dataplane.UplinkMacvlan, "wan0"
		other.Elastic, other.SNAT, other.NATGateways = []netip.Addr{netip.MustParseAddr("203.0.113.30")}, nil, nil
		other.DNAT = other.DNAT.Without(other.DNAT.Slice()...)
		other.Bandwidths = []dataplane.Bandwidth{
			{ID: "cbwp-1", Outbound: mbit, Inbound: mbit},
			{ID: "eip-3", Within: "cbwp-1", Elastic: other.Elastic, Outbound: 5, Inbound: 5},
		}
		mustApply(t, w.e, w.n)
		mustApply(t, w.e, other)
		for _, id := range []string{n.ID, other.ID} {
			if left := w.e.shaper.Differs(id, 0); len(left) > 0 {
				t.Errorf("of %s is to be put right: %q", id, left)
			}
		}
		before, err := w.e.Bandwidths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(before) != 4 {
			t.Errorf("held are %+v", before)
		}
		w.heldTo(t, mbit, size)
		for name, damage := range map[string][]string{
			"way out": {"tc", "filter", "del", "dev", "wan0", "egress"},
			"way in":  {"tc", "filter", "del", "dev", "wan0", "ingress"},
			"clsact":  {"tc", "qdisc", "del", "dev", "wan0", "clsact"},
			"queues":  {"ip", "link", "del", "bw-in-wan0"},
		} {
			nstest.Command(t, w.public, damage[0], damage[1:]...)
			if len(w.e.shaper.Differs(n.ID, 0)) == 0 {
				t.Errorf("%s: nobody sees it", name)
			}
			w.e.Invalidate(n.ID)
			if again := mustApply(t, w.e, w.n); again.Changes == 0 {
				t.Errorf("%s: nothing was put right", name)
			}
		}
		if err := w.e.Remove(t.Context(), other.ID); err != nil {
			t.Fatal(err)
		}
		n.Bandwidths = n.Bandwidths[1:]
		mustApply(t, w.e, w.n)
		start, err := w.e.Bandwidths(t.Context())
		if err != nil || len(start) != 2 {
			t.Fatalf("held are %+v, %v", start, err)
		}
		w.heldTo(t, mbit, size)
		got, err := w.e.Bandwidths(t.Context())
		for i := range got {
			got[i].Outbound.Bytes -= start[i].Outbound.Bytes
			got[i].Inbound.Bytes -= start[i].Inbound.Bytes
		}
		countedOnce(t, got, err, size)
		if err := w.e.Remove(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if left := nstest.Command(t, w.public, "tc", "qdisc"); left != was {
			t.Errorf("of queueing disciplines there were\n%s\nand are\n%s", was, left)
		}
		if left := nstest.Command(t, w.public, "ip", "-br", "link"); strings.Contains(left, "bw-") {
			t.Errorf("left behind:\n%s", left)
		}
	})
}
