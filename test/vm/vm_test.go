package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// module is where the module is, seen from this package.
const module = "../.."

// TestDebian12 runs what has to work on the oldest kernel that Sluice supports,
// in one machine.
func TestDebian12(t *testing.T) {
	requireMachine(t)
	bin := t.TempDir()
	build(t, bin)
	// The same flags as those of go build ./..., which has compiled most of it.
	goCommand(t, nil, "build", "-o", bin+"/", "sluice/cmd/sluiced", "sluice/cmd/sluicectl")
	args := []string{"test", "-c", "-vet=off", "-o", bin + "/"}
	for _, s := range suites {
		args = append(args, "sluice/"+s.pkg)
	}
	goCommand(t, nil, args...)

	ctx, cancel := context.WithTimeoutCause(t.Context(), 24*time.Minute, errors.New("the tests were not done in time"))
	defer cancel()
	// With two processors on a busy machine, one waits for the other most of the
	// time, and everything takes two to four times as long.
	m, err := boot(ctx, options{init: filepath.Join(bin, "vm"), cpus: 1, memory: 2048})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if !strings.HasPrefix(m.version, "6.1.") {
		t.Fatalf("the machine runs Linux %s, not 6.1", m.version)
	}
	env := append(os.Environ(), "E2E_PROGRAMS="+bin)

	t.Run("command", func(t *testing.T) { testCommand(t, m) })
	t.Run("doctor", func(t *testing.T) {
		var out, errs bytes.Buffer
		code, err := m.run(command{Argv: []string{filepath.Join(bin, "sluicectl"), "doctor"}, Dir: "/", Env: env}, &out, &errs)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s%s", &out, &errs)
		if code != 0 || !strings.Contains(out.String(), "This machine can be a gateway.") {
			t.Errorf("exit status %d", code)
		}
		// What Debian builds as modules is there only if they can be loaded.
		for _, feature := range []string{"VLAN", "VXLAN", "macvlan", "nftables flowtables", "TUN", "ESP", "XFRM interfaces"} {
			if !regexp.MustCompile(`(?m)^` + feature + ` +yes `).MatchString(out.String()) {
				t.Errorf("%s is not there", feature)
			}
		}
		if !regexp.MustCompile(`(?m)^tcx +no `).MatchString(out.String()) {
			t.Error("tcx is there, which Linux 6.1 does not have: is this another kernel?")
		}
	})
	for _, s := range suites {
		t.Run(strings.ReplaceAll(s.pkg, "/", "."), func(t *testing.T) { s.test(t, m, bin, env) })
	}
	t.Run("panic", func(t *testing.T) { testPanic(t, m) })
}

// test runs the suite.
func (s suite) test(t *testing.T, m *machine, bin string, env []string) {
	dir, err := filepath.Abs(filepath.Join(module, s.pkg))
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{filepath.Join(bin, filepath.Base(s.pkg)+".test"), "-test.v", "-test.timeout=20m", "-test.run=" + s.run}
	var out bytes.Buffer
	code, err := m.run(command{Argv: argv, Dir: dir, Env: env}, &out, &out)
	t.Logf("%s", &out)
	switch {
	case err != nil:
		t.Fatal(err)
	case code != 0:
		t.Errorf("exit status %d; what has failed has said:\n%s", code, failures(out.String()))
	case !regexp.MustCompile(`(?m)^--- PASS`).Match(out.Bytes()):
		t.Error("no test has run")
	}
}

// failures returns of a verbose output what tests have said that failed. The whole is long,
// and who runs the tests may keep its end only.
func failures(output string) string {
	const most = 40 // lines of a test: its last
	ran := regexp.MustCompile(`^=== (?:RUN|NAME|CONT) +(\S+)`)
	ended := regexp.MustCompile(`^(?:=== PAUSE| *--- (\S+):) +(\S+)`)
	said, name := map[string][]string{}, ""
	var out []string
	for line := range strings.Lines(output) {
		if m := ran.FindStringSubmatch(line); m != nil {
			name = m[1]
		} else if m := ended.FindStringSubmatch(line); m != nil {
			if lines := said[m[2]]; m[1] == "FAIL" {
				out = append(append(out, line), lines[max(0, len(lines)-most):]...)
			}
		} else {
			said[name] = append(said[name], line)
		}
	}
	return strings.Join(out, "")
}

