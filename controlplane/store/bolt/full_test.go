package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
)

// TestDiskFull fills the disk: what is acknowledged is there, also after the
// store is opened again, what fails leaves nothing, and when there is room
// again the same store goes on.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	dir := t.TempDir()
	// The thread's own mounts, which end with it: it is not unlocked.
	runtime.LockOSThread()
	if err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"),
	); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "store.db")
	s, err := bolt.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var rev int64
	commit := func() error {
		id := strconv.FormatInt(rev+1, 10)
		next, err := s.Commit(t.Context(), rev, []store.Write{{Key: store.Key{Kind: "n", ID: id}, Value: append(make([]byte, 1000), id...)}})
		if err == nil {
			rev = next
		}
		return err
	}
	check := func(when string) {
		t.Helper()
		n := int64(0)
		got, err := s.Load(t.Context(), func(r store.Record) error { n++; return nil })
		if err != nil || got != rev || n != rev {
			t.Fatalf("%s: revision %d with %d records (%v), %d were acknowledged", when, got, n, err, rev)
		}
	}
	for err = nil; err == nil && rev < 1000; {
		err = commit()
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d commits: %v, not that the disk is full", rev, err)
	}
	for range 3 {
		if err := commit(); err == nil {
			check("a smaller commit found room")
		}
	}
	check("with a full disk")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := commit(); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	}
	check("with room again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = bolt.Open(path, time.Second); err != nil {
		t.Fatal(err)
	}
	check("opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A new store for which there is no room: an error, and nothing left.
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if _, err := bolt.Open(path, time.Second); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a new store without room: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a store that could not be made left %v (%v)", left, err)
	}
}
