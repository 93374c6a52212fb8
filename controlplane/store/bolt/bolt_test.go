package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/boltfile"
	"sluice/controlplane/store/storetest"
)

type file struct{ path string }

func (f file) Open(t *testing.T) store.Store {
	t.Helper()
	s, err := bolt.Open(f.path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		return file{filepath.Join(t.TempDir(), "store.db")}
	})
}

func TestOpenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := file{path}.Open(t)
	defer s.Close()
	_, err := bolt.Open(path, 10*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), path) {
		t.Fatalf("second open: %v", err)
	}
}

func TestMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	file{path}.Open(t).Close()
	for _, mode := range []os.FileMode{0o600, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		file{path}.Open(t).Close()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %04o, want 0600", info.Mode().Perm())
		}
	}
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a store ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(garbage, time.Second); err == nil || !strings.Contains(err.Error(), garbage) {
		t.Errorf("garbage opened: %v", err)
	}
	if _, err := bolt.Open(filepath.Join(dir, "absent", "store.db"), time.Second); err == nil {
		t.Error("a store in a directory that is not there opened")
	}

	newer := filepath.Join(dir, "newer")
	file{newer}.Open(t).Close()
	db, err := bbolt.Open(newer, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 0, 0, 0, 0, 3})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(newer, time.Second); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("a newer format opened: %v", err)
	}
}

// TestDamage cuts the file off and writes over its pages: whoever opens it gets
// an error that says so, or what was written; never a panic, and never a new,
// empty store.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := file{path}.Open(t)
	const commits, records = 20, 50
	written := make(map[string]string)
	var rev int64
	for c := range commits {
		var writes []store.Write
		for r := range records {
			id := fmt.Sprintf("%d-%d", c, r)
			written[id] = strings.Repeat(id+" ", 20)
			writes = append(writes, store.Write{Key: store.Key{Kind: "n", ID: id}, Value: []byte(written[id])})
		}
		var err error
		if rev, err = s.Commit(t.Context(), rev, writes); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	attempt := func(name string, content []byte, mustFail bool) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := bolt.Open(path, time.Second)
		if err != nil {
			refused++
			if strings.Contains(err.Error(), "in use") {
				t.Fatalf("%s: %v", name, err)
			}
			if !errors.Is(err, boltfile.ErrDamaged) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
			if after, e := os.ReadFile(path); e != nil || !slices.Equal(after, content) {
				t.Errorf("%s: the file was changed", name)
			}
			return
		}
		defer s.Close()
		n := 0
		_, err = s.Load(t.Context(), func(store.Record) error { n++; return nil })
		if mustFail || err == nil && n != len(written) && n != len(written)-records {
			t.Errorf("%s: opened, with %d of %d records (%v)", name, n, len(written), err)
		}
	}
	page := os.Getpagesize()
	attempt("empty", nil, true)
	attempt("something else", []byte(strings.Repeat("not a store ", 1000)), true)
	step, over := page/2, []byte{0, 0xff, 0x5a}
	if testing.Short() {
		step, over = 3*page/2, over[1:2]
	}
	for size := 1; size < len(whole); size += step {
		attempt(fmt.Sprintf("cut off at %d", size), whole[:size], size < 3*page)
	}
	for at := 0; at < len(whole); at += page {
		for _, with := range over {
			content := slices.Clone(whole)
			for i := at; i < min(at+64, len(content)); i++ {
				content[i] = with
			}
			attempt(fmt.Sprintf("page %d written over with %#x", at/page, with), content, false)
		}
	}
	if refused < len(whole)/page {
		t.Errorf("only %d damaged files were refused", refused)
	}
	attempt("whole", whole, false)
}

func TestWatchCompacts(t *testing.T) {
	s := file{filepath.Join(t.TempDir(), "store.db")}.Open(t)
	defer s.Close()
	if _, err := s.Watch(t.Context(), 1); err == nil {
		t.Error("a watch from a revision to come was accepted")
	}
}

// childStore is set for the process that TestKill kills.
const childStore = "SLUICE_TEST_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childStore); path != "" {
		commitForEver(path)
	}
	os.Exit(m.Run())
}

// commitForEver commits, and prints each revision once it is acknowledged.
func commitForEver(path string) {
	s, err := bolt.Open(path, 5*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	rev, err := s.Load(context.Background(), func(store.Record) error { return nil })
	for err == nil {
		id := strconv.FormatInt(rev+1, 10)
		rev, err = s.Commit(context.Background(), rev, []store.Write{{Key: store.Key{Kind: "n", ID: id}, Value: []byte(id)}})
		if err == nil {
			fmt.Println(rev)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKill kills a process in the middle of its commits, several times over the
// same file: what was acknowledged is there, and nothing is there by half.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	var acknowledged int64
	for round := range 5 {
		acknowledged = max(acknowledged, killInside(t, path, 20+7*round))
		s := file{path}.Open(t)
		seen := make(map[string]bool)
		rev, err := s.Load(context.Background(), func(r store.Record) error {
			seen[r.ID] = true
			if string(r.Value) != r.ID || r.ID != strconv.FormatInt(r.Revision, 10) {
				t.Errorf("record %+v", r)
			}
			return nil
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		if rev < acknowledged {
			t.Fatalf("revision %d after a kill, although %d had been acknowledged", rev, acknowledged)
		}
		for i := int64(1); i <= rev; i++ {
			if !seen[strconv.FormatInt(i, 10)] {
				t.Fatalf("record %d of %d is missing", i, rev)
			}
		}
	}
}

// killInside runs a child until it has had so many commits acknowledged, kills
// it, and returns the last revision that it has printed.
func killInside(t *testing.T, path string, commits int) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last int64
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == commits {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		// A line may be cut off by the kill; then it was not acknowledged in full.
		if rev, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil && rev == last+1 || last == 0 && err == nil {
			last = rev
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return last
}
