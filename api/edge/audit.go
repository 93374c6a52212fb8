package edge

import (
	"net/netip"

	"sluice/api/audit"
)

// audit records a call whose answer is known.
func (s *Server) audit(x *exchange, refusal *Error) {
	r := x.request
	e := audit.Event{
		Time: r.Received, Writes: x.claim.Writes, Source: r.Host, RequestID: x.id,
		SourceAddress: r.RemoteAddr, UserAgent: r.UserAgent(),
		Identity: audit.Identity{Type: audit.Unverified, AccessKeyID: x.claim.KeyID},
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		e.SourceAddress = from.Addr().Unmap().String()
	}
	if x.account != "" {
		k := x.key
		e.Identity = audit.Identity{Type: audit.Root, PrincipalID: k.Account, AccountID: k.Account, AccessKeyID: k.ID, UserName: k.AccountName}
		if k.User != "" {
			e.Identity.Type, e.Identity.PrincipalID, e.Identity.UserName = audit.User, k.User, k.UserName
		}
	}
	if refusal != nil {
		e.ErrorCode, e.ErrorMessage = refusal.Code, refusal.Message
	}
	s.describe(x, &e)
	s.Audit.Record(&e)
}

// describe lets the call say what it is. A mistake there leaves the event without it.
func (s *Server) describe(x *exchange, e *audit.Event) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("panic while a call was recorded", "request", x.id, "action", x.claim.Action, "panic", cause)
		}
	}()
	x.Call.Audit(e)
}
