package tencent3

import (
	"bytes"
	"context"
	"encoding/json"

	"sluice/controlplane/identity"
)

// Response is an answer that can be encoded: every generated response type implements it.
type Response interface {
	// SetRequestID puts the id of the request into the answer.
	SetRequestID(id string)
	// fill makes lists that are nil empty ones.
	fill()
}

// Caller is who makes a call, and the region that it is for.
type Caller struct {
	identity.Caller
	Region string
}

// action is one entry of the generated table.
type action struct {
	writes     bool     // may change something
	parameters fields   // what they have to be
	elements   []string // members of the answer that may be recorded
	request    func() any
	invoke     func(context.Context, Actions, Caller, any) (Response, error)
}

// answer keeps a typed nil out of the interface, so that an error is never taken for an
// answer.
func answer[R Response](r R, err error) (Response, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

const jsonType = "application/json"

// encode writes an answer within its envelope (document, "Response structure").
func encode(b *bytes.Buffer, r Response) error {
	r.fill()
	return envelope(b, r)
}

func encodeError(b *bytes.Buffer, e *Error, requestID string) error {
	type code struct{ Code, Message string }
	return envelope(b, struct {
		Error     code
		RequestId string
	}{code{e.Code, e.Message}, requestID})
}

func envelope(b *bytes.Buffer, of any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(struct{ Response any }{of})
}
