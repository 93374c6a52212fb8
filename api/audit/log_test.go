package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// running is a log that is written.
type running struct {
	*Log
	said strings.Builder // by the daemon's log
	stop func()          // and what is recorded by then is written
}

func run(t *testing.T, c Config) *running {
	t.Helper()
	w := &running{}
	if c.MaxSize == 0 {
		c.MaxSize, c.Files, c.Keep = 1, 5, 24*time.Hour
	}
	c.Log = slog.New(slog.NewTextHandler(&w.said, nil))
	var err error
	if w.Log, err = Open(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// call is a call that changes something, so that it is in the file when Record returns.
func call(i int) *Event {
	return &Event{Time: time.Unix(1_700_000_000+int64(i), 0), Name: fmt.Sprint(i), Writes: true, Identity: Identity{Type: Root, AccountID: "1001"}}
}

// names returns the names of the events that are read back.
func (w *running) names(t *testing.T, f Filter) (list []string) {
	t.Helper()
	err := w.Read(t.Context(), f, false, func(text []byte) error {
		list = append(list, nameOf(t, text))
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func nameOf(t *testing.T, text []byte) string {
	var e struct{ EventName string }
	if err := json.Unmarshal(text, &e); err != nil {
		t.Errorf("%v: %q", err, text)
	}
	return e.EventName
}

// numbered says whether the names are all numbers from one to below another, in order.
func numbered(names []string, from, to int) error {
	for i, n := range names {
		if n != fmt.Sprint(from+i) {
			return fmt.Errorf("%q is in the place of %d", n, from+i)
		}
	}
	if len(names) != to-from {
		return fmt.Errorf("%d lines, not %d", len(names), to-from)
	}
	return nil
}

// Every call of many at once is in the log, once, in order for each; the file is for its
// owner alone; a log that is opened again goes on.
func TestConcurrent(t *testing.T) {
	const callers, calls = 8, 100
	dir := t.TempDir()
	w := run(t, Config{Dir: dir})
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range calls {
				e := call(i)
				e.Writes, e.Identity.AccountID = i%3 == 0, fmt.Sprint(c)
				w.Record(e)
			}
		})
	}
	all.Wait()
	w.stop()
	w = run(t, Config{Dir: dir})
	w.Record(call(0))
	for c := range callers {
		if err := numbered(w.names(t, Filter{User: fmt.Sprint(c)}), 0, calls); err != nil {
			t.Errorf("caller %d: %v", c, err)
		}
	}
	if n := len(w.names(t, Filter{})); n != callers*calls+1 {
		t.Errorf("%d lines", n)
	}
	info, err := os.Stat(filepath.Join(dir, Name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// The log goes on in new files as they fill, only so many are kept, and a reader that
// follows sees every line once, whichever file it is in.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	w := run(t, Config{Dir: dir, MaxSize: 1, Files: 1, Keep: 24 * time.Hour})
	const calls = 350
	seen, ready := make(chan string, calls), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var followed error
	var reader sync.WaitGroup
	once := sync.OnceFunc(func() { close(ready) })
	reader.Go(func() {
		followed = w.Read(ctx, Filter{}, true, func(text []byte) error {
			seen <- nameOf(t, text)
			return nil
		}, func() error { once(); return nil })
	})
	<-ready
	large := []Member{{Name: "a", Value: strings.Repeat("x", 4000)}, {Name: "b", Value: strings.Repeat("y", 4000)}}
	for i := range calls {
		e := call(i)
		e.Parameters = large
		w.Record(e)
		if n := <-seen; n != fmt.Sprint(i) {
			t.Fatalf("%s is seen in the place of %d", n, i)
		}
	}
	cancel()
	reader.Wait()
	if followed != nil {
		t.Error(followed)
	}
	if paths := mustFiles(t, dir); len(paths) != 2 {
		t.Errorf("files %v", paths)
	}
	names := w.names(t, Filter{})
	if err := numbered(names, calls-len(names), calls); err != nil {
		t.Error(err)
	}
	if err := numbered(w.names(t, Filter{Since: call(340).Time}), 340, calls); err != nil {
		t.Error(err)
	}
}

// A file is begun anew when its first line is a day old, and made anew when somebody has
// taken it away.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	now := call(0).Time.Add(rotateAfter)
	w := run(t, Config{Dir: dir, Now: func() time.Time { return now }})
	w.Record(call(0))
	w.Log.look()
	if paths, err := files(dir); err != nil || len(paths) != 1 {
		t.Errorf("after a day: %v, %v", paths, err)
	}
	now = now.Add(time.Second)
	w.Log.look()
	w.Record(call(1))
	if paths, err := files(dir); err != nil || len(paths) != 2 {
		t.Errorf("after more than a day: %v, %v", paths, err)
	}
	if err := numbered(w.names(t, Filter{}), 0, 2); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, Name)); err != nil {
		t.Fatal(err)
	}
	w.Log.look()
	w.Record(call(1))
	if err := numbered(w.names(t, Filter{}), 0, 2); err != nil {
		t.Error(err)
	}
}

// There is room for so much, in however many files: quiet days push out nothing.
func TestQuietDays(t *testing.T) {
	dir := t.TempDir()
	now := call(0).Time
	w := run(t, Config{Dir: dir, MaxSize: 1, Files: 2, Keep: 90 * 24 * time.Hour, Now: func() time.Time { return now }})
	const days = 30
	for i := range days {
		e := call(i)
		e.Time = now
		w.Record(e)
		now = now.Add(rotateAfter + time.Hour)
		w.Log.look()
		for at := time.Now().UnixMilli(); time.Now().UnixMilli() == at; { // by which older files are told apart
			runtime.Gosched()
		}
	}
	if err := numbered(w.names(t, Filter{}), 0, days); err != nil {
		t.Error(err)
	}
	if n := len(mustFiles(t, dir)); n != days+1 {
		t.Errorf("%d files", n)
	}
}

// What somebody does to the file while it is written costs no line that comes after: it goes
// on under its name, for its owner alone, and what was done is said.
func TestFileTaken(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"removed":         os.Remove,
		"moved":           func(path string) error { return os.Rename(path, path+".1") },
		"emptied":         func(path string) error { return os.Truncate(path, 0) },
		"with its folder": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"moved, and another made": func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			w := run(t, Config{Dir: dir})
			for i := range 3 {
				w.Record(call(i))
			}
			if err := take(filepath.Join(dir, Name)); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				w.Record(call(i))
			}
			if err := numbered(w.names(t, Filter{}), 0, 3); err != nil {
				t.Error(err)
			}
			for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, Name): 0o600} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, %v", path, info.Mode(), err)
				}
			}
			w.stop()
			if said := w.said.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "somebody has") {
				t.Errorf("said: %s", said)
			}
		})
	}
}

