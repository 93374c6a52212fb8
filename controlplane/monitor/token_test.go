package monitor

import (
	"net/netip"
	"testing"
)

// TestTokens: what was given out for a page stays valid, whatever becomes of the
// form of a query.
func TestTokens(t *testing.T) {
	one, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	seen := map[string]bool{}
	for _, x := range []struct {
		addresses []netip.Addr
		want      string // empty: any that no other query has
	}{
		{nil, "00000000000000050a0000090e7735e2"},
		{[]netip.Addr{one}, "00000000000000050a000009842eadb8"},
		{[]netip.Addr{one, other}, ""},
	} {
		q := Query{Gateway: "ngw-1", TimePoint: 60, Order: ByOpened, Addresses: x.addresses}
		got := token(q, place{5, netip.MustParseAddr("10.0.0.9")})
		if x.want != "" && got != x.want || seen[got] {
			t.Errorf("%v: token %s, want %s", x.addresses, got, x.want)
		}
		seen[got] = true
	}
}
