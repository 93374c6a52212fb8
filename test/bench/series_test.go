package main

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
)

// numbers are those of flows where something wraps or carries.
var numbers = []int{0, 1, hosts - 1, hosts, sourcePorts - 1, sourcePorts, sourcePorts + 1, 3*sourcePorts - 1, 999_999}

// The series are the flows that are also given one by one.
func TestSeries(t *testing.T) {
	l := testLinks()
	for _, i := range numbers {
		if got, want := snatRequests(l).flow(i).packet(), snatRequest(l, i).packet(); got != want {
			t.Errorf("request %d:\n% x, want\n% x", i, got, want)
		}
		if got, want := snatReplies(l).flow(i).packet(), snatReply(l, i).packet(); got != want {
			t.Errorf("reply %d:\n% x, want\n% x", i, got, want)
		}
		q, r := snatRequest(l, i), plainReplies(l).flow(i)
		if q.source != r.dest || q.dest != r.source {
			t.Errorf("flow %d without translation: request %v, reply %v", i, q, r)
		}
	}
}

// The kernel reckons the same packets, whatever is in a frame before.
func TestSeriesGenerator(t *testing.T) {
	needRoot(t)
	l := testLinks()
	for name, s := range map[string]series{
		"requests": snatRequests(l), "replies": snatReplies(l), "plain replies": plainReplies(l),
	} {
		const count = 1_000_000
		g, err := newSeriesGenerator(s, count, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		for _, i := range numbers {
			if err := g.goTo(i); err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{i, (i + 1) % count} {
				out := make([]byte, packetSize)
				code, err := g.program.Run(&ebpf.RunOptions{Data: bytes.Repeat([]byte{0xa5}, packetSize), DataOut: out})
				if err != nil {
					t.Fatal(err)
				}
				want := s.flow(i).packet()
				if code != xdpRedirect || !bytes.Equal(out, want[:]) || !wellFormed(out) {
					t.Errorf("%s %d: code %d,\n% x, want\n% x", name, i, code, out, want)
				}
			}
		}
	}
}

// A checksum of UDP that comes out as zero is sent as 0xffff.
func TestSeriesChecksumZero(t *testing.T) {
	needRoot(t)
	s := snatRequests(testLinks())
	for port := range uint16(65535) {
		s.first.dest = netip.AddrPortFrom(s.first.dest.Addr(), port)
		p := s.flow(0).packet()
		if p[offUDP+6] != 0xff || p[offUDP+7] != 0xff {
			continue
		}
		g, err := newSeriesGenerator(s, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		out := make([]byte, packetSize)
		if _, err := g.program.Run(&ebpf.RunOptions{Data: make([]byte, packetSize), DataOut: out}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, p[:]) {
			t.Errorf("to port %d:\n% x, want\n% x", port, out, p)
		}
		return
	}
	t.Fatal("to no port the checksum is zero")
}
