package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// bind binds the caller's thread to one of the processors that it may use, so
// that all that its packets cause happens there too. release ends that.
func bind() (release func() error, err error) {
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return nil, fmt.Errorf("read the thread's processors: %w", err)
	}
	for cpu := range len(may) * 64 {
		if may.IsSet(cpu) {
			one.Zero()
			one.Set(cpu) // the last one: the first has most interrupts
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("bind the thread to a processor: %w", err)
	}
	return func() error { return unix.SchedSetaffinity(0, &may) }, nil
}

// pin binds the caller's thread to a processor and puts it before all ordinary
// work there, which would come in at some slots and not at others.
func pin() (release func() error, err error) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read the thread's scheduling: %w", err)
	}
	unbind, err := bind()
	if err != nil {
		return nil, err
	}
	release = func() error { return errors.Join(unix.SchedSetAttr(0, before, 0), unbind()) }
	// Where a container's limits forbid it, there is more noise and no more.
	if err := putBefore(0, 1); err != nil {
		return nil, errors.Join(fmt.Errorf("put the thread before others: %w", err), release())
	}
	return release, nil
}

// putBefore puts a thread before all ordinary work, and before such threads of
// a lower priority, if that is allowed.
func putBefore(thread int, priority uint32) error {
	err := unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: priority}, 0)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// pinSender is pin for a thread that sends packets: those that the kernel has
// put off come before it.
func (r *run) pinSender() (release func() error, err error) {
	unpin, err := pin()
	if err != nil {
		return nil, err
	}
	release = func() error { return errors.Join(r.restoreSoftirq(), unpin()) }
	if err := r.putSoftirqBefore(); err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}