// A disk that does not answer holds up one call for a moment, and no other; that is said and
// shown, and so is that it answers again. Nothing is lost.
func TestDiskHangs(t *testing.T) {
	dir := t.TempDir()
	w := run(t, Config{Dir: dir})
	path := filepath.Join(dir, Name)
	if err := unix.Mkfifo(path, 0o600); err != nil { // nobody reads it: opening it takes forever
		t.Fatal(err)
	}
	const calls = 300
	read := call(0)
	read.Writes = false
	w.Record(read) // which nobody waits for
	for !w.Stats().Failing {
		time.Sleep(time.Millisecond)
	}
	for i := 1; i < calls; i++ {
		w.Record(call(i))
	}
	if s := w.Stats(); !s.Failing || s.WriteErrors != 0 || s.Missed != 0 {
		t.Errorf("while the disk hangs: %+v", s)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for i := range calls {
		if !in.Scan() || nameOf(t, in.Bytes()) != fmt.Sprint(i) {
			t.Fatalf("%q is in the place of %d", in.Text(), i)
		}
	}
	w.Record(call(calls)) // waits for the one before
	if s := w.Stats(); s.Failing {
		t.Errorf("afterwards: %+v", s)
	}
	w.stop()
	if said := w.said.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "does not answer") || !strings.Contains(said, "calls_not_recorded=0") {
		t.Errorf("said: %s", said)
	}
}

