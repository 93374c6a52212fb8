package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// series are flows that are told by a number: addresses and one port of flow i
// are reckoned from i. A generator needs no table for them, so there may be
// millions, and none of it is in the processor's cache in place of the
// gateway's.
type series struct {
	first        flow // flow 0
	source, dest step
	portAt       int // offset of the port, offUDP or offUDP+2, that counts through sourcePorts
}

// step says how an address goes on: flow i has the first one plus
// i / divide % modulo. The zero step stays.
type step struct{ divide, modulo int }

// The steps of hosts and peers; see snatRequest.
var (
	eachHost = step{1, hosts}
	eachPeer = step{sourcePorts, 1 << 24}
)

func (s step) at(a netip.Addr, i int) netip.Addr {
	if s == (step{}) {
		return a
	}
	return after(a, i/s.divide%s.modulo)
}

// flow returns flow i.
func (s series) flow(i int) flow {
	f := s.first
	f.source = netip.AddrPortFrom(s.source.at(f.source.Addr(), i), f.source.Port())
	f.dest = netip.AddrPortFrom(s.dest.at(f.dest.Addr(), i), f.dest.Port())
	if s.portAt == offUDP {
		f.source = netip.AddrPortFrom(f.source.Addr(), sourcePort(i))
	} else {
		f.dest = netip.AddrPortFrom(f.dest.Addr(), sourcePort(i))
	}
	return f
}

// snatRequests and snatReplies are the two directions of the SNAT flows.
func snatRequests(l links) series {
	return series{first: snatRequest(l, 0), source: eachHost, dest: eachPeer, portAt: offUDP}
}

func snatReplies(l links) series {
	return series{first: snatReply(l, 0), source: eachPeer, portAt: offUDP + 2}
}

// plainReplies are what answers snatRequests where nothing was translated.
func plainReplies(l links) series {
	s := snatReplies(l)
	s.first.dest = netip.AddrPortFrom(firstHost, s.first.dest.Port())
	s.dest = eachHost
	return s
}

// newSeriesGenerator returns a generator of the packets of the first count
// flows of a series; it is used like that of newGenerator.
func newSeriesGenerator(s series, count, ifindex int) (_ *generator, err error) {
	g := &generator{count: count}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if err := g.makeCounter(); err != nil {
		return g, err
	}
	g.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bench_series", Type: ebpf.XDP, License: "GPL", Instructions: g.seriesInstructions(s, ifindex),
	})
	if err != nil {
		return g, fmt.Errorf("load the generator: %w", err)
	}
	return g, nil
}

// template is the packet of a series without what changes, and the sums of its
// two checksums without that, in the processor's byte order: a sum in ones'
// complement comes out in the order of its words (RFC 1071, section 2).
func (s series) template() (p [packetSize]byte, ip, udp uint16) {
	p = s.first.packet()
	clear := func(offset, n int) { copy(p[offset:offset+n], make([]byte, n)) }
	clear(offIP+10, 2)
	clear(offUDP+6, 2)
	clear(s.portAt, 2)
	if s.source != (step{}) {
		clear(offSource, 4)
	}
	if s.dest != (step{}) {
		clear(offDest, 4)
	}
	native := func(sum uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, sum)) }
	return p, native(onesSum(0, p[offIP:offUDP])),
		native(onesSum(pseudoSum(p[offIP:offUDP], packetSize-offUDP), p[offUDP:]))
}

func (g *generator) seriesInstructions(s series, ifindex int) asm.Instructions {
	template, ip, udp := s.template()
	ins := g.nextIndex(asm.R7)
	for off := int16(0); off < packetSize; off += 8 {
		ins = append(ins,
			asm.LoadImm(asm.R1, int64(binary.NativeEndian.Uint64(template[off:])), asm.DWord),
			asm.StoreMem(asm.R6, off, asm.R1, asm.DWord))
	}
	// R8 sums the words that are in both checksums.
	ins = append(ins, asm.Mov.Imm(asm.R8, 0))
	ins = append(ins, s.source.instructions(offSource, s.first.source.Addr())...)
	ins = append(ins, s.dest.instructions(offDest, s.first.dest.Addr())...)
	ins = append(ins,
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Mod.Imm32(asm.R1, sourcePorts),
		asm.Add.Imm(asm.R1, firstSource),
		asm.HostTo(asm.BE, asm.R1, asm.Half),
		asm.StoreMem(asm.R6, int16(s.portAt), asm.R1, asm.Half),
		asm.Add.Reg(asm.R1, asm.R8), // R1: of UDP's
		asm.Add.Imm(asm.R1, int32(udp)),
		asm.Add.Imm(asm.R8, int32(ip)), // R8: of IP's
	)
	ins = append(ins, foldSum(asm.R1)...)
	ins = append(ins,
		asm.JNE.Imm(asm.R1, 0, "sum"),
		asm.Mov.Imm(asm.R1, 0xffff), // zero would mean: no checksum (RFC 768)
		asm.StoreMem(asm.R6, offUDP+6, asm.R1, asm.Half).WithSymbol("sum"),
	)
	ins = append(ins, foldSum(asm.R8)...)
	ins = append(ins, asm.StoreMem(asm.R6, offIP+10, asm.R8, asm.Half))
	return append(ins, sendBy(ifindex)...)
}

// instructions write the address of flow R7 and add its words to R8.
func (s step) instructions(offset int16, first netip.Addr) asm.Instructions {
	if s == (step{}) {
		return nil
	}
	a := first.As4()
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Div.Imm32(asm.R1, int32(s.divide)),
		asm.Mod.Imm32(asm.R1, int32(s.modulo)),
		asm.Add.Imm32(asm.R1, int32(binary.BigEndian.Uint32(a[:]))),
		asm.HostTo(asm.BE, asm.R1, asm.Word),
		asm.StoreMem(asm.R6, offset, asm.R1, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.And.Imm(asm.R2, 0xffff),
		asm.Add.Reg(asm.R8, asm.R2),
		asm.RSh.Imm(asm.R1, 16),
		asm.Add.Reg(asm.R8, asm.R1),
	}
}

// foldSum turns a sum of 16-bit words into a checksum.
func foldSum(sum asm.Register) asm.Instructions {
	var ins asm.Instructions
	for range 2 {
		ins = append(ins,
			asm.Mov.Reg(asm.R2, sum),
			asm.RSh.Imm(asm.R2, 16),
			asm.And.Imm(sum, 0xffff),
			asm.Add.Reg(sum, asm.R2),
		)
	}
	return append(ins, asm.Xor.Imm(sum, 0xffff))
}
