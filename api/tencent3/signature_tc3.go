package tencent3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/api/edge"
)

// tc3 names the signature that today's clients make, which no document here describes: it is
// that of their public code (tencentcloud-sdk-go, common/client.go).
const tc3 = "TC3-HMAC-SHA256"

// tc3Skew is how far its time may be from the server's clock. It has no nonce: until then a
// request may be sent again by whoever has seen it.
const tc3Skew = 5 * time.Minute

// unsignedPayload stands for the body's hash where a client does not sign the body.
const unsignedPayload = "UNSIGNED-PAYLOAD"

// signatureTC3 is over the method, the path, the query, headers and the body, with a key that
// is derived of the secret for a day and a service.
type signatureTC3 struct {
	*call
	keyID, date, service string
	headers              []string // that are signed, in small letters
	given                []byte
	time                 string // as it came
	readable             bool
}

// newTC3 reads the header Authorization:
//
//	TC3-HMAC-SHA256 Credential=<id>/<date>/<service>/tc3_request, SignedHeaders=<name>;<name>, Signature=<hex>
func newTC3(c *call, authorization string) *signatureTC3 {
	s := &signatureTC3{call: c, time: c.request.Header.Get("X-Tc-Timestamp")}
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(authorization, tc3), ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[k] = v
	}
	scope := strings.Split(parts["Credential"], "/")
	given, err := hex.DecodeString(parts["Signature"])
	if len(scope) != 4 || scope[3] != "tc3_request" || err != nil || len(given) != sha256.Size {
		return s
	}
	s.keyID, s.date, s.service, s.given = scope[0], scope[1], scope[2], given
	s.headers = strings.Split(strings.ToLower(parts["SignedHeaders"]), ";")
	s.readable = true
	return s
}

func (s *signatureTC3) claim() (claim edge.Claim, refused *Error) {
	at, ok := seconds(s.time)
	switch {
	case !s.readable:
		return claim, refusal("AuthFailure.SignatureFailure", "The header Authorization is to be "+tc3+" Credential=<id>/<date>/<service>/tc3_request, SignedHeaders=<names>, Signature=<hex>.")
	case s.time == "":
		return claim, missingParameter("X-TC-Timestamp")
	case !ok:
		return claim, wrongType("X-TC-Timestamp", "the seconds since 1970")
	case at.UTC().Format(time.DateOnly) != s.date:
		return claim, refusal("AuthFailure.SignatureFailure", "The date of the credential is not that of X-TC-Timestamp, in UTC.")
	case !slices.Contains(s.headers, "host") || !slices.Contains(s.headers, "content-type") && len(s.body) > 0:
		return claim, refusal("AuthFailure.SignatureFailure", "The headers content-type and host are to be signed.")
	}
	return edge.Claim{KeyID: s.keyID, Signed: at, Skew: tc3Skew}, nil
}

// verify takes headers as they are, as the clients sign them, and in small letters, as the
// cloud's reference has it; and the host with its port and without, as the client for Node.js
// signs it.
func (s *signatureTC3) verify(secret string) bool {
	key := tc3Key(secret, s.date, s.service)
	host := s.request.Host
	name := strings.TrimSuffix(host, ":"+(&url.URL{Host: host}).Port())
	for _, c := range []struct {
		host  string
		value func(string) string
	}{{host, asSent}, {host, strings.ToLower}, {name, asSent}, {name, strings.ToLower}} {
		if hmac.Equal(s.given, tc3Signature(key, s.date, s.service, s.time, s.canonical(c.host, c.value))) {
			return true
		}
	}
	return false
}

func asSent(v string) string { return v }

// tc3Key derives the key that signs, of a secret for a day, as 2006-01-02, and a service.
func tc3Key(secret, date, service string) []byte {
	key := []byte("TC3" + secret)
	for _, part := range []string{date, service, "tc3_request"} {
		key = sum(sha256.New, key, part)
	}
	return key
}

// tc3Signature signs a canonical request with such a key, at a time in seconds since 1970.
func tc3Signature(key []byte, date, service, at, canonical string) []byte {
	return sum(sha256.New, key, strings.Join([]string{tc3, at, date + "/" + service + "/tc3_request", hashed(canonical)}, "\n"))
}

// canonical returns what is signed of the request, with that host, and the values of headers
// as value makes them.
func (s *signatureTC3) canonical(host string, value func(string) string) string {
	var headers strings.Builder
	for _, name := range s.headers {
		v := host
		if name != "host" { // which net/http keeps apart
			v = strings.TrimSpace(strings.Join(s.request.Header.Values(name), ","))
		}
		headers.WriteString(name + ":" + value(v) + "\n")
	}
	path := s.request.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	payload := hashed(string(s.body))
	if s.request.Header.Get("X-Tc-Content-Sha256") == unsignedPayload {
		payload = hashed(unsignedPayload)
	}
	return strings.Join([]string{s.request.Method, path, s.request.URL.RawQuery, headers.String(), strings.Join(s.headers, ";"), payload}, "\n")
}

func hashed(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}
