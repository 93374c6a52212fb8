package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestQuickStart types in what docs/quickstart.md says, and compares what is
// seen with what it promises.
func TestQuickStart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	requireRoot(t)
	text, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(programs(t).Sluicectl)
	name := fmt.Sprintf("slt-quick-%d", os.Getpid())
	t.Cleanup(func() { down(t, &Lab{Name: name, Dir: DefaultDir(name)}) })

	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	steps := quickStartCommands(string(text))
	for _, c := range steps {
		// One step is to show what does not work yet.
		if strings.Contains(c, "--timeout 1s") {
			c = "if " + c + "; then exit 1; fi"
		}
		fmt.Fprintf(&script, "echo %s\n%s\n", quoteStep(c), c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "SLUICE_LAB="+name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// What is not to work yet has failed, or bash would have ended with an error: by no
	// answer, or, while the network is still being changed, by an ICMP error.
	for _, want := range []string{
		"This machine can be a gateway.",
		"answered by web\n203.0.113.1:",
		"in step",
		"map dnat_port",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q was not seen", want)
		}
	}
	if t.Failed() || len(steps) < 15 {
		t.Errorf("%d steps:\n%s", len(steps), out)
	}
}

// quickStartCommands returns the commands among the indented lines; the others
// are what they print.
func quickStartCommands(text string) []string {
	var out []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		command, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		word, _, _ := strings.Cut(command, " ")
		switch {
		case !indented, word == "make", word == "export":
		case word == "sluicectl", word == "eval", word == "ip", strings.Contains(word, "=$("):
			out = append(out, command)
		}
	}
	return out
}

func quoteStep(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
