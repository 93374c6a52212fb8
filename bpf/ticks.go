package bpf

import (
	"time"

	"golang.org/x/sys/unix"
)

// Ticks converts to the programs' unit of time, the kernel's jiffies. That is
// also what its coarse clocks advance by.
func Ticks(d time.Duration) uint32 {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil || tick.Nano() == 0 {
		return uint32(d / (4 * time.Millisecond))
	}
	return uint32(d.Nanoseconds() / tick.Nano())
}
