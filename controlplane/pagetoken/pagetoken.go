// Package pagetoken makes the tokens by which a listing goes on after a page, and reads
// them again. A token tells the place of the last item of the page, and has a checksum
// over that and the query that it was given for. It is no secret, and nobody gains by
// making one: it leads nowhere but into what the caller may ask for anyway.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
)

// URL is the encoding of tokens that say nothing else.
var URL = base64.RawURLEncoding

// Form is what tokens of a listing look like.
type Form struct {
	Encode func([]byte) string
	Decode func(string) ([]byte, error)
	Sum    int // bytes of the checksum, 1 to 32
}

// Make returns the token of a place in what a query lists.
func (f Form) Make(query string, place []byte) string {
	return f.Encode(append(place[:len(place):len(place)], f.sum(query, place)...))
}

// Place returns the place that a token tells; ok is false if it was not given for the
// query.
func (f Form) Place(query, token string) (place []byte, ok bool) {
	b, err := f.Decode(token)
	if err != nil || len(b) < f.Sum {
		return nil, false
	}
	place, sum := b[:len(b)-f.Sum], b[len(b)-f.Sum:]
	return place, string(sum) == string(f.sum(query, place))
}

func (f Form) sum(query string, place []byte) []byte {
	h := sha256.New()
	io.WriteString(h, query)
	h.Write(place)
	return h.Sum(nil)[:f.Sum]
}
