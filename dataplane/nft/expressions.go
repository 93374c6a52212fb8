package nft

import (
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// Registers that the rules use. The kernel has four of 16 bytes, and the same
// memory again as sixteen of 4 bytes; a concatenation is a run of the small
// ones.
const (
	reg1  = unix.NFT_REG_1    // the first 4 bytes are NFT_REG32_00
	reg1b = unix.NFT_REG32_01 // the second 4 bytes of reg1
	reg1c = unix.NFT_REG32_02 // the third
	reg2  = unix.NFT_REG_2
)

type exprs = []expr.Any

// ifname returns a link name as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func loadAddr(reg, offset uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func loadSource(reg uint32) expr.Any      { return loadAddr(reg, 12) } // ip saddr
func loadDestination(reg uint32) expr.Any { return loadAddr(reg, 16) } // ip daddr

func matchLink(key expr.MetaKey, op expr.CmpOp, name string) exprs {
	return exprs{
		&expr.Meta{Key: key, Register: reg1},
		&expr.Cmp{Op: op, Register: reg1, Data: ifname(name)},
	}
}

func fromLink(name string) exprs    { return matchLink(expr.MetaKeyIIFNAME, expr.CmpOpEq, name) }
func notFromLink(name string) exprs { return matchLink(expr.MetaKeyIIFNAME, expr.CmpOpNeq, name) }
func toLink(name string) exprs      { return matchLink(expr.MetaKeyOIFNAME, expr.CmpOpEq, name) }
func notToLink(name string) exprs   { return matchLink(expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

func fromTunnel() exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, inSet(SetTunnels, false)}
}
func toTunnel() exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1}, inSet(SetTunnels, false)}
}

func fromSSL() exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, inSet(SetSSL, false)}
}
func toSSL() exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1}, inSet(SetSSL, false)}
}

// fromUnreturned matches what came in by a router interface and has a source that is led
// back there neither by the kernel's routes nor by a route table of some VSwitches (source
// address validation, RFC 3704, section 2.3).
func fromUnreturned() exprs {
	return exprs{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, inSet(SetInterfaces, false),
		&expr.Fib{Register: reg1, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: make([]byte, 4)},
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, loadSource(reg2), inSet(SetReturned, true),
	}
}

// fromPublicInterface matches what came in by a router interface by which the outside calls.
func fromPublicInterface() exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, inSet(SetPublicInterfaces, false)}
}

// markOfInterface replaces reg1 by what a map has for the public router interface that a
// packet came in by, or ends the rule.
func markOfInterface(in SetID) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, lookUp(in)}
}

// ofServer matches what is for an SSL-VPN server, or from one, by the offsets of the
// address and of the port.
func ofServer(address, port uint32) exprs {
	return exprs{
		loadAddr(reg1, address),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1b},
		&expr.Payload{DestRegister: reg1c, Base: expr.PayloadBaseTransportHeader, Offset: port, Len: 2},
		inSet(SetListen, false),
	}
}

func toServer() exprs   { return append(fromLink(uplink), ofServer(16, 2)...) }
func fromServer() exprs { return ofServer(12, 0) }

// toCharon matches what goes to a charon with a namespace of its own.
func toCharon() exprs {
	return exprs{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte(dataplane.CharonLinks)},
	}
}

// toIKE matches what comes in by the uplink for a VPN gateway with a charon.
func toIKE() exprs {
	return append(fromLink(uplink), loadDestination(reg1), inSet(SetIKE, false))
}

func isProtocol(p byte) exprs {
	return exprs{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte{p}},
	}
}

func udpTo(port uint16) exprs { return append(isProtocol(unix.IPPROTO_UDP), toPort(port)...) }
func tcpTo(port uint16) exprs { return append(isProtocol(unix.IPPROTO_TCP), toPort(port)...) }

func udpFrom(port uint16) exprs {
	return append(isProtocol(unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.BigEndian.PutUint16(port)})
}

func toPort(port uint16) exprs {
	return exprs{
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// ctHas matches if any of the bits is set in ct state or ct status.
func ctHas(key expr.CtKey, bits uint32) exprs {
	return exprs{
		&expr.Ct{Key: key, Register: reg1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
	}
}

func inSet(id SetID, invert bool) expr.Any {
	return &expr.Lookup{SourceRegister: reg1, SetName: id.String(), SetID: uint32(id) + 1, Invert: invert}
}

// lookUp replaces the key at reg1 by its value in map id, or ends the rule.
func lookUp(id SetID) expr.Any {
	return &expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: id.String(), SetID: uint32(id) + 1}
}

func snatToReg1() expr.Any {
	return &expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg1}
}

// learn adds what is at reg1 to a set of learned elements, or has it stay for longer. With
// more, an expression that each element has a state of its own of, the rule goes on as that
// says; but for an element that finds no room, where it ends.
func learn(id SetID, more ...expr.Any) expr.Any {
	return &expr.Dynset{SrcRegKey: reg1, SetName: id.String(), SetID: uint32(id) + 1, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: more}
}

// limit matches packets beyond a rate a second.
func limit(rate uint64, burst uint32) expr.Any {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: rate, Over: true, Unit: expr.LimitTimeSecond, Burst: burst}
}

