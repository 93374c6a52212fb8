package engine

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/dataplane/internal/nstest"
)

// TestForeignMarks puts into the directory of marks what is none. It is neither read
// nor removed, nor taken for a network.
func TestForeignMarks(t *testing.T) {
	t.Parallel()
	nstest.New(t) // skips without root
	run := t.TempDir()
	marks := filepath.Join(run, marksDir)
	precious := filepath.Join(t.TempDir(), "vpc-precious")
	for _, err := range []error{
		os.Mkdir(marks, 0o755),
		os.WriteFile(precious, []byte("of somebody"), 0o644),
		os.WriteFile(filepath.Join(marks, "vpc-a"), nil, 0o644),
		os.WriteFile(filepath.Join(marks, "a name, too long for a link"), nil, 0o644),
		os.WriteFile(filepath.Join(marks, ".hidden"), nil, 0o644),
		os.Mkdir(filepath.Join(marks, "vpc-dir"), 0o755),
		os.Symlink(precious, filepath.Join(marks, "vpc-link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	e, err := New(Config{RunDir: run, Logger: slog.New(slog.NewTextHandler(&log, nil)), WithoutSessions: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 2 {
		if got, err := e.Networks(); err != nil || !slices.Equal(got, []string{"vpc-a"}) {
			t.Errorf("networks: %v, %v", got, err)
		}
	}
	if n := strings.Count(log.String(), "passed over what is no mark"); n != 4 {
		t.Errorf("four names were told of %d times:\n%s", n, &log)
	}
	if _, err := e.marked("vpc-link"); err == nil {
		t.Error("a mark is read by way of a link that leads out of the directory")
	}
	for _, name := range []string{"vpc-link", "vpc-dir"} {
		if err := e.unmark(name); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s is removed: %v", name, err)
		}
	}
	if _, err := e.marked("../../" + filepath.Base(filepath.Dir(precious)) + "/vpc-precious"); err == nil {
		t.Error("a mark is read outside the directory")
	}
	if _, err := fs.Stat(os.DirFS(filepath.Dir(precious)), "vpc-precious"); err != nil {
		t.Error(err)
	}
}

// TestMarksByLink shows that the directory of marks is not one by way of a link.
func TestMarksByLink(t *testing.T) {
	t.Parallel()
	nstest.New(t) // skips without root
	run, elsewhere := t.TempDir(), t.TempDir()
	inside := filepath.Join(run, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{elsewhere, inside, "inside"} {
		link := filepath.Join(run, marksDir)
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if e, err := New(Config{RunDir: run, WithoutSessions: true}); err == nil {
			t.Errorf("marks are kept in %s", to)
			e.Close()
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
}
