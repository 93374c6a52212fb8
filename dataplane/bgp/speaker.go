package bgp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"sluice/dataplane/netns"
)

// grace is how long a speaker may take to say goodbye, and steady how long it
// has to live to be started again at once.
const (
	grace  = 3 * time.Second
	steady = time.Minute
)

// speaker keeps a child process in a network's namespace.
type speaker struct {
	ns      *netns.Namespace // its own
	network string
	log     *slog.Logger
	changed func(network string)

	ctx  context.Context
	stop context.CancelFunc
	done chan struct{} // closed when the child has ended for good
	poke chan struct{} // there is another wish; holds one
	tell chan struct{} // something has changed; holds one

	mu   sync.Mutex
	want wish
	is   report
	news chan struct{} // closed and replaced with each report
}

func newSpeaker(ns *netns.Namespace, network string, opt Options) *speaker {
	sp := &speaker{ns: ns, network: network, log: opt.Logger.With("network", network), changed: opt.Changed,
		done: make(chan struct{}), poke: make(chan struct{}, 1), tell: make(chan struct{}, 1), news: make(chan struct{})}
	sp.ctx, sp.stop = context.WithCancel(context.Background())
	return sp
}

// wish sets what the speaker has to do, and returns the wish's number.
func (sp *speaker) wish(peers []Peer, announce []netip.Prefix) uint64 {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.want.Seq++
	sp.want.Peers, sp.want.Announce = slices.Clone(peers), slices.Clone(announce)
	if !sp.want.RouterID.IsValid() {
		// It must not change while there are sessions.
		sp.want.RouterID = peers[0].Local
	}
	raise(sp.poke)
	return sp.want.Seq
}

// raise leaves a note in a channel that holds one.
func raise(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// granted waits until the speaker has granted a wish, or says why it could not.
func (sp *speaker) granted(ctx context.Context, seq uint64) error {
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
	if !maps.Equal(before.Sessions, r.Sessions) || !maps.EqualFunc(before.Routes, r.Routes, slices.Equal) {
		raise(sp.tell)
	}
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

// run keeps a child running until stop.
func (sp *speaker) run() {
	defer close(sp.done)
	defer sp.ns.Close()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = time.Second, 30*time.Second
	for {
		began := time.Now()
		err := sp.child()
		sp.mu.Lock()
		r := report{Seq: sp.is.Seq, Error: sp.is.Error}
		if err != nil && sp.is.Seq < sp.want.Seq {
			r = report{Seq: sp.want.Seq, Error: err.Error()}
		}
		sp.mu.Unlock()
		sp.take(r)
		if sp.ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		sp.log.Warn("BGP speaker ended, and is started again", "error", err, "in", pause)
		select {
		case <-sp.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// child runs one child until it ends, by itself (which is an error) or by stop.
func (sp *speaker) child() error {
	// Not by its path: that may be another version by now.
	cmd := exec.CommandContext(sp.ctx, "/proc/self/exe", argument)
	cmd.Args[0] = os.Args[0]
	cmd.WaitDelay = grace
	said := &lines{log: sp.log}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start BGP speaker: %w", err)
	}
	cmd.Cancel = in.Close
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start BGP speaker: %w", err)
	}
	// The child is forked from a thread in the namespace, and so lives in it.
	if err := sp.ns.Do(cmd.Start); err != nil {
		return fmt.Errorf("start BGP speaker: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		decoder := json.NewDecoder(bufio.NewReader(out))
		for {
			var r report
			if err := decoder.Decode(&r); err != nil {
				ended <- err
				return
			}
			sp.take(r)
		}
	}()
	encoder := json.NewEncoder(in)
	for first := true; ; first = false {
		if !first {
			select {
			case <-sp.poke:
			case err = <-ended:
			}
			if err != nil {
				break
			}
		}
		sp.mu.Lock()
		want := sp.want
		sp.mu.Unlock()
		if encoder.Encode(want) != nil { // it has ended, or is ending
			err = <-ended
			break
		}
	}
	if !errors.Is(err, io.EOF) {
		// It would wait for somebody to read what it says.
		_ = cmd.Process.Kill()
	}
	status := cmd.Wait()
	if sp.ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the BGP speaker has ended: %w", errors.Join(status, notEOF(err), said.last()))
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// lines logs what is written to it, line by line.
type lines struct {
	log  *slog.Logger
	rest []byte
	line string // the last
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := slices.Index(l.rest, '\n')
		if i < 0 {
			break
		}
		l.line = string(l.rest[:i])
		l.log.Warn("BGP speaker", "says", l.line)
		l.rest = l.rest[i+1:]
	}
	return len(b), nil
}

// last returns the last line, after the last Write.
func (l *lines) last() error {
	if l.line == "" {
		return nil
	}
	return errors.New(l.line)
}
