package resource

import (
	"encoding/json"
	"slices"
	"time"
)

// Kinds of the identity resources.
const (
	KindAccount   Kind = "account"
	KindAccessKey Kind = "access-key"
	KindReceipt   Kind = "receipt"
)

// Account owns resources. Its Meta.Account is its own id.
type Account struct {
	Meta
	Name string `json:"name"`
}

// Kind implements Resource.
func (*Account) Kind() Kind { return KindAccount }

// Network implements Resource.
func (*Account) Network() string { return "" }

// Clone implements Resource.
func (a *Account) Clone() Resource { c := *a; return &c }

// AccessKey lets a client sign as an account, or as a user of it.
type AccessKey struct {
	Meta                // ID is the access key id
	User         string `json:"user,omitempty"` // id of the user; empty: the account's own
	Sealed       []byte `json:"sealed"`         // the secret, encrypted at rest
	Disabled     bool   `json:"disabled,omitempty"`
	DescribeOnly bool   `json:"describeOnly,omitempty"` // may not call actions that write
}

// Kind implements Resource.
func (*AccessKey) Kind() Kind { return KindAccessKey }

// Network implements Resource.
func (*AccessKey) Network() string { return "" }

// Clone implements Resource.
func (k *AccessKey) Clone() Resource {
	c := *k
	c.Sealed = slices.Clone(k.Sealed)
	return &c
}

// Receipt remembers a write so that it is carried out once: by the client's
// idempotency token, or by the nonce of its signature.
type Receipt struct {
	Meta                        // ID is TokenID, NonceID or NonceFloorID
	Signed      time.Time       `json:"signed,omitzero"`       // of a nonce, and of the newest one that is not kept any more
	Fingerprint string          `json:"fingerprint,omitempty"` // of the request's own parameters
	Result      json.RawMessage `json:"result,omitempty"`      // what the operation returned
	Expires     time.Time       `json:"expires"`
}

// Kind implements Resource.
func (*Receipt) Kind() Kind { return KindReceipt }

// Network implements Resource.
func (*Receipt) Network() string { return "" }

// Clone implements Resource.
func (r *Receipt) Clone() Resource {
	c := *r
	c.Result = slices.Clone(r.Result)
	return &c
}
