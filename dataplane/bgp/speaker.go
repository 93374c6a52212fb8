package bgp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

// ready is how long a speaker may take to listen, and steady how long it has to
// live to be started again at once.
const (
	ready  = 5 * time.Second
	steady = time.Minute
)

// speaker keeps a process in a network's namespace.
type speaker struct {
	ns      *netns.Namespace // its own
	network string
	dir     string
	log     *slog.Logger
	changed func(network string)
	memory  *memory
	relearn time.Duration

	ctx  context.Context
	stop context.CancelFunc
	done chan struct{} // closed when nobody looks after the process any more
	poke chan struct{} // something else is desired; holds one
	tell chan struct{} // something has changed; holds one

	mu   sync.Mutex
	want desired
	is   report
	news chan struct{} // closed and replaced with each report
}

func newSpeaker(ns *netns.Namespace, network string, opt Options, m *memory) *speaker {
	sp := &speaker{memory: m, relearn: opt.Relearn, ns: ns, network: network, dir: opt.dir(network), want: desired{Limit: opt.Limit}, log: opt.Logger.With("network", network), changed: opt.Changed,
		done: make(chan struct{}), poke: make(chan struct{}, 1), tell: make(chan struct{}, 1), news: make(chan struct{})}
	sp.ctx, sp.stop = context.WithCancel(context.Background())
	return sp
}

// desire sets what the speaker has to do, and returns its number.
func (sp *speaker) desire(peers []Peer, announce []netip.Prefix) uint64 {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.want.Seq++
	sp.want.Peers, sp.want.Announce = slices.Clone(peers), slices.Clone(announce)
	if !sp.want.RouterID.IsValid() {
		// It must not change while there are sessions.
		sp.want.RouterID = identifier(peers[0].Local)
	}
	raise(sp.poke)
	return sp.want.Seq
}

// keep takes from what the speaker has to do the peers that are not among these, if there is
// a session with one of them, and returns the number of that; 0 if there is none, or if no
// peer would be left, which none says.
func (sp *speaker) keep(peers []Peer) (seq uint64, none bool) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	goes := func(p Peer) bool { return !slices.Contains(peers, p) }
	if !slices.ContainsFunc(sp.want.Peers, func(p Peer) bool { return goes(p) && sp.is.Sessions[p.Connection] }) {
		return 0, false
	}
	rest := slices.DeleteFunc(slices.Clone(sp.want.Peers), goes)
	if len(rest) == 0 {
		return 0, true
	}
	sp.want.Seq++
	sp.want.Peers = rest
	raise(sp.poke)
	return sp.want.Seq, false
}

// identifier returns the BGP Identifier of a speaker with this address: a unicast
// address, as RFC 4271 wants it (section 6.2), and a higher one than peers have. Of two
// connections with a peer the one stays that was begun by who has the higher
// identifier (section 6.8). Were that the peer, one lost packet could keep a session
// down for as long as the peer waits for an OPEN, minutes: what it has begun, and was
// closed here by a reset that is sent but once, it would prefer to whatever is begun
// here.
func identifier(local netip.Addr) netip.Addr {
	b := local.As4()
	return netip.AddrFrom4([4]byte{223, 255, b[2], b[3]})
}

// raise leaves a note in a channel that holds one.
func raise(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// applied waits until the speaker has applied it, or says why it could not.
func (sp *speaker) applied(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		sp.mu.Lock()
		is, news := sp.is, sp.news
		sp.mu.Unlock()
		if is.Seq >= seq {
			if is.Error != "" {
				return fmt.Errorf("BGP of network %s: %s", sp.network, is.Error)
			}
			return nil
		}
		select {
		case <-news:
		case <-sp.done:
			return fmt.Errorf("BGP of network %s: the speaker has ended", sp.network)
		case <-ctx.Done():
			return fmt.Errorf("BGP of network %s: the speaker says nothing: %w", sp.network, ctx.Err())
		}
	}
}

// take notes a report and tells what has changed.
func (sp *speaker) take(r report) {
	sp.mu.Lock()
	before := sp.is
	for _, line := range r.Said {
		sp.log.Warn("BGP speaker", "says", line)
	}
	r.Said = nil
	sp.is = r
	close(sp.news)
	sp.news = make(chan struct{})
	peers := sp.want.Peers
	sp.mu.Unlock()
	for _, p := range peers {
		if was, is := before.Sessions[p.Connection], r.Sessions[p.Connection]; was != is {
			sp.log.Info("BGP session", "connection", p.Connection, "established", is, "peer", p.Remote, "asn", p.PeerASN)
		}
	}
	back, err := sp.memory.take(&before, &r, time.Now())
	if err != nil {
		sp.log.Warn("what BGP peers have told will not be known to the next daemon", "error", err)
	}
	if back {
		time.AfterFunc(sp.relearn, sp.settle)
	}
	if !maps.Equal(before.Sessions, r.Sessions) || !maps.EqualFunc(before.Routes, r.Routes, slices.Equal) {
		raise(sp.tell)
	}
}

// settle forgets what peers do not tell of any more.
func (sp *speaker) settle() {
	if sp.ctx.Err() != nil {
		return
	}
	sp.mu.Lock()
	is := sp.is
	sp.mu.Unlock()
	if err := sp.memory.settle(&is, time.Now().Add(-sp.relearn)); err != nil {
		sp.log.Warn("what BGP peers have told will not be known to the next daemon", "error", err)
	}
	raise(sp.tell)
}

