package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markVariable is in the environment of every process of a lab, with the lab's
// directory as its value: it is there before the process's id is known, so that
// no crash leaves a process that nobody can name. It is never exported to a
// user's shell.
const markVariable = "SLUICE_LAB_PROCESS"

// Process identifies a process for good: an id alone may be given to another
// process one day, an id with its start time and boot is not.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, proc_pid_stat(5) field 22
	Boot  string `json:"boot"`  // the kernel's boot id
}

// identify returns the identity of a process that runs now.
func identify(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	// The name in parentheses may hold anything, parentheses too.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	fields := strings.Fields(string(rest))
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("/proc/%d/stat has only %d fields after the name", pid, len(fields))
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return Process{}, fmt.Errorf("start time of process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// open returns a pidfd of the process, or an error that is fs.ErrNotExist if it
// has gone, whoever has its id now.
func (p Process) open() (int, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, fs.ErrNotExist
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	// The pidfd holds on to whoever has the id now; only then is it compared.
	now, err := identify(p.PID)
	if err != nil || now != p {
		unix.Close(fd)
		return -1, fs.ErrNotExist
	}
	return fd, nil
}

// Alive says whether the process runs. One that has ended and was not yet
// waited for does not.
func (p Process) Alive() bool {
	fd, err := p.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return !ended(fd, 0)
}

// ended waits up to timeout for the process behind a pidfd to end.
func ended(pidfd int, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0
	}
}

// Stop ends the process: with SIGTERM, and after grace with SIGKILL. A process
// that has gone already is fine.
func (p Process) Stop(grace time.Duration) error {
	return p.end([]unix.Signal{unix.SIGTERM, unix.SIGKILL}, grace)
}

// Kill ends the process with SIGKILL.
func (p Process) Kill() error { return p.end([]unix.Signal{unix.SIGKILL}, 0) }

func (p Process) end(signals []unix.Signal, grace time.Duration) error {
	fd, err := p.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i, s := range signals {
		if err := unix.PidfdSendSignal(fd, s, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("send %v to process %d: %w", s, p.PID, err)
		}
		wait := grace
		if i == len(signals)-1 {
			wait = 10 * time.Second
		}
		if ended(fd, wait) {
			return nil
		}
	}
	return fmt.Errorf("process %d did not end 10 s after SIGKILL", p.PID)
}

// marked returns the running processes that carry the mark of a lab, but for
// this one and those that it descends from.
func marked(dir string) ([]Process, error) {
	want := []byte(markVariable + "=" + dir)
	spare := ancestors()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(filepath.Base(e))
		if err != nil || spare[pid] {
			continue
		}
		p, err := identify(pid)
		if err != nil {
			continue // ended meanwhile
		}
		env, err := os.ReadFile(filepath.Join(e, "environ"))
		if err != nil {
			continue
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, want) {
				found = append(found, p)
				break
			}
		}
	}
	return found, nil
}

func ancestors() map[int]bool {
	out := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !out[pid]; {
		out[pid] = true
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			break
		}
		pid = 0
		for line := range strings.Lines(string(status)) {
			if v, ok := strings.CutPrefix(line, "PPid:"); ok {
				pid, _ = strconv.Atoi(strings.TrimSpace(v))
			}
		}
	}
	return out
}

// startDetached starts a program of the lab in a namespace, in a session of its
// own so that it outlives the caller, its output appended to a log file.
func startDetached(dir, namespace, log string, argv ...string) (Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Process{}, err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = markedEnvironment(dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := In(namespace, cmd.Start); err != nil {
		return Process{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p, err := identify(cmd.Process.Pid)
	// Whoever lives longer than the child has to take its exit status.
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return Process{}, fmt.Errorf("start %s: it ended at once, see %s", argv[0], log)
	}
	return p, nil
}

func markedEnvironment(dir string) []string {
	env := os.Environ()
	kept := env[:0:0]
	for _, v := range env {
		if !strings.HasPrefix(v, markVariable+"=") {
			kept = append(kept, v)
		}
	}
	return append(kept, markVariable+"="+dir)
}

// Await calls probe until it succeeds, and gives up with its last error when
// the context ends. It is how everything here waits.
func Await(ctx context.Context, what string, probe func() error) error {
	pause := 2 * time.Millisecond
	for {
		err := probe()
		if err == nil {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%s: %w (%w)", what, err, context.Cause(ctx))
		case <-t.C:
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}
