package sequence

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Flags of TCP (RFC 9293, section 3.1).
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// Packet is an IPv4 packet of a connection, as one of its ends sends or receives
// it.
type Packet struct {
	Protocol uint8
	From, To netip.AddrPort
	TTL      uint8
	Length   int // of the payload, all of zeros

	// TCP.
	Flags    uint8
	Seq, Ack uint32
	Window   uint16
	Scale    int // of the window scale option of a SYN; negative for none

	// Quoted is the packet that an ICMP error (Protocol 1, port unreachable) is
	// about.
	Quoted *Packet
}

func (p Packet) String() string {
	switch p.Protocol {
	case unix.IPPROTO_UDP:
		return fmt.Sprintf("UDP %s > %s, %d bytes", p.From, p.To, p.Length)
	case unix.IPPROTO_ICMP:
		return fmt.Sprintf("ICMP error %s > %s about [%s]", p.From.Addr(), p.To.Addr(), p.Quoted)
	}
	flags := ""
	for i, c := range "FSRPAU" {
		if p.Flags>>i&1 != 0 {
			flags += string(c)
		}
	}
	return fmt.Sprintf("TCP %s > %s [%s] seq %d ack %d win %d, %d bytes", p.From, p.To, flags, p.Seq, p.Ack, p.Window, p.Length)
}

const (
	ethernetHeader = 14
	ipHeader       = 20
)

// frame returns the packet's frame.
func (p Packet) frame(to, from net.HardwareAddr) []byte {
	f := append(append(append([]byte{}, to...), from...), 8, 0)
	return append(f, p.marshal()...)
}

func (p Packet) marshal() []byte {
	be := binary.BigEndian
	l4 := p.layer4()
	ip := make([]byte, ipHeader)
	ip[0] = 0x45
	be.PutUint16(ip[2:], uint16(ipHeader+len(l4)))
	be.PutUint16(ip[6:], 0x4000) // do not fragment
	ip[8], ip[9] = 64, p.Protocol
	copy(ip[12:], p.From.Addr().AsSlice())
	copy(ip[16:], p.To.Addr().AsSlice())
	be.PutUint16(ip[10:], ^sum(0, ip))
	return append(ip, l4...)
}

func (p Packet) layer4() []byte {
	be := binary.BigEndian
	var b []byte
	at := 6 // of the checksum
	switch p.Protocol {
	case unix.IPPROTO_ICMP:
		b = append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, p.Quoted.marshal()[:ipHeader+8]...)
		be.PutUint16(b[2:], ^sum(0, b))
		return b
	case unix.IPPROTO_UDP:
		b = make([]byte, 8+p.Length)
		be.PutUint16(b[4:], uint16(len(b)))
	default:
		at = 16
		b = make([]byte, 20)
		be.PutUint32(b[4:], p.Seq)
		be.PutUint32(b[8:], p.Ack)
		b[13] = p.Flags
		be.PutUint16(b[14:], p.Window)
		if p.Flags&SYN != 0 {
			b = append(b, 2, 4, 1400>>8, 1400&0xff, 4, 2, 1, 1) // MSS, SACK permitted
			if p.Scale >= 0 {
				b = append(b, 3, 3, uint8(p.Scale), 1)
			}
		}
		b[12] = uint8(len(b)/4) << 4
		b = append(b, make([]byte, p.Length)...)
	}
	be.PutUint16(b[0:], p.From.Port())
	be.PutUint16(b[2:], p.To.Port())
	be.PutUint16(b[at:], ^sum(uint32(p.pseudo(len(b))), b))
	return b
}

// pseudo is the sum of the header that the checksums of TCP and UDP include.
func (p Packet) pseudo(length int) uint16 {
	return sum(uint32(p.Protocol)+uint32(length), append(p.From.Addr().AsSlice(), p.To.Addr().AsSlice()...))
}

// parse reads a frame. The error says what is wrong with it, if it is IPv4.
func parse(f []byte) (Packet, error) {
	if len(f) < ethernetHeader+ipHeader || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_IP {
		return Packet{}, errNotIPv4
	}
	return parseIP(f[ethernetHeader:])
}

func parseIP(b []byte) (Packet, error) {
	be := binary.BigEndian
	p := Packet{Protocol: b[9], TTL: b[8]}
	from, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	if sum(0, b[:ipHeader]) != 0xffff {
		return p, fmt.Errorf("wrong checksum of the IP header from %s to %s", from, to)
	}
	l4 := b[ipHeader:min(len(b), int(be.Uint16(b[2:])))]
	p.From, p.To = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
	if p.Protocol == unix.IPPROTO_ICMP {
		if len(l4) < 8+ipHeader+8 || sum(0, l4) != 0xffff {
			return p, fmt.Errorf("malformed ICMP from %s to %s", from, to)
		}
		q := quoted(l4[8:])
		p.Quoted = &q
		return p, nil
	}
	if len(l4) < 8 || (p.Protocol == unix.IPPROTO_TCP && len(l4) < 20) {
		return p, errNotIPv4
	}
	p.From, p.To = netip.AddrPortFrom(from, be.Uint16(l4[0:])), netip.AddrPortFrom(to, be.Uint16(l4[2:]))
	if sum(uint32(p.pseudo(len(l4))), l4) != 0xffff {
		return p, fmt.Errorf("wrong checksum from %s to %s", p.From, p.To)
	}
	p.Length = len(l4) - 8
	if p.Protocol == unix.IPPROTO_TCP {
		p.Length = len(l4) - int(l4[12]>>4)*4
		p.Seq, p.Ack, p.Flags, p.Window = be.Uint32(l4[4:]), be.Uint32(l4[8:]), l4[13], be.Uint16(l4[14:])
	}
	return p, nil
}

// quoted reads what an ICMP error says of a packet.
func quoted(b []byte) Packet {
	from, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	return Packet{
		Protocol: b[9], From: netip.AddrPortFrom(from, binary.BigEndian.Uint16(b[20:])),
		To: netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[22:])), Seq: binary.BigEndian.Uint32(b[24:]),
	}
}

// sum is a one's complement sum (RFC 1071).
func sum(s uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
