package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// softirqFile keeps which thread of the kernel was put before others.
const softirqFile = "softirq"

// putSoftirqBefore puts the kernel's thread for packets that it has put off
// before the caller's, which is bound to a processor, until restoreSoftirq.
//
// Before Linux 6.5 all packets are left to that thread once it has been asked
// for help, as it is when they take longer than a few milliseconds; and it is
// ordinary work. Whoever sends and comes before ordinary work then fills the
// queues until they overflow.
func (r *run) putSoftirqBefore() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("read the kernel's version: %w", err)
	}
	if !leavesPackets(unix.ByteSliceToString(u.Release[:])) {
		return nil
	}
	var bound unix.CPUSet
	if err := unix.SchedGetaffinity(0, &bound); err != nil {
		return fmt.Errorf("read the thread's processor: %w", err)
	}
	cpu := 0
	for !bound.IsSet(cpu) {
		cpu++
	}
	thread, err := kernelThread(fmt.Sprintf("ksoftirqd/%d", cpu))
	if err != nil {
		return err
	}
	if thread == 0 {
		r.say("packets may be lost: the kernel's thread for them is not to be seen from this process namespace")
		return nil
	}
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		return fmt.Errorf("read the scheduling of ksoftirqd: %w", err)
	}
	if attr.Policy != unix.SCHED_NORMAL {
		return nil // somebody has seen to it
	}
	// Written before the change: the next run restores what a killed one has not.
	if err := os.WriteFile(filepath.Join(r.dir, softirqFile), []byte(strconv.Itoa(thread)), 0o600); err != nil {
		return err
	}
	if err := putBefore(thread, 2); err != nil {
		return fmt.Errorf("put ksoftirqd before others: %w", err)
	}
	return nil
}

// restoreSoftirq undoes putSoftirqBefore, of this run or an earlier one.
func (r *run) restoreSoftirq() error {
	path := filepath.Join(r.dir, softirqFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	thread, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%s: %q is no thread", path, text)
	}
	// After a restart of the machine it may be another.
	if name, _ := threadName(thread); strings.HasPrefix(name, "ksoftirqd/") {
		if err := unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0); err != nil {
			return fmt.Errorf("put ksoftirqd back among ordinary work: %w", err)
		}
	}
	return os.Remove(path)
}

// leavesPackets says whether a kernel of this version leaves packets to
// ksoftirqd.
func leavesPackets(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major < 6 || major == 6 && minor < 5
}

// kernelThread finds a thread by its name; 0 if there is none.
func kernelThread(name string) (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		thread, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		// One that ends meanwhile has none.
		if has, _ := threadName(thread); has == name {
			return thread, nil
		}
	}
	return 0, nil
}

func threadName(thread int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", thread))
	return strings.TrimSpace(string(text)), err
}
