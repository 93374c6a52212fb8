package memory

import (
	"context"
	"fmt"
	"sync"

	"github.com/tidwall/btree"

	"sluice/controlplane/store"
	"sluice/controlplane/store/events"
)

// Space is what the stores that are opened on it share.
type Space struct {
	mu       sync.Mutex
	revision int64
	records  *btree.BTreeG[store.Record] // in order of kind and id
	events   *events.Log
}

// New returns an empty space. A watch may begin with any of the newest keep events;
// 0: with any of the newest few thousand.
func New(keep int) *Space {
	if keep == 0 {
		keep = events.Kept
	}
	return &Space{events: events.New(0, keep), records: btree.NewBTreeG(func(a, b store.Record) bool {
		return a.Key.Compare(b.Key) < 0
	})}
}

// Open returns a store that reads and writes the space, beside any others.
func (s *Space) Open() *Store { return &Store{space: s, closed: make(chan struct{})} }

// Store is one writer's access to a space.
type Store struct {
	space   *Space
	closing sync.Once
	closed  chan struct{}
}

var _ store.Store = (*Store)(nil)

// check says why nothing can be done.
func (s *Store) check(ctx context.Context) error {
	select {
	case <-s.closed:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, fn func(store.Record) error) (int64, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	s.space.mu.Lock()
	revision, records := s.space.revision, s.space.records.Copy()
	s.space.mu.Unlock()
	var err error
	records.Scan(func(r store.Record) bool {
		err = fn(r)
		return err == nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the store: %w", err)
	}
	return revision, nil
}

// Commit implements store.Store, but for the crash: with the process all is gone.
func (s *Store) Commit(ctx context.Context, base int64, writes []store.Write) (int64, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	for _, w := range writes {
		if w.Kind == "" || w.ID == "" {
			return 0, fmt.Errorf("write the store: %s %q: a record needs a kind and an id", w.Kind, w.ID)
		}
	}
	p := s.space
	p.mu.Lock()
	defer p.mu.Unlock()
	if base != p.revision {
		return p.revision, store.ErrConflict
	}
	p.revision++
	for _, w := range writes {
		r := store.Record{Key: w.Key, Value: w.Value, Revision: p.revision}
		if w.Value == nil {
			p.records.Delete(r)
		} else {
			p.records.Set(r)
		}
	}
	p.events.Add(store.Event{Revision: p.revision, Writes: writes})
	return p.revision, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, from int64) (<-chan store.Event, error) {
	return s.space.events.Watch(ctx, from, s.closed)
}

// Close implements store.Store. It ends the watches of this store alone.
func (s *Store) Close() error {
	s.closing.Do(func() { close(s.closed) })
	return nil
}
