package edge

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"sluice/api/audit"
	"sluice/controlplane/identity"
)

// Family is a wire format, and the actions that are spoken in it. It is safe
// for concurrent use.
type Family interface {
	// Name names the family in logs and metrics.
	Name() string
	// Recognises says whether a request is written in the family's format. It may read the
	// body, where path, method and headers do not tell.
	Recognises(r *Request) bool
	// Begin returns the call of a request, of which nothing has been looked at.
	Begin(r *Request) Call
	// Refuse puts a refusal of this package into the family's words. The caller
	// owns what it gets.
	Refuse(r Reason) *Error
}

// Call is one request on its way through a family. Its methods are called in
// the order in which they stand here, by one goroutine; the first refusal (nil:
// none) goes to Encode at once.
type Call interface {
	// Decode reads the request, with the limits that Request sets, and how the
	// answer is wanted.
	Decode() *Error
	// Claim reads what is asked for, and who says to have signed it. What is known
	// of it is returned with a refusal, too, for the log.
	Claim() (Claim, *Error)
	// Verify says whether the request was signed with the secret. It takes the
	// same time wherever the signatures differ.
	Verify(secret string) bool
	// Refuse puts a refusal of this package into the family's words, as Refuse of
	// the family does, and may say more: what the request had, and what would be
	// right. Claim has been called before. The caller owns what it gets.
	Refuse(r Reason) *Error
	// Authorize says whether the action may be called with the key that the request was
	// signed with, on what it names, and returns the id of the account that it is about.
	// It has no effect, and a refusal does not tell whether what is named is there.
	Authorize(key identity.Key) (account string, refusal *Error)
	// Invoke carries the action out and keeps its answer. The family adds to the
	// caller what Server does not know: Action, Token and Fingerprint.
	Invoke(ctx context.Context, c identity.Caller) *Error
	// Encode appends the answer to b, or the refusal, and returns the Content-Type.
	// It may be called after any of the other methods, and again for a refusal
	// if the answer could not be encoded.
	Encode(b *bytes.Buffer, requestID string, refusal *Error) (contentType string, err error)
	// Audit adds to an event what may be recorded of the request and its answer: Name,
	// Parameters and Elements. It may be called after any of the other methods.
	Audit(e *audit.Event)
}

// Claim is what a request says of itself.
type Claim struct {
	Action string // as the catalog spells it; empty while it is not known to exist
	Writes bool   // the action may change something

	KeyID  string
	Signed time.Time
	// Skew is how far Signed may be from the server's clock, both ways: at most
	// MaxSkew, which 0 means.
	Skew time.Duration
	// Nonce makes the signature one that is accepted once. It is empty where the
	// family's signature has none: a replay is then a repetition until Skew ends it.
	Nonce string
}

// Error is an answer that refuses: an HTTP status, a code of the family, and
// its message.
type Error struct {
	HTTP    int
	Code    string
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (HTTP %d): %s", e.Code, e.HTTP, e.Message)
}

// Reason is why this package refuses a request. Each family has an answer to
// each.
type Reason int

// The reasons, in the order in which they are looked for; Busy, Throttled and
// Internal at any time.
const (
	Internal        Reason = iota // something went wrong; the log has it
	Busy                          // no room for the body: to be tried again
	BodyTooLarge                  // more than MaxBody
	BodyUnreadable                // cut short, or too slow
	Throttled                     // too many calls, of the key or of all together
	NotInTime                     // Signed is too far from the server's clock
	NonceTooLong                  // more than MaxNonce
	KeyNotFound                   // no such access key
	KeyDisabled                   // the access key may not be used
	SignatureWrong                // not signed with the secret of the key
	NonceUsed                     // a replay
	KeyDescribeOnly               // the key may not change anything, the action may
	reasons
)

// Reasons returns all reasons, for a family's test.
func Reasons() []Reason {
	out := make([]Reason, reasons)
	for i := range out {
		out[i] = Reason(i)
	}
	return out
}
