package egressfilter

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Verdicts of the program, as tc defines them (linux/pkt_cls.h).
const (
	Pass = 0xffffffff // TC_ACT_UNSPEC: no opinion, ask the next filter
	Drop = 2          // TC_ACT_SHOT
)

// maxSpans keeps every jump within the 16 bits that an instruction has for it:
// a span is two edges, and an edge is three instructions.
const maxSpans = 5000

// maxServers does so, too, behind them.
const maxServers = 500

// Offsets and constants of the kernel's user API.
const (
	skbProtocol   = 16 // offsets in __sk_buff (linux/bpf.h)
	skbVLAN       = 20 // vlan_present
	skbIngress    = 36 // ingress_ifindex: 0 if the packet came in by no link
	headerNetwork = 1  // BPF_HDR_START_NET
)

// Offsets in headers, and what they may hold.
const (
	ipHeader     = 20 // without options (RFC 791, section 3.1)
	ipFragment   = 6  // flags and offset of the fragment
	ipProtocol   = 9
	ipSource     = 12
	tcpFlags     = 13 // RFC 9293, section 3.1
	tcpReset     = 0x04
	icmpUnreach  = 3 // destination unreachable (RFC 792)
	icmpProtocol = 2 // its codes
	icmpPort     = 3
)

// The stack holds the IPv4 header without options, and two bytes of what
// follows it.
const (
	stackHeader = -24 // so that the source address is aligned
	stackNext   = -32
)

const (
	labelSource = "source"
	labelICMP   = "icmp"
	labelReset  = "reset"
	labelPass   = "pass"
	labelDrop   = "drop"
)

// Program returns the program for a traffic classifier in direct-action mode.
// It fails where p has addresses that are not IPv4, or too many of them in
// private space.
//
// A packet that says it is IPv4 and is too short for the header is dropped.
func Program(p Params) (*ebpf.ProgramSpec, error) {
	spans, err := denied(p)
	if err != nil {
		return nil, err
	}
	servers, err := listening(p)
	if err != nil {
		return nil, err
	}
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbVLAN, asm.Word),
		asm.JNE.Imm(asm.R2, 0, labelDrop),
		asm.LoadMem(asm.R2, asm.R6, skbProtocol, asm.Word),
		asm.JEq.Imm(asm.R2, networkOrder(unix.ETH_P_ARP), labelPass),
		asm.JNE.Imm(asm.R2, networkOrder(unix.ETH_P_IP), labelDrop),
	}
	// Relative to the network header, so that the link layer does not matter.
	insns = append(insns, asm.Mov.Imm(asm.R2, 0))
	insns = append(insns, copyToStack(stackHeader, ipHeader)...)
	insns = append(insns, ownAnswers(servers)...)
	insns = append(insns,
		asm.LoadMem(asm.R2, asm.RFP, stackHeader+ipSource, asm.Word).WithSymbol(labelSource),
		asm.HostTo(asm.BE, asm.R2, asm.Word),
		asm.Ja.Label("search"),
		asm.Mov.Imm(asm.R0, -1).WithSymbol(labelPass),
		asm.Return(),
		asm.Mov.Imm(asm.R0, Drop).WithSymbol(labelDrop),
		asm.Return(),
	)
	search := appendSearch(nil, edges(spans), 0)
	search[0] = search[0].WithSymbol("search")
	insns = append(insns, search...)
	return &ebpf.ProgramSpec{Name: "sluice_guard", Type: ebpf.SchedCLS, Instructions: insns, License: "GPL"}, nil
}

