package aliyun

import (
	"context"
	"strings"

	"sluice/controlplane/identity"
)

// Response is an answer that can be encoded: every generated response type
// implements it.
type Response interface {
	// SetRequestID puts the id of the request into the answer.
	SetRequestID(id string)
	// fill completes the answer: lists that are nil become empty, and the
	// spellings that clients depend on beside the document's get their values.
	fill()
}

// action is one entry of the generated table.
type action struct {
	writes   bool // may change something
	token    bool // takes a ClientToken
	unserved []unserved
	decode   func(*Params) (any, *Error)
	invoke   func(context.Context, Actions, identity.Caller, any) (Response, error)
}

// unserved is a parameter that asks for what is not done here, with all that is below it.
type unserved struct {
	name   string
	served []string // values that ask for what is done anyway
	why    string
}

// refuse returns the refusal of a parameter that asks for what is not done; nil if
// there is none.
func (a *action) refuse(p *Params) *Error {
	for name, value := range p.All() {
		if value == "" {
			continue // as if it were not given
		}
		for _, u := range a.unserved {
			if u.means(name) && !anyFold(u.served, value) {
				return notServed(name, u)
			}
		}
	}
	return nil
}

func (u unserved) means(name string) bool {
	n := len(u.name)
	return len(name) >= n && strings.EqualFold(name[:n], u.name) && (len(name) == n || name[n] == '.')
}

// answer keeps a typed nil out of the interface, so that an error is never
// taken for an answer.
func answer[R Response](r R, err error) (Response, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// lookupAction finds an action by its name, or, of another service, <service>:<name>,
// exactly first and then without regard to case. Its errors are UnsupportedOperation for an action that is
// documented and not yet supported, and InvalidParameter otherwise.
func lookupAction(name string) (string, *action, *Error) {
	if a, ok := actions[name]; ok {
		return name, &a, nil
	}
	for n, a := range actions {
		if strings.EqualFold(n, name) {
			return n, &a, nil
		}
	}
	for n := range unsupportedActions {
		if strings.EqualFold(n, name) {
			return n, nil, unsupportedOperation()
		}
	}
	return name, nil, invalidAction()
}

// Dispatch decodes the parameters of one verified request, calls the action on
// h, and returns its answer, which Encode writes. The caller's Action, Token and
// Fingerprint are filled in from the parameters; a token only where the action
// takes one.
//
// Parameters that the action does not know are ignored, since clients send
// more than the documents list; but what asks for something that is not done here is
// refused with UnsupportedParameter, such as DryRun=true: it would do for real what was
// only to be tried.
func Dispatch(ctx context.Context, h Actions, c identity.Caller, name string, p *Params) (Response, *Error) {
	name, a, e := lookupAction(name)
	if e != nil {
		return nil, e
	}
	if e := a.refuse(p); e != nil {
		return nil, e
	}
	r, e := a.decode(p)
	if e != nil {
		return nil, e
	}
	c.Action = name
	c.Fingerprint = p.Fingerprint()
	if a.token {
		c.Token = p.Get("ClientToken")
	}
	resp, err := a.invoke(ctx, h, c, r)
	if err != nil {
		e := faultError(name, err)
		logCause(ctx, c, e, err)
		return nil, e
	}
	resp.SetRequestID(c.RequestID)
	return resp, nil
}
