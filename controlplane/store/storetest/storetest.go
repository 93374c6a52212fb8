// Package storetest is what every implementation of store.Store has to pass.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/store"
)

// Backend is an empty place for a store. Open opens it, or opens it again once
// the store of the last call has been closed: what was committed is there. A backend
// that several can open at a time also has Beside(t) store.Store.
type Backend interface {
	Open(t *testing.T) store.Store
}

// Run runs the conformance test. fresh returns an empty backend; the test closes
// what it opens.
func Run(t *testing.T, fresh func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"an empty store", testEmpty},
		{"load in order", testOrder},
		{"commits build on one another", testConflict},
		{"a commit is all or nothing", testAtomic},
		{"delete", testDelete},
		{"any bytes", testBytes},
		{"the first base wins", testRace},
		{"reopened", testReopen},
		{"watch", testWatch},
		{"watch from a revision", testWatchFrom},
		{"watch after a restart", testWatchCompacted},
		{"watch ends", testWatchEnds},
		{"a slow watcher misses nothing", testSlowWatcher},
		{"ended context", testContext},
		{"load beside commits", testSnapshot},
		{"a hostile second writer", testHostile},
		{"several writers at a time", testWriters},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

func open(t *testing.T, b Backend) store.Store {
	t.Helper()
	s := b.Open(t)
	t.Cleanup(func() { s.Close() }) // again is harmless
	return s
}

func set(kind, id, value string) store.Write {
	return store.Write{Key: store.Key{Kind: kind, ID: id}, Value: []byte(value)}
}

func unset(kind, id string) store.Write {
	return store.Write{Key: store.Key{Kind: kind, ID: id}}
}

func commit(t *testing.T, s store.Store, base int64, writes ...store.Write) int64 {
	t.Helper()
	rev, err := s.Commit(context.Background(), base, writes)
	if err != nil {
		t.Fatalf("commit on %d: %v", base, err)
	}
	if rev != base+1 {
		t.Fatalf("commit on %d gave revision %d, want %d", base, rev, base+1)
	}
	return rev
}

// content reads everything, one line a record: kind id=value@revision.
func content(t *testing.T, s store.Store) (string, int64) {
	t.Helper()
	var lines []string
	rev, err := s.Load(context.Background(), func(r store.Record) error {
		lines = append(lines, fmt.Sprintf("%s %s=%s@%d", r.Kind, r.ID, r.Value, r.Revision))
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return strings.Join(lines, "\n"), rev
}

func want(t *testing.T, s store.Store, rev int64, lines ...string) {
	t.Helper()
	got, gotRev := content(t, s)
	if wanted := strings.Join(lines, "\n"); got != wanted || gotRev != rev {
		t.Fatalf("store at revision %d:\n%s\nwant revision %d:\n%s", gotRev, got, rev, wanted)
	}
}

func testEmpty(t *testing.T, b Backend) {
	want(t, open(t, b), 0)
}

func testOrder(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("b", "2", "x"), set("a", "9", "x"), set("b", "10", "x"), set("a", "1", "x"))
	want(t, s, 1, "a 1=x@1", "a 9=x@1", "b 10=x@1", "b 2=x@1")
}

func testConflict(t *testing.T, b Backend) {
	s := open(t, b)
	rev := commit(t, s, 0, set("a", "1", "first"))
	rev = commit(t, s, rev, set("a", "1", "second"))
	for _, base := range []int64{0, rev - 1, rev + 1, -1} {
		if at, err := s.Commit(context.Background(), base, []store.Write{set("a", "1", "stale")}); !errors.Is(err, store.ErrConflict) || at != rev {
			t.Errorf("commit on %d of %d: %d, %v, want ErrConflict", base, rev, at, err)
		}
	}
	want(t, s, rev, "a 1=second@2")
}

func testAtomic(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("a", "1", "kept"))
	for _, bad := range []store.Write{set("a", "", "no id"), set("", "1", "no kind")} {
		if _, err := s.Commit(context.Background(), 1, []store.Write{set("a", "1", "lost"), set("a", "2", "lost"), bad}); err == nil {
			t.Errorf("commit of %+v succeeded", bad)
		}
	}
	want(t, s, 1, "a 1=kept@1")
}

func testDelete(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("a", "1", "x"), set("a", "2", "y"))
	commit(t, s, 1, unset("a", "1"), unset("a", "absent"), unset("nothing", "absent"))
	want(t, s, 2, "a 2=y@1")
	commit(t, s, 2, set("a", "1", "again"))
	want(t, s, 3, "a 1=again@3", "a 2=y@1")
}

func testBytes(t *testing.T, b Backend) {
	s := open(t, b)
	id := "\x00token\x00\xff/é"
	value := bytes.Repeat([]byte{0, 1, 0xff}, 100_000)
	commit(t, s, 0, store.Write{Key: store.Key{Kind: "k", ID: id}, Value: value}, store.Write{Key: store.Key{Kind: "k", ID: "empty"}, Value: []byte{}})
	n := 0
	_, err := s.Load(context.Background(), func(r store.Record) error {
		n++
		switch r.ID {
		case id:
			if !bytes.Equal(r.Value, value) {
				t.Errorf("%d bytes came back as %d others", len(value), len(r.Value))
			}
		case "empty":
			if len(r.Value) != 0 {
				t.Errorf("an empty value came back as %q", r.Value)
			}
		default:
			t.Errorf("unknown id %q", r.ID)
		}
		return nil
	})
	if err != nil || n != 2 {
		t.Fatalf("load: %d records, %v", n, err)
	}
}