// ownAnswers drops resets and some unreachable messages of the gateway itself, but for
// resets from servers.
func ownAnswers(servers []netip.AddrPort) asm.Instructions {
	insns := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, skbIngress, asm.Word),
		asm.JNE.Imm(asm.R2, 0, labelSource),
		asm.LoadMem(asm.R2, asm.RFP, stackHeader+ipFragment, asm.Half),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
		asm.And.Imm(asm.R2, 0x1fff),
		asm.JNE.Imm(asm.R2, 0, labelSource), // not the first fragment
		// R7: the length of the IPv4 header.
		asm.LoadMem(asm.R7, asm.RFP, stackHeader, asm.Byte),
		asm.And.Imm(asm.R7, 0x0f),
		asm.LSh.Imm(asm.R7, 2),
		asm.LoadMem(asm.R2, asm.RFP, stackHeader+ipProtocol, asm.Byte),
		asm.JEq.Imm(asm.R2, unix.IPPROTO_ICMP, labelICMP),
		asm.JNE.Imm(asm.R2, unix.IPPROTO_TCP, labelSource),
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Add.Imm(asm.R2, tcpFlags),
	}
	insns = append(insns, copyToStack(stackNext, 1)...)
	insns = append(insns, asm.LoadMem(asm.R2, asm.RFP, stackNext, asm.Byte))
	if len(servers) == 0 {
		insns = append(insns, asm.JSet.Imm(asm.R2, tcpReset, labelDrop), asm.Ja.Label(labelSource))
	} else {
		insns = append(insns, asm.JSet.Imm(asm.R2, tcpReset, labelReset), asm.Ja.Label(labelSource))
		insns = append(insns, resets(servers)...)
	}
	insns = append(insns, asm.Mov.Reg(asm.R2, asm.R7).WithSymbol(labelICMP))
	insns = append(insns, copyToStack(stackNext, 2)...)
	return append(insns,
		asm.LoadMem(asm.R2, asm.RFP, stackNext, asm.Byte),
		asm.JNE.Imm(asm.R2, icmpUnreach, labelSource),
		asm.LoadMem(asm.R2, asm.RFP, stackNext+1, asm.Byte),
		asm.JEq.Imm(asm.R2, icmpProtocol, labelDrop),
		asm.JEq.Imm(asm.R2, icmpPort, labelDrop),
	)
}

// resets drops a reset unless it is from one of the servers.
func resets(servers []netip.AddrPort) asm.Instructions {
	insns := append(asm.Instructions{asm.Mov.Reg(asm.R2, asm.R7).WithSymbol(labelReset)}, copyToStack(stackNext, 2)...)
	// R2: the port that it comes from; R3: the address.
	insns = append(insns,
		asm.LoadMem(asm.R2, asm.RFP, stackNext, asm.Half),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
		asm.LoadMem(asm.R3, asm.RFP, stackHeader+ipSource, asm.Word),
		asm.HostTo(asm.BE, asm.R3, asm.Word))
	for i, s := range servers {
		next := labelDrop
		if i+1 < len(servers) {
			next = "server" + strconv.Itoa(i+1)
		}
		at := asm.JNE.Imm32(asm.R3, int32(number(s.Addr())), next)
		if i > 0 {
			at = at.WithSymbol("server" + strconv.Itoa(i))
		}
		insns = append(insns, at, asm.JEq.Imm(asm.R2, int32(s.Port()), labelSource), asm.Ja.Label(next))
	}
	return insns
}

// listening returns where the gateway itself listens, in order.
func listening(p Params) ([]netip.AddrPort, error) {
	all := slices.Clone(p.Servers)
	slices.SortFunc(all, netip.AddrPort.Compare)
	for _, s := range all {
		if !s.Addr().Is4() {
			return nil, fmt.Errorf("server %s of the egress filter is not IPv4", s)
		}
	}
	if len(all) > maxServers {
		return nil, fmt.Errorf("%d servers listen by TCP, and the egress filter can tell %d apart", len(all), maxServers)
	}
	return slices.Compact(all), nil
}

// copyToStack copies size bytes to the stack, from the offset in R2 after the start of
// the network header. It reads what is not in the packet's linear part, too. A
// packet that ends before is dropped.
func copyToStack(stack, size int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, stack),
		asm.Mov.Imm(asm.R4, size),
		asm.Mov.Imm(asm.R5, headerNetwork),
		asm.FnSkbLoadBytesRelative.Call(),
		asm.JNE.Imm(asm.R0, 0, labelDrop),
	}
}

// appendSearch appends a binary search for the source in R2. There are before
// edges below these, so that the verdict is to drop where the number of edges
// at or below the source is odd.
func appendSearch(insns asm.Instructions, edges []uint32, before int) asm.Instructions {
	if len(edges) == 0 {
		var verdict int32 = -1
		if before%2 == 1 {
			verdict = Drop
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

// networkOrder is an EtherType as __sk_buff has it: in network byte order in a
// host's word.
func networkOrder(etherType uint16) int32 {
	var be [2]byte
	binary.BigEndian.PutUint16(be[:], etherType)
	return int32(binary.NativeEndian.Uint16(be[:]))
}

// hasTag reports whether the kernel gives the program this tag.
func hasTag(spec *ebpf.ProgramSpec, tag string) (bool, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = binary.BigEndian
	}
	// The tag covers the jumps, whose distances are only set by encoding.
	if err := spec.Instructions.Marshal(io.Discard, order); err != nil {
		return false, fmt.Errorf("encode the filter's program: %w", err)
	}
	return spec.Instructions.HasTag(tag, order)
}
