package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// floorVolume is an element of a floor's counters.
type floorVolume struct{ Bytes, Packets uint64 }

func testProgram(t *testing.T, kind ebpf.ProgramType, instructions asm.Instructions) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "bench_test", Type: kind, License: "GPL", Instructions: instructions})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func runOn(t *testing.T, p *ebpf.Program, packet []byte) (code int32, out []byte) {
	t.Helper()
	out = make([]byte, len(packet))
	result, err := p.Run(&ebpf.RunOptions{Data: packet, DataOut: out})
	if err != nil {
		t.Fatal(err)
	}
	return int32(result), out
}

// The first packet of a flow leaves as it came; those after it are written,
// whatever other flows there are, and counted.
func TestFlowFloors(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		flows        ebpf.MapSpec
		instructions func(f *floor, to int) asm.Instructions
	}{
		"hash": {flowHash(16), (*floor).hashInstructions},
		"line": {flowLines(1 << 16), (*floor).lineInstructions},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := newFloor("bench_test", c.flows)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			p := testProgram(t, ebpf.XDP, c.instructions(f, 1))
			for round := range 3 {
				for i, flow := range testFlows() {
					in := flow.packet()
					code, out := runOn(t, p, in[:])
					want := in
					if round > 0 {
						want[offTTL]--
						binary.BigEndian.PutUint16(want[offIP+10:], binary.BigEndian.Uint16(in[offIP+10:])+1<<8)
					}
					if code != xdpRedirect || !bytes.Equal(out, want[:]) || !wellFormed(out) {
						t.Errorf("packet %d of flow %d: code %d,\n% x, want\n% x", round, i, code, out, want)
					}
				}
			}
			var counted []floorVolume
			if err := f.volumes.Lookup(uint32(7), &counted); err != nil { // 10.0.0.7
				t.Fatal(err)
			}
			var sum floorVolume
			for _, v := range counted {
				sum.Bytes, sum.Packets = sum.Bytes+v.Bytes, sum.Packets+v.Packets
			}
			if want := (floorVolume{2 * (packetSize - offIP), 2}); sum != want {
				t.Errorf("counted %+v, want %+v", sum, want)
			}
			other := testFlows()[0].packet()
			other[offProto] = 6
			if code, out := runOn(t, p, other[:]); code != xdpPass || !bytes.Equal(out, other[:]) {
				t.Errorf("TCP: code %d,\n% x, want it passed as it is", code, out)
			}
		})
	}
}

// Each flow is put in by its key, and all packets go on as they came.
func TestTableFloors(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		flows        ebpf.MapSpec
		instructions func(f *floor) asm.Instructions
		in           func(t *testing.T, f *floor, key []byte) bool
	}{
		"insert": {flowHash(16), (*floor).insertInstructions, func(t *testing.T, f *floor, key []byte) bool {
			var value [flowValueSize]byte
			return f.flows.Lookup(key, &value) == nil && value == [flowValueSize]byte{}
		}},
		"keep": {flowLines(1 << 10), (*floor).keepInstructions, func(t *testing.T, f *floor, key []byte) bool {
			var line [lineSize]byte
			for i := range f.flows.MaxEntries() {
				if err := f.flows.Lookup(i, &line); err != nil {
					t.Fatal(err)
				}
				if bytes.Equal(line[:flowKeySize], key) {
					return true
				}
			}
			return false
		}},
		"tally": {flowLines(1 << 16), (*floor).tallyInstructions, func(t *testing.T, f *floor, key []byte) bool {
			var line [lineSize]byte
			for i := range f.flows.MaxEntries() {
				if err := f.flows.Lookup(i, &line); err != nil {
					t.Fatal(err)
				}
				// The first packet made the line; the second was counted.
				if bytes.Equal(line[:flowKeySize], key) {
					bytes, packets := binary.NativeEndian.Uint64(line[flowKeySize:]), binary.NativeEndian.Uint64(line[flowKeySize+8:])
					return bytes == packetSize-offIP && packets == 1
				}
			}
			return false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := newFloor("bench_test", c.flows)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			p := testProgram(t, ebpf.SchedCLS, c.instructions(f))
			for range 2 {
				for i, flow := range testFlows() {
					in := flow.packet()
					if code, out := runOn(t, p, in[:]); code != tcUnspec || !bytes.Equal(out, in[:]) {
						t.Errorf("flow %d: code %d,\n% x, want it to go on as it was", i, code, out)
					}
				}
			}
			for i, flow := range testFlows() {
				packet := flow.packet()
				key := make([]byte, flowKeySize)
				copy(key, packet[offSource:offUDP+4])
				key[12] = protocolUDP
				if !c.in(t, f, key) {
					t.Errorf("flow %d is not in the table", i)
				}
			}
			if f.flows.Type() != ebpf.Hash {
				return
			}
			if err := emptyMap(f.flows); err != nil {
				t.Fatal(err)
			}
			if err := f.flows.NextKey(nil, new([flowKeySize]byte)); err == nil {
				t.Error("the map has an element after all were deleted")
			}
		})
	}
}
