package bolt

import (
	"errors"
	"testing"

	"sluice/controlplane/store"
)

func TestEventsCompact(t *testing.T) {
	const before = 100 // revision at the start
	e := newEvents(before)
	slow, err := e.watch(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(before + 3*kept)
	for rev := int64(before + 1); rev <= last; rev++ {
		e.add(store.Event{Revision: rev})
	}
	if len(e.recent) > 2*kept+1 {
		t.Errorf("%d events are kept", len(e.recent))
	}
	for _, from := range []int64{0, before, before + 1} {
		if _, err := e.watch(t.Context(), from); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("watch from %d: %v, want ErrCompacted", from, err)
		}
	}
	if _, err := e.watch(t.Context(), last+1); err == nil || errors.Is(err, store.ErrCompacted) {
		t.Errorf("watch from a revision to come: %v", err)
	}
	fresh, err := e.watch(t.Context(), last-kept+1)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-fresh; got.Revision != last-kept+2 {
		t.Errorf("first event %d, want %d", got.Revision, last-kept+2)
	}
	// The slow one began before: nothing is missing for it.
	for rev := int64(before + 1); rev <= last; rev++ {
		if got := <-slow; got.Revision != rev {
			t.Fatalf("event %d, want %d", got.Revision, rev)
		}
	}
}
