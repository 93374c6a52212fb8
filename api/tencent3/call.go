package tencent3

import (
	"bytes"
	"context"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"sluice/api/edge"
	"sluice/controlplane/identity"
)

// call is one request on its way through. It implements edge.Call.
type call struct {
	family  *Family
	request *edge.Request
	body    []byte
	form    []pair // of a query or a form body, in its order; nil with a JSON body
	params  object // of the action, without the common ones
	signed  signature

	name, region, version, token string // what the request says of itself

	action *action
	answer Response
}

// signature is one of the ways in which requests are signed.
type signature interface {
	// claim returns the key's id, when the request was signed, how far that may be from the
	// server's clock, and what makes it one that is accepted once, if anything does.
	claim() (edge.Claim, *Error)
	// verify says whether the request was signed with the secret.
	verify(secret string) bool
}

// commonParameters are those of every action that is signed over its parameters.
var commonParameters = map[string]bool{
	"Action": true, "Region": true, "Timestamp": true, "Nonce": true, "SecretId": true, "Signature": true, "SignatureMethod": true,
	"Version": true, "Token": true, "Language": true, "RequestClient": true,
}

// Decode implements edge.Call.
func (c *call) Decode() *edge.Error { return (*edge.Error)(c.read()) }

// read takes the parameters out of a request: of a GET those of the query, of a POST those of
// the body. The two must not be mixed (document, "Request structure"): where a POST has both,
// the query would be ignored in silence, and is refused.
func (c *call) read() *Error {
	r := c.request
	if r.URL.Path != "/" && r.URL.Path != "" {
		return malformed("its path is to be /")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return malformed("its method is to be GET or POST")
	}
	var refused *edge.Error
	if c.body, refused = r.ReadBody(); refused != nil {
		return (*Error)(refused)
	}
	text := r.URL.RawQuery
	switch {
	case r.Method == http.MethodGet && len(c.body) > 0:
		return malformed("a GET has no body")
	case r.Method == http.MethodPost && text != "":
		return malformed("the parameters of a POST stand in its body, and nothing in the query")
	case r.Method == http.MethodPost:
		text = string(c.body)
	}
	var err error
	if r.Method == http.MethodPost && isJSON(r.Header) {
		c.params, err = parseJSON(c.body)
	} else if c.form, err = parseForm(text); err == nil {
		c.params, err = tree(c.form)
	}
	if err != nil {
		return malformed(err.Error())
	}
	if authorization := r.Header.Get("Authorization"); strings.HasPrefix(authorization, tc3) {
		c.inHeaders()
		c.signed = newTC3(c, authorization)
	} else {
		c.inParameters()
		c.signed = signatureV1{c}
	}
	return nil
}

// inHeaders takes what a request says of itself out of its headers.
func (c *call) inHeaders() {
	h := c.request.Header
	c.name, c.region, c.version, c.token = h.Get("X-Tc-Action"), h.Get("X-Tc-Region"), h.Get("X-Tc-Version"), h.Get("X-Tc-Token")
}

// inParameters takes it out of the common parameters, and these out of those of the action.
func (c *call) inParameters() {
	c.name, c.region, c.version, c.token = c.common("Action"), c.common("Region"), c.common("Version"), c.common("Token")
	of := c.params
	c.params = object{}
	for name, v := range of {
		if !commonParameters[name] {
			c.params[name] = v
		}
	}
}

// common returns the value of a common parameter; empty if there is none.
func (c *call) common(name string) string {
	for _, p := range c.form {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func isForm(h http.Header) bool { return mediaType(h) == "application/x-www-form-urlencoded" }
func isJSON(h http.Header) bool { return mediaType(h) == "application/json" }

// Claim implements edge.Call.
func (c *call) Claim() (edge.Claim, *edge.Error) {
	claim, refused := c.claim()
	return claim, (*edge.Error)(refused)
}

func (c *call) claim() (claim edge.Claim, refused *Error) {
	if claim, refused = c.signed.claim(); refused != nil {
		return claim, refused
	}
	switch {
	case c.name == "":
		return claim, missingParameter("Action")
	case c.version == "":
		return claim, missingParameter("Version")
	case c.version != Version:
		return claim, refusal("NoSuchVersion", "There is no such version of the API: it is "+Version+".")
	}
	a, ok := actions[c.name]
	if !ok {
		if unsupportedActions[c.name] {
			claim.Action = c.name
			return claim, refusal("UnsupportedOperation", "The action is documented, and not supported here.")
		}
		return claim, refusal("InvalidAction", "There is no such action.")
	}
	c.action = &a
	claim.Action, claim.Writes = c.name, a.writes
	if c.region == "" {
		return claim, missingParameter("Region")
	}
	if c.token != "" {
		return claim, refusal("AuthFailure.TokenFailure", "The token is wrong: no temporary keys are given out here.")
	}
	return claim, nil
}

// Verify implements edge.Call.
func (c *call) Verify(secret string) bool { return c.signed.verify(secret) }

// Refuse implements edge.Call.
func (c *call) Refuse(r edge.Reason) *edge.Error { return (*edge.Error)(reasonError(r)) }

// Invoke implements edge.Call.
func (c *call) Invoke(ctx context.Context, caller identity.Caller) *edge.Error {
	caller.Action = c.name
	request := c.action.request()
	if e := c.action.parameters.decode(c.name, c.params, reflect.ValueOf(request).Elem(), ""); e != nil {
		return (*edge.Error)(e)
	}
	answer, err := c.action.invoke(ctx, c.family.actions, Caller{caller, c.region}, request)
	if err != nil {
		e := faultError(c.name, err)
		logCause(ctx, caller, e, err)
		return (*edge.Error)(e)
	}
	answer.SetRequestID(caller.RequestID)
	c.answer = answer
	return nil
}

// Encode implements edge.Call.
func (c *call) Encode(b *bytes.Buffer, requestID string, refused *edge.Error) (contentType string, err error) {
	if refused != nil {
		return jsonType, encodeError(b, (*Error)(refused), requestID)
	}
	return jsonType, encode(b, c.answer)
}

// seconds reads a time in seconds since 1970.
func seconds(text string) (time.Time, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(n, 0), err == nil && n > 0 && n < 1<<40
}