// gossip calls changed. It is nobody's turn to wait for that: whoever is called
// may be waiting for the speaker.
func (sp *speaker) gossip() {
	for {
		select {
		case <-sp.tell:
			sp.changed(sp.network)
		case <-sp.done:
			select {
			case <-sp.tell:
				sp.changed(sp.network)
			default:
			}
			return
		}
	}
}

// run keeps a process running until stop.
func (sp *speaker) run() {
	defer close(sp.done)
	defer sp.ns.Close()
	pauses := process.Pauses{First: time.Second, Most: 30 * time.Second}
	for {
		began := time.Now()
		err := sp.converse()
		if sp.ctx.Err() != nil {
			return
		}
		sp.mu.Lock()
		r := report{Seq: sp.is.Seq, Error: sp.is.Error}
		if sp.is.Seq < sp.want.Seq {
			r = report{Seq: sp.want.Seq, Error: err.Error()}
		}
		sp.mu.Unlock()
		sp.take(r)
		if time.Since(began) > steady {
			pauses.Reset()
		}
		pause := pauses.Next()
		sp.log.Warn("BGP speaker ended, and is started again", "error", err, "in", pause)
		select {
		case <-sp.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// converse adopts the network's process, or starts one, and tells it what is desired
// until it ends by itself, or until stop: then it works on.
func (sp *speaker) converse() error {
	line, err := sp.reach()
	if sp.ctx.Err() != nil {
		if err == nil {
			line.Close()
		}
		return nil
	}
	if err != nil {
		return errors.Join(err, end(sp.dir))
	}
	defer line.Close()
	defer context.AfterFunc(sp.ctx, func() { line.Close() })()
	ended := make(chan error, 1)
	go func() {
		decoder := json.NewDecoder(bufio.NewReader(line))
		for {
			var r report
			if err := decoder.Decode(&r); err != nil {
				ended <- err
				return
			}
			sp.take(r)
		}
	}()
	encoder := json.NewEncoder(line)
	for err == nil {
		sp.mu.Lock()
		want := sp.want
		sp.mu.Unlock()
		if encoder.Encode(want) != nil {
			line.Close()
			err = <-ended // whatever it has said before is taken in
			break
		}
		select {
		case <-sp.poke:
		case err = <-ended:
		}
	}
	if sp.ctx.Err() != nil {
		return nil
	}
	line.Close()
	return fmt.Errorf("the BGP speaker has ended, or closed its socket: %w", errors.Join(err, end(sp.dir), lastLine(sp.dir)))
}

// reach adopts the network's process, or starts one.
func (sp *speaker) reach() (net.Conn, error) {
	pids, err := find(sp.dir)
	if err != nil {
		return nil, err
	}
	// One of another version may not understand.
	if len(pids) == 1 && process.In(pids[0], sp.ns) && process.SameProgram(pids[0]) {
		if h, err := process.Adopt(pids[0]); err == nil {
			line, err := sp.dial(h)
			h.Close()
			if err == nil {
				sp.log.Info("adopted a network's BGP speaker", "process", pids[0])
				return line, nil
			}
		}
	}
	if err := sp.ctx.Err(); err != nil {
		return nil, err
	}
	if err := end(sp.dir); err != nil {
		return nil, err
	}
	h, err := sp.start()
	if err != nil {
		return nil, fmt.Errorf("start BGP speaker: %w", err)
	}
	defer h.Close()
	return sp.dial(h)
}

// start starts a process, see process.Start.
func (sp *speaker) start() (*process.Helper, error) {
	if err := os.MkdirAll(sp.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(sp.dir, socketFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	said, err := os.OpenFile(filepath.Join(sp.dir, errorFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	// Not by its path: that may be another version by now.
	cmd := exec.Command("/proc/self/exe", argument, sp.dir)
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = said
	return process.Start(cmd, sp.ns.Do)
}

// dial opens a connection to the process, as soon as it listens.
func (sp *speaker) dial(h *process.Helper) (line net.Conn, err error) {
	ctx, cancel := context.WithTimeout(sp.ctx, ready)
	defer cancel()
	err = h.Await(ctx, func(ctx context.Context) (err error) {
		line, err = new(net.Dialer).DialContext(ctx, "unix", filepath.Join(sp.dir, socketFile))
		return err
	})
	switch {
	case errors.Is(err, process.ErrEnded):
		return nil, fmt.Errorf("the BGP speaker has ended: %w", lastLine(sp.dir))
	case err != nil:
		return nil, fmt.Errorf("the BGP speaker does not listen: %w", err)
	}
	return line, nil
}

// find returns the processes that are speakers with that directory.
func find(dir string) ([]int, error) { return process.Find(isSpeaker(dir)) }

func isSpeaker(dir string) func(pid int) bool {
	return func(pid int) bool {
		args := process.Arguments(pid)
		return len(args) == 3 && args[1] == argument && args[2] == dir
	}
}

// end ends the speakers with that directory. They take leave of their peers.
func end(dir string) error {
	if err := process.EndAll(isSpeaker(dir)); err != nil {
		return fmt.Errorf("end BGP speakers: %w", err)
	}
	return nil
}
