package aliyun

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"sluice/api/edge"
)

// ACS3 is the algorithm of the signature in headers that clients make since about 2021.
//
// Source: Alibaba Cloud SDK, "Request syntax and signature method V3"; what the public
// SDKs send.
const ACS3 Algorithm = "ACS3-HMAC-SHA256"

// acs3Prefix begins the Authorization of this scheme, whatever its algorithm.
const acs3Prefix = "ACS3-"

// Headers of the scheme. All others whose names begin with headerPrefix are signed, too.
const (
	headerPrefix      = "x-acs-"
	headerAction      = "x-acs-action"
	headerVersion     = "x-acs-version"
	headerDate        = "x-acs-date"
	headerNonce       = "x-acs-signature-nonce"
	headerContentHash = "x-acs-content-sha256"
	headerKeyID       = "x-acs-accesskey-id" // beside a token
	headerToken       = "x-acs-security-token"
	headerHost        = "host"
	headerContentType = "content-type"
)

// acs3 is the scheme with its signature in the header Authorization: it covers the method,
// the query, the hash of the body, and the headers that it names.
type acs3 struct {
	*call
	authorization
}

// authorization is what the header Authorization says.
type authorization struct {
	algorithm Algorithm
	keyID     string
	signed    []string // names of headers, in lower case
	signature string   // 64 hexadecimal digits
}

// parseAuthorization reads ALGORITHM Credential=ID,SignedHeaders=a;b,Signature=HEX.
func parseAuthorization(text string) (a authorization, ok bool) {
	algorithm, rest, _ := strings.Cut(text, " ")
	a.algorithm = Algorithm(algorithm)
	seen := 0
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case name == "Credential" && a.keyID == "":
			a.keyID = value
		case name == "SignedHeaders" && a.signed == nil:
			a.signed = strings.Split(value, ";")
		case name == "Signature" && a.signature == "":
			a.signature = value
		default:
			return a, false
		}
		seen++
	}
	return a, seen == 3
}

// olderOnly are the parameters of the older signature: a request that has one of them
// beside the newer signature says twice who signed it and when.
var olderOnly = []string{signatureName, "AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"}

// common implements scheme.
func (s *acs3) common() (in common, refusal *Error) {
	h := s.request.Header
	for _, name := range olderOnly {
		if _, ok := s.params.Lookup(name); ok {
			return in, badSignature("The parameter %q is of another signature than the header Authorization; leave it out.", name)
		}
	}
	if refusal = s.once(); refusal != nil {
		return in, refusal
	}
	if in.action, refusal = s.headerOrParameter(headerAction, "Action"); refusal != nil {
		return in, refusal
	}
	if in.version, refusal = s.headerOrParameter(headerVersion, "Version"); refusal != nil {
		return in, refusal
	}
	text := h.Get("Authorization")
	if text == "" {
		return in, documented("", "MissingParameter", `"Signature"`)
	}
	var ok bool
	if s.authorization, ok = parseAuthorization(text); !ok {
		return in, badSignature("Authorization is ALGORITHM Credential=ID,SignedHeaders=NAME;NAME,Signature=HEX.")
	}
	if in.keyID = s.keyID; in.keyID == "" {
		return in, documented("", "MissingParameter", `"AccessKeyId"`)
	}
	s.params.Add("AccessKeyId", in.keyID)
	if in.token = h.Get(headerToken); in.token == "" {
		in.token = s.params.Get("SecurityToken")
	}
	for _, x := range [...]struct {
		name string
		to   *string
	}{{headerDate, &in.time}, {headerNonce, &in.nonce}, {headerContentHash, new(string)}} {
		if *x.to = h.Get(x.name); *x.to == "" {
			return in, missingParameter(x.name)
		}
	}
	return in, nil
}

// headerOrParameter returns a common parameter that stands in a header, or among the
// parameters, or the same in both. The parameters get it, too, so that a request is the
// same one however it is written.
func (s *acs3) headerOrParameter(header, name string) (string, *Error) {
	inHeader, inParams := s.request.Header.Get(header), s.params.Get(name)
	switch {
	case inHeader == "" && inParams == "":
		return "", documented("", "MissingParameter", `"`+name+`"`)
	case inParams == "":
		s.params.Add(name, inHeader)
		return inHeader, nil
	case inHeader != "" && inHeader != inParams:
		return "", invalidParameter(name)
	}
	return inParams, nil
}

// once refuses headers of the scheme that come twice: which of them counts, programs do
// not agree on.
func (s *acs3) once() *Error {
	for name, values := range s.request.Header {
		low := strings.ToLower(name)
		if len(values) > 1 && (strings.HasPrefix(low, headerPrefix) || low == "authorization" || low == headerContentType) {
			return badSignature("The header %q comes more than once.", low)
		}
	}
	return nil
}

// check implements scheme.
func (s *acs3) check() *Error {
	if s.algorithm != ACS3 {
		return documented("", "InvalidParamater", "SignatureMethod")
	}
	if refusal := s.checkSigned(); refusal != nil {
		return refusal
	}
	if id := s.request.Header.Get(headerKeyID); id != "" && id != s.keyID {
		return badSignature("%s is not the Credential of Authorization.", headerKeyID)
	}
	if s.request.Header.Get(headerContentHash) != contentHash(s.body) {
		return invalidParameter(headerContentHash)
	}
	return nil
}

