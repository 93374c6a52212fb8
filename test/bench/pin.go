package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// pin binds the caller's thread to one of the processors that it may use, so
// that all that its packets cause happens there too, and puts it before all
// ordinary work there, which would come in at some slots and not at others.
// release ends that.
func pin() (release func() error, err error) {
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
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read the thread's scheduling: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("bind the thread to a processor: %w", err)
	}
	release = func() error { return errors.Join(unix.SchedSetAttr(0, before, 0), unix.SchedSetaffinity(0, &may)) }
	// Where a container's limits forbid it, there is more noise and no more.
	err = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	if err != nil && !errors.Is(err, unix.EPERM) {
		return nil, errors.Join(fmt.Errorf("put the thread before others: %w", err), release())
	}
	return release, nil
}
