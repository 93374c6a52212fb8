package openvpn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// dial connects with OpenVPN's management interface.
func (s *server) dial(ctx context.Context) error {
	c, err := dial(ctx, s.socket(), func(m message) {
		if m.source == "LOG" && !strings.Contains(m.text, ownWords) {
			s.nudge()
		}
	})
	if err == nil {
		// What it logs is read from its file; this says when to.
		if _, err = c.do(ctx, logCommand); err != nil {
			c.close()
		}
	}
	if err != nil {
		return err
	}
	s.control = c
	return nil
}

// connect connects if that is not so already. Without, nobody's session can be ended and
// no bytes are seen, but OpenVPN works, and tells by its log who comes and goes. One that
// does not speak, not even in its log, hangs, and is ended.
func (s *server) connect(ctx context.Context) error {
	if s.control != nil {
		select {
		case <-s.control.closed:
			s.control = nil
		default:
			return nil
		}
	}
	err := s.dial(ctx)
	if err == nil || ctx.Err() != nil {
		s.silent = time.Time{}
		return ctx.Err()
	}
	if s.silent.IsZero() {
		s.silent = time.Now()
		s.log.Warn("an SSL-VPN server's OpenVPN does not speak with us", "error", err)
	}
	if time.Since(s.silent) < s.m.hungAfter {
		return nil
	}
	if s.lives(ctx) {
		s.silent = time.Now()
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	pid := s.process.PID
	s.silent = time.Time{}
	s.log.Warn("an SSL-VPN server's OpenVPN hangs; it is ended and started anew", "process", pid, "error", err)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	s.process.Ended(time.Second)
	s.nudge()
	return errors.New("OpenVPN hangs")
}

// lives says whether OpenVPN does what it is told by a signal: SIGUSR2 has it log its
// clients.
func (s *server) lives(ctx context.Context) bool {
	size := func() int64 {
		st, err := os.Stat(s.journal.raw)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	before := size()
	if err := unix.Kill(s.process.PID, unix.SIGUSR2); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.process.Await(ctx, func(context.Context) error {
		if size() == before {
			return errors.New("it does not log its clients")
		}
		return nil
	}) == nil
}

// hear takes in what OpenVPN has logged.
func (s *server) hear() {
	turned := false
	offset, err := s.journal.take(s.tracker.offset(), func(lines []logLine, offset int64) {
		turned = s.tracker.hear(lines, offset) || turned
	})
	s.tracker.hear(nil, offset)
	s.complain("an SSL-VPN server's log cannot be taken in", err)
	s.complain("what is known of an SSL-VPN server's clients cannot be kept", s.tracker.save())
	if turned {
		s.m.changed(s.network)
	}
}

// observe takes in what OpenVPN has logged and its clients.
func (s *server) observe(ctx context.Context) error {
	in, out := carried(s.ns, s.link)
	s.seen.Lock()
	s.seen.inbound, s.seen.outbound = in, out
	s.seen.Unlock()
	if s.control == nil {
		s.hear()
		return nil
	}
	asked := time.Now()
	clients, err := s.control.clients(ctx)
	s.hear()
	if err != nil {
		return fmt.Errorf("OpenVPN: %w", err)
	}
	s.looked = asked
	turned := s.tracker.meet(asked, clients)
	s.complain("what is known of an SSL-VPN server's clients cannot be kept", s.tracker.save())
	if turned {
		s.m.changed(s.network)
	}
	return nil
}

// strangers returns who is connected and may not be.
func (s *server) strangers() []string {
	allowed := admitted(&s.want.server, s.m.now())
	var out []string
	for _, name := range s.tracker.names() {
		if !allowed[name] {
			out = append(out, name)
		}
	}
	return out
}

// unwanted says why a client may not be connected.
func (s *server) unwanted(name string) string {
	for _, c := range s.want.server.Certificates {
		if c.ID == name && expired(c, s.m.now()) {
			return "its certificate has expired"
		}
	}
	return "its certificate may not log in any more"
}

// expelTries is how often it is tried to end sessions by a word, before OpenVPN is started
// anew.
const expelTries = 3

// expel throws out who is connected and may not be.
func (s *server) expel(ctx context.Context) error {
	if s.control != nil {
		// OpenVPN would keep their addresses for 5 s.
		for _, remote := range s.tracker.goodbyes() {
			if _, err := s.control.kill(ctx, remote.String()); err != nil {
				return err
			}
		}
		for _, name := range s.tracker.tooMany() {
			s.log.Warn("an SSL-VPN client is refused: all addresses are taken, of as many as clients may be connected", "certificate", name, "limit", limit(&s.want.server))
			if _, err := s.control.kill(ctx, name); err != nil {
				return err
			}
		}
	}
	for range expelTries {
		who := s.strangers()
		if len(who) == 0 {
			return nil
		}
		if s.control == nil {
			break
		}
		for _, name := range who {
			s.tracker.leave(name, s.unwanted(name))
			if _, err := s.control.kill(ctx, name); err != nil {
				s.log.Warn("an SSL-VPN client cannot be thrown out", "certificate", name, "error", err)
			}
		}
		if err := s.observe(ctx); err != nil && ctx.Err() != nil {
			return err
		}
	}
	who := s.strangers()
	if len(who) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	// It must not be left to whoever else speaks with OpenVPN.
	s.log.Warn("an SSL-VPN server's OpenVPN is started anew, since clients cannot be thrown out otherwise", "certificates", who)
	err := s.begin(ctx, settings(s.dir, s.want.at, &s.want.server, s.m.group), "")
	s.set(err)
	return err
}

// recall has clients that are connected come back, so that they learn what they are led to
// now.
func (s *server) recall(ctx context.Context, rerouted bool) error {
	if !rerouted {
		return nil
	}
	if s.control == nil {
		s.log.Warn("an SSL-VPN server's clients learn only when they connect again what they are led to")
		return nil
	}
	clients, err := s.control.clients(ctx)
	if err != nil {
		return err
	}
	s.log.Info("an SSL-VPN server's clients are led to something else, and told to come back", "clients", len(clients))
	var errs []error
	for i := range clients {
		errs = append(errs, s.control.restart(ctx, clients[i].id))
	}
	return errors.Join(errs...)
}

// disconnect ends a client's session.
func (s *server) disconnect(ctx context.Context, certificate string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !fileName(certificate) {
		return fmt.Errorf("certificate %q: not an id", certificate)
	}
	if s.process == nil || s.control == nil {
		return errors.New("OpenVPN cannot be spoken with")
	}
	if err := s.observe(ctx); err != nil {
		return err
	}
	s.tracker.leave(certificate, "disconnected by the operator")
	found, err := s.control.kill(ctx, certificate)
	if err == nil && !found {
		err = fmt.Errorf("%w of certificate %s", ErrNoSession, certificate)
	}
	if err != nil {
		return err
	}
	s.log.Info("an SSL-VPN client is disconnected by the operator", "certificate", certificate)
	return s.observe(ctx)
}

// ErrNoSession is what an error of Disconnect wraps where the client is not connected.
var ErrNoSession = errors.New("there is no session")

// refresh takes in clients, counters included, if that was not done just now.
func (s *server) refresh() {
	if !s.mu.lockWithin(time.Second) {
		return // OpenVPN is being started, or slow
	}
	defer s.mu.Unlock()
	if s.process == nil || s.stopped || time.Since(s.looked) < fresh {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	_ = s.observe(ctx) // run finds out
}

// status returns what is known of the server.
func (s *server) status() dataplane.SSLStatus {
	out := dataplane.SSLStatus{Server: s.id}
	s.tracker.fill(&out)
	s.seen.Lock()
	defer s.seen.Unlock()
	out.Inbound, out.Outbound = s.seen.inbound, s.seen.outbound
	out.Running, out.Since, out.Limit = s.seen.running, s.seen.since, s.seen.limit
	if s.seen.err != nil {
		out.Error = s.seen.err.Error()
	}
	return out
}
