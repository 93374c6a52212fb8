// Package process supervises the processes that work for a network beside the daemon:
// it starts, adopts, watches and ends them. They outlive the daemon, and are no children
// of the next one, so they are found by asking the kernel: a pid in a file may be
// somebody else's by now.
package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// patience is how long a process may take to end when it is asked to.
const patience = 3 * time.Second

// lingering is how long one that was killed may take to give up what it holds.
const lingering = time.Second

// Find returns the pids of the processes for which is returns true. One that is killed
// loses its arguments and its program first, and its sockets and devices after: who would
// start another in its place might find them in use. So those that nothing can be said of
// any more are waited for, a moment at most.
func Find(is func(pid int) bool) ([]int, error) {
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lingering)
	var pids []int
	for _, p := range procs {
		if is(p.PID) {
			pids = append(pids, p.PID)
		} else if dying(p) {
			awaitEnd(p.PID, time.Until(deadline))
		}
	}
	return pids, nil
}

// dying reports whether a process has given up its memory, and with it its arguments,
// and perhaps not yet the rest.
func dying(p procfs.Proc) bool {
	if len(Arguments(p.PID)) > 0 {
		return false
	}
	const exiting, kernelThread = 0x4, 0x200000 // PF_EXITING, PF_KTHREAD in linux/sched.h
	stat, err := p.Stat()
	return err == nil && stat.Flags&kernelThread == 0 && (stat.Flags&exiting != 0 || stat.State == "Z")
}

func awaitEnd(pid int, most time.Duration) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	Ended(fd, most)
}

// Program returns the path of what a process runs; empty for one that is gone, and
// for a thread of the kernel.
func Program(pid int) string {
	path, _ := os.Readlink(file(pid, "exe"))
	return path
}

// SameProgram reports whether a process runs the very file that this one does: not
// another version that has been put in its place.
func SameProgram(pid int) bool {
	its, err := os.Stat(file(pid, "exe"))
	if err != nil {
		return false
	}
	ours, err := os.Stat("/proc/self/exe")
	return err == nil && os.SameFile(its, ours)
}

// Arguments returns those that a process was started with, its name first.
func Arguments(pid int) []string { return list(pid, "cmdline") }

// Environment returns what a process was started with, each as NAME=value.
func Environment(pid int) []string { return list(pid, "environ") }

func list(pid int, name string) []string {
	b, err := os.ReadFile(file(pid, name))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// In reports whether a process is in a network namespace.
func In(pid int, ns *netns.Namespace) bool {
	var its, ours unix.Stat_t
	if unix.Stat(file(pid, "ns/net"), &its) != nil || unix.Fstat(int(ns.Handle()), &ours) != nil {
		return false
	}
	return its.Dev == ours.Dev && its.Ino == ours.Ino
}

// Opens reports whether a process has a file open.
func Opens(pid int, it os.FileInfo) bool {
	entries, err := os.ReadDir(file(pid, "fd"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		its, err := os.Stat(filepath.Join(file(pid, "fd"), e.Name()))
		return err == nil && os.SameFile(its, it)
	})
}

func file(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// Ended reports whether the process of a pidfd (pidfd_open(2)) has ended, and waits
// for it so long.
func Ended(pidfd int, wait time.Duration) bool {
	deadline := time.Now().Add(wait)
	for {
		left := max(0, time.Until(deadline)) // less than nothing would be for ever
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}

// End ends a process, asking first, and waits until it has. It is no error if there
// is none.
func End(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, s, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
		if Ended(fd, patience) {
			return nil
		}
	}
	return fmt.Errorf("end process %d: it does not", pid)
}