func testRace(t *testing.T, b Backend) {
	s := open(t, b)
	const writers = 8
	var wins, losses int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			_, err := s.Commit(context.Background(), 0, []store.Write{set("a", fmt.Sprint(i), "x")})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case errors.Is(err, store.ErrConflict):
				losses++
			default:
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if wins != 1 || losses != writers-1 {
		t.Errorf("%d of %d commits on one revision succeeded, %d conflicted", wins, writers, losses)
	}
}

func testReopen(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("a", "1", "x"))
	commit(t, s, 1, set("b", "1", "y"), unset("a", "1"))
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s = open(t, b)
	want(t, s, 2, "b 1=y@2")
	commit(t, s, 2, set("a", "1", "z"))
	want(t, s, 3, "a 1=z@3", "b 1=y@2")
}

// next receives one event, or fails.
func next(t *testing.T, ch <-chan store.Event) store.Event {
	t.Helper()
	select {
	case e, ok := <-ch:
		if !ok {
			t.Fatal("the watch has ended")
		}
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event in 10 s")
	}
	panic("unreachable")
}

func watch(t *testing.T, s store.Store, from int64) <-chan store.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ch, err := s.Watch(ctx, from)
	if err != nil {
		t.Fatalf("watch from %d: %v", from, err)
	}
	return ch
}

func testWatch(t *testing.T, b Backend) {
	s := open(t, b)
	one, two := watch(t, s, 0), watch(t, s, 0)
	commit(t, s, 0, set("a", "1", "x"), unset("a", "2"))
	commit(t, s, 1, set("a", "1", "y"))
	for _, ch := range []<-chan store.Event{one, two} {
		e := next(t, ch)
		if e.Revision != 1 || len(e.Writes) != 2 || string(e.Writes[0].Value) != "x" || e.Writes[1].Value != nil {
			t.Errorf("first event %+v", e)
		}
		if e := next(t, ch); e.Revision != 2 || string(e.Writes[0].Value) != "y" {
			t.Errorf("second event %+v", e)
		}
	}
}

func testWatchFrom(t *testing.T, b Backend) {
	s := open(t, b)
	for i := range int64(5) {
		commit(t, s, i, set("a", "1", fmt.Sprint(i+1)))
	}
	ch := watch(t, s, 3)
	commit(t, s, 5, set("a", "1", "6"))
	for _, rev := range []int64{4, 5, 6} {
		if e := next(t, ch); e.Revision != rev || string(e.Writes[0].Value) != fmt.Sprint(rev) {
			t.Errorf("event %+v, want that of revision %d", e, rev)
		}
	}
}

func testWatchCompacted(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("a", "1", "x"))
	commit(t, s, 1, set("a", "1", "y"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, b)
	ch, err := s.Watch(t.Context(), 0)
	if errors.Is(err, store.ErrCompacted) {
		// What the interface says to do then.
		_, rev := content(t, s)
		ch = watch(t, s, rev)
		commit(t, s, rev, set("a", "1", "z"))
		if e := next(t, ch); e.Revision != rev+1 {
			t.Errorf("event %+v, want that of revision %d", e, rev+1)
		}
		return
	}
	if err != nil {
		t.Fatalf("watch: %v, want events or ErrCompacted", err)
	}
	if e := next(t, ch); e.Revision != 1 {
		t.Errorf("event %+v, want that of revision 1", e)
	}
}

// drained waits for the end of a watch.
func drained(t *testing.T, ch <-chan store.Event) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the watch has not ended in 10 s")
		}
	}
}

func testWatchEnds(t *testing.T, b Backend) {
	s := open(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	ch, err := s.Watch(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := watch(t, s, 0)
	cancel()
	drained(t, ch)
	commit(t, s, 0, set("a", "1", "x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	drained(t, other)
}

func testSlowWatcher(t *testing.T, b Backend) {
	s := open(t, b)
	ch := watch(t, s, 0)
	const commits = 50
	for i := range int64(commits) {
		commit(t, s, i, set("a", "1", "x"))
	}
	for i := range int64(commits) {
		if e := next(t, ch); e.Revision != i+1 {
			t.Fatalf("event of revision %d, want %d", e.Revision, i+1)
		}
	}
}

func testContext(t *testing.T, b Backend) {
	s := open(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(ctx, 0, []store.Write{set("a", "1", "x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit with an ended context: %v", err)
	}
	want(t, s, 0)
}

// testSnapshot loads while others commit: each commit writes the same value to
// all records, so that any mixture shows.
func testSnapshot(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("a", "1", "0"), set("b", "1", "0"), set("c", "1", "0"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range int64(30) {
			v := fmt.Sprint(i)
			if _, err := s.Commit(context.Background(), i+1, []store.Write{set("a", "1", v), set("b", "1", v), set("c", "1", v)}); err != nil {
				t.Errorf("commit: %v", err)
				return
			}
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		var values []string
		if _, err := s.Load(context.Background(), func(r store.Record) error { values = append(values, string(r.Value)); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(slices.Compact(values)) != 1 {
			t.Fatalf("one load saw %q", values)
		}
	}
	wg.Wait()
}
