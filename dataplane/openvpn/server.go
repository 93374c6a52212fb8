package openvpn

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

const (
	gatherFor  = 20 * time.Millisecond // lines, before they are taken in
	lookEvery  = 5 * time.Second       // without a word from OpenVPN; as long may a session outlive its certificate
	fresh      = time.Second           // how old what is told of clients may be
	hungAfter  = 10 * time.Second      // without a word, when it is asked for one
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// mutex is a sync.Mutex for which one can wait a while only.
type mutex chan struct{}

func (m mutex) Lock() { m <- struct{}{} }

func (m mutex) Unlock() { <-m }

func (m mutex) lockWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case m <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// server is an SSL-VPN server, its OpenVPN, and the goroutine that sees to it.
type server struct {
	m       *Servers
	network string
	id      string
	link    string
	dir     string
	log     *slog.Logger
	journal *journal
	tracker *tracker
	wake    chan struct{}

	mu         mutex              // held by whoever speaks to OpenVPN
	cancel     context.CancelFunc // ends the goroutine; nil: it does not run yet
	done       chan struct{}      // closed when it has ended
	stopped    bool
	ns         *netns.Namespace
	want       wanted
	process    *process.Helper   // nil: none
	control    *management       // nil: none
	complaints map[string]string // what was said that cannot be done, by what it is
	silent     time.Time         // since when OpenVPN does not speak; zero: it does
	looked     time.Time         // when clients were asked for
	watching   sync.WaitGroup
	quit       chan struct{} // closed when it is stopped

	seen struct {
		sync.Mutex
		running           bool
		since             time.Time // of the last change of running
		err               error
		limit             int
		inbound, outbound dataplane.Volume
	}
}

// newServer returns a network's server, of which nothing is made yet.
func (m *Servers) newServer(ns *netns.Namespace, network, id string) (*server, error) {
	own, err := ns.Again()
	if err != nil {
		return nil, err
	}
	link := dataplane.LinkName(id)
	dir := filepath.Join(m.dir(network), link)
	s := &server{
		m: m, network: network, id: id, link: link, dir: dir, log: m.log.With("network", network, "server", id),
		journal: newJournal(dir, filepath.Join(m.logDir(network), link, "log"), m.rawFull),
		wake:    make(chan struct{}, 1), mu: make(mutex, 1), ns: own, complaints: map[string]string{}, quit: make(chan struct{}),
	}
	s.tracker = openTracker(filepath.Join(dir, stateFile), id, s.begun, s.over)
	s.seen.since = time.Now()
	return s, nil
}

func (s *server) socket() string { return filepath.Join(s.dir, socketFile) }

func (s *server) begun(one session) {
	s.log.Info("an SSL-VPN client is connected", "certificate", one.Certificate, "remote", one.Remote, "address", one.Address)
}

func (s *server) over(one session, at time.Time, why string) {
	s.m.sessionOver(s.log, s.network, s.id, one, at, why)
}

func (m *Servers) sessionOver(log *slog.Logger, network, server string, one session, at time.Time, why string) {
	log.Info("an SSL-VPN client is disconnected", "certificate", one.Certificate, "remote", one.Remote, "address", one.Address, "reason", why)
	if err := m.ended.add(network, server, &one, at, why); err != nil {
		log.Error("a session is not in the list of those that have ended", "certificate", one.Certificate, "error", err)
	}
}

// finish writes down what sessions there were of a server that has ended, whoever has
// looked after it.
func (m *Servers) finish(network, dir string) {
	log := m.log.With("network", network)
	j := newJournal(dir, filepath.Join(m.logDir(network), filepath.Base(dir), "log"), m.rawFull)
	var t *tracker
	t = openTracker(filepath.Join(dir, stateFile), "", func(session) {}, func(one session, at time.Time, why string) {
		m.sessionOver(log, network, t.r.Server, one, at, why)
	})
	_, err := j.take(t.offset(), func(lines []logLine, offset int64) { t.hear(lines, offset) })
	if err != nil {
		log.Error("an SSL-VPN server's log cannot be taken in", "server", t.r.Server, "error", err)
	}
	t.lost(time.Now(), "the server was removed")
}

// apply makes the server what it shall be.
func (s *server) apply(ctx context.Context, want wanted) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("removed meanwhile")
	}
	s.want = want
	s.seen.Lock()
	s.seen.limit = limit(&want.server)
	s.seen.Unlock()
	err := s.sync(ctx)
	if s.cancel == nil {
		running, cancel := context.WithCancel(context.Background())
		s.cancel, s.done = cancel, make(chan struct{})
		go s.run(running)
	}
	s.nudge()
	return err
}

// run keeps OpenVPN running, and takes in what it says, until ctx is done.
func (s *server) run(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	pauses, said := process.Pauses{First: s.m.retryFirst, Most: s.m.retryMost}, ""
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if !failing { // else it is looked at when its pause is over
				timer.Reset(gatherFor)
			}
			continue
		case <-timer.C:
		}
		s.mu.Lock()
		err := s.sync(ctx)
		s.mu.Unlock()
		next := lookEvery
		if failing = err != nil; failing {
			if ctx.Err() == nil && err.Error() != said {
				s.log.Error("an SSL-VPN server is not as it should be", "error", err)
				said = err.Error()
			}
			next = pauses.Next()
		} else {
			said = ""
			pauses.Reset()
		}
		timer.Reset(next)
	}
}

func (s *server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sync makes OpenVPN run as it shall, takes in what it has, and throws out who may not be
// connected. The caller holds s.mu.
func (s *server) sync(ctx context.Context) error {
	rerouted, err := s.files()
	// A directory without room is no reason to let those who are there without a server.
	err = errors.Join(err, s.running(ctx))
	s.set(err)
	if s.process == nil {
		return err
	}
	err = errors.Join(err, s.connect(ctx))
	err = errors.Join(err, s.observe(ctx))
	err = errors.Join(err, s.expel(ctx))
	return errors.Join(err, s.recall(ctx, rerouted))
}

// files writes what OpenVPN looks at whenever somebody logs in.
func (s *server) files() (rerouted bool, err error) {
	if err := makeDirs(s.dir); err != nil {
		return false, err
	}
	return admit(s.dir, &s.want.server, s.m.now())
}

// set notes whether OpenVPN runs as it should.
func (s *server) set(err error) {
	running := err == nil && s.process != nil
	s.seen.Lock()
	changed := running != s.seen.running
	s.seen.running, s.seen.err = running, err
	if changed {
		s.seen.since = time.Now()
	}
	s.seen.Unlock()
	if changed {
		s.m.changed(s.network)
	}
}

// complain logs that something cannot be done, once while it is so.
func (s *server) complain(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != s.complaints[what] {
		s.log.Error(what, "error", err)
	}
	s.complaints[what] = text
}

// stop ends the goroutine, and lets OpenVPN work on.
func (s *server) stop() {
	s.mu.Lock()
	if !s.stopped {
		close(s.quit)
	}
	s.stopped = true
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	s.watching.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
	s.drop()
	s.ns.Close()
}
