package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane/internal/nstest"
)

// A helper is started where it is to be, in a session of its own, is waited for, and can be
// watched and ended by who has adopted it.
func TestHelper(t *testing.T) {
	ns := nstest.New(t)
	ready := filepath.Join(t.TempDir(), "ready")
	mark := "a test of " + t.Name()
	h, err := Start(exec.Command("/bin/sh", "-c", "echo >"+ready+"; while :; do sleep 1000; done", mark), ns.Do)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	defer func() { _ = unix.Kill(-h.PID, unix.SIGKILL) }() // its session, what it has started with it
	if err := h.Await(t.Context(), func(context.Context) error { _, err := os.Stat(ready); return err }); err != nil {
		t.Fatal(err)
	}
	if session, err := unix.Getsid(h.PID); err != nil || session != h.PID || !In(h.PID, ns) {
		t.Errorf("it is in session %d, %v, and in its namespace: %v", session, err, In(h.PID, ns))
	}
	adopted, err := Adopt(h.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	ctx, cancel := context.WithCancel(t.Context())
	silent := errors.New("it says nothing")
	tries := 0
	err = adopted.Await(ctx, func(context.Context) error {
		if tries++; tries == 3 {
			cancel()
		}
		return silent
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, silent) || adopted.Ended(0) {
		t.Errorf("one that does not answer: %v, ended: %v", err, adopted.Ended(0))
	}
	if err := EndAll(func(pid int) bool { return slices.Contains(Arguments(pid), mark) }); err != nil {
		t.Fatal(err)
	}
	for _, one := range []*Helper{h, adopted} {
		if err := one.Await(t.Context(), func(context.Context) error { return silent }); !errors.Is(err, ErrEnded) || !one.Ended(0) {
			t.Errorf("one that has ended: %v", err)
		}
	}
	if err := h.End(); err != nil {
		t.Errorf("to end one that has ended: %v", err)
	}
}

func TestStartOfWhatIsNotThere(t *testing.T) {
	if _, err := Start(exec.Command("/nowhere"), func(f func() error) error { return f() }); err == nil {
		t.Error("it was started")
	}
}

// Pauses grow to the longest, and begin anew after a success.
func TestPauses(t *testing.T) {
	p := Pauses{First: 100 * time.Millisecond, Most: time.Second}
	for round := range 2 {
		var last time.Duration
		for range 20 {
			last = p.Next()
			if last <= 0 || last > 2*p.Most {
				t.Fatalf("round %d: a pause of %v", round, last)
			}
		}
		if last < p.Most/2 {
			t.Errorf("round %d: the last pause is %v", round, last)
		}
		p.Reset()
		if first := p.Next(); first > 2*p.First {
			t.Errorf("round %d: the first pause is %v", round, first)
		}
	}
}
