package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/controlplane/store"
)

// beside returns a second writer's access to what s keeps: one of its own where the
// backend has that, s itself where a single process has the store open.
func beside(t *testing.T, b Backend, s store.Store) store.Store {
	t.Helper()
	second, ok := b.(interface {
		Beside(t *testing.T) store.Store
	})
	if !ok {
		return s
	}
	other := second.Beside(t)
	t.Cleanup(func() { other.Close() })
	return other
}

// history is what a store has to hold at each revision, in the simplest way.
type history struct {
	at []map[store.Key]store.Record // by revision
}

func newHistory() *history { return &history{at: []map[store.Key]store.Record{{}}} }

func (h *history) head() int64 { return int64(len(h.at) - 1) }

// add takes in the next commit.
func (h *history) add(writes []store.Write) {
	next := maps.Clone(h.at[h.head()])
	for _, w := range writes {
		if w.Value == nil {
			delete(next, w.Key)
		} else {
			next[w.Key] = store.Record{Key: w.Key, Value: w.Value, Revision: int64(len(h.at))}
		}
	}
	h.at = append(h.at, next)
}

// check compares what was loaded with the content at a revision.
func (h *history) check(t *testing.T, rev int64, loaded string) {
	t.Helper()
	if rev < 0 || rev > h.head() {
		t.Fatalf("revision %d of %d", rev, h.head())
	}
	var lines []string
	for _, k := range slices.SortedFunc(maps.Keys(h.at[rev]), func(a, b store.Key) int {
		return strings.Compare(a.Kind+"\x00"+a.ID, b.Kind+"\x00"+b.ID)
	}) {
		r := h.at[rev][k]
		lines = append(lines, fmt.Sprintf("%s %s=%s@%d", r.Kind, r.ID, r.Value, r.Revision))
	}
	if want := strings.Join(lines, "\n"); loaded != want {
		t.Fatalf("revision %d:\n%s\nwant\n%s", rev, loaded, want)
	}
}

// writes makes some random writes, among a few records, so that the same are written,
// deleted and made again all the time.
func (h *history) writes(r *rand.Rand) []store.Write {
	var w []store.Write
	seen := map[string]bool{}
	for range 1 + r.IntN(4) {
		kind, id := fmt.Sprint("k", r.IntN(2)), fmt.Sprint(r.IntN(4))
		switch {
		case seen[kind+id]:
		case r.IntN(3) == 0:
			w = append(w, unset(kind, id))
		default:
			w = append(w, set(kind, id, fmt.Sprint(r.IntN(1000))))
		}
		seen[kind+id] = true
	}
	return w
}

// recreate deletes a record, if there is one, and makes it again as it was, in two
// commits: only its revision shows that it is another.
func (h *history) recreate(r *rand.Rand) [][]store.Write {
	for _, k := range slices.SortedFunc(maps.Keys(h.at[h.head()]), func(a, b store.Key) int { return strings.Compare(a.Kind+a.ID, b.Kind+b.ID) }) {
		if r.IntN(2) == 0 {
			return [][]store.Write{{unset(k.Kind, k.ID)}, {{Key: k, Value: h.at[h.head()][k].Value}}}
		}
	}
	return nil
}