// tcpFlags matches TCP by those of its flags that are in a mask.
func tcpFlags(flags, mask byte) exprs {
	return append(isProtocol(unix.IPPROTO_TCP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte{flags}})
}

// longerThan matches packets of more bytes, with their IP header.
func longerThan(bytes uint16) exprs {
	return exprs{
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpGt, Register: reg1, Data: binaryutil.BigEndian.PutUint16(bytes)},
	}
}

func setMark(v uint32) exprs {
	return exprs{
		&expr.Immediate{Register: reg1, Data: binaryutil.NativeEndian.PutUint32(v)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1},
	}
}

func setCtMark(v uint32) exprs {
	return exprs{
		&expr.Immediate{Register: reg1, Data: binaryutil.NativeEndian.PutUint32(v)},
		&expr.Ct{Key: expr.CtKeyMARK, SourceRegister: true, Register: reg1},
	}
}

func count(name string) expr.Any {
	return &expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}
}

func accept() expr.Any           { return &expr.Verdict{Kind: expr.VerdictAccept} }
func drop() expr.Any             { return &expr.Verdict{Kind: expr.VerdictDrop} }
func jump(chain string) expr.Any { return &expr.Verdict{Kind: expr.VerdictJump, Chain: chain} }

// fingerprint writes what an expression says in a form that is the same before
// it goes to the kernel and after it was read back. It leaves out what the
// kernel or the library rewrites or loses on the way (register numbers, set
// ids, flags that the kernel derives).
func fingerprint(e expr.Any) string {
	switch e := e.(type) {
	case *expr.Meta:
		return fmt.Sprintf("meta %d set %t", e.Key, e.SourceRegister)
	case *expr.Ct:
		return fmt.Sprintf("ct %d", e.Key)
	case *expr.Cmp:
		return fmt.Sprintf("cmp %d %x", e.Op, e.Data)
	case *expr.Bitwise:
		return fmt.Sprintf("bitwise %x %x", e.Mask, e.Xor)
	case *expr.Immediate:
		return fmt.Sprintf("immediate %x", e.Data)
	case *expr.Payload:
		return fmt.Sprintf("payload %d %d %d", e.Base, e.Offset, e.Len)
	case *expr.Lookup:
		return fmt.Sprintf("lookup %s map %t invert %t", e.SetName, e.IsDestRegSet, e.Invert)
	case *expr.NAT:
		return fmt.Sprintf("nat %d", e.Type)
	case *expr.Exthdr:
		return fmt.Sprintf("exthdr %d %d %d %d", e.Op, e.Type, e.Offset, e.Len)
	case *expr.Fib:
		return fmt.Sprintf("fib saddr %t daddr %t iif %t oif %t oifname %t type %t", e.FlagSADDR, e.FlagDADDR, e.FlagIIF, e.ResultOIF, e.ResultOIFNAME, e.ResultADDRTYPE)
	case *expr.Hash:
		return fmt.Sprintf("hash %d %d %x", e.Type, e.Modulus, e.Seed)
	case *expr.Limit:
		return fmt.Sprintf("limit %d over %t %d/%d burst %d", e.Type, e.Over, e.Rate, e.Unit, e.Burst)
	case *expr.Dynset:
		text := fmt.Sprintf("dynset %d %s invert %t", e.Operation, e.SetName, e.Invert)
		for _, more := range e.Exprs {
			text += " " + fingerprint(more)
		}
		return text
	case *expr.Objref:
		return fmt.Sprintf("objref %d %s", e.Type, e.Name)
	case *expr.Verdict:
		return fmt.Sprintf("verdict %d %s", e.Kind, e.Chain)
	}
	return fmt.Sprintf("%T", e)
}

// echoRequest matches ICMP echo requests.
func echoRequest() exprs { return icmpIs(icmpEchoRequest) }

// icmpIs matches ICMP by its type, or by type and code.
func icmpIs(typeAndCode ...byte) exprs {
	return append(isProtocol(unix.IPPROTO_ICMP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: uint32(len(typeAndCode))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: typeAndCode})
}
