package main

import (
	"math"
	"os"
	"runtime/debug"
	"sync"
)

// What the heap may grow to during a start without being collected: a fixed part, and so many times the
// store's file. With 100,000 entries a start leaves three times the file, and has thrown away seven times.
const (
	startHeap     = 64 << 20
	startPerStore = 5
	usualPercent  = 100 // of GOGC, when nothing is said
)

// collectSeldom has the garbage collector leave alone what a start makes, which is nearly all kept: while the
// heap grows from nothing it would be gone through again and again, which takes a tenth of a large start. file is the
// store's. The function that is returned ends that, and gives back to the system what is free; it may be called
// more than once. Nothing is done where the environment says how memory is collected (GOGC, GOMEMLIMIT).
func collectSeldom(file string) (settled func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	most := int64(startHeap)
	if info, err := os.Stat(file); err == nil {
		most += startPerStore * info.Size()
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(most)
	return sync.OnceFunc(func() {
		debug.SetGCPercent(usualPercent)
		debug.SetMemoryLimit(math.MaxInt64)
		debug.FreeOSMemory()
	})
}