// checkSigned refuses signed headers that are not there, come twice, or are not named in
// the order in which they are signed; and headers that count and are not signed.
func (s *acs3) checkSigned() *Error {
	for i, name := range s.signed {
		switch {
		case name != strings.ToLower(name) || i > 0 && name <= s.signed[i-1]:
			return badSignature("SignedHeaders are names in lower case, sorted, each once.")
		case name == headerHost:
		case len(s.request.Header[textproto.CanonicalMIMEHeaderKey(name)]) != 1:
			return badSignature("The header %q is named in SignedHeaders and does not come once.", name)
		}
	}
	must := []string{headerHost}
	for name := range s.request.Header {
		low := strings.ToLower(name)
		if strings.HasPrefix(low, headerPrefix) || low == headerContentType && len(s.body) > 0 {
			must = append(must, low)
		}
	}
	slices.Sort(must) // so that the answer is the same each time
	for _, name := range must {
		if _, ok := slices.BinarySearch(s.signed, name); !ok {
			return badSignature("The header %q is not named in SignedHeaders.", name)
		}
	}
	return nil
}

// verify implements scheme.
func (s *acs3) verify(secret string) bool {
	r := s.request
	want := signACS3(secret, r.Method, s.params, s.inQuery, r.Header, r.Host, s.signed, r.Header.Get(headerContentHash))
	return subtle.ConstantTimeCompare([]byte(want), []byte(s.signature)) == 1
}

// signedText implements scheme.
func (s *acs3) signedText() string {
	r := s.request
	var t signedText
	t.writeACS3(r.Method, s.params, s.inQuery, r.Header, r.Host, s.signed, r.Header.Get(headerContentHash))
	return fmt.Sprintf("the method %s, the host %.255q and a canonical request whose SHA-256 is %x", r.Method, r.Host, sha256.Sum256(t.bytes))
}

// contentHash returns the value of x-acs-content-sha256.
func contentHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// signACS3 returns the signature, 64 hexadecimal digits, over the first inQuery of p, the
// headers that signed names, sorted, and the hash of the body.
func signACS3(secret, method string, p *Params, inQuery int, h http.Header, host string, signed []string, bodyHash string) string {
	text := texts.Get().(*signedText)
	defer text.putBack()
	text.writeACS3(method, p, inQuery, h, host, signed, bodyHash)
	sum := sha256.Sum256(text.bytes)
	mac := hmac.New(sha256.New, []byte(secret))
	text.bytes = hex.AppendEncode(append(append(text.bytes[:0], ACS3...), '\n'), sum[:])
	mac.Write(text.bytes)
	return hex.EncodeToString(mac.Sum(sum[:0]))
}

// writeACS3 builds the canonical request: method, path, query, each signed header with a
// line break behind it, the names of these headers, and the hash of the body, with line
// breaks between them.
func (t *signedText) writeACS3(method string, p *Params, inQuery int, h http.Header, host string, signed []string, bodyHash string) {
	t.sorted = t.sorted[:0]
	for i, x := range p.pairs[:inQuery] {
		if p.exact[x.name] == i {
			t.sorted = append(t.sorted, x)
		}
	}
	t.sort()
	b := append(t.bytes[:0], method...)
	b = append(b, "\n/\n"...)
	for i, x := range t.sorted {
		if i > 0 {
			b = append(b, '&')
		}
		b = percentEncode(b, x.name)
		b = append(b, '=')
		b = percentEncode(b, x.value)
	}
	b = append(b, '\n')
	for _, name := range signed {
		value := host
		if name != headerHost {
			value = h.Get(name) // as it counts: what surrounds a header is gone
		}
		b = append(append(append(append(b, name...), ':'), value...), '\n')
	}
	b = append(b, '\n')
	for i, name := range signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	t.bytes = append(append(b, '\n'), bodyHash...)
	clear(t.sorted) // lets go of the request's strings
}

// SignACS3 signs a request whose query is p, in whatever spelling it is sent: it adds the
// hash of the body and Authorization, over the host, the Content-Type of a body, and
// the headers x-acs-*.
func SignACS3(r *http.Request, p *Params, body []byte, keyID, secret string) {
	hash := contentHash(body)
	r.Header.Set(headerContentHash, hash)
	signed := []string{headerHost}
	for name, values := range r.Header {
		low := strings.ToLower(name)
		if strings.HasPrefix(low, headerPrefix) || low == headerContentType && len(body) > 0 {
			signed = append(signed, low)
			values[0] = textproto.TrimString(values[0]) // as it will arrive
		}
	}
	slices.Sort(signed)
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	signature := signACS3(secret, r.Method, p, p.Len(), r.Header, host, signed, hash)
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s,SignedHeaders=%s,Signature=%s", ACS3, keyID, strings.Join(signed, ";"), signature))
}

// acceptedFormat is how a request of the newer scheme without Format is answered: in
// the first form of its header Accept that there is, else as JSON.
func acceptedFormat(h http.Header) Format {
	for _, value := range h["Accept"] {
		for part := range strings.SplitSeq(value, ",") {
			switch t, _, _ := mime.ParseMediaType(part); t {
			case "application/json":
				return FormatJSON
			case "application/xml", "text/xml":
				return FormatXML
			}
		}
	}
	return FormatJSON
}

// badSignature refuses what no secret would make right, and says what is wrong behind
// the documents' words.
func badSignature(format string, of ...any) *Error {
	return reasonError(edge.SignatureWrong).because(format, of...)
}
