package aliyun

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"sluice/controlplane/identity"
)

// Keys finds access keys. Key is called for every request and must be fast and
// safe for concurrent use.
type Keys interface {
	Key(id string) (identity.Key, bool)
}

// ServerConfig is what a Server needs. Actions and Keys must be given.
type ServerConfig struct {
	Actions Actions
	Keys    Keys
	PerKey  Rate          // limit of each access key; the zero Rate sets none
	Total   Rate          // limit of all calls together, also of those that fail
	Timeout time.Duration // of one call; 0 means 20 s

	Log          *slog.Logger     // nil: slog.Default()
	Now          func() time.Time // nil: time.Now
	NewRequestID func() string    // nil: a random upper-case UUID
}

// Server answers requests. It is an http.Handler for the whole site, and safe
// for concurrent use.
type Server struct {
	ServerConfig
	total  *rate.Limiter
	keys   *keyStates
	bodies *semaphore.Weighted
}

// NewServer returns a server.
func NewServer(c ServerConfig) *Server {
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
		ServerConfig: c,
		total:        c.Total.limiter(),
		keys:         newKeyStates(c.PerKey, noncesPerKey),
		bodies:       semaphore.NewWeighted(maxBodies),
	}
}

// call is one request on its way through.
type call struct {
	requestID string
	start     time.Time
	format    Format
	params    *Params
	action    string // as the catalog spells it, once it is known to exist
	writes    bool
	account   string // once the signature has been verified
	keyID     string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{requestID: s.NewRequestID(), start: s.Now()}
	answer, refusal := s.serve(c, w, r)
	b := takeBuffer()
	defer dropBuffer(b)
	if refusal == nil {
		if err := Encode(b, c.format, answer); err != nil {
			s.Log.Error("answer cannot be encoded", "request", c.requestID, "action", c.action, "error", err)
			b.Reset()
			refusal = internalError()
		}
	}
	status := http.StatusOK
	if refusal != nil {
		status = refusal.HTTP
		if err := EncodeError(b, c.format, refusal, c.requestID, r.Host); err != nil {
			s.Log.Error("refusal cannot be encoded", "request", c.requestID, "error", err)
		}
	}
	h := w.Header()
	h.Set("Content-Type", c.format.ContentType())
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	// A client that is gone does not read its answer; there is nobody to tell.
	_, _ = w.Write(b.Bytes())
	s.log(r, c, status, refusal)
}

// serve carries out one request. It turns a panic into InternalError: a mistake
// in one action must not take the service down.
func (s *Server) serve(c *call, w http.ResponseWriter, r *http.Request) (answer Response, refusal *Error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("panic in a call", "request", c.requestID, "action", c.action, "panic", cause, "stack", string(debug.Stack()))
			answer, refusal = nil, internalError()
		}
	}()
	if refusal = s.read(c, w, r); refusal != nil {
		return nil, refusal
	}
	if !s.total.AllowN(c.start, 1) {
		return nil, documented("", "Throttling", "")
	}
	nonce, refusal := s.authenticate(c, r.Method)
	if refusal != nil {
		return nil, refusal
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
	defer cancel()
	return Dispatch(ctx, s.Actions, identity.Caller{
		Account:     c.account,
		AccessKeyID: c.keyID,
		RequestID:   c.requestID,
		Nonce:       nonce,
	}, c.action, c.params)
}

// log writes the access log: a line at info for a write by a known caller, at
// debug for everything else, so that a flood of refused requests does not
// become a flood of lines.
func (s *Server) log(r *http.Request, c *call, status int, refusal *Error) {
	level := slog.LevelDebug
	if c.writes && c.account != "" {
		level = slog.LevelInfo
	}
	if !s.Log.Enabled(r.Context(), level) {
		return
	}
	code := "OK"
	if refusal != nil {
		code = refusal.Code
	}
	s.Log.LogAttrs(r.Context(), level, "call",
		slog.String("request", c.requestID),
		slog.String("action", c.action),
		slog.String("account", c.account),
		slog.String("access_key", c.keyID),
		slog.String("code", code),
		slog.Int("status", status),
		slog.Duration("duration", s.Now().Sub(c.start)),
		slog.String("remote", r.RemoteAddr))
}
