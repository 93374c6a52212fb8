package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Offsets in struct xdp_md (linux/bpf.h).
const (
	xdpData    = 0
	xdpDataEnd = 4
)

// Return codes of XDP programs (linux/bpf.h, enum xdp_action).
const (
	xdpAborted = 0
	xdpDrop    = 1
	xdpPass    = 2
)

// liveBatch is how many frames the kernel makes before it lets what they have
// caused run: what one poll of a veth takes (NAPI_POLL_WEIGHT), and a quarter
// of its ring, so that none is lost for want of room.
const liveBatch = 64

// generator is a packet source: an XDP program that the kernel runs on frames
// which it makes itself, and which sends each out by a link.
//
// It writes the whole packet into each frame, one flow after the other: the
// frames come back from the sink as the gateway has left them.
type generator struct {
	program *ebpf.Program
	flows   *ebpf.Map // number of flow -> packet
	next    *ebpf.Map // one element: number of the next flow
	count   int
}

// newGenerator returns a generator of the packets of flows, which leave by the
// link with this index in the namespace of the thread that calls run.
func newGenerator(flows []flow, ifindex int) (_ *generator, err error) {
	g := &generator{count: len(flows)}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.flows, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench_flows", Type: ebpf.Array, KeySize: 4, ValueSize: packetSize, MaxEntries: uint32(len(flows)),
	})
	if err != nil {
		return g, fmt.Errorf("make the map of flows: %w", err)
	}
	if err := g.makeCounter(); err != nil {
		return g, err
	}
	if err := g.load(flows); err != nil {
		return g, err
	}
	g.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bench_generator", Type: ebpf.XDP, License: "GPL", Instructions: g.instructions(ifindex),
	})
	if err != nil {
		return g, fmt.Errorf("load the generator: %w", err)
	}
	return g, nil
}

func (g *generator) load(flows []flow) error {
	keys, packets := make([]uint32, len(flows)), make([][packetSize]byte, len(flows))
	for i, f := range flows {
		keys[i], packets[i] = uint32(i), f.packet()
	}
	if _, err := g.flows.BatchUpdate(keys, packets, nil); err != nil {
		return fmt.Errorf("fill the map of flows: %w", err)
	}
	return nil
}

func (g *generator) makeCounter() (err error) {
	g.next, err = ebpf.NewMap(&ebpf.MapSpec{Name: "bench_next", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("make the counter of flows: %w", err)
	}
	return nil
}

// nextIndex are the first instructions of a generator: they leave the packet in
// R6 and the number of its flow in a register, and count on.
func (g *generator) nextIndex(to asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, xdpData, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, xdpDataEnd, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R6),
		asm.Add.Imm(asm.R3, packetSize),
		asm.JGT.Reg(asm.R3, asm.R2, "short"),
		// index, next = next, (next+1) mod count
		asm.LoadMapValue(asm.R1, g.next.FD(), 0),
		asm.LoadMem(to, asm.R1, 0, asm.DWord),
		asm.Mov.Reg(asm.R3, to),
		asm.Add.Imm(asm.R3, 1),
		asm.JLT.Imm(asm.R3, int32(g.count), "store"),
		asm.Mov.Imm(asm.R3, 0),
		asm.StoreMem(asm.R1, 0, asm.R3, asm.DWord).WithSymbol("store"),
	}
}

// sendBy are the last instructions of a generator. A frame too small for a
// packet, at the label short, is given up.
func sendBy(ifindex int) asm.Instructions {
	return append(redirection(ifindex),
		asm.Mov.Imm(asm.R0, xdpAborted).WithSymbol("short"),
		asm.Return(),
	)
}

func (g *generator) instructions(ifindex int) asm.Instructions {
	ins := append(g.nextIndex(asm.R2),
		asm.StoreMem(asm.RFP, -4, asm.R2, asm.Word),
		asm.LoadMapPtr(asm.R1, g.flows.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "short"),
	)
	for off := int16(0); off < packetSize; off += 8 {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.R0, off, asm.DWord),
			asm.StoreMem(asm.R6, off, asm.R1, asm.DWord))
	}
	return append(ins, sendBy(ifindex)...)
}

