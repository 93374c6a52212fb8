package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/config"
	"sluice/controlplane/resource"
	"sluice/controlplane/schema"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
)

// What is in the kernel, and gone from the store, is removed if it was deleted, however
// much that is; if it was lost, it is not.
func TestLostNetworks(t *testing.T) {
	c := testConfig(t, t.TempDir())
	written(t, c, "account", "a", `{"id":"a","name":"a"}`)
	path := filepath.Join(c.DataDir, "store.db")
	ids := []string{"vpc-a", "vpc-b", "vpc-c", "vpc-d", "vpc-e", "vpc-f"}
	update := func(fn func(*state.Tx)) {
		t.Helper()
		s, err := bolt.Open(path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		db, err := state.Open(t.Context(), s)
		if err == nil {
			err = db.Update(t.Context(), func(tx *state.Tx) error { fn(tx); return nil })
		}
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	start := func() error {
		d, err := openWith(t.Context(), c, slog.New(slog.DiscardHandler), func(*config.Config, *slog.Logger) (kernel, error) {
			return &fakeKernel{marked: ids}, nil
		})
		if err == nil {
			err = errors.Join(d.admin.Listener.Close(), d.kernel.Close(), d.minutes.Close(), d.applied.Close(), d.store.Close())
		}
		return err
	}
	update(func(tx *state.Tx) {
		for _, id := range ids {
			tx.Put(&resource.VPC{Meta: resource.Meta{ID: id, Account: "a"}, Owner: c.Settings.Machine})
		}
	})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	update(func(tx *state.Tx) {
		tx.Put(&resource.VPC{Meta: resource.Meta{ID: "vpc-new", Account: "a"}, Owner: c.Settings.Machine})
	})
	if err := start(); err != nil {
		t.Fatalf("whole: %v", err)
	}

	// Killed while all are being deleted.
	update(func(tx *state.Tx) {
		for _, id := range ids {
			vpc, _ := tx.VPCs.Get(id)
			tx.Delete(vpc)
		}
	})
	if err := start(); err != nil {
		t.Errorf("after deletions: %v", err)
	}

	// A backup from before one was made.
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, "vpc-new")
	err = start()
	if err == nil || !strings.Contains(err.Error(), "vpc-new") || !strings.Contains(err.Error(), "--allow-removal") || strings.Contains(err.Error(), "\n") {
		t.Errorf("with a network lost: %v", err)
	}
	c.AllowRemoval = true
	if err := start(); err != nil {
		t.Errorf("with --allow-removal: %v", err)
	}
}

// A deletion is remembered until nothing is left of the network, and no longer.
func TestDeletedSweep(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := state.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	put := func(owner string, ids ...string) {
		err := db.Update(t.Context(), func(tx *state.Tx) error {
			for _, id := range ids {
				tx.Put(&resource.VPC{Meta: resource.Meta{ID: id, Account: "a"}, Owner: owner})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("here", "vpc-marked", "vpc-following", "vpc-gone")
	put("there", "vpc-elsewhere")
	err = db.Update(t.Context(), func(tx *state.Tx) error {
		var all []*resource.VPC
		for vpc := range tx.VPCs.All() {
			all = append(all, vpc)
		}
		for _, vpc := range all {
			tx.Delete(vpc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"vpc-marked", "vpc-gone", "vpc-elsewhere"} {
		db.Observed.Forget(id, db.View().Revision)
	}
	sweep := &deletedSweep{db: db, marked: func() ([]string, error) { return []string{"vpc-marked"}, nil }, machine: "here", log: slog.New(slog.DiscardHandler)}
	if err := sweep.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"vpc-marked": true, "vpc-following": true, "vpc-elsewhere": true, "vpc-gone": false} {
		if _, is := db.View().DeletedNetworks.Get(id); is != want {
			t.Errorf("%s is remembered: %v", id, is)
		}
	}
}

// A store with a record that refers to one that is not there, or has what no version
// knows, is not read.
func TestStrangeRecords(t *testing.T) {
	for name, record := range map[string]string{
		"a reference":    `{"id":"vsw-a","account":"a","vpc":"vpc-a","zone":"z","cidr":"10.0.0.0/24"}`,
		"another id":     `{"id":"vsw-b","account":"a","zone":"z","cidr":"10.0.0.0/24"}`,
		"another member": `{"id":"vsw-a","account":"a","zone":"z","cidr":"10.0.0.0/24","colour":"red"}`,
		"two values":     `{"id":"vsw-a"}{"id":"vsw-a"}`,
		"nothing":        `null`,
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t, t.TempDir())
			written(t, c, "vswitch", "vsw-a", record)
			_, err := openWith(t.Context(), c, slog.New(slog.DiscardHandler), nil)
			if err == nil || !strings.Contains(err.Error(), `vswitch "vsw-a"`) || !strings.Contains(err.Error(), "backup") || strings.Contains(err.Error(), "\n") {
				t.Error(err)
			}
		})
	}
}

// written makes a store of today with one record.
func written(t *testing.T, c *config.Config, kind, id, record string) {
	t.Helper()
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(filepath.Join(c.DataDir, "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(t.Context(), 0, []store.Write{
		{Key: store.Key{Kind: store.KindSchema, ID: "version"}, Value: fmt.Append(nil, schema.Version)},
		{Key: store.Key{Kind: kind, ID: id}, Value: []byte(record)},
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}
