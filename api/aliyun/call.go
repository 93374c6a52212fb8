package aliyun

import (
	"bytes"
	"context"
	"mime"
	"net/http"
	"strings"
	"time"

	"sluice/api/edge"
	"sluice/controlplane/identity"
)

// maxParameters is how many parameters a request may have.
const maxParameters = 2000

// timestampLayout is the form of Timestamp: ISO 8601, in UTC.
const timestampLayout = "2006-01-02T15:04:05Z"

// call is one request on its way through. It implements edge.Call.
type call struct {
	actions   Actions
	request   *edge.Request
	format    Format
	params    *Params
	algorithm Algorithm
	action    string
	answer    Response
}

// Decode implements edge.Call.
func (c *call) Decode() *edge.Error { return (*edge.Error)(c.read()) }

// read takes the parameters out of a request: those of the query and of a form
// body together.
func (c *call) read() *Error {
	r := c.request
	if r.URL.Path != "/" && r.URL.Path != "" {
		return notFound()
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return documented("", "UnsupportedHTTPMethod", "")
	}
	text := r.URL.RawQuery
	body, refusal := c.form()
	if refusal != nil {
		// The query alone may say how the answer is wanted.
		if p, err := ParseParams(r.URL.RawQuery); err == nil {
			c.format, _ = ParseFormat(p.Get("Format"))
		}
		return refusal
	}
	if body != "" {
		text += "&" + body
	}
	if strings.Count(text, "&") >= maxParameters {
		return malformed()
	}
	p, err := ParseParams(text)
	if err != nil {
		return malformed()
	}
	c.params = p
	c.format, refusal = ParseFormat(p.Get("Format"))
	if name := p.Ambiguous(); refusal == nil && name != "" {
		refusal = invalidParameter(name)
	}
	return refusal
}

// form reads a form body. Some clients send a Content-Type without a body:
// what it says matters only when there is one.
func (c *call) form() (string, *Error) {
	body, refusal := c.request.ReadBody()
	if refusal != nil || len(body) == 0 {
		return "", (*Error)(refusal)
	}
	if t, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return "", wrongMediaType()
	}
	return string(body), nil
}

// Claim implements edge.Call.
func (c *call) Claim() (edge.Claim, *edge.Error) {
	claim, refusal := c.claim()
	return claim, (*edge.Error)(refusal)
}

// claim checks the common parameters in the order of the documents' table of
// common errors.
func (c *call) claim() (claim edge.Claim, refusal *Error) {
	p := c.params
	if refusal = requireCommon(p); refusal != nil {
		return claim, refusal
	}
	name, a, refusal := lookupAction(p.Get("Action"))
	if refusal != nil {
		return claim, refusal
	}
	c.action = name
	claim = edge.Claim{Action: name, Writes: a.writes, KeyID: p.Get("AccessKeyId"), Nonce: p.Get("SignatureNonce")}
	if p.Get("Version") != Version {
		return claim, invalidAction()
	}
	c.algorithm = Algorithm(p.Get("SignatureMethod"))
	if _, ok := c.algorithm.hash(); !ok {
		return claim, documented("", "InvalidParamater", "SignatureMethod")
	}
	if p.Get("SignatureVersion") != SignatureVersion {
		return claim, documented("", "InvalidParamater", "SignatureVersion")
	}
	var err error
	if claim.Signed, err = time.Parse(timestampLayout, p.Get("Timestamp")); err != nil {
		return claim, documented("", "IllegalTimestamp", "")
	}
	return claim, nil
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

// Verify implements edge.Call.
func (c *call) Verify(secret string) bool {
	return Verify(c.request.Method, c.params, secret, c.algorithm, c.params.Get(signatureName))
}

// Authorize implements edge.Call.
func (c *call) Authorize(key identity.Key) *edge.Error {
	return (*edge.Error)(checkOwner(c.params, key))
}

// checkOwner accepts the parameters that name the owner of the resources when
// they name the caller's own account: there is no delegation between accounts.
func checkOwner(p *Params, key identity.Key) *Error {
	for _, prefix := range []string{"", "Resource"} {
		id, account := p.Get(prefix+"OwnerId"), p.Get(prefix+"OwnerAccount")
		switch {
		case id != "" && account != "" && prefix == "":
			return documented("", "InvalidOwner", "")
		case id != "" && id != key.Account:
			return documented("", "InvalidOwnerId", "")
		case account != "" && account != key.Account && account != key.AccountName:
			return documented("", "InvalidOwnerAccount", "")
		}
	}
	return nil
}

// Invoke implements edge.Call.
func (c *call) Invoke(ctx context.Context, caller identity.Caller) *edge.Error {
	answer, refusal := Dispatch(ctx, c.actions, caller, c.action, c.params)
	c.answer = answer
	return (*edge.Error)(refusal)
}

// Encode implements edge.Call.
func (c *call) Encode(b *bytes.Buffer, requestID string, refusal *edge.Error) (contentType string, err error) {
	if refusal != nil {
		err = EncodeError(b, c.format, (*Error)(refusal), requestID, c.request.Host)
	} else {
		err = Encode(b, c.format, c.answer)
	}
	return c.format.ContentType(), err
}