func TestFailures(t *testing.T) {
	const output = "=== RUN   TestA\n    a_test.go:1: good\n=== RUN   TestB\n=== PAUSE TestB\n=== RUN   TestC\n" +
		"=== CONT  TestB\n    b_test.go:7: bad\nlog\n--- PASS: TestA (0.1s)\n=== NAME  TestC\n    c_test.go:1: fine\n" +
		"--- FAIL: TestB (0.2s)\n    --- FAIL: TestB/x (0.1s)\nFAIL\n"
	const want = "--- FAIL: TestB (0.2s)\n    b_test.go:7: bad\nlog\n    --- FAIL: TestB/x (0.1s)\n"
	if got := failures(output); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// testCommand checks that a command is run as if it were here.
func testCommand(t *testing.T, m *machine) {
	sh := func(script string) command {
		return command{Argv: []string{"sh", "-c", script}, Dir: t.TempDir(), Env: []string{"WORD=a b", "PATH=" + os.Getenv("PATH")}}
	}
	for _, c := range []struct {
		script         string
		code           int
		stdout, stderr string
	}{
		{`echo "$WORD"; echo wrong >&2; exit 3`, 3, "a b\n", "wrong\n"},
		{`kill -KILL $$`, 128 + 9, "", ""},
		{`echo kept >file; cat file; echo "<3>printed by the kernel" >/dev/kmsg`, 0, "kept\n", ""},
		// Somebody who lives on and holds the output open is no reason to wait.
		{`sleep 1000 & echo done`, 0, "done\n", ""},
	} {
		var stdout, stderr strings.Builder
		request := sh(c.script)
		code, err := m.run(request, &stdout, &stderr)
		if err != nil {
			t.Fatalf("%s: %v", c.script, err)
		}
		if code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%s: exit status %d, output %q and %q, want %d, %q and %q",
				c.script, code, &stdout, &stderr, c.code, c.stdout, c.stderr)
		}
		if left, err := os.ReadDir(request.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left outside: %v (%v)", c.script, left, err)
		}
	}
	var out bytes.Buffer
	if code, err := m.run(sh(`head -c 3000000 /dev/zero`), &out, io.Discard); err != nil || code != 0 || out.Len() != 3000000 {
		t.Errorf("%d bytes of output, exit status %d (%v)", out.Len(), code, err)
	}
	if _, err := m.run(command{Argv: []string{"no-such-program"}, Dir: "/"}, io.Discard, io.Discard); err == nil {
		t.Error("a program that is not there was run")
	}
}

// testPanic ends the machine, so it is the last.
func testPanic(t *testing.T, m *machine) {
	_, err := m.run(command{Argv: []string{"sh", "-c", "echo c >/proc/sysrq-trigger"}, Dir: "/"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "the virtual machine has ended") || !strings.Contains(err.Error(), "sysrq triggered crash") {
		t.Errorf("a panic of the kernel was reported as: %v", err)
	}
}

// TestEnd ends the program while the machine starts, which must leave no QEMU.
func TestEnd(t *testing.T) {
	requireMachine(t)
	bin := t.TempDir()
	build(t, bin)
	for _, c := range []struct {
		name    string
		timeout string
		signal  syscall.Signal
		says    string
	}{
		{"interrupted", "1m", syscall.SIGINT, "interrupt"},
		{"terminated", "1m", syscall.SIGTERM, "terminated"},
		{"killed", "1m", syscall.SIGKILL, ""},
		{"out of time", "2s", 0, "not done after 2s"}, // whether QEMU is there by then or not
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := "SLUICE_VM_TEST=" + rand.Text()
			var errs bytes.Buffer
			cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "vm"), "-timeout", c.timeout, "sleep", "1000")
			cmd.Env = append(os.Environ(), mark)
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if c.signal != 0 {
				eventually(t, "QEMU did not start", func() bool { return len(marked(t, mark)) == 2 })
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			err := cmd.Wait()
			if c.signal != syscall.SIGKILL && cmd.ProcessState.ExitCode() != exitFailure {
				t.Errorf("%v, want exit status %d", err, exitFailure)
			}
			if !strings.Contains(errs.String(), c.says) {
				t.Errorf("said %q, and nothing of %q", &errs, c.says)
			}
			eventually(t, "QEMU lives on", func() bool { return len(marked(t, mark)) == 0 })
		})
	}
}

// marked returns the processes that have a variable in their environment.
func marked(t *testing.T, variable string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		// One that ends meanwhile has none.
		if env, err := os.ReadFile(file); err == nil && bytes.Contains(env, []byte(variable+"\x00")) {
			found = append(found, file)
		}
	}
	return found
}

func eventually(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// requireMachine skips the test where no machine can be had, and fails it where
// it was only not made ready.
func requireMachine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs in a virtual machine: make test-all")
	}
	_, err := exec.LookPath(qemu)
	if err == nil {
		_, err = findKernel("")
	}
	if err == nil {
		return
	}
	release, _ := os.ReadFile("/etc/os-release")
	if debian := string(release); strings.Contains(debian, "\nID=debian\n") && strings.Contains(debian, "\nVERSION_ID=\"12\"\n") {
		t.Fatalf("this machine was not made ready (make setup): %v", err)
	}
	t.Skipf("no virtual machine, and not on Debian 12, from which to get one: %v", err)
}

// build compiles this program into a directory, such that it needs no
// libraries. As part of these tests, with the race detector, it does.
func build(t *testing.T, dir string) {
	t.Helper()
	goCommand(t, []string{"CGO_ENABLED=0"}, "build", "-o", dir+"/", "sluice/test/vm")
}

func goCommand(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
