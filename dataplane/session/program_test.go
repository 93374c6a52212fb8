package session

import (
	"encoding/binary"
	"structs"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// What the programs return (linux/bpf.h, linux/pkt_cls.h).
const (
	xdpPass       = 2
	xdpRedirected = 4

	tcNext     = -1
	tcShot     = 2
	tcRedirect = 7
)

// Bits that bpf/types.h defines.
const (
	flowInbound = 0x2
	flowKernel  = 0x4
	flowByPort  = 0x8
	flowByAddr  = 0x10
	flowByHost  = 0x20

	pathPaired = 0x1
	pathXDP    = 0x2
	pathPublic = 0x4

	stateClosing = 0x4

	markRefused  = 0x4
	markShortcut = 0x10
	markCrowded  = 0x20

	indexCheck   = 0x4000
	indexHairpin = 0x8000
)

// The programs for packets that come in.
const (
	switchIngress = "switch_ingress"
	uplinkIngress = "uplink_ingress"
	switchXDP     = "switch_xdp"
	uplinkXDP     = "uplink_xdp"
)

// The network of these tests: VPC 10.0.0.0/16, and 203.0.113.0/24 outside.
const (
	slot   = 3 // of the private address that paths are for
	uplink = 9
)

// fixture is a network whose programs are attached nowhere: tests run them on
// frames. Nothing happens in it besides.
type fixture struct {
	*Network
	t    testing.TB
	spec *ebpf.CollectionSpec
	now  uint32 // ticks
}

// newFixture makes maps for the programs; change may change what is loaded.
func newFixture(t testing.TB, change ...func(*ebpf.CollectionSpec)) *fixture {
	t.Helper()
	ns := nstest.New(t)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skip(err)
	}
	all, err := bpf.Gateway()
	if err != nil {
		t.Fatal(err)
	}
	spec := all.Copy()
	spec.Maps["sessions"].MaxEntries = 1 << 12
	for _, name := range []string{switchIngress, uplinkIngress, "switch_egress", "uplink_egress"} {
		passIndex(spec.Programs[name])
	}
	for _, f := range change {
		f(spec)
	}
	c, err := ebpf.NewCollection(&ebpf.CollectionSpec{Maps: spec.Maps, Types: spec.Types, ByteOrder: spec.ByteOrder})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(c.Close)
	f := &fixture{t: t, spec: spec, Network: &Network{id: "vpc-fixture", ns: ns, maps: c.Maps, prog: map[string]*ebpf.Program{}}}
	t.Cleanup(f.closePrograms)
	for _, name := range ownPrograms {
		f.program(name)
	}
	if f.files, err = openTable(ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.files.close)
	// It also makes the network a supervised one.
	if f.now, err = f.Network.now(); err != nil {
		t.Fatal(err)
	}
	f.settle(f.settings())
	if err := f.readNumbers(); err != nil {
		t.Fatal(err)
	}
	if err := f.addChunks(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.closeChunks)
	return f
}

// program loads a program of the fixture, if it is not loaded: the kernel takes a while to verify
// one, and few tests run all. Several goroutines may ask.
func (f *fixture) program(name string) *ebpf.Program {
	f.t.Helper()
	f.programsMu.Lock()
	defer f.programsMu.Unlock()
	if p := f.prog[name]; p != nil {
		return p
	}
	one := map[string]*ebpf.ProgramSpec{name: f.spec.Programs[name]}
	c, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Maps: bpf.Maps(f.spec), Programs: one, Types: f.spec.Types, ByteOrder: f.spec.ByteOrder},
		ebpf.CollectionOptions{MapReplacements: f.maps, Cache: kernelTypes.Load()})
	if err != nil {
		f.t.Fatalf("%+v", err)
	}
	defer c.Close()
	f.prog[name] = c.DetachProgram(name)
	return f.prog[name]
}

// passIndex wraps a program, so that tests see tc_index, which a test run
// neither takes nor gives: cb[0] is copied there before, and from there
// afterwards.
func passIndex(p *ebpf.ProgramSpec) {
	const index, cb = 44, 48 // offsets in struct __sk_buff
	inner := p.Instructions[0]
	f := *btf.FuncMetadata(&inner)
	f.Linkage = btf.StaticFunc
	p.Instructions[0] = btf.WithFuncMetadata(inner, &f)
	f.Name = "pass_index"
	first := asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(f.Name).WithSource(inner.Source())
	p.Instructions = append(asm.Instructions{
		btf.WithFuncMetadata(first, &f),
		asm.LoadMem(asm.R2, asm.R1, cb, asm.Word),
		asm.StoreMem(asm.R1, index, asm.R2, asm.Word),
		asm.Call.Label(inner.Symbol()),
		asm.LoadMem(asm.R1, asm.R6, index, asm.Word),
		asm.StoreMem(asm.R6, cb, asm.R1, asm.Word),
		asm.Return(),
	}, p.Instructions...)
}

// settings are those of a network with the shortcut and without limits.
func (f *fixture) settings() settings {
	return settings{
		Uplink: uplink, Slots: dataplane.MostAddresses, Generation: 1, Lifetime: 1 << 20, Patience: 1 << 20, Flags: setShortcut,
		Vpc: word4(10, 0, 0, 0), VpcMask: word4(255, 255, 0, 0),
		Public: word4(203, 0, 113, 0), PublicMask: word4(255, 255, 255, 0),
	}
}

