package aliyun

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
)

// scheme is a way in which requests are signed: where a request has its common
// parameters, and what its signature covers. It belongs to one call.
type scheme interface {
	// common returns the common parameters, or the refusal of a request that lacks
	// one, or has one twice.
	common() (common, *Error)
	// check refuses a signature that is not made as the scheme has it, whatever the
	// secret.
	check() *Error
	// verify says whether the request was signed with the secret. It takes the
	// same time wherever the signatures differ.
	verify(secret string) bool
	// signedText names what the signature was looked for over, where the client may
	// have signed something else. It has no value of a parameter.
	signedText() string
}

// common are the common parameters of a request, wherever it has them.
type common struct {
	action, version string
	keyID           string
	token           string // of temporary credentials
	nonce           string
	time            string
}

// schemeOf tells how a call is signed, as far as its headers say, and how it is
// answered unless it says that itself. A request that has anything of the newer
// scheme is held to that one: without its signature it is refused, rather than looked at
// as one of the older scheme.
func schemeOf(c *call) (scheme, Format) {
	h := c.request.Header
	_, hashed := h[http.CanonicalHeaderKey(headerContentHash)]
	for _, v := range h["Authorization"] {
		hashed = hashed || strings.HasPrefix(v, acs3Prefix)
	}
	if hashed {
		return &acs3{call: c}, acceptedFormat(h)
	}
	return &signed1{call: c}, FormatXML
}

// signed1 is version 1.0 of the signature: everything is among the parameters, which
// are signed together.
type signed1 struct {
	*call
	algorithm Algorithm
}

// common implements scheme.
func (s *signed1) common() (common, *Error) {
	p := s.params
	return common{
		action:  p.Get("Action"),
		version: p.Get("Version"),
		keyID:   p.Get("AccessKeyId"),
		token:   p.Get("SecurityToken"),
		nonce:   p.Get("SignatureNonce"),
		time:    p.Get("Timestamp"),
	}, requireCommon(p)
}

// requireCommon answers with the documented message of each common parameter
// that is missing; for those that have none of their own, with the usual one.
func requireCommon(p *Params) *Error {
	for _, name := range []string{"Action", "AccessKeyId", "Signature", "TimeStamp", "Version"} {
		if p.Get(name) == "" {
			return documented("", "MissingParameter", `"`+name+`"`)
		}
	}
	for _, name := range []string{"SignatureMethod", "SignatureVersion", "SignatureNonce"} {
		if p.Get(name) == "" {
			return missingParameter(name)
		}
	}
	return nil
}

// check implements scheme.
func (s *signed1) check() *Error {
	s.algorithm = Algorithm(s.params.Get("SignatureMethod"))
	if _, ok := s.algorithm.hash(); !ok {
		return documented("", "InvalidParamater", "SignatureMethod")
	}
	if s.params.Get("SignatureVersion") != SignatureVersion {
		return documented("", "InvalidParamater", "SignatureVersion")
	}
	return nil
}

// verify implements scheme.
func (s *signed1) verify(secret string) bool {
	return Verify(s.request.Method, s.params, secret, s.algorithm, s.params.Get(signatureName))
}

// signedText implements scheme.
func (s *signed1) signedText() string {
	sum := sha256.Sum256([]byte(StringToSign(s.request.Method, s.params)))
	return fmt.Sprintf("the method %s and a string to sign whose SHA-256 is %x", s.request.Method, sum)
}
