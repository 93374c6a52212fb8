package main

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// The instructions of floors. They have the packet in R6, and the key of its
// flow in R7 and R8.

// flowHeaders are the parts of a packet that a value has.
var flowHeaders = []struct {
	packet, value int16
	size          asm.Size
}{
	{offSource, 0, asm.DWord}, // both addresses
	{offUDP, 8, asm.Word},     // both ports
	{0, 12, asm.Word},         // both hardware addresses, 12 bytes
	{4, 16, asm.DWord},
}

// Behind them is what to add to the complement of each checksum (RFC 1624).
const (
	offIPDelta  = 24
	offUDPDelta = 26
)

// Where the programs have things on their stack.
const (
	stackKey    = -flowKeySize
	stackNumber = stackKey - 4
	stackValue  = stackNumber - flowValueSize
)

// Offsets in struct __sk_buff (linux/bpf.h), and the return code of a tc program
// that lets the next one decide (linux/pkt_cls.h).
const (
	skbData    = 76
	skbDataEnd = 80
	tcUnspec   = -1
)

// hashInstructions look the key up, and put it in if it is not there.
func (f *floor) hashInstructions(to int) asm.Instructions {
	return slices.Concat(
		readKey(xdpData, xdpDataEnd), storeKey(),
		lookUp(f.flows, stackKey),
		asm.Instructions{asm.JEq.Imm(asm.R0, 0, "new")},
		writeHeaders(0), f.count(),
		asm.Instructions{asm.Ja.Label("send")},
		labelled("new", zeroValue()), readHeaders(asm.RFP, stackValue), insert(f.flows),
		sendOrPass(to),
	)
}

// lineInstructions find the line by a hash of the key, and overwrite it if it
// is another flow's.
func (f *floor) lineInstructions(to int) asm.Instructions {
	return slices.Concat(
		readKey(xdpData, xdpDataEnd), f.findLine(),
		writeHeaders(flowKeySize), f.count(),
		asm.Instructions{asm.Ja.Label("send")},
		writeKey(), readHeaders(asm.R0, flowKeySize),
		sendOrPass(to),
	)
}

// keepInstructions write the key into its line if it is not there, and leave the
// packet to whoever comes next.
func (f *floor) keepInstructions() asm.Instructions {
	return slices.Concat(
		readKey(skbData, skbDataEnd), f.findLine(),
		asm.Instructions{asm.Ja.Label("pass")},
		writeKey(),
		labelled("pass", nothing()),
	)
}

// tallyInstructions count the packet in its flow's line, and leave it to whoever
// comes next.
func (f *floor) tallyInstructions() asm.Instructions {
	return slices.Concat(
		readKey(skbData, skbDataEnd), f.findLine(),
		asm.Instructions{
			asm.LoadMem(asm.R1, asm.R6, offIP+2, asm.Half),
			asm.HostTo(asm.BE, asm.R1, asm.Half),
		},
		addTo(flowKeySize, asm.R1),
		asm.Instructions{asm.Mov.Imm(asm.R1, 1)},
		addTo(flowKeySize+8, asm.R1),
		asm.Instructions{asm.Ja.Label("pass")},
		writeKey(),
		labelled("pass", nothing()),
	)
}

// addTo adds a register to a word behind R0.
func addTo(at int16, what asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R0, at, asm.DWord),
		asm.Add.Reg(asm.R2, what),
		asm.StoreMem(asm.R0, at, asm.R2, asm.DWord),
	}
}

// findLine leaves in R0 where the key's line is, and goes to the label new if
// another key is in it.
func (f *floor) findLine() asm.Instructions {
	return slices.Concat(
		hashKey(f.flows.MaxEntries()),
		lookUp(f.flows, stackNumber),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "pass"), // not reached
			asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
			asm.JNE.Reg(asm.R1, asm.R7, "new"),
			asm.LoadMem(asm.R1, asm.R0, 8, asm.DWord),
			asm.JNE.Reg(asm.R1, asm.R8, "new"),
		},
	)
}

// writeKey is the label new: it puts the key into the line R0.
func writeKey() asm.Instructions {
	return asm.Instructions{
		asm.StoreMem(asm.R0, 0, asm.R7, asm.DWord).WithSymbol("new"),
		asm.StoreMem(asm.R0, 8, asm.R8, asm.DWord),
	}
}

// insertInstructions put the key in with a value of zeros if it is not there,
// and leave the packet to whoever comes next.
func (f *floor) insertInstructions() asm.Instructions {
	return slices.Concat(
		readKey(skbData, skbDataEnd), storeKey(),
		lookUp(f.flows, stackKey),
		asm.Instructions{asm.JNE.Imm(asm.R0, 0, "pass")},
		zeroValue(), insert(f.flows),
		labelled("pass", nothing()),
	)
}

// nothing are the instructions of a tc program that leaves the packet to
// whoever comes next.
func nothing() asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, tcUnspec), asm.Return()}
}

// readKey leaves the packet in R6 and the key of its flow in R7 and R8. What is
// not UDP over IPv4 without options goes to the label pass.
func readKey(data, dataEnd int16) asm.Instructions {
	ether := int32(binary.NativeEndian.Uint16([]byte{etherTypeIPv4 >> 8, etherTypeIPv4 & 0xff}))
	return asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, dataEnd, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R6),
		asm.Add.Imm(asm.R3, offPayload),
		asm.JGT.Reg(asm.R3, asm.R2, "pass"),
		asm.LoadMem(asm.R1, asm.R6, offEther, asm.Half),
		asm.JNE.Imm(asm.R1, ether, "pass"),
		asm.LoadMem(asm.R1, asm.R6, offIP, asm.Byte),
		asm.JNE.Imm(asm.R1, 4<<4|5, "pass"),
		asm.LoadMem(asm.R1, asm.R6, offProto, asm.Byte),
		asm.JNE.Imm(asm.R1, protocolUDP, "pass"),
		asm.LoadMem(asm.R7, asm.R6, offSource, asm.DWord),
		asm.LoadMem(asm.R8, asm.R6, offUDP, asm.Word),
		asm.LoadImm(asm.R1, protocolUDP<<32, asm.DWord),
		asm.Or.Reg(asm.R8, asm.R1),
	}
}

