package network

import (
	"net/netip"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// CarrierGrade is the network of the cloud's own services: every route table
// has a system entry for it, and nobody else may use it (RFC 6598).
var CarrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// private are the networks that a VPC's block may be taken from (VPC API
// reference, CreateVpc).
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

// Mask lengths of a UserCidr, both ends included. They are not documented: it
// may be as wide as a VPC, and as narrow as one host.
const userMaskMin, userMaskMax = 8, 32

// canonical says whether p is an IPv4 network without host bits: 172.16.1.5/16
// is refused, and not read as 172.16.0.0/16, so that what was asked for and
// what is shown are the same.
func canonical(p netip.Prefix) bool {
	return p.IsValid() && p.Addr().Is4() && p == p.Masked()
}

// within says whether inner lies in outer, or equals it.
func within(inner, outer netip.Prefix) bool {
	return inner.Bits() >= outer.Bits() && outer.Contains(inner.Addr())
}

// checkVPCBlock refuses, for a reason, what may be no CIDR block of a VPC.
func (s *Service) checkVPCBlock(p netip.Prefix, why fault.Reason) error {
	if m := s.rules.VPCMask; !canonical(p) || p.Bits() < m.Min || p.Bits() > m.Max {
		return fault.New(why, "%s; write a network with a mask of %d to %d bits", p, m.Min, m.Max)
	}
	if !Private(p) {
		return fault.New(why, "%s is not in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", p)
	}
	return nil
}

// Private says whether a block lies in one of the networks that a VPC's may be taken from.
func Private(p netip.Prefix) bool {
	return slices.ContainsFunc(private, func(n netip.Prefix) bool { return within(p, n) })
}

// checkUserCIDRs checks the networks on the user's own side. One may lie within
// another, which then is the one that counts: it is the larger set of addresses.
func checkUserCIDRs(tx *change.Tx, vpc *resource.VPC) error {
	if err := tx.Fits(vpc); err != nil {
		return err
	}
	for _, p := range vpc.UserCIDRs {
		switch {
		case !canonical(p):
			return fault.New(fault.UserCIDRMalformed, "%s; write a network without host bits", p)
		case p.Bits() < userMaskMin || p.Bits() > userMaskMax:
			return fault.New(fault.UserCIDRMask, "%s; the mask is %d to %d bits", p, userMaskMin, userMaskMax)
		case p.Overlaps(CarrierGrade):
			return fault.New(fault.UserCIDROverlap, "%s overlaps %s", p, CarrierGrade)
		}
	}
	return nil
}

func (s *Service) checkVSwitchBlock(p netip.Prefix, vpc *resource.VPC) error {
	m := s.rules.VSwitchMask
	switch {
	case !canonical(p):
		return fault.New(fault.CIDRMalformed, "%s; write a network without host bits", p)
	case p.Bits() < m.Min || p.Bits() > m.Max:
		return fault.New(fault.VSwitchCIDRMask, "%s; the mask is %d to %d bits", p, m.Min, m.Max)
	case !slices.ContainsFunc(vpc.Blocks(), func(block netip.Prefix) bool { return within(p, block) }):
		return fault.New(fault.VSwitchCIDROutside, "%s does not lie within one of the VPC's blocks %s", p, vpc.Blocks())
	}
	return nil
}

// Blocks is a condition on a CIDR block: one of them, each written whole or as its first
// address alone. None allows any.
type Blocks []string

// Allows says whether a block meets the condition.
func (b Blocks) Allows(p netip.Prefix) bool {
	return len(b) == 0 || slices.Contains(b, p.String()) || slices.Contains(b, p.Addr().String())
}
