package guard

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"go4.org/netipx"
)

// privatePrefixes returns what must not be a source on the public network:
// RFC 1918 section 3, and RFC 6598 section 7.
func privatePrefixes() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
	}
}

// span is a run of addresses, first and last included.
type span struct{ first, last uint32 }

// denied returns the private addresses without the allowed ones, ascending,
// with no two spans touching. It does not depend on the order of allow, nor on
// what in it is public.
func denied(allow []netip.Prefix) ([]span, error) {
	var b netipx.IPSetBuilder
	for _, p := range privatePrefixes() {
		b.AddPrefix(p)
	}
	for _, p := range allow {
		if !p.IsValid() || !p.Addr().Is4() {
			return nil, fmt.Errorf("allowed prefix %s: must be an IPv4 prefix", p)
		}
		b.RemovePrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil, err
	}
	ranges := set.Ranges()
	spans := make([]span, 0, len(ranges))
	for _, r := range ranges {
		spans = append(spans, span{number(r.From()), number(r.To())})
	}
	return spans, nil
}

func number(a netip.Addr) uint32 {
	v := a.As4()
	return binary.BigEndian.Uint32(v[:])
}
