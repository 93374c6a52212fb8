package egressfilter

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"go4.org/netipx"
)

// Params is what the program is made for.
type Params struct {
	Public  netip.Prefix   // sources that may leave; invalid for none
	Private []netip.Prefix // the VPC's blocks, which may not, besides privateBlocks; those that are invalid are none
	// Elastic are further sources that may leave, in any order. Those outside
	// the private blocks make no difference.
	Elastic []netip.Addr
	// Servers are where the gateway itself listens by TCP: the resets that it sends from
	// there leave. In any order.
	Servers []netip.AddrPort
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

// span is a run of addresses, first and last included.
type span struct{ first, last uint32 }

// denied returns the sources that may not leave: ascending, and no two spans
// touch.
func denied(p Params) ([]span, error) {
	var b netipx.IPSetBuilder
	for _, block := range append(privateBlocks(), p.Private...) {
		if block.IsValid() {
			b.AddPrefix(block)
		}
	}
	if p.Public.IsValid() {
		b.RemovePrefix(p.Public)
	}
	for _, a := range p.Elastic {
		b.Remove(a)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil, err
	}
	ranges := set.Ranges()
	spans := make([]span, 0, len(ranges))
	for _, r := range ranges {
		if !r.From().Is4() {
			return nil, fmt.Errorf("block %s of the egress filter is not IPv4", r)
		}
		spans = append(spans, span{number(r.From()), number(r.To())})
	}
	if len(spans) > maxSpans {
		return nil, fmt.Errorf("the elastic IPs cut private space into %d pieces, and the egress filter can tell %d apart; have them in the uplink's prefix", len(spans), maxSpans)
	}
	return spans, nil
}

func number(a netip.Addr) uint32 {
	v := a.As4()
	return binary.BigEndian.Uint32(v[:])
}

// edges returns the addresses at which the verdict changes: to drop at every
// even index, back to pass at every odd one.
func edges(spans []span) []uint32 {
	out := make([]uint32, 0, 2*len(spans))
	for _, s := range spans {
		out = append(out, s.first)
		if s.last != ^uint32(0) {
			out = append(out, s.last+1)
		}
	}
	return out
}
