package planetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"sluice/controlplane/state"
	"sluice/controlplane/store"
)

// follower is another control plane on the same store, which only follows. Whatever
// the services write, it has to find by what the store reports which networks follow.
type follower struct {
	mu    sync.Mutex
	more  *sync.Cond
	at    int64
	told  map[int64][]string // by revision, of those who write
	found map[int64][]string // of the follower's own
	ended chan error
}

// follow has a second control plane follow what db writes.
func follow(t testing.TB, s store.Store, db *state.DB) *follower {
	t.Helper()
	f := &follower{told: map[int64][]string{}, found: map[int64][]string{}, ended: make(chan error, 1)}
	f.more = sync.NewCond(&f.mu)
	other, err := state.Open(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	f.at = other.View().Revision
	db.Listen(func(c state.Commit) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told[c.Revision] = c.Networks
	})
	other.Listen(func(c state.Commit) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.found[c.Revision], f.at = c.Networks, c.Revision
		f.more.Broadcast()
	})
	go func() {
		err := other.Follow(context.Background())
		f.mu.Lock()
		defer f.mu.Unlock()
		f.at = 1 << 62 // it comes no further
		f.more.Broadcast()
		f.ended <- err
	}()
	return f
}

// check waits until everything has been followed up to a revision, and compares. Then
// close, which closes the store, ends it.
func (f *follower) check(t testing.TB, revision int64, close func()) {
	t.Helper()
	f.mu.Lock()
	for f.at < revision {
		f.more.Wait()
	}
	f.mu.Unlock()
	close()
	if err := <-f.ended; err != nil {
		t.Errorf("another control plane on the same store: %v", err)
	}
	for rev, networks := range f.told {
		for _, id := range networks {
			if !slices.Contains(f.found[rev], id) {
				t.Errorf("revision %d: network %s has to follow, and another control plane on the same store sees %v", rev, id, f.found[rev])
			}
		}
	}
}
