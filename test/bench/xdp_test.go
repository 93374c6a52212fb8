package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
)

// xdpRedirect is XDP_REDIRECT (linux/bpf.h).
const xdpRedirect = 4

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("BPF programs need root")
	}
}

func testFlows() []flow {
	mac := func(last byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, last} }
	return []flow{
		{mac(1), mac(2), netip.MustParseAddrPort("10.0.0.7:1000"), netip.MustParseAddrPort("198.51.100.1:53")},
		{mac(1), mac(2), netip.MustParseAddrPort("10.0.255.254:65535"), netip.MustParseAddrPort("198.51.100.1:1")},
		{mac(3), mac(4), netip.MustParseAddrPort("203.0.113.9:7"), netip.MustParseAddrPort("192.0.2.255:60000")},
	}
}

func TestPacket(t *testing.T) {
	p := testFlows()[0].packet()
	want := []byte{
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet
		0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17, 0x06, 0x80, 10, 0, 0, 7, 198, 51, 100, 1, // IPv4
		0x03, 0xe8, 0, 53, 0, 30, 0xc7, 0x59, // UDP
	}
	if got := p[:offPayload]; !bytes.Equal(got, want) {
		t.Errorf("headers\n% x, want\n% x", got, want)
	}
	for i, f := range testFlows() {
		p := f.packet()
		if !wellFormed(p[:]) {
			t.Errorf("packet of flow %d has a wrong checksum: % x", i, p)
		}
		p[offDest+3]++
		if wellFormed(p[:]) {
			t.Errorf("flow %d: another destination went unnoticed", i)
		}
	}
	if wellFormed(p[:packetSize-1]) {
		t.Error("a short packet passes as well formed")
	}
}

// Whatever is in a frame before, the generator leaves the next flow's packet
// in it, and begins again after the last.
func TestGeneratorWritesWholePackets(t *testing.T) {
	needRoot(t)
	flows := testFlows()
	g, err := newGenerator(flows, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	step := func(i int) {
		t.Helper()
		out := make([]byte, packetSize)
		code, err := g.program.Run(&ebpf.RunOptions{Data: bytes.Repeat([]byte{0xa5}, packetSize), DataOut: out})
		if err != nil {
			t.Fatal(err)
		}
		if code != xdpRedirect {
			t.Errorf("packet %d: code %d, want a redirection", i, code)
		}
		want := flows[i%len(flows)].packet()
		if !bytes.Equal(out, want[:]) {
			t.Errorf("packet %d:\n% x, want\n% x", i, out, want)
		}
		if !wellFormed(out) {
			t.Errorf("packet %d has a wrong checksum", i)
		}
	}
	for i := range 2*len(flows) + 1 {
		step(i)
	}
	if err := g.rewind(); err != nil {
		t.Fatal(err)
	}
	step(0)
}

func TestSinkTellsPacketsApart(t *testing.T) {
	needRoot(t)
	wanted := netip.MustParsePrefix("203.0.113.8/31")
	s, err := newSink(offSource, wanted)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	send := func(p []byte) {
		t.Helper()
		code, err := s.program.Run(&ebpf.RunOptions{Data: p})
		if err != nil {
			t.Fatal(err)
		}
		if code != xdpDrop {
			t.Errorf("code %d, want a drop", code)
		}
	}
	for _, f := range testFlows() {
		p := f.packet()
		send(p[:])
		p[offProto] = 6
		send(p[:]) // TCP: not counted
		p[offProto], p[offEther+1] = protocolUDP, 6
		send(p[:]) // ARP: not counted
		send(p[:offPayload-1])
	}
	for kind, want := range map[uint32]uint64{seenWanted: 1, seenOther: 2} {
		got, err := s.seen(kind)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("counted %d packets of kind %d, want %d", got, kind, want)
		}
	}
}
