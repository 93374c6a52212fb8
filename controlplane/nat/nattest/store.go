package nattest

import (
	"context"

	"sluice/controlplane/store"
)

// Store is a store that fails when it is told to.
type Store struct {
	store.Store
	// Fail, if set, is asked before every commit; its error is the commit's.
	Fail func() error
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, base int64, writes []store.Write) (int64, error) {
	if s.Fail != nil {
		if err := s.Fail(); err != nil {
			return 0, err
		}
	}
	return s.Store.Commit(ctx, base, writes)
}
