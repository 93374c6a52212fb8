package guard

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// The verdicts of a classifier with direct action.
const (
	verdictPass = -1 // TC_ACT_UNSPEC: go on with the next classifier, if there is one
	verdictDrop = 2  // TC_ACT_SHOT
)

// Where things are in an Ethernet frame that carries IPv4. At the egress of a
// link, a packet starts with its Ethernet header.
const (
	offEtherType = 12
	offSource    = 26
	headSize     = offSource + 4 - offEtherType // from the EtherType to the end of the source
)

// The head is copied to the stack so that both fields are aligned: the source
// to a multiple of 4, the EtherType to one of 2.
const (
	stackSource    = -8
	stackEtherType = stackSource - (offSource - offEtherType)
)

// maxSpans keeps every jump within the 16 bits that the instruction has for
// it: a span is two edges, and an edge is three instructions.
const maxSpans = 5000

// instructions returns the classifier that drops what has a source in spans.
//
//	copy the head of the packet, or drop: too short
//	EtherType ARP: pass; not IPv4: drop
//	which span or gap is the source in? drop or pass
func instructions(spans []span) (asm.Instructions, error) {
	if len(spans) > maxSpans {
		return nil, fmt.Errorf("the allowed prefixes cut the private addresses into %d pieces: at most %d can be told apart; allow fewer or wider prefixes", len(spans), maxSpans)
	}
	const drop = "drop"
	insns := asm.Instructions{
		// r1 is the packet. bpf_skb_load_bytes reads what is not in the linear
		// part, too.
		asm.Mov.Imm(asm.R2, offEtherType),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, stackEtherType),
		asm.Mov.Imm(asm.R4, headSize),
		asm.FnSkbLoadBytes.Call(),
		// An ARP packet is longer than this head: only runts fail.
		asm.JNE.Imm(asm.R0, 0, drop),

		asm.LoadMem(asm.R2, asm.RFP, stackEtherType, asm.Half),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
		asm.JEq.Imm(asm.R2, unix.ETH_P_ARP, "pass"),
		asm.JNE.Imm(asm.R2, unix.ETH_P_IP, drop),

		asm.LoadMem(asm.R2, asm.RFP, stackSource, asm.Word),
		asm.HostTo(asm.BE, asm.R2, asm.Word),
		asm.Ja.Label("search"),

		asm.Mov.Imm(asm.R0, verdictPass).WithSymbol("pass"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, verdictDrop).WithSymbol(drop),
		asm.Return(),
	}
	search := appendSearch(nil, edges(spans), 0)
	search[0] = search[0].WithSymbol("search")
	return append(insns, search...), nil
}

// edges returns the addresses at which the verdict changes: to drop at every
// even index, back to pass at every odd one.
func edges(spans []span) []uint32 {
	out := make([]uint32, 0, 2*len(spans))
	for _, s := range spans {
		out = append(out, s.first)
		if s.last != ^uint32(0) {
			out = append(out, s.last+1)
		}
	}
	return out
}

// appendSearch appends a binary search for the source in r2. There are before
// edges below these, so that the packet's verdict is to drop where the number
// of edges at or below its source is odd.
func appendSearch(insns asm.Instructions, edges []uint32, before int) asm.Instructions {
	if len(edges) == 0 {
		var verdict int32 = verdictPass
		if before%2 == 1 {
			verdict = verdictDrop
		}
		return append(insns, asm.Mov.Imm(asm.R0, verdict), asm.Return())
	}
	mid := len(edges) / 2
	above := "edge" + strconv.Itoa(before+mid)
	// The 32-bit comparison takes its constant as unsigned (Linux 5.1).
	insns = append(insns, asm.JGE.Imm32(asm.R2, int32(edges[mid]), above))
	insns = appendSearch(insns, edges[:mid], before)
	at := len(insns)
	insns = appendSearch(insns, edges[mid+1:], before+mid+1)
	insns[at] = insns[at].WithSymbol(above)
	return insns
}

// load gives the classifier to the kernel.
func load(insns asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "sluice_guard",
		Type:         ebpf.SchedCLS,
		License:      "GPL",
		Instructions: insns,
	})
	if err != nil {
		return nil, fmt.Errorf("load the classifier of %d instructions: %w", len(insns), unsupported(err))
	}
	return p, nil
}

// hasTag reports whether the kernel gives insns that tag.
func hasTag(insns asm.Instructions, tag string) (bool, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = binary.BigEndian
	}
	// The tag covers the jumps, whose distances are only set by encoding.
	if err := insns.Marshal(io.Discard, order); err != nil {
		return false, fmt.Errorf("encode the classifier: %w", err)
	}
	return insns.HasTag(tag, order)
}
