package edge

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"sluice/api/audit"
	"sluice/controlplane/identity"
)

// Config is what a Server needs. Families and Keys must be given.
type Config struct {
	// Families are asked in turn whether they recognise a request. The last one is
	// not asked: it answers whatever no other has recognised.
	Families []Family
	Keys     Keys
	PerKey   Rate          // limit of each access key; the zero Rate sets none
	Total    Rate          // limit of all calls together, also of those that fail
	Timeout  time.Duration // of one call; 0 means 20 s
	Meter    Meter         // nil: nobody counts
	Audit    Auditor       // nil: nobody records

	Log          *slog.Logger     // nil: slog.Default()
	Now          func() time.Time // nil: time.Now
	NewRequestID func() string    // nil: a random upper-case UUID
}

// Meter is told of each call when its answer is there. It must be fast and safe
// for concurrent use.
type Meter interface {
	// Answered counts a call: of a family, of an action, empty where that is not known
	// to exist, answered with a code of the family, or OK. took is from the request's
	// header to the answer.
	Answered(family, action, code string, writes bool, took time.Duration)
}

// Auditor is told of each call before its answer is sent, and must be safe for concurrent
// use: *audit.Log is one. It does not keep the event.
type Auditor interface{ Record(e *audit.Event) }

// Server answers requests. It is an http.Handler for the whole site, and safe
// for concurrent use.
type Server struct {
	Config
	total  *rate.Limiter
	spare  float64 // of total's burst strangers leave so much
	keys   *keyStates
	bodies *bodyRoom
}

// NewServer returns a server.
func NewServer(c Config) *Server {
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewRequestID == nil {
		c.NewRequestID = func() string { return strings.ToUpper(uuid.NewString()) }
	}
	return &Server{
		Config: c,
		total:  c.Total.limiter(),
		spare:  c.Total.spare(),
		keys:   newKeyStates(c.PerKey, noncesPerKey),
		bodies: newBodyRoom(maxBodies),
	}
}

// Only returns a handler that answers the requests of one family alone, and refuses all
// others in its words. With the server it shares all else: a key's calls and nonces, and the
// limits of all calls.
func (s *Server) Only(f Family) *Server {
	one := *s
	one.Families = []Family{f}
	return &one
}

// exchange is one request and its answer.
type exchange struct {
	Call
	family  Family
	id      string
	request *Request
	claim   Claim
	key     identity.Key // once the signature has been verified; without its secret
	account string       // that the call is about; until that is known, the key's
	guest   guest        // the connection that it came on
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := &Request{Request: r, Received: s.Now(), w: w, bodies: s.bodies, refuse: s.Families[len(s.Families)-1].Refuse}
	f := s.family(in)
	in.refuse = f.Refuse
	x := &exchange{Call: f.Begin(in), family: f, id: s.NewRequestID(), request: in, guest: guestOf(r.Context())}
	defer x.guest.release()
	refusal := s.serve(x)
	b := takeBuffer()
	defer dropBuffer(b)
	contentType, err := x.Encode(b, x.id, refusal)
	if err != nil && refusal == nil {
		s.Log.Error("answer cannot be encoded", "request", x.id, "action", x.claim.Action, "error", err)
		b.Reset()
		refusal = f.Refuse(Internal)
		contentType, err = x.Encode(b, x.id, refusal)
	}
	if err != nil {
		s.Log.Error("refusal cannot be encoded", "request", x.id, "error", err)
	}
	status := http.StatusOK
	if refusal != nil {
		status = refusal.HTTP
	}
	code := "OK"
	if refusal != nil {
		code = refusal.Code
	}
	// Before it is written: who has the answer finds it counted.
	if s.Meter != nil {
		s.Meter.Answered(f.Name(), x.claim.Action, code, x.claim.Writes, s.Now().Sub(in.Received))
	}
	if s.Audit != nil {
		s.audit(x, refusal)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	if stranger, pressed := x.guest.stranger(); stranger && pressed {
		h.Set("Connection", "close")
	}
	w.WriteHeader(status)
	// A client that is gone does not read its answer; there is nobody to tell.
	_, _ = w.Write(b.Bytes())
	s.log(x, status, code)
}

// family returns the family that answers a request.
func (s *Server) family(r *Request) Family {
	last := len(s.Families) - 1
	for _, f := range s.Families[:last] {
		if f.Recognises(r) {
			return f
		}
	}
	return s.Families[last]
}

// serve carries out one request. It turns a panic into a refusal: a mistake in
// one action must not take the service down.
func (s *Server) serve(x *exchange) (refusal *Error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("panic in a call", "request", x.id, "action", x.claim.Action, "panic", cause, "stack", string(debug.Stack()))
			refusal = x.family.Refuse(Internal)
		}
	}()
	if refusal = x.Decode(); refusal != nil {
		return refusal
	}
	if !s.allow(x) {
		return x.family.Refuse(Throttled)
	}
	if refusal = s.authenticate(x); refusal != nil {
		return refusal
	}
	ctx, cancel := context.WithTimeout(x.request.Context(), s.Timeout)
	defer cancel()
	return x.Invoke(ctx, identity.Caller{
		Account: x.account, KeyAccount: x.key.Account, User: x.key.User, UserName: x.key.UserName,
		AccessKeyID: x.key.ID, DescribeOnly: x.key.DescribeOnly, RequestID: x.id, Nonce: x.claim.Nonce, Signed: x.claim.Signed,
	})
}

