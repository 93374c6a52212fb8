package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

// A store that has changed is copied once a day, and the newest copies are kept.
func TestBackups(t *testing.T) {
	dir := t.TempDir()
	s, err := bolt.Open(filepath.Join(dir, "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := state.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	b := &backups{dir: filepath.Join(dir, "backups"), store: s, db: db, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	look := func(want int, newest string) {
		t.Helper()
		if err := b.look(); err != nil {
			t.Fatal(err)
		}
		all, err := backupsIn(b.dir, daily)
		if err != nil || len(all) != want || want > 0 && filepath.Base(all[len(all)-1]) != newest {
			t.Errorf("%v, %v; want %d up to %s", all, err, want, newest)
		}
	}
	change := func() {
		err := db.Update(t.Context(), func(tx *state.Tx) error {
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
		if all, err := backupsIn(b.dir, asked); err != nil || len(all) != min(n, backupsKept) || all[len(all)-1] != path {
			t.Errorf("%v, %v; want %d up to %s", all, err, min(n, backupsKept), path)
		}
	}
	if all, err := backupsIn(b.dir, daily); err != nil || len(all) != backupsKept {
		t.Errorf("%v, %v; want the same %d as before", all, err, backupsKept)
	}
}
