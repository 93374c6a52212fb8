package tencent3

import (
	"net/http"
	"strings"

	"sluice/api/edge"
	"sluice/api/spec"
	"sluice/controlplane/identity"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
)

// Family answers the actions in the format of Tencent Cloud's API 3.0. It implements
// edge.Family.
type Family struct {
	actions Actions
	access  Access
}

var _ edge.Family = (*Family)(nil)

// Access says what may be done with an access key: *ram.Service does.
type Access interface {
	// Authorize refuses with fault.NotAuthorized unless all of the requests are allowed.
	Authorize(a ram.Asked, requests []policy.Request) error
}

// NewFamily returns the family whose actions a answers, if access lets them be called. With
// nil an account's own keys alone may call.
func NewFamily(a Actions, access Access) *Family { return &Family{a, access} }

// Name implements edge.Family.
func (*Family) Name() string { return spec.Tencent3 }

// Recognises implements edge.Family: by the headers of TC3-HMAC-SHA256, or by the parameter
// SecretId, which no other family has.
func (*Family) Recognises(r *edge.Request) bool {
	if strings.HasPrefix(r.Header.Get("Authorization"), tc3) || r.Header.Get("X-Tc-Action") != "" {
		return true
	}
	if hasSecretID(r.URL.RawQuery) {
		return true
	}
	if r.Method != http.MethodPost || !isForm(r.Header) {
		return false
	}
	body, refusal := r.ReadBody()
	return refusal == nil && hasSecretID(string(body))
}

func hasSecretID(form string) bool {
	return strings.HasPrefix(form, "SecretId=") || strings.Contains(form, "&SecretId=")
}

// Begin implements edge.Family.
func (f *Family) Begin(r *edge.Request) edge.Call { return &call{family: f, request: r} }

// Refuse implements edge.Family.
func (*Family) Refuse(r edge.Reason) *edge.Error { return (*edge.Error)(reasonError(r)) }

func reasonError(r edge.Reason) *Error {
	switch r {
	case edge.Busy:
		return refusal("RequestLimitExceeded", "Too many large requests are being read. Try again.")
	case edge.BodyTooLarge:
		return refusal("InvalidParameter", "The request's body is larger than 1 MiB.")
	case edge.BodyUnreadable:
		return malformed("its body was cut short, or came too slowly")
	case edge.Throttled:
		return refusal("RequestLimitExceeded", "There are too many calls in a second. Try again.")
	case edge.NotInTime:
		return refusal("AuthFailure.SignatureExpire", "The time of the signature is too far from the server's clock.")
	case edge.NonceTooLong:
		return wrongType("Nonce", "a positive whole number")
	case edge.NonceUsed:
		return refusal("AuthFailure.SignatureFailure", "A request with this Nonce and Timestamp has been answered already. Sign it anew.")
	case edge.KeyNotFound:
		return refusal("AuthFailure.SecretIdNotFound", "There is no such SecretId.")
	case edge.KeyDisabled:
		return refusal("AuthFailure.InvalidSecretId", "The SecretId is disabled.")
	case edge.SignatureWrong:
		return refusal("AuthFailure.SignatureFailure", "The provided credentials could not be validated. Please check your signature is correct.")
	case edge.KeyDescribeOnly:
		return refusal("AuthFailure.UnauthorizedOperation", "The SecretId may not change anything.")
	}
	return internalError()
}

// Authorize implements edge.Call. An account's own key may do all on what is the account's
// own. Others need the right on everything of the service: policies are written for the
// resources of another cloud's actions, which are not told from a call of this one.
func (c *call) Authorize(key identity.Key) (string, *edge.Error) {
	asked := ram.Of(key, key.Account)
	if asked.Free() {
		return key.Account, nil
	}
	right := policy.Request{Service: "vpc", Action: c.name,
		Resource: policy.Resource{Of: "vpc", Region: c.region, Account: key.Account, Whole: true},
		Value:    func(string) (string, bool) { return "", false }}
	if c.family.access == nil || c.family.access.Authorize(asked, []policy.Request{right}) != nil {
		return key.Account, (*edge.Error)(unauthorized())
	}
	return key.Account, nil
}
