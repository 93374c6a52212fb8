package network

import (
	"encoding/binary"
	"net/netip"
)

// The first and the last three addresses of every VSwitch are reserved (VPC API
// reference, CreateVSwitch).
const (
	reservedFirst = 1
	reservedLast  = 3
)

// CarrierGrade is the network of the cloud's own services: every route table
// has a system entry for it, and nobody else may use it (RFC 6598).
var CarrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// GatewayAddress returns the address of the gateway in a VSwitch: the third from
// the end, which is one of the reserved ones (192.168.1.253 in 192.168.1.0/24).
func GatewayAddress(p netip.Prefix) netip.Addr { return addressAt(p, size(p)-reservedLast) }

// Reserved says whether an address of a VSwitch is not for instances.
func Reserved(p netip.Prefix, a netip.Addr) bool {
	if !p.Contains(a) {
		return false
	}
	i := uint64(number(a) - number(p.Masked().Addr()))
	return i < reservedFirst || i >= size(p)-reservedLast
}

// Usable returns how many addresses of a VSwitch are for instances.
func Usable(p netip.Prefix) int { return int(size(p)) - reservedFirst - reservedLast }

// FirstUsable returns the lowest address of a VSwitch that is for instances.
func FirstUsable(p netip.Prefix) netip.Addr { return addressAt(p, reservedFirst) }

// size returns the number of addresses of an IPv4 network.
func size(p netip.Prefix) uint64 { return 1 << (32 - p.Bits()) }

// addressAt returns the i-th address of an IPv4 network, counted from 0.
func addressAt(p netip.Prefix, i uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], number(p.Masked().Addr())+uint32(i))
	return netip.AddrFrom4(b)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
