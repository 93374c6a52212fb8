package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLeavesPackets(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-56-amd64": true, "5.15.3": true, "6.4.16": true, "6.5.0": false, "6.18.44": false, "7.0": false, "what?": false,
	} {
		if got := leavesPackets(release); got != want {
			t.Errorf("%s: %v, want %v", release, got, want)
		}
	}
}

// What a killed run has put before others goes back among ordinary work; a
// thread that got its number since is left alone.
func TestRestoreSoftirq(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "work")
	r, err := newRun(t.Context(), dir, true, time.Second, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, softirqFile)
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is still noted")
	}

	thread, err := kernelThread("ksoftirqd/0")
	if err != nil || thread == 0 {
		t.Skipf("ksoftirqd is not to be seen from here (%v)", err)
	}
	if r, err = newRun(t.Context(), dir, true, time.Second, io.Discard); err != nil {
		t.Fatal(err)
	}
	release, err := r.pinSender()
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if attr, err := unix.SchedGetAttr(thread, 0); err != nil || attr.Policy != unix.SCHED_NORMAL {
		t.Errorf("ksoftirqd's scheduling is %+v (%v)", attr, err)
	}
	if err := r.close(t.Context()); err != nil {
		t.Error(err)
	}
}
