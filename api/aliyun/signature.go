package aliyun

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"

	"sluice/api/edge"
)

// SignatureVersion is the only version of the signature.
const SignatureVersion = "1.0"

// Algorithm is a value of the parameter SignatureMethod.
type Algorithm string

// The algorithms. The documents know HMAC-SHA1 alone; today's clients send
// HMAC-SHA256 as well.
const (
	HMACSHA1   Algorithm = "HMAC-SHA1"
	HMACSHA256 Algorithm = "HMAC-SHA256"
)

func (a Algorithm) hash() (func() hash.Hash, bool) {
	switch a {
	case HMACSHA1:
		return sha1.New, true
	case HMACSHA256:
		return sha256.New, true
	}
	return nil, false
}

// signatureName is left out of what is signed.
const signatureName = "Signature"

// Sign returns the signature of a request in Base64. method is the HTTP method
// that it is sent with; p are all its parameters, from the query and from a
// form body alike, in the spelling in which they are sent. A parameter
// Signature among them is left out. The only error is an unknown algorithm.
//
// Source: VPC API reference, "Signature mechanism"; NAT Gateway API reference,
// "Signatures". Version 1.0.
func Sign(method string, p *Params, secret string, a Algorithm) (string, error) {
	newHash, ok := a.hash()
	if !ok {
		return "", fmt.Errorf("signature method %q: write %s or %s", a, HMACSHA1, HMACSHA256)
	}
	text := texts.Get().(*signedText)
	defer text.putBack()
	text.write(method, p)
	mac := hmac.New(newHash, append([]byte(secret), '&'))
	mac.Write(text.bytes)
	var sum [sha256.Size]byte
	return base64.StdEncoding.EncodeToString(mac.Sum(sum[:0])), nil
}

// Verify says whether signature is that of the request. It takes the same time
// wherever the two differ.
func Verify(method string, p *Params, secret string, a Algorithm, signature string) bool {
	want, err := Sign(method, p, secret, a)
	return err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(signature)) == 1
}

// StringToSign returns the text that is signed, for tests and for a client
// that wants to see why its signature is refused.
func StringToSign(method string, p *Params) string {
	var t signedText
	t.write(method, p)
	return string(t.bytes)
}

// signedText builds the text that is signed. It keeps its memory from one
// request to the next.
type signedText struct {
	bytes  []byte
	sorted []param
}

var texts = sync.Pool{New: func() any { return new(signedText) }}

// putBack returns the memory to the pool, unless an unusual request made it large.
func (t *signedText) putBack() {
	if cap(t.bytes) <= edge.KeepBuffer && cap(t.sorted) <= 256 {
		texts.Put(t)
	}
}

// write builds METHOD&%2F&percentEncode(name=value&name=value…), in which names
// and values are percent-encoded themselves already: so they are encoded twice.
func (t *signedText) write(method string, p *Params) {
	t.sorted = t.sorted[:0]
	for name, value := range p.All() {
		if name != signatureName {
			t.sorted = append(t.sorted, param{name, value})
		}
	}
	t.sort()
	b := append(t.bytes[:0], method...)
	b = append(b, "&%2F&"...)
	for i, x := range t.sorted {
		if i > 0 {
			b = append(b, "%26"...)
		}
		b = appendTwice(b, x.name)
		b = append(b, "%3D"...)
		b = appendTwice(b, x.value)
	}
	t.bytes = b
	clear(t.sorted) // lets go of the request's strings
}

// sort puts the parameters into the order in which they are signed: by code unit.
func (t *signedText) sort() {
	slices.SortFunc(t.sorted, func(a, b param) int { return strings.Compare(a.name, b.name) })
}

const upperHex = "0123456789ABCDEF"

// appendTwice percent-encodes s (RFC 3986) and then the result: a byte that is
// not unreserved becomes %XY, and its percent sign %25.
func appendTwice(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved[c] {
			b = append(b, c)
			continue
		}
		b = append(b, '%', '2', '5', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

// percentEncode encodes a name or value as in a query string (RFC 3986).
func percentEncode(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved[c] {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

// unreserved are the bytes that RFC 3986 leaves as they are.
var unreserved = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~") {
		table[c] = true
	}
	return table
}()
