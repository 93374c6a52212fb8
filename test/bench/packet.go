package main

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Layout of the test packets: Ethernet, IPv4 without options, UDP.
const (
	offEther   = 12 // EtherType
	offIP      = 14
	offTTL     = offIP + 8
	offProto   = offIP + 9
	offSource  = offIP + 12
	offDest    = offIP + 16
	offUDP     = offIP + 20
	offPayload = offUDP + 8

	// packetSize is the length of a test packet without the frame check
	// sequence, which a virtual link has not: the least that fills an Ethernet
	// frame, rounded up to whole 8-byte words.
	packetSize = 64
)

const (
	etherTypeIPv4 = 0x0800
	protocolUDP   = 17
	initialTTL    = 64
)

// flow is what the packets of one flow have in their headers.
type flow struct {
	sourceMAC, destMAC net.HardwareAddr
	source, dest       netip.AddrPort
}

// packet builds the UDP packet of a flow: header checksums as RFC 791 and RFC
// 768 say, payload of zeros.
func (f flow) packet() (p [packetSize]byte) {
	copy(p[0:], f.destMAC)
	copy(p[6:], f.sourceMAC)
	binary.BigEndian.PutUint16(p[offEther:], etherTypeIPv4)

	ip := p[offIP:offUDP]
	ip[0] = 4<<4 | 5 // version, header length in words
	binary.BigEndian.PutUint16(ip[2:], packetSize-offIP)
	binary.BigEndian.PutUint16(ip[6:], 1<<14) // don't fragment
	ip[8], ip[9] = initialTTL, protocolUDP
	copy(ip[12:], f.source.Addr().AsSlice())
	copy(ip[16:], f.dest.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^onesSum(0, ip))

	udp := p[offUDP:]
	binary.BigEndian.PutUint16(udp[0:], f.source.Port())
	binary.BigEndian.PutUint16(udp[2:], f.dest.Port())
	binary.BigEndian.PutUint16(udp[4:], packetSize-offUDP)
	sum := ^onesSum(pseudoSum(ip, len(udp)), udp)
	if sum == 0 {
		sum = 0xffff // zero would mean: no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return p
}

// pseudoSum is the sum of the pseudo-header of a UDP datagram of length bytes.
func pseudoSum(ip []byte, length int) uint16 {
	pseudo := make([]byte, 12)
	copy(pseudo, ip[12:20])
	pseudo[9] = ip[9]
	binary.BigEndian.PutUint16(pseudo[10:], uint16(length))
	return onesSum(0, pseudo)
}

// onesSum adds the 16-bit words of b, whose length is even, to start in ones'
// complement arithmetic (RFC 1071).
func onesSum(start uint16, b []byte) uint16 {
	sum := uint32(start)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// wellFormed says whether both checksums of a test packet are right, wherever
// it has been in between.
func wellFormed(p []byte) bool {
	if len(p) < packetSize {
		return false
	}
	ip, udp := p[offIP:offUDP], p[offUDP:packetSize]
	return onesSum(0, ip) == 0xffff && onesSum(pseudoSum(ip, len(udp)), udp) == 0xffff
}
