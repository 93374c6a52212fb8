package main

import (
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

// newBackups returns those of a new store, by the clock now.
func newBackups(t *testing.T, now *time.Time) *backups {
	t.Helper()
	dir := t.TempDir()
	s, err := bolt.Open(filepath.Join(dir, "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	db, err := state.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return &backups{dir: filepath.Join(dir, "backups"), store: s, db: db, log: slog.New(slog.DiscardHandler), now: func() time.Time { return *now }}
}

// A store that has changed is copied once a day, and the newest copies are kept.
func TestBackups(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	b := newBackups(t, &now)
	look := func(want int, newest string) {
		t.Helper()
		if err := b.look(); err != nil {
			t.Fatal(err)
		}
		all, err := backupsIn(b.dir, daily, now)
		if err != nil || len(all) != want || want > 0 && filepath.Base(all[len(all)-1]) != newest {
			t.Errorf("%v, %v; want %d up to %s", all, err, want, newest)
		}
	}
	change := func() {
		err := b.db.Update(t.Context(), func(tx *state.Tx) error {
			tx.Put(&resource.CustomerGateway{Meta: resource.Meta{ID: tx.NewID(func() string { return time.Now().String() }), Account: "a"}})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	look(0, "")
	change()
	change()
	look(1, "store.db.20261129T000000Z")
	change()
	now = now.Add(time.Hour)
	look(1, "store.db.20261129T000000Z")
	now = now.Add(backupEvery)
	look(2, "store.db.20261130T010000Z")
	now = now.Add(backupEvery)
	look(2, "store.db.20261130T010000Z") // nothing has changed
	for n := 3; n < 2*backupsKept; n++ {
		change()
		now = now.Add(backupEvery)
		look(min(n, backupsKept), "store.db."+now.Format(backupStamp))
	}
	// Those that somebody asks for are counted by themselves, and are made whether anything
	// has changed or not, also twice within a second.
	for n := 1; n < 2*backupsKept; n++ {
		path, err := b.Backup()
		if err != nil {
			t.Fatal(err)
		}
		copied, err := bolt.Open(path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
		if all, err := backupsIn(b.dir, asked, now); err != nil || len(all) != min(n, backupsKept) || all[len(all)-1] != path {
			t.Errorf("%v, %v; want %d up to %s", all, err, min(n, backupsKept), path)
		}
	}
	if all, err := backupsIn(b.dir, daily, now); err != nil || len(all) != backupsKept {
		t.Errorf("%v, %v; want the same %d as before", all, err, backupsKept)
	}
}

// A clock that was ahead or behind for a while costs a copy each time that one is made
// then, and nothing afterwards: one a day is made, and the newest are kept.
func TestBackupsWhileTheClockIsWrong(t *testing.T) {
	for name, wrong := range map[string]time.Time{
		"ahead":  time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
		"behind": time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
			b := newBackups(t, &now)
			// hours looks each hour at a store that has changed, and returns the copies.
			hours := func(n int) []string {
				t.Helper()
				for range n {
					err := b.db.Update(t.Context(), func(tx *state.Tx) error {
						tx.Put(&resource.CustomerGateway{Meta: resource.Meta{ID: tx.NewID(func() string { return now.String() }), Account: "a"}})
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
					if err := b.look(); err != nil {
						t.Fatal(err)
					}
					now = now.Add(time.Hour)
				}
				all, err := backupsIn(b.dir, daily, now)
				if err != nil || len(all) > backupsKept {
					t.Fatalf("%v, %v", all, err)
				}
				return all
			}
			before := hours(10 * 24)
			right := now
			now = wrong
			during := hours(10)
			if len(during) != backupsKept || !slices.Equal(during[:backupsKept-1], before[1:]) {
				t.Errorf("within ten hours of a wrong clock %v have become %v", before, during)
			}
			now = right.Add(10 * time.Hour)
			after := hours(10 * 24)
			first := now.Add(-backupsKept * backupEvery)
			for i, path := range after {
				at, err := time.Parse(daily+backupStamp, filepath.Base(path))
				if err != nil || at.Before(first) || at.After(now) || i > 0 && at.Sub(first) < backupEvery {
					t.Errorf("%s, after %v: %v; all are %v", path, first, err, after)
				}
				first = at
			}
			if len(after) != backupsKept {
				t.Errorf("%v", after)
			}
		})
	}
}