// rewind makes the next packet the first flow's.
func (g *generator) rewind() error { return g.goTo(0) }

// goTo makes the next packet that of flow i.
func (g *generator) goTo(i int) error {
	if err := g.next.Put(uint32(0), uint64(i)); err != nil {
		return fmt.Errorf("set the generator to flow %d: %w", i, err)
	}
	return nil
}

// run sends n packets and returns when they have been handed to the link; what
// they cause on the way has been done too, as it runs on the same processor.
// The caller's thread must be in the link's namespace.
func (g *generator) run(n int) error {
	_, err := g.program.Run(&ebpf.RunOptions{
		Data:      make([]byte, packetSize),
		Repeat:    uint32(n),
		Flags:     unix.BPF_F_TEST_XDP_LIVE_FRAMES,
		BatchSize: liveBatch,
	})
	if err != nil {
		return fmt.Errorf("send %d packets: %w", n, err)
	}
	return nil
}

func (g *generator) close() {
	if g.program != nil {
		g.program.Close()
	}
	for _, m := range []*ebpf.Map{g.flows, g.next} {
		if m != nil {
			m.Close()
		}
	}
}

// What a sink tells apart.
const (
	seenWanted uint32 = iota // translated as it should be
	seenOther                // any other UDP packet
	seenKinds
)

// sink is an XDP program that drops what arrives and counts the UDP packets.
type sink struct {
	program *ebpf.Program
	counts  *ebpf.Map // seenWanted, seenOther; for each processor
}

// newSink returns a sink that counts as wanted the packets whose address at
// the offset (offSource or offDest) lies in want.
func newSink(offset int, want netip.Prefix) (_ *sink, err error) {
	s := new(sink)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.counts, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench_seen", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: uint32(seenKinds),
	})
	if err != nil {
		return s, fmt.Errorf("make the sink's counters: %w", err)
	}
	s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bench_sink", Type: ebpf.XDP, License: "GPL", Instructions: s.instructions(offset, want),
	})
	if err != nil {
		return s, fmt.Errorf("load the sink: %w", err)
	}
	return s, nil
}

func (s *sink) instructions(offset int, want netip.Prefix) asm.Instructions {
	a, m := want.Masked().Addr().As4(), net.CIDRMask(want.Bits(), 32)
	// As the processor loads them from the packet.
	address, mask := int32(binary.NativeEndian.Uint32(a[:])), int32(binary.NativeEndian.Uint32(m))
	ether := int32(binary.NativeEndian.Uint16([]byte{etherTypeIPv4 >> 8, etherTypeIPv4 & 0xff}))
	return asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, xdpData, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, xdpDataEnd, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R6),
		asm.Add.Imm(asm.R3, offPayload),
		asm.JGT.Reg(asm.R3, asm.R2, "drop"),
		asm.LoadMem(asm.R1, asm.R6, offEther, asm.Half),
		asm.JNE.Imm(asm.R1, ether, "drop"),
		asm.LoadMem(asm.R1, asm.R6, offProto, asm.Byte),
		asm.JNE.Imm(asm.R1, protocolUDP, "drop"),
		asm.Mov.Imm(asm.R7, int32(seenWanted)),
		asm.LoadMem(asm.R1, asm.R6, int16(offset), asm.Word),
		asm.And.Imm32(asm.R1, mask),
		asm.JEq.Imm32(asm.R1, address, "count"),
		asm.Mov.Imm(asm.R7, int32(seenOther)),
		asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word).WithSymbol("count"),
		asm.LoadMapPtr(asm.R1, s.counts.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
	}
}

// seen returns how many packets of a kind have come since the sink was made.
func (s *sink) seen(kind uint32) (uint64, error) {
	var each []uint64
	if err := s.counts.Lookup(kind, &each); err != nil {
		return 0, fmt.Errorf("read the sink's counters: %w", err)
	}
	var sum uint64
	for _, n := range each {
		sum += n
	}
	return sum, nil
}

func (s *sink) close() error {
	var errs []error
	if s.program != nil {
		errs = append(errs, s.program.Close())
	}
	if s.counts != nil {
		errs = append(errs, s.counts.Close())
	}
	return errors.Join(errs...)
}
