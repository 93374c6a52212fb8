package main

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/net/ipv4"
)

// A packet that is led on has other hardware addresses, and a TTL and checksum as a router's; what is not
// IPv4 goes on as it came.
func TestLeadInstructions(t *testing.T) {
	needRoot(t)
	const redirected = 7 // TC_ACT_REDIRECT (linux/pkt_cls.h)
	macs := []byte{2, 0xfe, 0xdc, 0xba, 0x98, 0x76, 2, 0xff, 0x80, 0x7f, 1, 0}
	p := testProgram(t, ebpf.SchedCLS, leadInstructions(macs, 1, asm.FnRedirect))
	sum := func(header []byte) (s uint32) {
		for i := 0; i < len(header); i += 2 {
			s += uint32(header[i])<<8 | uint32(header[i+1])
		}
		for s > 0xffff {
			s = s&0xffff + s>>16
		}
		return s
	}
	for i, flow := range testFlows() {
		in := flow.packet()
		code, out := runOn(t, p, in[:])
		want := append(append([]byte{}, macs...), in[len(macs):]...)
		want[offIP+8]--
		copy(want[offIP+10:offIP+12], out[offIP+10:offIP+12])
		if code != redirected || !bytes.Equal(out, want) || sum(out[offIP:offIP+ipv4.HeaderLen]) != sum(in[offIP:offIP+ipv4.HeaderLen]) {
			t.Errorf("flow %d: code %d,\n% x, want\n% x with a checksum", i, code, out, want)
		}
		in[12], in[13] = 8, 6 // ARP
		if code, out := runOn(t, p, in[:]); code != tcUnspec || !bytes.Equal(out, in[:]) {
			t.Errorf("ARP: code %d,\n% x", code, out)
		}
	}
}
