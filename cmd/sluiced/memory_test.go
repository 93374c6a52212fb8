package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestCollectSeldom(t *testing.T) {
	state := func() (percent int, limit int64) {
		percent = debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return percent, debug.SetMemoryLimit(-1)
	}
	percent, limit := state()
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	is := func(percent int, limit int64) {
		t.Helper()
		if gotPercent, gotLimit := state(); gotPercent != percent || gotLimit != limit {
			t.Errorf("collected at %d %% and %d bytes, want %d %% and %d bytes", gotPercent, gotLimit, percent, limit)
		}
	}
	file := filepath.Join(t.TempDir(), "store.db")
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	settled := collectSeldom(file)
	is(-1, startHeap)
	settled()
	is(usualPercent, math.MaxInt64)

	if err := os.WriteFile(file, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	settled = collectSeldom(file)
	is(-1, startHeap+startPerStore*10<<20)
	settled()
	settled()
	is(usualPercent, math.MaxInt64)

	// What the environment says counts.
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "200")
			settled := collectSeldom(file)
			is(usualPercent, math.MaxInt64)
			settled()
			is(usualPercent, math.MaxInt64)
		})
	}
}
