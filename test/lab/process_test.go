package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
}

// sleeper starts a process that carries the mark of a lab in dir.
func sleeper(t *testing.T, dir string, argv ...string) Process {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{"sleep", "300"}
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	p, err := startDetached(dir, "", filepath.Join(t.TempDir(), "log"), append([]string{path}, argv[1:]...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProcessEnds(t *testing.T) {
	p := sleeper(t, t.TempDir())
	if !p.Alive() {
		t.Fatal("the process does not run")
	}
	if err := p.Stop(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("the process runs after Stop")
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill of a process that has gone: %v", err)
	}
}

func TestStopKillsWhoDoesNotListen(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	p := sleeper(t, dir, "sh", "-c", "trap '' TERM; : >"+ready+"; while :; do sleep 300; done")
	await(t, func() error { _, err := os.Stat(ready); return err })
	if err := p.Stop(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("the process runs after Stop")
	}
	// Its child has the mark and is left.
	for _, q := range mustMarked(t, dir) {
		if err := q.Kill(); err != nil {
			t.Error(err)
		}
	}
}

// TestForeignProcessIsSpared takes the id of a running process with another
// start time, which is what an id that was given away looks like.
func TestForeignProcessIsSpared(t *testing.T) {
	p := sleeper(t, t.TempDir())
	foreign := p
	foreign.Start--
	if foreign.Alive() {
		t.Error("a process with another start time counts as the same")
	}
	if err := foreign.Kill(); err != nil {
		t.Errorf("Kill: %v", err)
	}
	if err := foreign.Stop(time.Second); err != nil {
		t.Errorf("Stop: %v", err)
	}
	other := p
	other.Boot = "of another boot"
	if err := other.Kill(); err != nil {
		t.Errorf("Kill: %v", err)
	}
	if !p.Alive() {
		t.Error("the foreign process was ended")
	}
}

func TestIdentifyReadsNamesWithParentheses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a) S 1 (b")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	p := sleeper(t, dir, path, "300")
	await(t, func() error {
		comm, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/comm")
		if err == nil && !strings.Contains(string(comm), "(b") {
			err = errors.New("it is not running yet")
		}
		return err
	})
	again, err := identify(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	if again != p {
		t.Errorf("identity is %+v, was %+v", again, p)
	}
}

func TestMarkedFindsALabsProcessesOnly(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	mine := sleeper(t, dir)
	sleeper(t, other)
	sleeper(t, dir+"2")
	found := mustMarked(t, dir)
	if len(found) != 1 || found[0] != mine {
		t.Errorf("found %+v, want %+v", found, mine)
	}
}

func mustMarked(t *testing.T, dir string) []Process {
	t.Helper()
	found, err := marked(dir)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestMarkedSparesTheCaller runs Down's search in a process that has the mark,
// as after: sluicectl lab exec web -- sh, and in it: sluicectl lab down.
func TestMarkedSparesTheCaller(t *testing.T) {
	if dir := os.Getenv("LAB_TEST_SPARE"); dir != "" {
		found, err := marked(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 0 {
			t.Errorf("found itself or its parent: %+v", found)
		}
		return
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A shell in between, which has the mark too.
	cmd := exec.Command("sh", "-c", `"$0" -test.run '^TestMarkedSparesTheCaller$' -test.v; exit $?`, self)
	cmd.Env = append(os.Environ(), markVariable+"="+dir, "LAB_TEST_SPARE="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestStartDetachedIsASessionOfItsOwn(t *testing.T) {
	p := sleeper(t, t.TempDir())
	pgid, err := syscall.Getpgid(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	if pgid != p.PID {
		t.Errorf("process group %d, want its own, %d", pgid, p.PID)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	broken := errors.New("not there")
	calls := 0
	err := Await(ctx, "wait for it", func() error {
		if calls++; calls == 3 {
			cancel(cause)
		}
		return broken
	})
	if !errors.Is(err, cause) || !errors.Is(err, broken) {
		t.Errorf("error is %v, want the last one and the cause", err)
	}
	if calls != 3 {
		t.Errorf("called %d times", calls)
	}
}

// await waits a while for something that takes time.
func await(t *testing.T, probe func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Await(ctx, "wait", probe); err != nil {
		t.Fatal(err)
	}
}
