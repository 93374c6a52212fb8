package bgp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The files in a speaker's directory.
const (
	socketFile = "speaker.sock" // where it listens to the daemon
	errorFile  = "speaker.err"  // what it said when it crashed
)

// settle is how long changes are collected for one report.
const settle = 50 * time.Millisecond

// sendTimeout is how long a daemon may take to read a report.
const sendTimeout = 10 * time.Second

// input is what a daemon desires, or why there will be no more of it.
type input struct {
	from    net.Conn
	desired desired
	err     error
}

// speak does what a daemon desires and reports to it. It works on without one, and
// until it is asked to end (SIGTERM).
func speak(dir string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	listener, err := net.Listen("unix", filepath.Join(dir, socketFile))
	if err != nil {
		return err
	}
	daemons, inputs := make(chan net.Conn), make(chan input)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			daemons <- c
		}
	}()
	r := newRouter()
	defer r.stop()
	var daemon net.Conn
	var last report // to it; has no Seq until it has desired something
	leave := func() {
		if daemon != nil {
			daemon.Close()
		}
		daemon, last = nil, report{}
	}
	for {
		now := report{Seq: last.Seq, Error: last.Error}
		select {
		case <-ctx.Done():
			return nil
		case c := <-daemons: // there is only one, and the next comes when it has gone
			leave()
			daemon = c
			go listen(c, inputs)
			continue
		case i := <-inputs:
			if i.from != daemon {
				continue
			}
			if i.err != nil {
				leave()
				continue
			}
			now.Seq, now.Error = i.desired.Seq, ""
			if err := r.apply(i.desired); err != nil {
				now.Error = err.Error()
			}
		case <-r.dirty:
			time.Sleep(settle)
		case <-r.resume.C:
		}
		if err := r.observe(&now); err != nil {
			return fmt.Errorf("look at sessions and routes: %w", err)
		}
		if now.Seq == 0 {
			continue
		}
		if now.Said = r.said.take(); reflect.DeepEqual(now, last) {
			continue
		}
		_ = daemon.SetWriteDeadline(time.Now().Add(sendTimeout))
		if err := json.NewEncoder(daemon).Encode(now); err != nil {
			leave()
			continue
		}
		now.Said = nil
		last = now
	}
}

// listen takes in what a daemon desires, until it is gone.
func listen(daemon net.Conn, inputs chan<- input) {
	decoder := json.NewDecoder(daemon)
	for {
		i := input{from: daemon}
		i.err = decoder.Decode(&i.desired)
		inputs <- i
		if i.err != nil {
			return
		}
	}
}

// mostLines is how many lines are kept for a daemon.
const mostLines = 100

// lines is what a speaker has to say, for the daemon's log.
type lines struct {
	mu   sync.Mutex
	kept []string
	more func() // is called when there is a line
}

// Write takes a line, as slog's handlers write it.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.kept = append(l.kept, strings.TrimSpace(string(b)))
	l.kept = l.kept[max(0, len(l.kept)-mostLines):]
	l.mu.Unlock()
	l.more()
	return len(b), nil
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := slices.Clone(l.kept)
	l.kept = nil
	return kept
}

// logger returns one whose lines are kept.
func (l *lines) logger() *slog.Logger {
	leave := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{} // the daemon's log has both
		}
		return a
	}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: leave}))
}

// lastLine returns what a speaker has said last when it crashed, or could not start.
func lastLine(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, errorFile))
	if err != nil {
		return err
	}
	// A crash says first why, and then where.
	first, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if first == "" {
		return nil
	}
	return fmt.Errorf("%s", first)
}
