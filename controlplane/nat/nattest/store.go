package nattest

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"sluice/controlplane/store"
)

// Store is a store.Store in memory. The zero value is ready for use.
type Store struct {
	// Fail, if set, is asked before every commit; its error is the commit's.
	Fail func() error

	mu       sync.Mutex
	revision int64
	records  map[store.Key]store.Record
}

// Load implements store.Store.
func (s *Store) Load(_ context.Context, fn func(store.Record) error) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []store.Record
	for _, r := range s.records {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b store.Record) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	for _, r := range all {
		if err := fn(r); err != nil {
			return 0, err
		}
	}
	return s.revision, nil
}

// Commit implements store.Store.
func (s *Store) Commit(_ context.Context, base int64, writes []store.Write) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		if err := s.Fail(); err != nil {
			return 0, err
		}
	}
	if base != s.revision {
		return 0, store.ErrConflict
	}
	if s.records == nil {
		s.records = make(map[store.Key]store.Record)
	}
	s.revision++
	for _, w := range writes {
		if w.Value == nil {
			delete(s.records, w.Key)
			continue
		}
		s.records[w.Key] = store.Record{Key: w.Key, Value: w.Value, Revision: s.revision}
	}
	return s.revision, nil
}

// Watch implements store.Store; nothing is delivered, since nobody else writes.
func (s *Store) Watch(ctx context.Context, _ int64) (<-chan store.Event, error) {
	events := make(chan store.Event)
	context.AfterFunc(ctx, func() { close(events) })
	return events, nil
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }
