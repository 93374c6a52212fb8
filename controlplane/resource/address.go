package resource

import (
	"net/netip"

	"go4.org/netipx"
)

// AddressPlan says which addresses of a VSwitch are not for instances, and which of them is
// the gateway's.
type AddressPlan string

// The plans.
const (
	// GatewayThirdLast keeps the first and the last three addresses; the gateway has the third
	// from the end (Alibaba Cloud, VPC API reference, CreateVSwitch).
	GatewayThirdLast AddressPlan = ""
	// GatewayFirst keeps the first two addresses and the last; the gateway has the second, which
	// is the first that a host could have. Tencent Cloud's document says of how many addresses
	// (CreateSubnet), not which.
	GatewayFirst AddressPlan = "gateway-first"
)

// PlanOf returns the plan of a block with that gateway.
func PlanOf(block netip.Prefix, gateway netip.Addr) AddressPlan {
	if gateway == GatewayFirst.Gateway(block) {
		return GatewayFirst
	}
	return GatewayThirdLast
}

// Gateway returns the address of the gateway: 192.168.1.253 in 192.168.1.0/24 by
// GatewayThirdLast, 192.168.1.1 by GatewayFirst.
func (p AddressPlan) Gateway(block netip.Prefix) netip.Addr {
	if p == GatewayFirst {
		return block.Masked().Addr().Next()
	}
	return netipx.PrefixLastIP(block).Prev().Prev()
}

// First returns the lowest address that is for instances.
func (p AddressPlan) First(block netip.Prefix) netip.Addr {
	if p == GatewayFirst {
		return p.Gateway(block).Next()
	}
	return block.Masked().Addr().Next()
}

// Last returns the highest one.
func (p AddressPlan) Last(block netip.Prefix) netip.Addr {
	if p == GatewayFirst {
		return netipx.PrefixLastIP(block).Prev()
	}
	return p.Gateway(block).Prev()
}

// Reserved says whether an address of the block is not for instances.
func (p AddressPlan) Reserved(block netip.Prefix, a netip.Addr) bool {
	return block.Contains(a) && (a.Less(p.First(block)) || p.Last(block).Less(a))
}

// Usable returns how many addresses are for instances.
func (p AddressPlan) Usable(block netip.Prefix) int {
	reserved := 4
	if p == GatewayFirst {
		reserved = 3
	}
	return 1<<(block.Addr().BitLen()-block.Bits()) - reserved
}
