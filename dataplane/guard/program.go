package guard

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Verdicts of the program, as tc defines them (linux/pkt_cls.h).
const (
	Pass = 0xffffffff // TC_ACT_UNSPEC: no opinion, ask the next filter
	Drop = 2          // TC_ACT_SHOT
)

// Params is what the program is made for.
type Params struct {
	Public  netip.Prefix // sources that may leave, before anything else
	Private netip.Prefix // the VPC's block, which may not, besides privateBlocks
}

// privateBlocks never are a source on a public network: RFC 1918, section 3,
// and RFC 6598, section 7.
func privateBlocks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
	}
}

// Offsets and constants of the kernel's user API.
const (
	skbProtocol   = 16 // offset of __sk_buff.protocol
	ipSource      = 12 // offset of the source address in an IPv4 header (RFC 791, section 3.1)
	headerNetwork = 1  // BPF_HDR_START_NET
	offsetSource  = -4 // on the stack
	labelPass     = "pass"
	labelDrop     = "drop"
)

// Program returns the program for a traffic classifier in direct-action mode.
//
// A packet that says it is IPv4 and is too short to have a source is dropped.
// What is not IPv4, ARP above all, passes.
func Program(p Params) *ebpf.ProgramSpec {
	var be [2]byte
	binary.BigEndian.PutUint16(be[:], unix.ETH_P_IP)
	insns := asm.Instructions{
		// The protocol is in network byte order in a host's word.
		asm.LoadMem(asm.R2, asm.R1, skbProtocol, asm.Word),
		asm.JNE.Imm(asm.R2, int32(binary.NativeEndian.Uint16(be[:])), labelPass),
		// Relative to the network header, so that the link layer does not matter.
		asm.Mov.Imm(asm.R2, ipSource),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, offsetSource),
		asm.Mov.Imm(asm.R4, 4),
		asm.Mov.Imm(asm.R5, headerNetwork),
		asm.FnSkbLoadBytesRelative.Call(),
		asm.JNE.Imm(asm.R0, 0, labelDrop),
		asm.LoadMem(asm.R2, asm.RFP, offsetSource, asm.Word),
		asm.HostTo(asm.BE, asm.R2, asm.Word),
	}
	insns = append(insns, ifIn(p.Public, labelPass)...)
	for _, block := range append(privateBlocks(), p.Private) {
		insns = append(insns, ifIn(block, labelDrop)...)
	}
	pass := int32(-1)
	insns = append(insns,
		asm.Mov.Imm(asm.R0, pass).WithSymbol(labelPass),
		asm.Return(),
		asm.Mov.Imm(asm.R0, Drop).WithSymbol(labelDrop),
		asm.Return(),
	)
	return &ebpf.ProgramSpec{Name: "sluice_guard", Type: ebpf.SchedCLS, Instructions: insns, License: "GPL"}
}

// ifIn jumps to label if the address in R2 is in the block. An invalid block
// has no addresses.
func ifIn(block netip.Prefix, label string) asm.Instructions {
	if !block.IsValid() {
		return nil
	}
	host := int32(32 - block.Bits())
	first := block.Masked().Addr().As4()
	return asm.Instructions{
		asm.Mov.Reg(asm.R3, asm.R2),
		asm.RSh.Imm(asm.R3, host),
		// In a register: a comparison with a constant would extend its sign.
		asm.LoadImm(asm.R4, int64(uint64(binary.BigEndian.Uint32(first[:]))>>host), asm.DWord),
		asm.JEq.Reg(asm.R3, asm.R4, label),
	}
}
