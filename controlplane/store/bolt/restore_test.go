package bolt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
)

func TestRestore(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "store.db"), filepath.Join(dir, "backup")
	key := store.Key{Kind: "n", ID: "1"}
	value := func(path string) (value string) {
		s := file{path}.Open(t)
		defer s.Close()
		if _, err := s.Load(t.Context(), func(r store.Record) error { value = string(r.Value); return nil }); err != nil {
			t.Fatal(err)
		}
		return value
	}
	s := file{path}.Open(t)
	if _, err := s.Commit(t.Context(), 0, []store.Write{{Key: key, Value: []byte("before")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.(*bolt.Store).Backup(backup); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), 1, []store.Write{{Key: key, Value: []byte("after")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Restore(backup, path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("of a store that is open: %v", err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "damaged"), []byte("no store"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Restore(filepath.Join(dir, "damaged"), path); err == nil || value(path) != "after" {
		t.Errorf("of what is no store: %v, and then it has %q", err, value(path))
	}
	aside, err := bolt.Restore(backup, path)
	if err != nil || value(path) != "before" || value(aside) != "after" || value(backup) != "before" {
		t.Errorf("%q, %v: it has %q", aside, err, value(path))
	}
	// One that is damaged beyond opening, or is not there, is no hindrance.
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(path, []byte("no store"), 0o600) },
		func() error { return os.Remove(path) },
	} {
		os.Remove(aside)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if aside, err = bolt.Restore(backup, path); err != nil || value(path) != "before" {
			t.Errorf("%q, %v: it has %q", aside, err, value(path))
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "restore*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