// A clock that is wrong for a while takes the oldest file with it at most, whatever it says.
func TestWrongClock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit [old]*") // nothing in its name means anything
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	now := call(0).Time
	for i := range 4 {
		older := filepath.Join(dir, "audit-"+now.AddDate(0, 0, i-3).UTC().Format(stamp)+".log")
		if err := os.WriteFile(older, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := run(t, Config{Dir: dir, MaxSize: 1, Files: 100, Keep: 90 * 24 * time.Hour, Now: func() time.Time { return now }})
	w.Record(call(0))
	at := now
	for _, now = range []time.Time{at.AddDate(10, 0, 0), at} {
		for range sweep {
			w.Log.look()
		}
	}
	w.Record(call(1))
	if paths, err := files(dir); err != nil || len(paths) != 5 { // three of four, that of the jump, and the present one
		t.Errorf("%v, %v", paths, err)
	}
	if err := numbered(w.names(t, Filter{}), 0, 2); err != nil {
		t.Error(err)
	}
	now = at.AddDate(0, 0, 90)
	for range 3 * sweep {
		w.Log.look()
	}
	for _, path := range mustFiles(t, dir) {
		if end := ended(path); !end.IsZero() && now.Sub(end) > 90*24*time.Hour {
			t.Errorf("%s is kept", path)
		}
	}
}

func mustFiles(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := files(dir)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Whatever those send who have no key, it does not push out what was recorded before.
func TestStrangersFill(t *testing.T) {
	now := call(0).Time
	w := run(t, Config{Dir: t.TempDir(), MaxSize: 1, Files: 5, Keep: 24 * time.Hour, Now: func() time.Time { return now }})
	w.Record(call(0))
	long := strings.Repeat("x", 4000)
	for range 24 { // a day
		for range 200 {
			w.Record(&Event{Time: now, Name: "CreateVpc", UserAgent: long, ErrorCode: "IncompleteSignature", Identity: Identity{Type: Unverified}, Parameters: []Member{{Name: "a", Value: long}}})
		}
		now = now.Add(time.Hour)
	}
	w.stop()
	if names := w.names(t, Filter{User: "1001"}); len(names) != 1 {
		t.Errorf("of an account's calls there are %d lines", len(names))
	}
	if s := w.Stats(); s.Strangers == 0 || s.Recorded < 100 {
		t.Errorf("%+v", s)
	}
}

// What a daemon that was killed has written of a line bars nothing that follows.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, Name), []byte(`{"eventTime":"2026-03-01T12:00:00Z","eventN`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := run(t, Config{Dir: dir})
	w.Record(call(0))
	if err := numbered(w.names(t, Filter{}), 0, 1); err != nil {
		t.Error(err)
	}
}

// Only what may change something, or was refused, is recorded where that is asked for;
// and of calls that nobody has signed only so many a second, which the next line says.
func TestWhatIsRecorded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	w := run(t, Config{Dir: t.TempDir(), Writes: true, Now: func() time.Time { return now }})
	read, refused := call(1), call(0)
	read.Writes, refused.Writes, refused.ErrorCode = false, false, "Forbidden"
	w.Record(read)
	w.Record(refused)
	for i := range 3 * burst {
		w.Record(&Event{Time: now, Name: fmt.Sprint(i + 1), ErrorCode: "IncompleteSignature", Identity: Identity{Type: Unverified}})
	}
	w.Record(call(burst + 1))
	if err := numbered(w.names(t, Filter{}), 0, burst+2); err != nil {
		t.Error(err)
	}
	last := ""
	if err := w.Read(t.Context(), Filter{User: "1001"}, false, func(text []byte) error { last = string(text); return nil }, nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(last, fmt.Sprintf(`"callsNotRecorded":%d}`, 2*burst)) {
		t.Error(last)
	}
	if s := w.Stats(); s.Strangers != 2*burst || s.Recorded != burst+2 || s.Missed != 0 {
		t.Errorf("%+v", s)
	}
}

// With a full disk calls go on; it is said once; what waited is written when there is
// room, whole, and what found no room to wait is counted.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	dir := t.TempDir()
	// The thread's own mounts, which end with it, as it is not unlocked: the log is written by
	// it, too.
	runtime.LockOSThread()
	if err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"),
	); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	var said strings.Builder
	l, err := Open(Config{Dir: dir, MaxSize: 100, Files: 1, Keep: 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	calls, text := 0, strings.Repeat("x", 4000)
	record := func(n int) {
		for range n {
			e := call(calls)
			e.Parameters = []Member{{Name: "a", Value: text}, {Name: "b", Value: text}}
			l.add(e)
			calls++
		}
	}
	for range 3 {
		record(5)
		l.write()
	}
	if s := l.Stats(); !s.Failing || s.WriteErrors == 0 || s.Missed != 0 {
		t.Errorf("full: %+v", s)
	}
	for l.Stats().Missed == 0 {
		record(100)
	}
	kept := calls - int(l.Stats().Missed)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	if !l.write() {
		t.Error("with room again: not written")
	}
	l.add(call(kept))
	l.write()
	w := &running{Log: l}
	if err := numbered(w.names(t, Filter{}), 0, kept+1); err != nil {
		t.Error(err)
	}
	s := l.Stats()
	if s.Failing || int(s.Missed) != calls-kept {
		t.Errorf("%+v of %d calls", s, calls)
	}
	last := ""
	if err := l.Read(t.Context(), Filter{Since: call(kept).Time}, false, func(text []byte) error { last = string(text); return nil }, nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(last, fmt.Sprintf(`"callsNotRecorded":%d}`, s.Missed)) {
		t.Error(last)
	}
	if n := strings.Count(said.String(), "\n"); n != 2 || !strings.Contains(said.String(), "no space left") || !strings.Contains(said.String(), fmt.Sprintf("calls_not_recorded=%d", s.Missed)) {
		t.Errorf("said: %s", said.String())
	}
	if err := l.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// A reader that is told to end, ends, and what stops it is passed on.
func TestReadEnds(t *testing.T) {
	w := run(t, Config{Dir: t.TempDir()})
	w.Record(call(0))
	if err := w.Read(t.Context(), Filter{}, true, func([]byte) error { return io.ErrClosedPipe }, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := w.Read(ctx, Filter{}, true, func([]byte) error { return nil }, func() error { cancel(); return nil }); err != nil {
		t.Error(err)
	}
}
