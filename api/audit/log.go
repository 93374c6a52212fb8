package audit

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Name is that of the file that is written; older ones have the time of their end in it.
const Name = "audit.log"

const (
	maxPending = 4 << 20               // bytes that wait for the disk
	chunk      = 256 << 10             // of one write to the file
	patience   = time.Second           // of a call whose line is being written
	gather     = 50 * time.Millisecond // in which lines that nobody waits for come together
	retry      = time.Second           // after a write that has failed
	strangers  = rate.Limit(100)       // lines a second of calls that nobody has signed
	burst      = 1000
	// Of all that the log has room for, calls that nobody has signed may fill this part in a
	// day, so that who has something to hide does not push it out within days.
	strangersPart = 10
)

// Config is what a Log needs.
type Config struct {
	Dir     string        // absolute; is there
	Writes  bool          // only calls that may change something, and those that were refused, are recorded
	MaxSize int           // of a file, in MiB, from 1
	Files   int           // full older files that there is room for; from 1
	Keep    time.Duration // how long they are kept; whole days
	Log     *slog.Logger
	Now     func() time.Time
}

// Log is the audit log. It is safe for concurrent use.
//
// Lines are gathered for a moment, and while the ones before are being written, so that
// many calls share a write. A call that changes something waits until its line is in the
// file, which is at once, for patience at most; others don't wait at all, and nobody does while
// a write takes longer than that. What the disk does not take is kept and
// tried again, up to maxPending; beyond that, calls go on and are counted as missed, and
// the next line says how many.
type Log struct {
	Config
	file *lumberjack.Logger

	mu      sync.Mutex
	next    *batch // that the next write takes
	waiting int    // bytes of next and of what could not be written so far
	missed  uint64 // calls since the last line that are not in the log
	limit   *rate.Limiter
	room    *rate.Limiter // bytes of the same calls
	since   time.Time     // when the write under way began; the zero time if none is
	stuck   uint64        // missed of stats, and one, when a write was found to last; 0 while none does
	stats   Stats
	grown   chan struct{} // is closed when the file has grown

	wake chan struct{} // somebody waits
	soon chan struct{} // there are lines
	disk sync.Mutex    // while the file may get another name
	// Of the goroutine that writes.
	is      fs.FileInfo // the file after the last write to it; nil if that is not known
	looks   int
	rest    []byte // of lines that could not be written
	failing bool
	lost    uint64 // missed of stats when it began to fail
}

// batch is lines that go to the disk together.
type batch struct {
	text  []byte
	tried chan struct{} // is closed when they have been written, or could not be
}

func newBatch() *batch { return &batch{tried: make(chan struct{})} }

// Stats are what a Log has done since it was opened.
type Stats struct {
	Recorded    uint64 // lines that were taken
	Missed      uint64 // calls for which there was no room, since the disk takes no more
	Strangers   uint64 // calls without a valid signature that were too many
	Failing     bool   // the last write has failed, or the present one lasts
	WriteErrors uint64
}

// Open returns the log in a directory. What is recorded is written by Run.
func Open(c Config) (*Log, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &Log{
		Config: c,
		file: &lumberjack.Logger{
			Filename: filepath.Join(c.Dir, Name),
			MaxSize:  c.MaxSize,
		},
		next: newBatch(), limit: rate.NewLimiter(strangers, burst),
		room:  rate.NewLimiter(rate.Limit(float64(c.MaxSize<<20)*float64(c.Files)/strangersPart/(24*time.Hour).Seconds()), c.MaxSize<<20/2),
		grown: make(chan struct{}), wake: make(chan struct{}, 1), soon: make(chan struct{}, 1),
	}
	torn, err := torn(l.file.Filename)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	if torn {
		l.rest, l.waiting = []byte("\n"), 1
	}
	return l, nil
}

// String names the task.
func (*Log) String() string { return "audit log" }

// Record takes an event. It returns when the event's line has been written if the action
// may change something, and at once otherwise.
func (l *Log) Record(e *Event) {
	if l.Writes && !e.Writes && e.ErrorCode == "" {
		return
	}
	b, first, stuck := l.add(e)
	waits := e.Writes && e.Identity.Type != Unverified
	switch {
	case b == nil:
		return
	case waits:
		signal(l.wake)
	case first:
		signal(l.soon)
	}
	if !waits || stuck {
		return
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-b.tried:
	case <-t.C:
		l.mu.Lock()
		l.lasts()
		l.mu.Unlock()
	}
}

