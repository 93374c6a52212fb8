// Package fault names the reasons for which the control plane refuses a call.
//
// A reason is a rule of the service, not a wire word: each wire family maps
// reasons to its documented codes, in one place, at its edge.
package fault

import "fmt"

// Reason is why a call was refused.
type Reason string

// Error is a refused call. Nothing was changed.
type Error struct {
	Reason Reason
	Detail string // what was wrong, and what would be right; for logs and operators
	// Await is the id of a network that is in transition, where that is the
	// reason: once its dataplane has followed, the call may be tried again.
	Await string
	// Values are what the reason is about: a number that was exceeded, or what the
	// client should be told beyond the reason. What may be in a message is for
	// the edge to decide.
	Values []string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return string(e.Reason)
	}
	return string(e.Reason) + ": " + e.Detail
}

// Is makes errors.Is match any Error of the same reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// New returns a refusal with a detail formatted as by fmt.Sprintf.
func New(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// With adds Values, formatted as by fmt.Sprint, and returns e.
func (e *Error) With(values ...any) *Error {
	for _, v := range values {
		e.Values = append(e.Values, fmt.Sprint(v))
	}
	return e
}

// InTransition returns a refusal for as long as the dataplane of a network has
// not followed earlier changes.
func InTransition(r Reason, network, format string, args ...any) *Error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...), Await: network}
}
