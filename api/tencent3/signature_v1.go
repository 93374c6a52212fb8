package tencent3

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"slices"
	"strings"

	"sluice/api/edge"
)

// signatureV1 is over the parameters: HMAC of the method, the host, / and all parameters but
// Signature, sorted by name, with their values as they are (document, "Signature").
type signatureV1 struct{ *call }

func (s signatureV1) claim() (claim edge.Claim, refused *Error) {
	for _, name := range []string{"SecretId", "Signature", "Timestamp", "Nonce"} {
		if s.common(name) == "" {
			return claim, missingParameter(name)
		}
	}
	at, ok := seconds(s.common("Timestamp"))
	if !ok {
		return claim, wrongType("Timestamp", "the seconds since 1970")
	}
	nonce := s.common("Nonce")
	if strings.Trim(nonce, "0123456789") != "" || strings.Trim(nonce, "0") == "" {
		return claim, wrongType("Nonce", "a positive whole number")
	}
	// The two together are what is accepted once: clients draw a nonce of few digits.
	return edge.Claim{KeyID: s.common("SecretId"), Signed: at, Nonce: s.common("Timestamp") + "." + nonce}, nil
}

func (s signatureV1) verify(secret string) bool {
	given, err := base64.StdEncoding.DecodeString(s.common("Signature"))
	if err != nil {
		given = nil // and compared all the same
	}
	var method func() hash.Hash = sha1.New
	if s.common("SignatureMethod") == "HmacSHA256" {
		method = sha256.New
	}
	return hmac.Equal(given, sum(method, []byte(secret), signedV1(s.request.Method, s.request.Host, s.form)))
}

// signedV1 is what is signed.
func signedV1(method, host string, parameters []pair) string {
	list := slices.Clone(parameters)
	slices.SortFunc(list, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString(method + host + "/")
	separator := "?"
	for _, p := range list {
		if p.name != "Signature" {
			b.WriteString(separator + p.name + "=" + p.value)
			separator = "&"
		}
	}
	return b.String()
}

func sum(method func() hash.Hash, key []byte, text string) []byte {
	h := hmac.New(method, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
