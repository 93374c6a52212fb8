package identity

import "time"

// Caller is who makes a call, and what makes the call unique. It is made at
// the edge, once the signature has been verified.
type Caller struct {
	Account      string // id of the account that all resources of the call belong to
	KeyAccount   string // id of the account whose key it is; another one only where that is let
	User         string // id of the user whose key it is; empty: the account's own
	UserName     string
	AccessKeyID  string
	DescribeOnly bool // the key may not call actions that write
	RequestID    string
	Action       string    // for logs and for the scope of Token
	Token        string    // the client's idempotency token (ClientToken); may be empty
	Fingerprint  string    // of the request without signature, nonce and time
	Nonce        string    // of the signature; may be empty on local calls
	Signed       time.Time // when, as the signature says
}
