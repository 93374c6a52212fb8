package events

import (
	"errors"
	"testing"

	"sluice/controlplane/store"
)

func TestEventsCompact(t *testing.T) {
	const before = 100 // revision at the start
	e := New(before, Kept)
	slow, err := e.Watch(t.Context(), before, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(before + 3*Kept)
	for rev := int64(before + 1); rev <= last; rev++ {
		e.Add(store.Event{Revision: rev})
	}
	if len(e.recent) > 2*Kept+1 {
		t.Errorf("%d events are kept", len(e.recent))
	}
	for _, from := range []int64{0, before, before + 1} {
		if _, err := e.Watch(t.Context(), from, nil); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("watch from %d: %v, want ErrCompacted", from, err)
		}
	}
	if _, err := e.Watch(t.Context(), last+1, nil); err == nil || errors.Is(err, store.ErrCompacted) {
		t.Errorf("watch from a revision to come: %v", err)
	}
	fresh, err := e.Watch(t.Context(), last-Kept+1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-fresh; got.Revision != last-Kept+2 {
		t.Errorf("first event %d, want %d", got.Revision, last-Kept+2)
	}
	// The slow one began before: nothing is missing for it.
	for rev := int64(before + 1); rev <= last; rev++ {
		if got := <-slow; got.Revision != rev {
			t.Fatalf("event %d, want %d", got.Revision, rev)
		}
	}
}
