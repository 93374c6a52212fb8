package tencent3

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"sluice/api/edge"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
)

// Error is an answer that refuses. The documents have a code for each case, and no message:
// the messages are ours. The HTTP status is 200, as of every answer.
type Error edge.Error

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refusal(code, message string) *Error { return &Error{http.StatusOK, code, message} }

// refuse is the refusal of a parameter's value: the first of the codes that the action
// documents, or the last.
func refuse(action string, codes []string, name, why string) *Error {
	code := codes[len(codes)-1]
	for _, c := range codes {
		if slices.Contains(documentedErrors[action], c) {
			code = c
			break
		}
	}
	return refusal(code, "The value of the parameter `"+name+"` is not valid: "+why+".")
}

func unknownParameter(name string) *Error {
	return refusal("UnknownParameter", "The parameter `"+name+"` is not one of this action.")
}

func missingParameter(name string) *Error {
	return refusal("MissingParameter", "The request is missing the parameter `"+name+"`.")
}

func wrongType(name, want string) *Error {
	return refusal("InvalidParameter", "The parameter `"+name+"` is to be "+want+".")
}

// malformed is the refusal of a request whose parameters cannot be read at all.
func malformed(why string) *Error {
	return refusal("InvalidParameter", "The request cannot be read: "+why+".")
}

func internalError() *Error {
	return refusal("InternalError", "An internal error has occurred.")
}

// unauthorized is the refusal of who has no right.
func unauthorized() *Error {
	return refusal("UnauthorizedOperation", "The access key may not do this.")
}

// faultError turns what a handler returned into the answer of an action: *Error as it is, a
// refusal of the control plane by the table in faults.go with the reason's own words behind
// it, and anything else as InternalError, which tells the client nothing of its cause.
func faultError(action string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		if code, ok := faultCode(action, f.Reason); ok {
			return refusal(code, sentence(f))
		}
		return internalError()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return refusal("ResourceUnavailable", "The call took too long. Try again.")
	}
	return internalError()
}

// logCause writes what the client is not told: the cause of a failure at level error, of a
// refusal at debug.
func logCause(ctx context.Context, c identity.Caller, e *Error, err error) {
	level, what := slog.LevelDebug, "call refused"
	if e.Code == "InternalError" {
		level, what = slog.LevelError, "call failed"
	}
	slog.LogAttrs(ctx, level, what, slog.String("request", c.RequestID), slog.String("action", c.Action),
		slog.String("account", c.Account), slog.String("code", e.Code), slog.String("error", err.Error()))
}
