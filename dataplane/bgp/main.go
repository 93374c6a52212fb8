package bgp

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// argument is the only one of a child's.
const argument = "bgp-speaker"

// mainCalled is set by Main. Without it a child would not be a speaker but the
// whole program once more, with children of its own.
var mainCalled atomic.Bool

// Main has to be called first by main, and by TestMain, of a program that uses
// Speakers. In a child that one of them has started it speaks BGP, and exits;
// elsewhere it returns at once.
func Main() {
	mainCalled.Store(true)
	if len(os.Args) != 2 || os.Args[1] != argument {
		return
	}
	// What ends the daemon's process group or unit is no affair of a speaker,
	// which ends with its input.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := speak(os.Stdin, os.Stdout, log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
