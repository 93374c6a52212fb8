package aliyun

import (
	"net/http"

	"sluice/api/edge"
	"sluice/api/spec"
)

// Family answers the actions in Alibaba Cloud's RPC format. It implements
// edge.Family.
type Family struct {
	actions Actions
	access  Access
}

var _ edge.Family = (*Family)(nil)

// NewFamily returns the family whose actions a answers, if access lets them be called. With
// nil an account's own keys alone may call, on what is the account's own.
func NewFamily(a Actions, access Access) *Family { return &Family{a, access} }

// Name implements edge.Family.
func (*Family) Name() string { return spec.Aliyun }

// Recognises implements edge.Family. Nothing before the body sets the family's
// requests apart: its parameters may all be in there.
func (*Family) Recognises(*edge.Request) bool { return true }

// Begin implements edge.Family.
func (f *Family) Begin(r *edge.Request) edge.Call {
	return &call{actions: f.actions, access: f.access, request: r}
}

// Refuse implements edge.Family.
func (*Family) Refuse(r edge.Reason) *edge.Error { return (*edge.Error)(reasonError(r)) }

func reasonError(r edge.Reason) *Error {
	switch r {
	case edge.Busy:
		return busy()
	case edge.BodyTooLarge:
		return tooLarge()
	case edge.BodyUnreadable:
		return malformed()
	case edge.Throttled:
		return documented("", "Throttling", "")
	case edge.NotInTime:
		return documented("", "IllegalTimestamp", "")
	case edge.NonceTooLong:
		return invalidParameter("SignatureNonce")
	case edge.NonceUsed:
		return documented("", "SignatureNonceUsed", "")
	case edge.KeyNotFound:
		return documented("", "InvalidAccessKeyId.NotFound", "")
	case edge.KeyDisabled:
		return documented("", "Forbidden.AccessKeyDisabled", "")
	case edge.SignatureWrong:
		return documented("", "IncompleteSignature", "")
	case edge.KeyDescribeOnly:
		return documented("", "InvalidAction", "")
	}
	return internalError()
}

// Refusals for which the documents have no words, since a client of theirs
// meets them only by mistake.
func notFound() *Error {
	return &Error{http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."}
}

func tooLarge() *Error {
	return &Error{http.StatusRequestEntityTooLarge, "RequestTooLarge", "The request body is larger than 1 MiB."}
}

// busy asks the client to try again, with the code of the documents, and the status
// that says so to whoever does not know it.
func busy() *Error {
	e := serviceUnavailable()
	e.HTTP = http.StatusServiceUnavailable
	return e
}

func wrongMediaType() *Error {
	return &Error{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The request body must be application/x-www-form-urlencoded."}
}

// unknownToken answers for temporary credentials: nobody here gives any out. No document
// has the code; the cloud's other documents do, with this message.
func unknownToken() *Error {
	return &Error{http.StatusBadRequest, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."}
}

// malformed answers for a request whose parameters cannot be read at all.
func malformed() *Error {
	return documented("", "InvalidParameter", "The specified parameter is not valid")
}
