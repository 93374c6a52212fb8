package session

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Flags of TCP (RFC 9293, section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// IP flags and the unit of the fragment offset (RFC 791).
const (
	dontFragment  = 0x4000
	moreFragments = 0x2000
)

// What an ICMP query is in a flow's key: its type and code.
const (
	echo      = 8 << 8
	echoReply = 0
	timestamp = 13 << 8
)

// packet describes an IPv4 packet. Its frame is made from nothing else, with
// checksums summed up anew: what a translation must come to.
type packet struct {
	protocol uint8
	from, to string // address:port; of ICMP the ports are the id, and type and code
	ttl      uint8
	flags    uint8 // TCP
	payload  string
	seq, ack uint32 // TCP; 0 for some number

	timestamps bool   // TCP has the option that most connections have, 12 bytes long
	options    string // of IP, a multiple of four bytes
	fragment   uint16 // flags and offset; 0 for dontFragment
	unsummed   bool   // UDP without a checksum

	destination, source mac
}

type mac [6]byte

// udp and tcp are packets of a connection that is open.
func udp(from, to, payload string) packet {
	return packet{protocol: unix.IPPROTO_UDP, from: from, to: to, ttl: 64, payload: payload,
		destination: mac{2, 0, 0, 0, 0, 1}, source: mac{2, 0, 0, 0, 0, 2}}
}

func tcp(from, to, payload string) packet {
	p := udp(from, to, payload)
	p.protocol, p.flags, p.timestamps = unix.IPPROTO_TCP, flagACK|flagPSH, true
	return p
}

func icmp(from, to string, id, typeCode uint16) packet {
	p := udp(netip.AddrPortFrom(netip.MustParseAddr(from), id).String(),
		netip.AddrPortFrom(netip.MustParseAddr(to), typeCode).String(), "what a host sends")
	p.protocol = unix.IPPROTO_ICMP
	return p
}

func (p packet) with(change func(*packet)) packet {
	change(&p)
	return p
}

// key is how the programs find the packet's session.
func (p packet) key() flowKey {
	from, to := netip.MustParseAddrPort(p.from), netip.MustParseAddrPort(p.to)
	return flowKey{
		Saddr: word(from.Addr()), Daddr: word(to.Addr()),
		Sport: order16(from.Port()), Dport: order16(to.Port()), Proto: p.protocol,
	}
}

// heads is the length of the headers at layers 3 and 4.
func (p packet) heads() int { return ipHeader + len(p.options) + len(p.layer4()) - len(p.payload) }

// length is the packet's length at layer 3.
func (p packet) length() int { return ipHeader + len(p.options) + len(p.layer4()) }

const ipHeader = 20

// checksumAt is where a frame without IP options has its checksum of layer 4.
func (p packet) checksumAt() int {
	if p.protocol == unix.IPPROTO_TCP {
		return ethernetHeader + ipHeader + 16
	}
	return ethernetHeader + ipHeader + 6
}

func (p packet) frame() []byte {
	from, to := netip.MustParseAddrPort(p.from), netip.MustParseAddrPort(p.to)
	be := binary.BigEndian
	f := joined(p.destination[:], p.source[:], []byte{8, 0})
	ip := make([]byte, ipHeader, ipHeader+len(p.options))
	ip[0] = 0x40 | byte(ipHeader+len(p.options))/4
	be.PutUint16(ip[2:], uint16(p.length()))
	be.PutUint16(ip[4:], 0x4711)
	be.PutUint16(ip[6:], dontFragment)
	if p.fragment != 0 {
		be.PutUint16(ip[6:], p.fragment)
	}
	ip[8], ip[9] = p.ttl, p.protocol
	copy(ip[12:], from.Addr().AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	ip = append(ip, p.options...)
	be.PutUint16(ip[10:], ^sum(ip))
	return joined(f, ip, p.layer4())
}

// layer4 is what follows the IP header.
func (p packet) layer4() []byte {
	from, to := netip.MustParseAddrPort(p.from), netip.MustParseAddrPort(p.to)
	be := binary.BigEndian
	var head []byte
	at := 0 // of the checksum
	switch p.protocol {
	case unix.IPPROTO_UDP:
		head, at = make([]byte, 8), 6
		be.PutUint16(head[4:], uint16(8+len(p.payload)))
	case unix.IPPROTO_TCP:
		head, at = make([]byte, 20), 16
		be.PutUint32(head[4:], cmp.Or(p.seq, 0x01020304))
		be.PutUint32(head[8:], cmp.Or(p.ack, 0x05060708))
		be.PutUint16(head[14:], 502)
		if p.timestamps {
			head = append(head, 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 7)
		}
		head[12], head[13] = byte(len(head)/4)<<4, p.flags
	case unix.IPPROTO_ICMP:
		head = make([]byte, 8)
		be.PutUint16(head[0:], to.Port())
		be.PutUint16(head[4:], from.Port())
		be.PutUint16(head[6:], 1)
		be.PutUint16(head[2:], ^sum(head, []byte(p.payload)))
		return append(head, p.payload...)
	default:
		return []byte(p.payload)
	}
	be.PutUint16(head[0:], from.Port())
	be.PutUint16(head[2:], to.Port())
	if p.unsummed {
		return append(head, p.payload...)
	}
	check := ^sum(p.pseudo(len(head)), head, []byte(p.payload))
	if p.protocol == unix.IPPROTO_UDP && check == 0 {
		check = 0xffff // 0 would say that there is none (RFC 768)
	}
	be.PutUint16(head[at:], check)
	return append(head, p.payload...)
}

// pseudo is the header that the checksums of TCP and UDP include.
func (p packet) pseudo(head int) []byte {
	from, to := netip.MustParseAddrPort(p.from), netip.MustParseAddrPort(p.to)
	length := binary.BigEndian.AppendUint16(nil, uint16(head+len(p.payload)))
	return joined(from.Addr().AsSlice(), to.Addr().AsSlice(), []byte{0, p.protocol}, length)
}

// summing returns the packet with a payload that makes its checksum come to 0.
// The payload begins with two bytes to do that with.
func (p packet) summing() packet {
	p.payload = "\x00\x00" + p.payload
	f := p.frame()
	p.payload = string(f[p.checksumAt():][:2]) + p.payload[2:]
	return p
}

// sum is a one's complement sum (RFC 1071) of parts; only the last may have an
// odd length.
func sum(parts ...[]byte) uint16 {
	var s uint32
	b := joined(parts...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	for ; len(b) > 0; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
