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
	actions Actions
	access  Access
	request *edge.Request
	format  Format
	params  *Params
	at      time.Time // what the request says of when it was signed; zero: nothing that is a time
	carried *Params   // to be carried out; nil: params
	inQuery int       // so many of params are of the query; the rest is of the body
	body    []byte
	scheme  scheme
	action  string
	other   *otherAction // of another service; nil: one of this
	answer  Response
}

// Decode implements edge.Call.
func (c *call) Decode() *edge.Error { return (*edge.Error)(c.read()) }

// read takes the parameters out of a request: those of the query and of a form
// body together.
func (c *call) read() (refusal *Error) {
	r := c.request
	c.scheme, c.format = schemeOf(c)
	if r.URL.Path != "/" && r.URL.Path != "" {
		return notFound()
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return documented("", "UnsupportedHTTPMethod", "")
	}
	if c.body, refusal = c.form(); refusal != nil {
		// The query alone may say how the answer is wanted.
		if p, err := ParseParams(r.URL.RawQuery); err == nil {
			_ = c.setFormat(p)
		}
		return refusal
	}
	p, body := &Params{}, string(c.body)
	if strings.Count(r.URL.RawQuery, "&")+min(len(body), 1)+strings.Count(body, "&") >= maxParameters || p.read(r.URL.RawQuery) != nil {
		return malformed()
	}
	c.inQuery = p.Len()
	if p.read(body) != nil {
		return malformed()
	}
	c.params = p
	refusal = c.setFormat(p)
	if name := p.Ambiguous(); refusal == nil && name != "" {
		refusal = invalidParameter(name)
	}
	return refusal
}

// setFormat takes the form of the answer from the parameter Format, if it is there.
func (c *call) setFormat(p *Params) *Error {
	v := p.Get("Format")
	if v == "" {
		return nil
	}
	f, refusal := ParseFormat(v)
	if refusal == nil {
		c.format = f
	}
	return refusal
}

// form reads a form body. Some clients send a Content-Type without a body:
// what it says matters only when there is one.
func (c *call) form() ([]byte, *Error) {
	body, refusal := c.request.ReadBody()
	if refusal != nil || len(body) == 0 {
		return nil, (*Error)(refusal)
	}
	if t, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, wrongMediaType()
	}
	return body, nil
}

// Claim implements edge.Call.
func (c *call) Claim() (edge.Claim, *edge.Error) {
	claim, refusal := c.claim()
	return claim, (*edge.Error)(refusal)
}

// claim checks the common parameters in the order of the documents' table of
// common errors.
func (c *call) claim() (claim edge.Claim, refusal *Error) {
	in, refusal := c.scheme.common()
	if refusal != nil {
		return claim, refusal
	}
	a, refusal := c.find(in)
	if refusal != nil {
		return claim, refusal
	}
	claim = edge.Claim{Action: c.action, Writes: a.writes, KeyID: in.keyID, Nonce: in.nonce}
	if refusal = c.scheme.check(); refusal != nil {
		return claim, refusal
	}
	var err error
	if c.at, err = time.Parse(timestampLayout, in.time); err != nil {
		return claim, c.notInTime()
	}
	claim.Signed = c.at
	if in.token != "" {
		return claim, unknownToken()
	}
	return claim, nil
}

// find finds the action that is called, of this service or another one.
func (c *call) find(in common) (a *action, refusal *Error) {
	if s, ok := otherServices[in.version]; ok {
		if c.action, c.other = s.find(in.action); c.other == nil {
			return nil, invalidAction()
		}
		return &c.other.action, nil
	}
	code, ok := services[in.version]
	switch {
	case strings.Contains(in.action, ":"):
		return nil, invalidAction()
	case ok:
		in.action = code + ":" + in.action
	}
	if c.action, a, refusal = lookupAction(in.action); refusal == nil && !ok && in.version != Version {
		refusal = invalidAction()
	}
	return a, refusal
}

// Verify implements edge.Call.
func (c *call) Verify(secret string) bool { return c.scheme.verify(secret) }

// Refuse implements edge.Call.
func (c *call) Refuse(r edge.Reason) *edge.Error {
	switch r {
	case edge.NotInTime:
		return (*edge.Error)(c.notInTime())
	case edge.SignatureWrong:
		return (*edge.Error)(c.wrongSignature())
	}
	return (*edge.Error)(reasonError(r))
}

// Invoke implements edge.Call.
func (c *call) Invoke(ctx context.Context, caller identity.Caller) *edge.Error {
	var refusal *Error
	if c.other != nil {
		c.answer, refusal = c.other.invoke(ctx, c, caller)
	} else {
		c.answer, refusal = Dispatch(ctx, c.actions, caller, c.action, c.invoked())
	}
	return (*edge.Error)(refusal)
}

// invoked returns the parameters that are carried out.
func (c *call) invoked() *Params {
	if c.carried != nil {
		return c.carried
	}
	return c.params
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
