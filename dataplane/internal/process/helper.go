package process

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sys/unix"
)

// Helper is a process that works for a network beside the daemon, and goes on when the
// daemon ends.
type Helper struct {
	PID int
	fd  int // pidfd
}

// Start runs a program in a session of its own, with nothing of ours open, so that it
// outlives us. enter calls what it is given on a thread in the namespace where the
// program is to be.
func Start(cmd *exec.Cmd, enter func(func() error) error) (*Helper, error) {
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setsid: true}
	var h *Helper
	// It is forked from a thread in the namespace, and so lives in it.
	err := enter(func() error {
		if err := cmd.Start(); err != nil {
			return err
		}
		var err error
		if h, err = Adopt(cmd.Process.Pid); err != nil {
			_ = cmd.Process.Kill()
		}
		go func() { _ = cmd.Wait() }() // reap it, but not before it can be watched
		return err
	})
	if err != nil && h != nil { // it is not where it should be
		_ = h.End()
		h.Close()
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Adopt watches a process that is there already.
func Adopt(pid int) (*Helper, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &Helper{PID: pid, fd: fd}, nil
}

// Ended reports whether it has ended, and waits for that so long.
func (h *Helper) Ended(wait time.Duration) bool { return Ended(h.fd, wait) }

// End ends it, asking first, and waits until it has.
func (h *Helper) End() error { return End(h.PID) }

// Close ends the watching; the process works on.
func (h *Helper) Close() { unix.Close(h.fd) }

// ErrEnded says that a process has ended while it was waited for.
var ErrEnded = errors.New("it has ended by itself")

// Await calls probe until it succeeds: until the process answers. The error is ErrEnded
// where it ends before, or wraps that of ctx, and the last one of probe.
func (h *Helper) Await(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if h.Ended(0) {
			return ErrEnded
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// EndAll ends all processes for which is returns true, and waits until they have.
func EndAll(is func(pid int) bool) error {
	pids, err := Find(is)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		errs = append(errs, End(pid))
	}
	return errors.Join(errs...)
}

// Pauses are those before a process that has ended is started again: ever longer, until
// one has lived for a while.
type Pauses struct {
	First, Most time.Duration
	next        *backoff.ExponentialBackOff
}

// Next returns the pause after another failure.
func (p *Pauses) Next() time.Duration {
	if p.next == nil {
		p.next = backoff.NewExponentialBackOff()
		p.next.InitialInterval, p.next.MaxInterval, p.next.Multiplier = p.First, p.Most, 2
		p.next.Reset()
	}
	return p.next.NextBackOff()
}

// Reset makes the next pause the first one again.
func (p *Pauses) Reset() { p.next = nil }