func storeKey() asm.Instructions {
	return asm.Instructions{
		asm.StoreMem(asm.RFP, stackKey, asm.R7, asm.DWord),
		asm.StoreMem(asm.RFP, stackKey+8, asm.R8, asm.DWord),
	}
}

// hashKey stores which of so many lines, a power of two, is the key's.
func hashKey(lines uint32) asm.Instructions {
	const first, second = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f // odd, and without a pattern
	multiply := func(by uint64) asm.Instructions {
		return asm.Instructions{asm.LoadImm(asm.R2, int64(by), asm.DWord), asm.Mul.Reg(asm.R1, asm.R2)}
	}
	return slices.Concat(
		asm.Instructions{asm.Mov.Reg(asm.R1, asm.R7)},
		multiply(first),
		asm.Instructions{
			asm.Mov.Reg(asm.R2, asm.R1),
			asm.RSh.Imm(asm.R2, 32),
			asm.Xor.Reg(asm.R1, asm.R2),
			asm.Xor.Reg(asm.R1, asm.R8),
		},
		multiply(second),
		asm.Instructions{
			asm.RSh.Imm(asm.R1, int32(64-bits.Len32(lines-1))), // the upper bits are the best
			asm.StoreMem(asm.RFP, stackNumber, asm.R1, asm.Word),
		},
	)
}

// lookUp leaves in R0 where the value is, or 0.
func lookUp(m *ebpf.Map, key int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
	}
}

// insert puts the key and the value on the stack into a map.
func insert(m *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, stackValue),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
	}
}

// zeroValue makes a value of zeros on the stack.
func zeroValue() asm.Instructions {
	ins := asm.Instructions{asm.Mov.Imm(asm.R1, 0)}
	for off := int16(stackValue); off+8 <= stackNumber; off += 8 {
		ins = append(ins, asm.StoreMem(asm.RFP, off, asm.R1, asm.DWord))
	}
	return append(ins, asm.StoreMem(asm.RFP, stackNumber-4, asm.R1, asm.Word))
}

// readHeaders makes a value of the packet R6: the next one leaves as this came,
// with a smaller TTL.
func readHeaders(to asm.Register, at int16) asm.Instructions {
	var ins asm.Instructions
	for _, h := range flowHeaders {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.R6, h.packet, h.size),
			asm.StoreMem(to, at+h.value, asm.R1, h.size))
	}
	const ttl = 0xffff - 1<<8 // one less, of the upper byte of a word
	return append(ins,
		asm.StoreImm(to, at+offIPDelta, int64(binary.NativeEndian.Uint16([]byte{ttl >> 8, ttl & 0xff})), asm.Half),
		asm.StoreImm(to, at+offUDPDelta, 0, asm.Half))
}

// writeHeaders gives the packet R6 the headers of the value behind R0.
func writeHeaders(at int16) asm.Instructions {
	var ins asm.Instructions
	for _, h := range flowHeaders {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.R0, at+h.value, h.size),
			asm.StoreMem(asm.R6, h.packet, asm.R1, h.size))
	}
	ins = append(ins,
		asm.LoadMem(asm.R1, asm.R6, offTTL, asm.Byte),
		asm.Add.Imm(asm.R1, -1),
		asm.StoreMem(asm.R6, offTTL, asm.R1, asm.Byte))
	for _, sum := range []struct{ packet, delta int16 }{{offIP + 10, offIPDelta}, {offUDP + 6, offUDPDelta}} {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.R6, sum.packet, asm.Half),
			asm.Xor.Imm(asm.R1, 0xffff),
			asm.LoadMem(asm.R2, asm.R0, at+sum.delta, asm.Half),
			asm.Add.Reg(asm.R1, asm.R2))
		ins = append(ins, foldSum(asm.R1)...)
		ins = append(ins, asm.StoreMem(asm.R6, sum.packet, asm.R1, asm.Half))
	}
	return ins
}

// count adds the packet R6 to the counter of its source.
func (f *floor) count() asm.Instructions {
	return slices.Concat(
		asm.Instructions{
			asm.LoadMem(asm.R1, asm.R6, offSource, asm.Word),
			asm.HostTo(asm.BE, asm.R1, asm.Word),
			asm.And.Imm(asm.R1, floorSlots-1),
			asm.StoreMem(asm.RFP, stackNumber, asm.R1, asm.Word),
		},
		lookUp(f.volumes, stackNumber),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "send"), // not reached
			asm.LoadMem(asm.R1, asm.R6, offIP+2, asm.Half),
			asm.HostTo(asm.BE, asm.R1, asm.Half),
		},
		addTo(0, asm.R1),
		asm.Instructions{asm.Mov.Imm(asm.R1, 1)},
		addTo(8, asm.R1),
	)
}

// sendOrPass are the last instructions, with the labels send and pass: by a
// link, or to the kernel.
func sendOrPass(to int) asm.Instructions {
	return slices.Concat(
		labelled("send", redirection(to)),
		asm.Instructions{
			asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
			asm.Return(),
		},
	)
}

func labelled(label string, ins asm.Instructions) asm.Instructions {
	ins[0] = ins[0].WithSymbol(label)
	return ins
}
