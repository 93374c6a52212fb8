package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"sluice/controlplane/fault"
	"sluice/errtext"
)

// Services are what the server answers from. All are needed but Audit, without which
// nothing is recorded.
type Services struct {
	Identity  Identity
	RAM       RAM
	Inventory interface {
		Inventory
		ClassicInventory
	}
	Public   PublicAddresses
	HaVips   HaVips
	Networks Networks
	Traffic  Counters
	Programs Programs
	VPN      VPN
	Topology Topology
	Lines    Lines
	Process  Process
	Backups  Backups
	Audit    Audit
}

// maxBody is the largest request that is read, in bytes.
const maxBody = 1 << 20

// NewHandler returns the site, without the check of who calls: Server adds it.
func NewHandler(s Services, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	serve := func(h handler) http.Handler { return recorded(h, s.Audit, log) }
	for _, subject := range []map[string]handler{
		accountRoutes(s.Identity),
		accessKeyRoutes(s.Identity, s.RAM),
		userRoutes(s.Identity, s.RAM),
		policyRoutes(s.Identity, s.RAM),
		instanceRoutes(s.Inventory, s.Public), classicRoutes(s.Inventory),
		haVipRoutes(s.HaVips),
		networkRoutes(s.Networks),
		trafficRoutes(s.Traffic),
		programRoutes(s.Programs),
		vpnRoutes(s.VPN),
		sslRoutes(s.VPN),
		topologyRoutes(s.Topology),
		lineRoutes(s.Lines),
		processRoutes(s.Process),
		backupRoutes(s.Backups),
		auditRoutes(s.Audit),
	} {
		for pattern, h := range subject {
			mux.Handle(pattern, serve(h))
		}
	}
	mux.Handle("/", serve(func(r *http.Request) (any, error) {
		return nil, &Error{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no %s %s; is sluicectl of the same version as sluiced?", r.Method, r.URL.Path)}
	}))
	return mux
}

// handler answers a request with a value for JSON, or with a stream, or refuses.
type handler func(*http.Request) (any, error)

// recorded serves what a handler answers, and records the call before it is told.
func recorded(h handler, a Audit, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, e := begin(r)
		answer, err := carryOut(h, r)
		status := http.StatusOK
		if err != nil {
			e := refusal(err)
			if e.Status == http.StatusInternalServerError {
				log.Error("admin call failed", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			status, answer = e.Status, e
		}
		if a != nil {
			end(e, answer)
			a.Record(e)
		}
		if s, ok := answer.(stream); ok {
			s.serve(w, r, log)
			return
		}
		body, err := json.Marshal(answer)
		if err != nil {
			log.Error("admin answer cannot be encoded", "path", r.URL.Path, "error", err)
			status, body = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be encoded; the log of sluiced has the cause"}`)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(body, '\n')) // a client that is gone has nobody to tell
	})
}

// carryOut turns a panic into an error: one mistake must not end the daemon.
func carryOut(h handler, r *http.Request) (answer any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			answer, err = nil, fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return h(r)
}

// Error is a refusal.
type Error struct {
	Status  int    `json:"-"`                // HTTP status
	Reason  string `json:"reason,omitempty"` // the control plane's, see package fault
	Message string `json:"message"`          // what was wrong and what would be right
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// refusal is the one place where errors get their HTTP status.
func refusal(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	refused, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return &Error{Status: http.StatusInternalServerError, Message: errtext.Of(err)}
	}
	status := http.StatusConflict
	switch refused.Reason {
	case fault.AccountNotFound, fault.AccessKeyNotFound, fault.InstanceNotFound, fault.VSwitchNotFound, fault.VPNConnectionNotFound, fault.LineNotFound, fault.LinePortUnknown, fault.SSLCertificateNotFound, fault.SSLClientNotConnected,
		fault.UserNotFound, fault.PolicyNotFound, fault.PolicyVersionNotFound, fault.AttachmentNotFound:
		status = http.StatusNotFound
	case fault.ParameterInvalid, fault.AddressNotUsable, fault.PolicyMalformed:
		status = http.StatusBadRequest
	}
	return &Error{Status: status, Reason: string(refused.Reason), Message: refused.Error()}
}

// read decodes the body of a request.
func read(r *http.Request, into any) error {
	defer func() { note(r, into) }()
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("something follows the JSON object")
		}
	}
	if err != nil {
		return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("the request cannot be read: %v", err)}
	}
	return nil
}

// done is the answer of a write that has nothing to tell.
type done struct{}

// Server is the task that serves the socket.
type Server struct {
	Listener net.Listener // from Listen
	Handler  http.Handler // from NewHandler
	Grace    time.Duration
	Log      *slog.Logger
	Audit    Audit // records who is not let in; nil: nobody does
	// Allow says whether a user may call; nil: root and the user of this process.
	Allow func(uid uint32) bool
}

// String names the task.
func (s *Server) String() string { return "admin socket" }

// Run serves until ctx ends, lets running requests finish for Grace, removes
// the socket, and returns nil.
func (s *Server) Run(ctx context.Context) error {
	allow := s.Allow
	if allow == nil {
		allow = rootOrSelf
	}
	srv := &http.Server{
		Handler:           onlyFrom(allow, s.Handler, s.Audit, s.Log),
		BaseContext:       func(net.Listener) context.Context { return withStopping(context.WithoutCancel(ctx), ctx) },
		ConnContext:       withPeer,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			s.Log.Warn("admin requests were cut off", "error", errors.Join(err, srv.Close()))
		}
	})
	err := srv.Serve(s.Listener)
	if stop() { // Serve failed by itself
		return fmt.Errorf("serve the admin socket %s: %w", s.Listener.Addr(), errors.Join(err, srv.Close()))
	}
	<-stopped
	return nil
}
