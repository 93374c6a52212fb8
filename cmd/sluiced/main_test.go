package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong, good := write("wrong.yaml", "listen: a:1\nlissten: b:1\n"), write("good.yaml", "listen: localhost:1\n")
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string // how they begin
	}{
		{[]string{"--version"}, 0, "sluiced ", ""},
		{[]string{"--help"}, 0, "", "Usage: sluiced"},
		{[]string{"--check", "--config", good}, 0, "", ""},
		{[]string{"--check", "--config", "../../deploy/package/sluiced.yaml"}, 0, "", ""},
		{[]string{"--check", "--config", "../../deploy/sluiced.example.yaml"}, 0, "", ""},
		{[]string{"--config", wrong}, exitUsage, "", wrong + ":2: lissten: unknown field; did you mean listen?\n"},
		{[]string{"--config", filepath.Join(dir, "none.yaml")}, exitUsage, "", filepath.Join(dir, "none.yaml") + ": cannot be read: no such file or directory"},
		{[]string{"--conf", good}, exitUsage, "", "flag provided but not defined"},
		{[]string{good}, exitUsage, "", "sluiced: unexpected argument"},
	} {
		var stdout, stderr bytes.Buffer
		if got := start(c.args, &stdout, &stderr); got != c.status || !strings.HasPrefix(stdout.String(), c.stdout) || !strings.HasPrefix(stderr.String(), c.stderr) {
			t.Errorf("sluiced %v: status %d, %q, %q; want %d, %q, %q", c.args, got, stdout.String(), stderr.String(), c.status, c.stdout, c.stderr)
		}
		if c.status == exitUsage && strings.HasPrefix(c.args[0], "--config") && strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("sluiced %v: not one line: %q", c.args, stderr.String())
		}
	}
}

// TestUnitKeepsTrying: systemd leaves sluiced ended after a wrong configuration alone. 2 is
// what Go ends a program with that crashes, 1 any other failure.
func TestUnitKeepsTrying(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/systemd/sluiced.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Restart=always", fmt.Sprintf("RestartPreventExitStatus=%d", exitUsage)} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit has no line %s", line)
		}
	}
	crash := exec.Command(os.Args[0], "-test.run", "^TestUnitKeepsTrying$")
	if os.Getenv("SLUICED_CRASH") != "" {
		go panic("asked for")
		select {}
	}
	crash.Env = append(os.Environ(), "SLUICED_CRASH=1")
	if err := crash.Run(); err == nil || crash.ProcessState.ExitCode() == exitUsage {
		t.Errorf("a crash: %v", err)
	}
}
