package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
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

// How the names of copies begin: of those that are due, and of those that somebody has
// asked for.
const (
	daily = "store.db."
	asked = "store.db.asked."
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

	mu     sync.Mutex // only one copy is made at a time
	copied int64      // revision of the newest copy that this process has made
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
	b.mu.Lock()
	defer b.mu.Unlock()
	revision := b.db.View().Revision
	if revision == b.copied || revision <= 1 { // nothing new, or nothing but the schema
		return nil
	}
	all, err := backupsIn(b.dir, daily, b.now())
	if err != nil {
		return err
	}
	if len(all) > 0 {
		last, err := time.Parse(backupStamp, filepath.Base(all[len(all)-1])[len(daily):])
		if err == nil && b.now().Sub(last) < backupEvery && !last.After(b.now()) {
			return nil
		}
	}
	_, err = b.make(daily)
	return err
}

// Backup makes a copy of the store as it is now, and removes the oldest of those that
// were asked for. It implements admin.Backups.
func (b *backups) Backup() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.make(asked)
}

// make makes a copy whose name begins with prefix, removes the oldest of those, and
// returns its path.
func (b *backups) make(prefix string) (string, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return "", err
	}
	at := b.now().UTC()
	all, err := backupsIn(b.dir, prefix, at)
	if err != nil {
		return "", err
	}
	if len(all) > 0 {
		// Names are in the order of the copies, also within a second.
		last, err := time.Parse(backupStamp, filepath.Base(all[len(all)-1])[len(prefix):])
		if next := last.Add(time.Second); err == nil && at.Before(next) && at.After(last.Add(-time.Minute)) {
			at = next
		}
	}
	revision, path := b.db.View().Revision, filepath.Join(b.dir, prefix+at.Format(backupStamp))
	if err := b.store.Backup(path); err != nil {
		return "", err
	}
	b.copied = revision
	b.log.Info("the store was backed up", "path", path, "revision", revision)
	for _, old := range all[:max(0, len(all)+1-backupsKept)] {
		if err := os.Remove(old); err != nil {
			return "", fmt.Errorf("remove an old backup: %w", err)
		}
	}
	return path, nil
}

// backupsIn returns the backups in a directory whose names begin with prefix, the oldest
// first. One with a time that is a minute ahead or more was made before all others: with
// a clock that was ahead then, or is behind now.
func backupsIn(dir, prefix string, now time.Time) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, prefix+"????????T??????Z"))
	slices.Sort(all)
	ahead, _ := slices.BinarySearch(all, filepath.Join(dir, prefix+now.Add(time.Minute).UTC().Format(backupStamp)))
	return slices.Concat(all[ahead:], all[:ahead]), err
}
