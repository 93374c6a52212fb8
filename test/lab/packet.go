package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Packet is a captured IPv4 packet.
type Packet struct {
	Time     time.Time
	Outgoing bool // left through the interface; else it came in

	Src, Dst netip.Addr
	Protocol uint8 // IANA number
	TTL      int
	ID       int
	DontFrag bool
	More     bool // more fragments follow
	Offset   int  // of a fragment, in bytes

	SrcPort, DstPort   uint16 // TCP and UDP, first fragments only
	TCPFlags           uint8  // FIN 1, SYN 2, RST 4, PSH 8, ACK 16
	ICMPType, ICMPCode uint8

	Payload []byte  // of the transport protocol; of IP where that is unknown
	Inner   *Packet // the packet that an ICMP error quotes
}

// TCP flags, RFC 9293 section 3.1.
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Private says whether either address is one that must never be seen on a
// public side: RFC 1918 or RFC 6598.
func (p Packet) Private() bool { return private(p.Src) || private(p.Dst) }

// PrivateSource says the same of the source alone.
func (p Packet) PrivateSource() bool { return private(p.Src) }

// InClear says whether a packet is one of a private network, or an ICMP error about
// one: what goes into a tunnel and comes out of it, and must be seen nowhere in
// between.
func (p Packet) InClear() bool {
	if p.Private() || p.Src.IsLinkLocalUnicast() || p.Dst.IsLinkLocalUnicast() {
		return true
	}
	return p.Inner != nil && p.Inner.InClear()
}

func private(a netip.Addr) bool {
	return a.IsPrivate() || netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10).Contains(a)
}

// String is one line for failed tests.
func (p Packet) String() string {
	way := "in "
	if p.Outgoing {
		way = "out"
	}
	s := fmt.Sprintf("%s %s", way, p.short())
	if p.Inner != nil {
		s += " [" + p.Inner.short() + "]"
	}
	return s
}

func (p Packet) short() string {
	switch p.Protocol {
	case unix.IPPROTO_TCP:
		return fmt.Sprintf("TCP %s:%d > %s:%d %s, %d bytes", p.Src, p.SrcPort, p.Dst, p.DstPort, flagNames(p.TCPFlags), len(p.Payload))
	case unix.IPPROTO_UDP:
		return fmt.Sprintf("UDP %s:%d > %s:%d, %d bytes", p.Src, p.SrcPort, p.Dst, p.DstPort, len(p.Payload))
	case unix.IPPROTO_ICMP:
		return fmt.Sprintf("ICMP %s > %s type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
	}
	return fmt.Sprintf("protocol %d %s > %s, %d bytes", p.Protocol, p.Src, p.Dst, len(p.Payload))
}

func flagNames(f uint8) string {
	var s []string
	for i, n := range []string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if f&(1<<i) != 0 {
			s = append(s, n)
		}
	}
	return strings.Join(s, "|")
}

// parsePacket reads an Ethernet frame that holds an IPv4 packet. The result
// shares no memory with the frame.
func parsePacket(frame []byte) (Packet, error) {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil {
		return Packet{}, fmt.Errorf("frame: %w", err)
	}
	if f.EtherType != ethernet.EtherTypeIPv4 {
		return Packet{}, fmt.Errorf("EtherType 0x%04x is not IPv4", uint16(f.EtherType))
	}
	return parseIPv4(f.Payload, true)
}

func parseIPv4(b []byte, outermost bool) (Packet, error) {
	h, err := ipv4.ParseHeader(b)
	if err != nil {
		return Packet{}, fmt.Errorf("IPv4 header: %w", err)
	}
	if h.Len < 20 || h.Len > len(b) {
		return Packet{}, fmt.Errorf("IPv4 header of %d bytes in a packet of %d", h.Len, len(b))
	}
	src, _ := netip.AddrFromSlice(h.Src.To4())
	dst, _ := netip.AddrFromSlice(h.Dst.To4())
	p := Packet{
		Src: src, Dst: dst, Protocol: uint8(h.Protocol), TTL: h.TTL, ID: h.ID,
		DontFrag: h.Flags&ipv4.DontFragment != 0, More: h.Flags&ipv4.MoreFragments != 0, Offset: h.FragOff * 8,
	}
	// Ethernet pads short packets; a quoted packet is cut short.
	end := len(b)
	if h.TotalLen >= h.Len && h.TotalLen < end {
		end = h.TotalLen
	}
	body := append([]byte(nil), b[h.Len:end]...)
	p.Payload = body
	if p.Offset > 0 {
		return p, nil
	}
	switch {
	case h.Protocol == unix.IPPROTO_TCP && len(body) >= 4:
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
		p.Payload = nil
		if len(body) >= 20 {
			p.TCPFlags = body[13]
			p.Payload = body[min(int(body[12]>>4)*4, len(body)):]
		}
	case h.Protocol == unix.IPPROTO_UDP && len(body) >= 4:
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
		p.Payload = body[min(8, len(body)):]
	case h.Protocol == unix.IPPROTO_ICMP && len(body) >= 2:
		p.ICMPType, p.ICMPCode = body[0], body[1]
		p.Payload = body[min(8, len(body)):]
		if outermost && quotes(p.ICMPType) && len(body) > 8 {
			if inner, err := parseIPv4(body[8:], false); err == nil {
				p.Inner = &inner
			}
		}
	}
	return p, nil
}

// quotes says whether an ICMP type carries the packet that it is about
// (RFC 792): unreachable, source quench, redirect, time exceeded, parameter.
func quotes(icmpType uint8) bool {
	switch icmpType {
	case 3, 4, 5, 11, 12:
		return true
	}
	return false
}
