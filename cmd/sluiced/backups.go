package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

// How often a store that has changed is copied, how many of the copies are kept, and how
// long after a start it is first looked at: then the disk has other work.
const (
	backupEvery = 24 * time.Hour
	backupsKept = 7
	backupFirst = 5 * time.Minute
)

// backupStamp is the end of a backup's name, by which the names are in order of time.
const backupStamp = "20060102T150405Z"

// backups copies the store from time to time, for "sluicectl backup restore".
type backups struct {
	dir   string // store.db.<time> in it
	store *bolt.Store
	db    *state.DB
	log   *slog.Logger
	now   func() time.Time
	every time.Duration // between looks at whether a copy is due

	copied int64 // revision of the newest copy that this process has made
}

// String names the task.
func (*backups) String() string { return "backups" }

// Run copies until ctx ends. What fails is tried again at the next look.
func (b *backups) Run(ctx context.Context) error {
	t := time.NewTimer(backupFirst)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := b.look(); err != nil {
			b.log.Warn("the store cannot be backed up", "dir", b.dir, "error", err)
		}
		t.Reset(b.every)
	}
}

// look makes a copy if one is due, and removes the oldest.
func (b *backups) look() error {
	revision := b.db.View().Revision
	if revision == b.copied || revision <= 1 { // nothing new, or nothing but the schema
		return nil
	}
	all, err := backupsIn(b.dir)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		last, err := time.Parse(backupStamp, filepath.Base(all[len(all)-1])[len("store.db."):])
		if err == nil && b.now().Sub(last) < backupEvery && !last.After(b.now()) {
			return nil
		}
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(b.dir, "store.db."+b.now().UTC().Format(backupStamp))
	if err := b.store.Backup(path); err != nil {
		return err
	}
	b.copied = revision
	b.log.Info("the store was backed up", "path", path, "revision", revision)
	for _, old := range all[:max(0, len(all)+1-backupsKept)] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
	}
	return nil
}

// backupsIn returns the backups in a directory, the oldest first.
func backupsIn(dir string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "store.db.????????T??????Z"))
	slices.Sort(all)
	return all, err
}
