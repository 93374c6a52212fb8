package aliyun

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sluice/api/edge"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
)

// Error is an answer that refuses: an HTTP status, a documented code and its
// message.
type Error edge.Error

// Error implements error.
func (e *Error) Error() string { return (*edge.Error)(e).Error() }

// documented returns the error that the action documents for a code. Where
// one code has several messages, the first that holds the fragment is taken,
// or the first of all if none does. A code that the action does not list is
// looked up among the common errors, and then among the other actions'; a code
// that stands nowhere gets HTTP 400 and itself as the message.
func documented(action, code, fragment string) *Error {
	for _, list := range [][]Error{documentedErrors[action], commonErrors, otherErrors()} {
		if e := choose(list, code, fragment); e != nil {
			return e
		}
	}
	return &Error{http.StatusBadRequest, code, code}
}

func choose(list []Error, code, fragment string) *Error {
	var first *Error
	for i := range list {
		e := list[i] // a copy: the table must stay as it is
		if e.Code != code {
			continue
		}
		if strings.Contains(e.Message, fragment) {
			return &e
		}
		if first == nil {
			first = &e
		}
	}
	return first
}

// otherErrors are the documented errors of all actions, by action name.
var otherErrors = sync.OnceValue(func() []Error {
	var list []Error
	for _, name := range slices.Sorted(maps.Keys(documentedErrors)) {
		list = append(list, documentedErrors[name]...)
	}
	return list
})

// missingParameter is the common refusal of a request that lacks a parameter.
func missingParameter(name string) *Error {
	return &Error{http.StatusBadRequest, "MissingParameter",
		"The input parameter \"" + name + "\" that is mandatory for processing this request is not supplied."}
}

// invalidParameter is the common refusal of a malformed value.
func invalidParameter(name string) *Error {
	return &Error{http.StatusBadRequest, "InvalidParameter", "The specified parameter \"" + name + "\" is not valid."}
}

// unsupportedParameter is the common refusal of a parameter that the action
// does not take.
func unsupportedParameter(name string) *Error {
	return &Error{http.StatusBadRequest, "UnsupportedParameter", "The parameter \"" + name + "\" is not supported."}
}

// notServed is the refusal of a parameter that asks for what is not done here: the
// common one, and behind it why, and what would be right.
func notServed(name string, u unserved) *Error {
	e := unsupportedParameter(name)
	e.Message += " Reason: " + u.why + ". Leave it out"
	if len(u.served) > 0 {
		e.Message += ", or give it as " + strings.Join(u.served, " or ")
	}
	e.Message += "."
	return e
}

// unsupportedOperation answers for an action that is documented but not yet
// supported.
func unsupportedOperation() *Error {
	return &Error{http.StatusBadRequest, "UnsupportedOperation", "The specified action is not supported."}
}

// dryRunOperation answers for a dry run that has found nothing wrong. The
// document gives the code alone; status and message are those that the cloud's
// other documents have.
func dryRunOperation() *Error {
	return &Error{http.StatusBadRequest, "DryRunOperation", "Request validation has been passed with DryRun flag set."}
}

// invalidAction answers for an action that does not exist.
func invalidAction() *Error {
	return documented("", "InvalidParameter", "Action or Version")
}

// internalError hides what went wrong; the log has it.
func internalError() *Error { return documented("", "InternalError", "") }

// serviceUnavailable asks the client to try again.
func serviceUnavailable() *Error { return documented("", "ServiceUnavailable", "") }

// numbered puts an item's number where an indexed parameter's error has the
// letter n: MissingParameter.BandwidthPackage.n.IpCount.
func numbered(e *Error, n int) *Error {
	i := strconv.Itoa(n)
	e.Code = strings.ReplaceAll(e.Code, ".n.", "."+i+".")
	if m, ok := strings.CutSuffix(e.Message, " n."); ok {
		e.Message = m + " " + i + "."
	}
	return e
}

// filled puts values where the message leaves places open, one after the other.
func (e *Error) filled(values []string) *Error {
	for _, v := range values {
		e.Message = strings.Replace(e.Message, "%s", v, 1)
	}
	return e
}

// about is what a message with places left open is told.
func about(f *fault.Error) (values []string) {
	if f.Why != "" {
		values = append(values, f.Why)
	}
	if q := f.Quota; q != nil {
		values = append(values, strconv.Itoa(q.Have), strconv.Itoa(q.More), strconv.Itoa(q.Most))
	}
	return values
}

// faultError turns what a handler returned into the answer of an action:
// *Error as it is, a refusal of the control plane by the table in faults.go,
// the end of the request's time as ServiceUnavailable, and anything else as
// InternalError, which tells the client nothing of its cause.
func faultError(action string, err error) *Error {
	var wire *Error
	if errors.As(err, &wire) {
		return wire
	}
	var refused *fault.Error
	if errors.As(err, &refused) {
		if f, ok := faultCode(action, refused.Reason); ok {
			return f.error(action).filled(about(refused))
		}
		return internalError()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return serviceUnavailable()
	}
	return internalError()
}

// logCause writes what the client is not told: the cause of a failure at level
// error, of a refusal at debug.
func logCause(ctx context.Context, c identity.Caller, e *Error, err error) {
	level, text := slog.LevelDebug, "call refused"
	if e.Code == "InternalError" || e.Code == "ServiceUnavailable" {
		level, text = slog.LevelError, "call failed"
	}
	slog.LogAttrs(ctx, level, text, slog.String("request", c.RequestID), slog.String("action", c.Action),
		slog.String("account", c.Account), slog.String("code", e.Code), slog.String("error", err.Error()))
}
