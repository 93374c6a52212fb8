package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/config"
	"sluice/controlplane/local"
)

// TestBackupCreate: of a daemon that is stopped the store is copied, and with what is put
// beside it, it goes on in another place.
func TestBackupCreate(t *testing.T) {
	dir, to := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "copy")
	loaded := config.Default()
	loaded.DataDir = dir
	k, err := makeKey(t.Context(), loaded)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tls"), 0o700), os.WriteFile(filepath.Join(dir, "tls", "ca.pem"), []byte("authority"), 0o600)); err != nil {
		t.Fatal(err)
	}
	command := []string{"backup", "create", "--data-dir", dir, "--socket", filepath.Join(dir, "none")}
	out, err := run(t, command...)
	path := strings.TrimSpace(out)
	if err != nil || filepath.Dir(path) != filepath.Join(dir, "backups") {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil { // the next may be of the same second
		t.Fatal(err)
	}
	if out, err = run(t, append(command, "--to", to)...); err != nil || strings.TrimSpace(out) != to {
		t.Fatalf("%v: %s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "backups", "*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v stay in data_dir", left, err)
	}
	if ca, err := os.ReadFile(filepath.Join(to, "ca.pem")); err != nil || string(ca) != "authority" {
		t.Errorf("the authority: %q, %v", ca, err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want mode 0700", info, err)
	}
	if _, err := run(t, append(command, "--to", to)...); err == nil {
		t.Error("a directory that was there was written into")
	}
	// Restored beside its key, it opens.
	other := t.TempDir()
	key, err := os.ReadFile(filepath.Join(to, "seal.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(other, "seal.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "backup", "restore", filepath.Join(to, "store.db"), "--data-dir", other); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := local.Open(t.Context(), other, loaded.Settings.Machine, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if stored, ok := s.Keys.Key(k.ID); !ok || stored.Secret != k.Secret {
		t.Errorf("the access key: %v", ok)
	}
}