// allow counts a call against the limit of all together. Those on a connection that has
// never carried a valid signature can't use up what the others need.
func (s *Server) allow(x *exchange) bool {
	if stranger, _ := x.guest.stranger(); stranger && s.total.TokensAt(x.request.Received) < s.spare {
		return false
	}
	return s.total.AllowN(x.request.Received, 1)
}

// authenticate finds out who calls. What needs no secret comes first, then the
// signature; what a third party could use up (the key's quota, its nonces)
// comes after the signature.
func (s *Server) authenticate(x *exchange) (refusal *Error) {
	now := x.request.Received
	if x.claim, refusal = x.Claim(); refusal != nil {
		return refusal
	}
	c := x.claim
	key, known := s.Keys.Key(c.KeyID)
	switch {
	case c.Signed.Sub(now).Abs() > c.skew():
		return x.Refuse(NotInTime)
	case len(c.Nonce) > MaxNonce:
		return x.Refuse(NonceTooLong)
	case !known:
		return x.Refuse(KeyNotFound)
	case key.Disabled:
		return x.Refuse(KeyDisabled)
	case !x.Verify(key.Secret):
		return x.Refuse(SignatureWrong)
	}
	x.key, x.account = key, key.Account
	x.key.ID, x.key.Secret = c.KeyID, ""
	x.guest.vouch()
	if refused, ok := s.keys.of(c.KeyID).admit(c.Nonce, c.Signed, now); !ok {
		return x.Refuse(refused)
	}
	about, refusal := x.Authorize(x.key)
	if refusal != nil {
		return refusal
	}
	x.account = about
	if c.Writes && key.DescribeOnly {
		return x.Refuse(KeyDescribeOnly)
	}
	return nil
}

// skew is how far the request's time may be from the server's clock.
func (c Claim) skew() time.Duration {
	if c.Skew <= 0 || c.Skew > MaxSkew {
		return MaxSkew
	}
	return c.Skew
}

// log writes the access log: a line at info for a write by a known caller, at
// debug for everything else, so that a flood of refused requests does not
// become a flood of lines.
func (s *Server) log(x *exchange, status int, code string) {
	r := x.request
	level := slog.LevelDebug
	if x.claim.Writes && x.account != "" {
		level = slog.LevelInfo
	}
	if !s.Log.Enabled(r.Context(), level) {
		return
	}
	s.Log.LogAttrs(r.Context(), level, "call",
		slog.String("request", x.id),
		slog.String("family", x.family.Name()),
		slog.String("action", x.claim.Action),
		slog.String("account", x.account),
		slog.String("user", x.key.UserName),
		slog.String("access_key", x.key.ID),
		slog.String("code", code),
		slog.Int("status", status),
		slog.Duration("duration", s.Now().Sub(r.Received)),
		slog.String("remote", r.RemoteAddr))
}
