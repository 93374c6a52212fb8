package ipsec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/dataplane/internal/process"
)

// A charon that lives and does nothing any more is not waited for: it is ended, and
// nobody says meanwhile that the tunnel is up, once it is known.
func TestCharonHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		l.m.waits.answer = 2 * time.Second
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		pid := l.pid()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		l.holder(c.ID).nudge()
		down := false
		l.eventually(func() error {
			s := l.m.Status(network)[c.ID]
			down = down || !s.Child
			if !down {
				return fmt.Errorf("said to be up: %+v", s)
			}
			if pids, err := find(filepath.Join(l.dir, network)); err != nil || len(pids) != 1 || pids[0] == pid {
				return fmt.Errorf("processes %v, was %d: %v", pids, pid, err)
			}
			return nil
		})
		l.carries("10.1.0.2")
		if log, says := l.log.String(), fmt.Sprintf("process=%d unanswered=2s", pid); !strings.Contains(log, says) {
			t.Errorf("the log does not say %q:\n%s", says, log)
		}
	})
}

// Charon's log goes on where it is, whatever who rotates logs does with it.
func TestLogIsRotated(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		name := filepath.Join(l.dir, network, logFile)
		before := spis(l.swanctl("--list-sas"))
		for _, v := range []struct {
			name string
			do   func() error
		}{
			{"removed", func() error { return os.Remove(name) }},
			{"moved", func() error { return os.Rename(name, name+".1") }},
			{"moved and made anew", func() error {
				if err := os.Rename(name, name+".1"); err != nil {
					return err
				}
				return os.WriteFile(name, nil, 0o600)
			}},
			{"too large", func() error { return os.Truncate(name, logLimit+1) }},
		} {
			t.Run(v.name, func(t *testing.T) {
				if err := v.do(); err != nil {
					t.Fatal(err)
				}
				l.holder(c.ID).nudge()
				l.eventually(func() error {
					st, err := os.Stat(name)
					switch {
					case err != nil:
						return err
					case !process.Opens(l.pid(), st):
						return fmt.Errorf("charon writes into another file")
					case st.Size() > logLimit:
						return fmt.Errorf("%d bytes", st.Size())
					}
					return nil
				})
			})
		}
		if now := spis(l.swanctl("--list-sas")); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("negotiated anew: %v, was %v", now, before)
		}
		l.swanctl("--terminate", "--ike", "peer")
		l.eventually(func() error {
			b, err := os.ReadFile(name)
			if err == nil && !strings.Contains(string(b), "received DELETE") {
				err = fmt.Errorf("the log is %q", b)
			}
			return err
		})
	})
}
