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
	// Why is what the client should be told beyond the reason; else empty. Whether a
	// message has room for it is for the edge to decide.
	Why   string
	Quota *Quota // that was exceeded, where the client is told its numbers
}

// Quota is a quota that a call would exceed.
type Quota struct {
	Have int // there are
	More int // were to be made
	Most int // are allowed
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

// Explained returns a refusal of which the client is told the detail, too.
func Explained(r Reason, format string, args ...any) *Error {
	e := New(r, format, args...)
	e.Why = e.Detail
	return e
}

// Exceeds adds the numbers of a quota, and returns e.
func (e *Error) Exceeds(have, more, most int) *Error {
	e.Quota = &Quota{have, more, most}
	return e
}

// InTransition returns a refusal for as long as the dataplane of a network has
// not followed earlier changes.
func InTransition(r Reason, network, format string, args ...any) *Error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...), Await: network}
}
