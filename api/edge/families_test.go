package edge

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/api/audit"
	"sluice/controlplane/identity"
)

// Two small families, as unlike each other as those of the documents are: one
// has everything in the query, a nonce, and lines of text as answers; the other
// has a JSON body, the action and the signature in headers, no nonce unless one
// is sent, and answers with HTTP 200 whatever happens.

// actions answers both.
type actions struct {
	do      func(ctx context.Context, c identity.Caller, action, thing string) error
	callers []identity.Caller
}

func (a *actions) call(ctx context.Context, c identity.Caller, action, thing string) error {
	c.Action = action
	a.callers = append(a.callers, c)
	if a.do != nil {
		return a.do(ctx, c, action, thing)
	}
	return nil
}

func signature(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// seconds reads seconds since 1970.
func seconds(text string) time.Time {
	n, _ := strconv.ParseInt(text, 10, 64)
	return time.Unix(n, 0)
}

// textFamily: GET /?action=&thing=&key=&time=&nonce=&signature=
type textFamily struct{ *actions }

func (textFamily) Name() string             { return "text" }
func (textFamily) Recognises(*Request) bool { return true }
func (f textFamily) Begin(r *Request) Call  { return &textCall{family: f, r: r} }
func (textFamily) Refuse(r Reason) *Error {
	return &Error{400 + int(r), fmt.Sprintf("Text%d", r), "no"}
}

type textCall struct {
	family textFamily
	r      *Request
}

func (c *textCall) get(name string) string { return c.r.URL.Query().Get(name) }

func (c *textCall) Decode() *Error {
	if c.get("action") == "breakDecode" {
		panic("in Decode")
	}
	return nil
}

func (c *textCall) Claim() (Claim, *Error) {
	claim := Claim{Action: c.get("action"), Writes: c.get("action") == "write", KeyID: c.get("key"), Signed: seconds(c.get("time")), Nonce: c.get("nonce")}
	if claim.Action == "" {
		return claim, &Error{400, "TextNoAction", "no action"}
	}
	return claim, nil
}

func (c *textCall) Verify(secret string) bool {
	return signature(secret, c.get("action")+c.get("nonce")) == c.get("signature")
}

func (c *textCall) Audit(e *audit.Event) {
	e.Name = c.get("action")
	e.Parameters = []audit.Member{{Name: "thing", Value: c.get("thing")}}
	if e.Name == "breakAudit" {
		panic("in Audit")
	}
}

func (c *textCall) Refuse(r Reason) *Error { return c.family.Refuse(r) }

func (c *textCall) Authorize(key identity.Key) (string, *Error) {
	if owner := c.get("owner"); owner != "" && owner != key.Account {
		return "", &Error{403, "TextOwner", "another's"}
	}
	return key.Account, nil
}

func (c *textCall) Invoke(ctx context.Context, caller identity.Caller) *Error {
	if err := c.family.call(ctx, caller, c.get("action"), c.get("thing")); err != nil {
		return &Error{400, "TextFailed", err.Error()}
	}
	return nil
}

func (c *textCall) Encode(b *bytes.Buffer, id string, refusal *Error) (string, error) {
	if refusal != nil {
		fmt.Fprintf(b, "%s refused %s\n", id, refusal.Code)
		return "text/plain", nil
	}
	if c.get("thing") == "unspeakable" {
		b.WriteString("half an ans")
		return "text/plain", errors.New("there are no words")
	}
	fmt.Fprintf(b, "%s done\n", id)
	return "text/plain", nil
}

// jsonFamily: POST / with X-Action, and Authorization: key time nonce signature
type jsonFamily struct{ *actions }

func (jsonFamily) Name() string               { return "json" }
func (jsonFamily) Recognises(r *Request) bool { return r.Header.Get("X-Action") != "" }
func (f jsonFamily) Begin(r *Request) Call    { return &jsonCall{family: f, r: r} }
func (jsonFamily) Refuse(r Reason) *Error     { return &Error{200, fmt.Sprintf("JSON.%d", r), "no"} }

type jsonCall struct {
	family jsonFamily
	r      *Request
	text   []byte
	body   struct{ Thing string }
}

func (c *jsonCall) authorization() (f [4]string) {
	copy(f[:], strings.Split(c.r.Header.Get("Authorization"), " "))
	return f
}

func (c *jsonCall) Decode() (refusal *Error) {
	if c.text, refusal = c.r.ReadBody(); refusal != nil {
		return refusal
	}
	if json.Unmarshal(c.text, &c.body) != nil {
		return &Error{200, "JSON.Malformed", "no JSON"}
	}
	return nil
}

func (c *jsonCall) Claim() (Claim, *Error) {
	a := c.authorization()
	name := c.r.Header.Get("X-Action")
	return Claim{Action: name, Writes: name == "write", KeyID: a[0], Signed: seconds(a[1]), Skew: 5 * time.Minute, Nonce: a[2]}, nil
}

func (c *jsonCall) Verify(secret string) bool {
	a := c.authorization()
	return signature(secret, c.r.Header.Get("X-Action")+a[2]+string(c.text)) == a[3]
}

func (c *jsonCall) Audit(e *audit.Event) {
	e.Name = c.r.Header.Get("X-Action")
	e.Parameters = []audit.Member{{Name: "Thing", Value: c.body.Thing}}
}

func (c *jsonCall) Refuse(r Reason) *Error { return c.family.Refuse(r) }

func (c *jsonCall) Authorize(key identity.Key) (string, *Error) { return key.Account, nil }

func (c *jsonCall) Invoke(ctx context.Context, caller identity.Caller) *Error {
	if err := c.family.call(ctx, caller, c.r.Header.Get("X-Action"), c.body.Thing); err != nil {
		return &Error{200, "JSON.Failed", err.Error()}
	}
	return nil
}

func (c *jsonCall) Encode(b *bytes.Buffer, id string, refusal *Error) (string, error) {
	out := map[string]string{"Id": id}
	if refusal != nil {
		out["Error"] = refusal.Code
	}
	return "application/json", json.NewEncoder(b).Encode(out)
}
