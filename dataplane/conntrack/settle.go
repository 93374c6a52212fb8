package conntrack

import (
	"time"

	"golang.org/x/sys/unix"
)

// Settle waits until all packets that any CPU is working on now have been sent,
// queued or dropped: whatever comes after it has seen the routes, rules and
// entries that were there before it. Between being routed and being entered into
// conntrack's table a packet does not leave its read-side critical section, whose
// end the system call waits for (synchronize_rcu; membarrier(2),
// MEMBARRIER_CMD_GLOBAL).
func Settle() {
	const global = 1 << 0 // MEMBARRIER_CMD_GLOBAL
	if _, _, err := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); err != 0 {
		// Kernels without it, and those with nohz_full, refuse. No packet is
		// worked on for so long.
		time.Sleep(20 * time.Millisecond)
	}
}