// lasts notes that a write lasts for longer than is usual: the disk has taken it, and does
// not come back. With l.mu held.
func (l *Log) lasts() {
	if !l.since.IsZero() && time.Since(l.since) > patience && l.stuck == 0 {
		l.stuck = l.stats.Missed + 1
		l.Log.Error("the audit log is not written: the disk does not answer; calls are answered all the same, and recorded later as far as there is room", "dir", l.Dir)
	}
}

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // it is under way already
	}
}

// add puts an event's line into the next batch, and returns that, whether it is the
// first there, and whether the write before lasts; nil if there is no room for it.
func (l *Log) add(e *Event) (b *batch, first, stuck bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lasts()
	stranger := e.Identity.Type == Unverified
	if stranger && !l.limit.AllowN(l.Now(), 1) {
		l.missed++
		l.stats.Strangers++
		return nil, false, false
	}
	if l.waiting > maxPending {
		l.missed++
		l.stats.Missed++
		return nil, false, false
	}
	before := len(l.next.text)
	text := e.appendTo(l.next.text, l.missed)
	if stranger && !l.room.AllowN(l.Now(), len(text)-before) {
		l.missed++
		l.stats.Strangers++
		return nil, false, false
	}
	l.next.text = text
	l.waiting += len(text) - before
	l.missed = 0
	l.stats.Recorded++
	return l.next, before == 0, l.stuck > 0
}

// Stats returns what was done so far.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lasts()
	s := l.stats
	s.Failing = s.Failing || l.stuck > 0
	return s
}

// Run writes what is recorded until ctx ends, and what has been recorded by then.
func (l *Log) Run(ctx context.Context) error {
	looks := time.NewTicker(look)
	defer looks.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			l.write()
			return l.file.Close()
		case <-l.wake:
			if l.failing {
				close(l.take().tried) // whoever waits is let go: it is tried again when it is time
				continue
			}
		case <-l.soon:
			if !l.failing {
				again.Reset(gather)
			}
			continue
		case <-again.C:
		case <-looks.C:
			l.look()
		}
		if !l.write() {
			again.Reset(retry)
		}
	}
}

// write writes what is waiting, and says whether that could be done.
func (l *Log) write() bool {
	b := l.take()
	l.mu.Lock()
	l.since = time.Now()
	l.mu.Unlock()
	var err error
	for len(l.rest) > 0 && err == nil {
		part := l.rest
		if len(part) > chunk {
			part = part[:bytes.LastIndexByte(part[:chunk], '\n')+1]
		}
		var n int
		l.disk.Lock()
		l.reopen()
		n, err = l.file.Write(part)
		before := l.is
		if l.is = l.stat(); before != nil && l.is != nil && !os.SameFile(before, l.is) {
			_ = l.trim() // else at the next look, which says what is wrong
		}
		l.disk.Unlock()
		// A line that is in the file in part is gone on with where it ends.
		l.rest = l.rest[n:]
	}
	l.wrote(b, err)
	return err == nil
}

// take returns the batch, whose lines are now in rest.
func (l *Log) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.next
	l.next = newBatch()
	if len(l.rest) == 0 {
		l.rest = b.text
	} else {
		l.rest = append(l.rest, b.text...)
	}
	return b
}

// wrote notes what became of a batch, and says so where that has changed.
func (l *Log) wrote(b *batch, err error) {
	l.mu.Lock()
	l.waiting = len(l.rest) + len(l.next.text)
	l.stats.Failing = err != nil
	if err != nil {
		l.stats.WriteErrors++
	}
	if len(b.text) > 0 || err == nil {
		close(l.grown)
		l.grown = make(chan struct{})
	}
	if len(l.rest) == 0 && cap(b.text) <= chunk && len(l.next.text) == 0 {
		l.next.text = b.text[:0]
	}
	missed, stuck := l.stats.Missed, l.stuck
	l.since, l.stuck = time.Time{}, 0
	close(b.tried)
	l.mu.Unlock()
	failing := l.failing || stuck > 0 // as has been said
	if !l.failing {
		l.lost = missed
		if stuck > 0 {
			l.lost = stuck - 1
		}
	}
	switch {
	case err != nil && !l.failing:
		l.Log.Error("the audit log cannot be written; calls are answered all the same, and recorded later as far as there is room", "dir", l.Dir, "error", err)
	case err == nil && failing:
		l.Log.Info("the audit log is written again", "dir", l.Dir, "calls_not_recorded", missed-l.lost)
	}
	l.failing = err != nil
}
