// Package local opens the store of this machine with all that has to be true before
// anybody works with it: its records are those of this version, nothing in it refers to
// what is not there, and its secrets open.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/schema"
	"sluice/controlplane/seal"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

// File is the name of the store's file, in the data directory.
const File = "store.db"

// patience is for another process that is just letting go of the store.
const patience = 2 * time.Second

// Store is an open store.
type Store struct {
	File   *bolt.Store
	DB     *state.DB
	Sealer *seal.Sealer
	Keys   *identity.Service
}

// Open opens the store in a data directory, which is there, or makes it. One of an older
// version is copied, and brought to this one. machine is the name of this machine. Another
// process that has the store open, and keeps it, is an error.
func Open(ctx context.Context, dataDir, machine string, log *slog.Logger) (_ *Store, err error) {
	// The lock on the store is what keeps a second process out: it is taken
	// before anything else is touched.
	s, err := bolt.Open(filepath.Join(dataDir, File), patience)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	backup := func(old int) (string, error) {
		path := filepath.Join(dataDir, fmt.Sprintf("store.db.schema-%d.%s", old, time.Now().UTC().Format("20060102T150405Z")))
		return path, s.Backup(path)
	}
	if err := schema.Upgrade(ctx, s, machine, backup, log); err != nil {
		return nil, err
	}
	db, err := state.Open(ctx, s)
	if err == nil {
		err = db.View().Check()
	}
	if err != nil {
		return nil, fmt.Errorf("store in data_dir %s: %w; it was changed by something else than this version of Sluice: restore it from a backup (sluicectl backup list, sluicectl backup restore FILE)", dataDir, err)
	}
	sealer, err := seal.Open(dataDir, !db.View().HoldsSecrets(), rand.Reader)
	if err != nil {
		return nil, err
	}
	keys, err := identity.Open(db, sealer, rand.Reader, time.Now)
	if err != nil {
		return nil, err
	}
	return &Store{s, db, sealer, keys}, nil
}

// Close lets go of the store.
func (s *Store) Close() error { return s.File.Close() }
