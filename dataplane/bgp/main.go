package bgp

import (
	"fmt"
	"os"
	"sync/atomic"
)

// argument is the first of a speaker's; the second is its directory.
const argument = "bgp-speaker"

// mainCalled is set by Main. Without it a speaker would not be one but the whole
// program once more, with speakers of its own.
var mainCalled atomic.Bool

// Main has to be called first by main, and by TestMain, of a program that uses
// Speakers. In a process that one of them has started it speaks BGP, and exits;
// elsewhere it returns at once.
func Main() {
	mainCalled.Store(true)
	if len(os.Args) != 3 || os.Args[1] != argument {
		return
	}
	if err := speak(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
