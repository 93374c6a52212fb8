package openvpn

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
)

const (
	sameAttempt  = time.Minute // in which packets from one port are one attempt to log in
	mostAttempts = 4096        // that are remembered
)

// record is what is known of a server beyond the daemon's life.
type record struct {
	Server   string              `json:"server"` // its id
	Offset   int64               `json:"offset"` // up to which OpenVPN's log is taken in
	Sessions map[string]*session `json:"sessions,omitempty"`
	Starts   uint64              `json:"starts"`
	Refused  uint64              `json:"refused"`
	Failures map[string]uint64   `json:"failures,omitempty"`
}

// tracker knows the sessions of a server, by what OpenVPN logs, which is complete, and by
// its status, which tells the bytes.
type tracker struct {
	file  string
	begin func(s session)
	end   func(s session, to time.Time, why string)

	mu       sync.Mutex
	r        record
	saved    []byte                       // what the file has
	reasons  map[netip.AddrPort]string    // of handshakes that are failing
	attempts map[netip.AddrPort]time.Time // that were counted as failed
	ciphers  map[netip.AddrPort]string    // of those that are logging in
	ending   map[string]string            // why sessions are about to end, by name
	leaving  map[netip.AddrPort]bool      // who has said goodbye
	excess   map[string]bool              // who has logged in, and is one too many
	left     map[string]time.Time         // when sessions have ended, since the last status
	ready    bool                         // OpenVPN listens
	fault    string                       // what OpenVPN has said last when it ended
}

// openTracker returns the tracker of a server, with what an earlier one knew.
func openTracker(file, server string, begin func(session), end func(session, time.Time, string)) *tracker {
	t := &tracker{file: file, begin: begin, end: end, reasons: map[netip.AddrPort]string{}, attempts: map[netip.AddrPort]time.Time{}, ciphers: map[netip.AddrPort]string{}, ending: map[string]string{}, leaving: map[netip.AddrPort]bool{}, excess: map[string]bool{}, left: map[string]time.Time{}}
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &t.r) == nil {
		t.saved = b
	} else {
		t.r = record{}
	}
	if server != "" {
		t.r.Server = server
	}
	if t.r.Sessions == nil {
		t.r.Sessions = map[string]*session{}
	}
	if t.r.Failures == nil {
		t.r.Failures = map[string]uint64{}
	}
	return t
}

// save writes what is known.
func (t *tracker) save() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := json.Marshal(t.r)
	if err != nil || string(b) == string(t.saved) {
		return err
	}
	if _, err := write(t.file, b, 0o600); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server is being removed
		}
		return err
	}
	t.saved = b
	return nil
}

// hear takes in lines of the log, up to an offset. It says whether a session has begun or
// ended.
func (t *tracker) hear(lines []logLine, offset int64) (turned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lines {
		turned = t.line(l, read(l)) || turned
	}
	t.r.Offset = offset
	return turned
}

func (t *tracker) line(l logLine, e event) (turned bool) {
	switch e.what {
	case begun:
		return t.begun(l, e)
	case ciphered:
		if s := t.r.Sessions[e.name]; s != nil && s.Remote == e.remote {
			s.Cipher = e.text
		}
		remember(t.ciphers, e.remote, e.text)
	case taken:
		if s := t.r.Sessions[e.text]; s != nil {
			t.over(s, l.time, "taken over by another login")
			return true
		}
	case over:
		delete(t.reasons, e.remote)
		if s := t.r.Sessions[e.name]; s != nil && s.Remote == e.remote {
			t.over(s, l.time, e.text)
			return true
		}
	case goodbye:
		if s := t.r.Sessions[e.name]; s != nil && s.Remote == e.remote {
			t.leaving[e.remote] = true
			t.ending[e.name] = "the client has said goodbye"
		}
	case refusal:
		t.r.Refused++
		if e.name != "" {
			t.excess[e.name] = true
		}
	case reason:
		if _, has := t.reasons[e.remote]; !has { // what is told first is the cause
			remember(t.reasons, e.remote, e.text)
		}
	case failed:
		t.failed(l, e)
	case why:
		t.fault = e.text
	case ready:
		t.ready = true
	}
	return false
}

func (t *tracker) failed(l logLine, e event) {
	text := e.text
	if text == "" {
		text = reasonTLS
		if known := t.reasons[e.remote]; known != "" {
			text = known
		}
	}
	delete(t.reasons, e.remote)
	if text != reasonKey || t.counts(e.remote, l.time) {
		t.r.Failures[text]++
	}
}

// counts says whether this is not another packet of an attempt that was counted already.
func (t *tracker) counts(remote netip.AddrPort, now time.Time) bool {
	last, has := t.attempts[remote]
	if remote.IsValid() {
		remember(t.attempts, remote, now)
	}
	return !has || now.Sub(last) >= sameAttempt
}

// remember notes something of a client that is not logged in: of those there may be many.
func remember[T any](in map[netip.AddrPort]T, remote netip.AddrPort, what T) {
	if len(in) >= mostAttempts {
		clear(in)
	}
	in[remote] = what
}

func (t *tracker) begun(l logLine, e event) bool {
	delete(t.excess, e.name)
	address, err := netip.ParseAddr(e.text)
	if err != nil || e.name == "" {
		return false
	}
	if s := t.r.Sessions[e.name]; s != nil {
		if s.Remote == e.remote && s.Address == address && !l.time.After(s.Since.Add(time.Second)) {
			return false // known by a status
		}
		t.over(s, l.time, "")
	}
	t.start(&session{SSLSession: dataplane.SSLSession{Certificate: e.name, Remote: e.remote, Address: address, Since: l.time, Cipher: t.ciphers[e.remote]}})
	delete(t.ciphers, e.remote)
	return true
}

func (t *tracker) start(s *session) {
	t.r.Sessions[s.Certificate] = s
	t.begin(*s)
}

func (t *tracker) over(s *session, at time.Time, why string) {
	if known := t.ending[s.Certificate]; known != "" {
		why = known
	}
	delete(t.ending, s.Certificate)
	t.left[s.Certificate] = at
	delete(t.r.Sessions, s.Certificate)
	t.end(*s, at, why)
}

// meet takes in a status that was asked for at a time, when all lines up to then were
// heard. It says whether a session has begun or ended.
func (t *tracker) meet(asked time.Time, clients []client) (turned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := map[string]bool{}
	for i := range clients {
		c := &clients[i]
		if !c.connected() {
			continue
		}
		there[c.name] = true
		s := t.r.Sessions[c.name]
		if s != nil && !s.Since.Before(asked) || s == nil && !t.left[c.name].Before(asked) {
			continue // lines tell of what was later
		}
		if s != nil && s.Met && s.ID != c.id {
			t.over(s, asked, "")
			s, turned = nil, true
		}
		if s == nil {
			// Its line is not there: somebody has emptied the log.
			s, turned = &session{SSLSession: dataplane.SSLSession{Certificate: c.name, Since: c.since, Remote: c.remote, Address: c.address}}, true
			t.start(s)
		}
		s.ID, s.Met, s.Remote, s.Address, s.Cipher = c.id, true, c.remote, c.address, c.cipher
		s.Inbound.Bytes, s.Outbound.Bytes = c.received, c.sent
	}
	for _, s := range t.list() {
		if !there[s.Certificate] && s.Since.Before(asked) {
			t.over(s, asked, "")
			turned = true
		}
	}
	clear(t.left)
	return turned
}

// leave says why a session is about to end.
func (t *tracker) leave(name, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.r.Sessions[name] != nil {
		t.ending[name] = why
	}
}

// lost ends all sessions: OpenVPN has gone.
func (t *tracker) lost(at time.Time, why string) (turned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.list() {
		t.over(s, at, why)
		turned = true
	}
	clear(t.reasons)
	clear(t.leaving)
	return turned
}

// started counts a start of OpenVPN.
func (t *tracker) started() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Starts++
	t.fault, t.ready = "", false
}

// isReady says whether OpenVPN has begun to listen since it was started.
func (t *tracker) isReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

// lastWords returns what OpenVPN has said last when it ended, if anything.
func (t *tracker) lastWords() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault
}

func (t *tracker) offset() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.r.Offset
}

// list returns the sessions by name. The caller holds t.mu.
func (t *tracker) list() []*session {
	var out []*session
	for _, name := range slices.Sorted(maps.Keys(t.r.Sessions)) {
		out = append(out, t.r.Sessions[name])
	}
	return out
}

// goodbyes returns who has said so, and forgets them.
func (t *tracker) goodbyes() []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Collect(maps.Keys(t.leaving))
	clear(t.leaving)
	return out
}

// tooMany returns who has logged in and got no address, and forgets them.
func (t *tracker) tooMany() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Sorted(maps.Keys(t.excess))
	clear(t.excess)
	return out
}

// names returns who has a session.
func (t *tracker) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.r.Sessions))
}

// fill puts what is known into a status.
func (t *tracker) fill(s *dataplane.SSLStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.list() {
		s.Clients = append(s.Clients, one.SSLSession)
	}
	s.Starts, s.Refused, s.Failures = t.r.Starts, t.r.Refused, maps.Clone(t.r.Failures)
}