func (f *fixture) settle(s settings) {
	f.t.Helper()
	f.put("settings", uint32(0), &s)
}

func (f *fixture) put(name string, k, v any) {
	f.t.Helper()
	if err := f.maps[name].Put(k, v); err != nil {
		f.t.Fatalf("map %s: %v", name, err)
	}
}

// session returns the element of a flow, or nil.
func (f *fixture) session(k flowKey) *bpf.GatewaySession {
	f.t.Helper()
	var s bpf.GatewaySession
	if err := f.maps["sessions"].Lookup(&k, &s); err != nil {
		return nil
	}
	return &s
}

// learned puts a path into the sessions, for packets like from to leave like to:
// as the programs do, but that the sums come from whole frames.
func (f *fixture) learned(from, to packet, change ...func(*bpf.GatewaySession)) {
	f.t.Helper()
	k := to.key()
	a, b := from.frame(), to.frame()
	delta := func(at int) uint16 {
		s := uint32(^binary.NativeEndian.Uint16(b[at:])) + uint32(binary.NativeEndian.Uint16(a[at:]))
		return uint16(s + s>>16)
	}
	s := bpf.GatewaySession{
		Dmac: to.destination, Smac: to.source,
		Addr: k.Saddr, Port: k.Sport,
		Ifindex: 1, Generation: 1, Until: f.now + 1<<20, Mtu: 1500, Slot: slot, Kind: uint8(kindSNAT), State: stateConfirmed,
		Path: pathPaired | pathXDP, L4Delta: delta(from.checksumAt()),
	}
	for _, c := range change {
		c(&s)
	}
	if s.Flow&flowInbound != 0 {
		s.Addr, s.Port = k.Daddr, k.Dport
	}
	k = from.key()
	f.put("sessions", &k, &s)
}

// skb is struct __sk_buff (linux/bpf.h). A test run takes and gives the fields
// with a comment.
type skb struct {
	_              structs.HostLayout
	_              [2]uint32
	Mark           uint32 // mark
	_              [6]uint32
	IngressIfindex uint32 // ingress_ifindex
	Ifindex        uint32 // ifindex
	_              uint32
	Index          uint32 // cb[0], which passIndex makes tc_index
	_              [27]uint32
	WireLen        uint32 // wire_len
	Segments       uint32 // gso_segs
	_              uint64
	SegmentSize    uint32 // gso_size
	_              [3]uint32
}

// result is what became of a frame. Counters are what was added to them.
type result struct {
	Verdict     int32
	Frame       []byte
	Mark, Index uint32 // tc
	Stats       map[bpf.GatewayStat]uint64
	Volumes     map[volumeKey]bpf.GatewayVolume
}

type volumeKey struct {
	slot    uint32
	inbound bool
}

// run has a program handle a frame; in is what an skb comes with.
func (f *fixture) run(t testing.TB, program string, frame []byte, in ...skb) result {
	t.Helper()
	opt := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame))}
	var out skb
	p := f.program(program)
	if p.Type() == ebpf.SchedCLS {
		opt.Context, opt.ContextOut = skb{}, &out
		if len(in) > 0 {
			opt.Context = in[0]
		}
	}
	stats, volumes := f.stats(), f.volumes()
	var verdict uint32
	err := f.ns.Do(func() (err error) {
		verdict, err = p.Run(&opt)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	r := result{Verdict: int32(verdict), Frame: opt.DataOut, Mark: out.Mark, Index: out.Index, Stats: f.stats(), Volumes: f.volumes()}
	for k, v := range stats {
		if r.Stats[k] -= v; r.Stats[k] == 0 {
			delete(r.Stats, k)
		}
	}
	for k, v := range volumes {
		d := r.Volumes[k]
		if d.Bytes, d.Packets, d.Hits = d.Bytes-v.Bytes, d.Packets-v.Packets, d.Hits-v.Hits; d == (bpf.GatewayVolume{}) {
			delete(r.Volumes, k)
		} else {
			r.Volumes[k] = d
		}
	}
	return r
}

// stats are the counters that are not 0.
func (f *fixture) stats() map[bpf.GatewayStat]uint64 {
	f.t.Helper()
	out := map[bpf.GatewayStat]uint64{}
	all, err := f.readStats()
	if err != nil {
		f.t.Fatal(err)
	}
	for which, n := range all {
		if n != 0 {
			out[bpf.GatewayStat(which)] = n
		}
	}
	return out
}

// volumes are those of the first slots that are not 0.
func (f *fixture) volumes() map[volumeKey]bpf.GatewayVolume {
	f.t.Helper()
	out := map[volumeKey]bpf.GatewayVolume{}
	for i := range uint32(2 * 8) {
		var each []bpf.GatewayVolume
		if err := f.Network.slots.volumes[0].Lookup(i, &each); err != nil {
			f.t.Fatal(err)
		}
		var v bpf.GatewayVolume
		for _, one := range each {
			v.Bytes += one.Bytes
			v.Packets += one.Packets
			v.Hits += one.Hits
		}
		if v != (bpf.GatewayVolume{}) {
			out[volumeKey{i / 2, i%2 == 1}] = v
		}
	}
	return out
}

func word4(a, b, c, d byte) uint32 { return binary.NativeEndian.Uint32([]byte{a, b, c, d}) }