// testHostile lets a second writer commit between any two steps: single writes, a
// record that was read deleted and made again, bursts. Whatever it does, a commit on a
// revision that is not the newest changes nothing and says how far the store is, a
// load is that of one revision, and a watch misses nothing.
func testHostile(t *testing.T, b Backend) {
	r := rand.New(rand.NewPCG(1, 5))
	s := open(t, b)
	other := beside(t, b, s)
	h := newHistory()
	rival := &Rival{Store: s, Act: func(string) {
		acts := [][]store.Write{}
		switch r.IntN(6) {
		case 0:
			acts = append(acts, h.writes(r))
		case 1:
			acts = h.recreate(r)
		case 2:
			if r.IntN(4) == 0 {
				for range 20 {
					acts = append(acts, h.writes(r))
				}
			}
		}
		for _, w := range acts {
			commit(t, other, h.head(), w...)
			h.add(w)
		}
	}}
	won, lost, compacted := 0, 0, 0
	for range 80 {
		base := h.head() // what we have seen
		w := h.writes(r)
		rev, err := rival.Store.Commit(t.Context(), base-1, w)
		if !errors.Is(err, store.ErrConflict) || rev != base {
			t.Fatalf("a commit on %d of %d: %d, %v", base-1, base, rev, err)
		}
		var before int64 // what the store was at when the commit reached it
		act := rival.Act
		rival.Act = func(step string) {
			if step == "before Commit" {
				act(step)
				before = h.head()
				return
			}
			if before == base {
				h.add(w)
				before = -1 // once
			}
			act(step)
		}
		rev, err = rival.Commit(t.Context(), base, w)
		rival.Act = act
		switch {
		case before == -1 && (err != nil || rev != base+1):
			t.Fatalf("a commit on the newest revision, %d: %d, %v", base, rev, err)
		case before == -1:
			won++
		case !errors.Is(err, store.ErrConflict) || rev != before:
			t.Fatalf("a commit on %d of %d: %d, %v", base, before, rev, err)
		default:
			lost++
		}
		text, rev := content(t, rival)
		h.check(t, rev, text)
		from := r.Int64N(h.head() + 1)
		switch ch, err := rival.Watch(t.Context(), from); {
		case errors.Is(err, store.ErrCompacted):
			compacted++
			if text, rev := content(t, s); rev != h.head() {
				t.Fatalf("revision %d of %d", rev, h.head())
			} else {
				h.check(t, rev, text)
			}
		case err != nil:
			t.Fatal(err)
		default:
			seen := &history{at: []map[store.Key]store.Record{}}
			seen.at = append(seen.at, h.at[:from+1]...)
			for until := h.head(); seen.head() < until; {
				e := next(t, ch)
				if e.Revision != seen.head()+1 {
					t.Fatalf("event %d after %d", e.Revision, seen.head())
				}
				seen.add(e.Writes)
				if !maps.EqualFunc(seen.at[e.Revision], h.at[e.Revision], func(a, b store.Record) bool {
					return a.Revision == b.Revision && string(a.Value) == string(b.Value)
				}) {
					t.Fatalf("event %d: %v, want %v", e.Revision, seen.at[e.Revision], h.at[e.Revision])
				}
			}
		}
	}
	t.Logf("%d commits, %d conflicts, %d compacted watches, %d revisions", won, lost, compacted, h.head())
	if won == 0 || lost == 0 {
		t.Errorf("%d commits, %d conflicts", won, lost)
	}
}

// testWriters lets several write, load and watch at the same time. A watch from the
// beginning says what the store was at each revision: every load has to be that of
// its revision, and every commit has to be at the revision that it was told.
func testWriters(t *testing.T, b Backend) {
	type load struct {
		rev  int64
		text string
	}
	var (
		mu    sync.Mutex
		loads []load
		made  = map[int64]string{}
		wg    sync.WaitGroup
	)
	s := open(t, b)
	ch := watch(t, s, 0)
	const writers, commits = 3, 25
	for w := range writers {
		mine := s
		if w > 0 {
			mine = beside(t, b, s)
		}
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 6))
			h := newHistory()
			base := int64(0)
			for n := 0; n < commits; {
				writes := append(h.writes(r), set("by", fmt.Sprint("w", w), fmt.Sprint(n)))
				rev, err := mine.Commit(t.Context(), base, writes)
				if base = rev; errors.Is(err, store.ErrConflict) {
					if r.IntN(4) == 0 {
						text, rev := content(t, mine)
						mu.Lock()
						loads = append(loads, load{rev, text})
						mu.Unlock()
					}
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made[rev] = fmt.Sprint(writes)
				mu.Unlock()
				n++
			}
		})
	}
	wg.Wait()
	h := newHistory()
	for h.head() < writers*commits {
		e := next(t, ch)
		if e.Revision != h.head()+1 || fmt.Sprint(e.Writes) != made[e.Revision] {
			t.Fatalf("event %d of %v, want %d of %s", e.Revision, e.Writes, h.head()+1, made[e.Revision])
		}
		h.add(e.Writes)
	}
	for _, l := range loads {
		h.check(t, l.rev, l.text)
	}
	text, rev := content(t, s)
	h.check(t, rev, text)
}

// testClosed asks a store that has been closed.
func testClosed(t *testing.T, b Backend) {
	s := open(t, b)
	commit(t, s, 0, set("a", "1", "x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), func(store.Record) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Commit(t.Context(), 1, []store.Write{set("a", "1", "y")}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Watch(t.Context(), 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("watch: %v", err)
	}
	want(t, open(t, b), 1, "a 1=x@1")
}
