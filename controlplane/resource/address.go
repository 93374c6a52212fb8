package resource

import (
	"net/netip"

	"go4.org/netipx"
)

// The first and the last three addresses of every VSwitch are reserved (VPC API
// reference, CreateVSwitch).
const (
	reservedFirst = 1
	reservedLast  = 3
)

// GatewayAddress returns the address of the gateway in a VSwitch: the third from
// the end, which is one of the reserved ones (192.168.1.253 in 192.168.1.0/24).
func GatewayAddress(p netip.Prefix) netip.Addr {
	return netipx.PrefixLastIP(p).Prev().Prev()
}

// ReservedAddress says whether an address of a VSwitch is not for instances.
func ReservedAddress(p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) && (a == p.Masked().Addr() || !a.Less(GatewayAddress(p)))
}

// UsableAddresses returns how many addresses of a VSwitch are for instances.
func UsableAddresses(p netip.Prefix) int {
	return 1<<(p.Addr().BitLen()-p.Bits()) - reservedFirst - reservedLast
}

// FirstUsableAddress returns the lowest address of a VSwitch that is for
// instances.
func FirstUsableAddress(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }
