package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// socketLimit is how long the path of a Unix socket may be (unix(7)).
const socketLimit = 107

// Patience is how long Apply waits for a speaker at most.
const Patience = 10 * time.Second

// Most is how much a peer may tell if Options say nothing else.
var Most = Limit{Prefixes: 4000, Pause: 5 * time.Minute}

// Options are how Speakers work.
type Options struct {
	Dir    string // run directory, absolute; each network's speaker has a subdirectory, named by the network
	Logger *slog.Logger
	Limit  Limit // zero: Most
	// Relearn is how long a peer whose session is back has to tell again what it had
	// told before, until that is held no more. 0: a minute.
	Relearn time.Duration
	// Changed is called some time after a session or a learned route of a
	// network has changed, once for what changes together, and for one network
	// by one goroutine. nil for nobody.
	Changed func(network string)
}

// Speakers are the BGP speakers of networks. Its methods may be called from
// several goroutines.
type Speakers struct {
	opt Options

	mu       sync.Mutex // taken after a turn, before a speaker's
	turns    map[string]*turn
	speakers map[string]*speaker
	memories map[string]*memory
	closed   bool
}

// turn lets one Apply for a network go after the other.
type turn struct {
	sync.Mutex
	users int
}

// dir returns the directory of a network, of a short name, as the path of a socket must be.
func (o *Options) dir(network string) string {
	return filepath.Join(o.Dir, dataplane.LinkName(network))
}

// New returns Speakers. It starts and adopts none by itself.
func New(opt Options) *Speakers {
	if opt.Limit == (Limit{}) {
		opt.Limit = Most
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Changed == nil {
		opt.Changed = func(string) {}
	}
	if opt.Relearn == 0 {
		opt.Relearn = time.Minute
	}
	return &Speakers{opt: opt, turns: map[string]*turn{}, speakers: map[string]*speaker{}, memories: map[string]*memory{}}
}

// Apply makes a network have sessions with these peers in its namespace, and
// announce these prefixes to all of them; without peers its speaker ends, also one
// that other Speakers have left behind, and ns may be nil. It returns when the
// speaker has taken note, not when sessions are established; Status and Routes tell
// of one that was adopted from then on.
// Sessions with peers that stay as they are stay, too, and others are closed
// (with a Cease). After an error the speaker may have done a part, and keeps
// trying if it had to be started again; the next Apply makes up for it. ns may
// be closed afterwards.
func (s *Speakers) Apply(ctx context.Context, ns *netns.Namespace, network string, peers []Peer, announce []netip.Prefix) error {
	if network == "" || filepath.Base(network) != network {
		return fmt.Errorf("BGP of network %q: not a name", network)
	}
	if err := check(peers, announce); err != nil {
		return fmt.Errorf("network %s: %w", network, err)
	}
	if socket := filepath.Join(s.opt.dir(network), socketFile); len(peers) > 0 && (len(socket) > socketLimit || !filepath.IsAbs(socket)) {
		return fmt.Errorf("BGP of network %s: socket %s: must be an absolute path of %d bytes at most", network, socket, socketLimit)
	}
	if len(peers) > 0 && !mainCalled.Load() {
		return errors.New("start a BGP speaker: main of this program has not called bgp.Main, which its child would be")
	}
	defer s.take(network)()

	s.mu.Lock()
	sp, closed := s.speakers[network], s.closed
	s.mu.Unlock()
	if sp != nil && (len(peers) == 0 || !sp.ns.Same(ns)) {
		s.leave(network, sp)
		sp = nil
	}
	if len(peers) == 0 {
		return s.remove(network)
	}
	if closed {
		return fmt.Errorf("network %s: BGP speakers: closed", network)
	}
	if sp == nil {
		again, err := ns.Again()
		if err != nil {
			return err
		}
		sp = newSpeaker(again, network, s.opt, s.memory(network))
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			again.Close()
			return fmt.Errorf("network %s: BGP speakers: closed", network)
		}
		s.speakers[network] = sp
		s.mu.Unlock()
		seq := sp.desire(peers, announce)
		go sp.run()
		go sp.gossip()
		return sp.applied(ctx, seq)
	}
	return sp.applied(ctx, sp.desire(peers, announce))
}

// Keep closes, as Apply does, the sessions with those of a network's peers that are not
// among these, and begins none; Apply has to follow. It is for who is about to take tunnels
// away: a peer is told through its tunnel. Before the first Apply it does nothing: what an
// earlier process has applied is not known then.
func (s *Speakers) Keep(ctx context.Context, network string, peers []Peer) error {
	defer s.take(network)()
	sp := s.of(network)
	if sp == nil {
		return nil
	}
	switch seq, none := sp.keep(peers); {
	case none:
		s.leave(network, sp)
		return s.remove(network)
	case seq == 0:
		return nil
	default:
		return sp.applied(ctx, seq)
	}
}

// take waits for the network's turn and returns what ends it.
func (s *Speakers) take(network string) (leave func()) {
	s.mu.Lock()
	t := s.turns[network]
	if t == nil {
		t = &turn{}
		s.turns[network] = t
	}
	t.users++
	s.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(s.turns, network)
		}
	}
}

// remove ends a network's speaker, whoever has started it. The directory goes last,
// so that after a crash the rest is found again.
func (s *Speakers) remove(network string) error {
	dir := s.opt.dir(network)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := end(dir); err != nil {
		return fmt.Errorf("remove BGP speaker of network %s: %w", network, err)
	}
	return os.RemoveAll(dir)
}

// leave looks after a speaker no more.
func (s *Speakers) leave(network string, sp *speaker) {
	sp.stop()
	<-sp.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.speakers[network] == sp {
		delete(s.speakers, network)
	}
}

// Remember has it held what peers of these connections have told and not withdrawn when
// their sessions are lost, also by speakers and daemons that are gone by then. What was
// told over other connections of the network is forgotten.
func (s *Speakers) Remember(network string, connections []string) error {
	if network == "" || filepath.Base(network) != network {
		return fmt.Errorf("BGP of network %q: not a name", network)
	}
	err := s.memory(network).remember(connections)
	if len(connections) == 0 {
		s.mu.Lock()
		delete(s.memories, network)
		s.mu.Unlock()
	}
	return err
}

func (s *Speakers) memory(network string) *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memories[network]
	if m == nil {
		m = openMemory(s.opt.Dir, network)
		s.memories[network] = m
	}
	return m
}

// Held returns the prefixes that peers of a network had told of when their sessions were
// lost, by connection; ascending. A prefix that another peer tells of is none of them.
func (s *Speakers) Held(network string) map[string][]netip.Prefix {
	return s.memory(network).held(s.Routes(network))
}

// Status says for each peer of a network, by connection, whether the session
// with it is established. It is empty for a network without peers.
func (s *Speakers) Status(network string) map[string]bool {
	sp := s.of(network)
	if sp == nil {
		return map[string]bool{}
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	out := make(map[string]bool, len(sp.want.Peers))
	for _, p := range sp.want.Peers {
		out[p.Connection] = sp.is.Sessions[p.Connection]
	}
	return out
}

// Routes returns the prefixes that a network has learned, by the connection of
// the peer whose path is the best; ascending. A prefix is in one list at most,
// and a peer that nothing was learned from in none.
func (s *Speakers) Routes(network string) map[string][]netip.Prefix {
	sp := s.of(network)
	if sp == nil {
		return map[string][]netip.Prefix{}
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	out := maps.Clone(sp.is.Routes)
	if out == nil {
		return map[string][]netip.Prefix{}
	}
	for connection, list := range out {
		out[connection] = slices.Clone(list)
	}
	return out
}

func (s *Speakers) of(network string) *speaker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.speakers[network]
}

// Close ends the looking after. The speakers work on, with all sessions, for the
// next Speakers to adopt.
func (s *Speakers) Close() {
	s.mu.Lock()
	s.closed = true
	all := maps.Clone(s.speakers)
	s.mu.Unlock()
	for _, sp := range all {
		sp.stop()
	}
	for network, sp := range all {
		s.leave(network, sp)
	}
}
