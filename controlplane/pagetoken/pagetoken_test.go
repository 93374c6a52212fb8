package pagetoken

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// TestForm: a token tells its place for its query, and nothing for another one, or when
// any of it is changed.
func TestForm(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, f := range []Form{
		{hex.EncodeToString, hex.DecodeString, 4},
		{base64.RawURLEncoding.EncodeToString, base64.RawURLEncoding.DecodeString, 8},
	} {
		for n := range 40 {
			place := make([]byte, n)
			for i := range place {
				place[i] = byte(rnd.Uint32())
			}
			before := string(place)
			token := f.Make("query\n", place)
			if got, ok := f.Place("query\n", token); !ok || string(got) != before {
				t.Fatalf("%q: %x, %v; want %x", token, got, ok, before)
			}
			if _, ok := f.Place("another\n", token); ok {
				t.Errorf("%q is taken for another query", token)
			}
			raw, _ := f.Decode(token)
			raw[rnd.IntN(len(raw))] ^= 1 << rnd.IntN(8)
			if _, ok := f.Place("query\n", f.Encode(raw)); ok {
				t.Errorf("%q is taken with a bit changed", token)
			}
		}
		for _, token := range []string{"", "x", "0", "00", "AAAA", "\xff"} {
			if _, ok := f.Place("query\n", token); ok {
				t.Errorf("%q is taken", token)
			}
		}
	}
}
