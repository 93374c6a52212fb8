package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/dataplane/netns"
)

// TestDownAfterUpWasKilled kills sluicectl lab up at several points of its way.
func TestDownAfterUpWasKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	requireRoot(t)
	o := programs(t)
	file := func(path ...string) func(l *Lab) bool {
		return func(l *Lab) bool {
			_, err := os.Stat(filepath.Join(append([]string{l.Dir}, path...)...))
			return err == nil
		}
	}
	for name, reached := range map[string]func(l *Lab) bool{
		"directory": file(),
		"record":    file(stateFile),
		"namespace": func(l *Lab) bool {
			ns, err := netns.Open(l.namespace(InternetHost))
			if err != nil {
				return false
			}
			return ns.Close() == nil
		},
		"HTTP server":   file("http-" + InternetHost + ".log"),
		"configuration": file("sluiced.yaml"),
		"daemon":        file("sluiced.log"),
		"admin socket":  file("run", "admin.sock"),
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "slt-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(dir)
			l := &Lab{Name: fmt.Sprintf("slt-kill-%d", os.Getpid()), Dir: filepath.Join(dir, "lab")}
			t.Cleanup(func() { down(t, l) })
			cmd := exec.Command(o.Sluicectl, "lab", "up", "--name", l.Name, "--dir", l.Dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, func() error {
				if !reached(l) {
					return errors.New("not there yet")
				}
				return nil
			})
			// It may have come to its end by itself meanwhile.
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			down(t, l)
		})
	}
}
