package main

import (
	"encoding/json"
	"io"
	"sync"
)

// channelName is the name of the serial port by which both sides speak, one
// JSON object after the other. It is not the console, so that nothing that the
// kernel prints gets in between.
const channelName = "sluice.vm"

// command is what this side asks for.
type command struct {
	Argv []string
	Dir  string
	Env  []string // everything that is in the environment
}

// report is what the machine answers: its kernel once, when it is ready, and
// for each command its output as it comes and, last, how it ended.
type report struct {
	Ready  string `json:",omitempty"` // the kernel's version
	Stdout []byte `json:",omitempty"`
	Stderr []byte `json:",omitempty"`
	Exit   *int   `json:",omitempty"` // the exit status, as a shell has it
	Error  string `json:",omitempty"` // why the command could not be started
}

// reporter writes reports for several goroutines.
type reporter struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newReporter(w io.Writer) *reporter { return &reporter{out: json.NewEncoder(w)} }

func (r *reporter) send(m report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Encode(m)
}

// writerFunc is a function that is an io.Writer.
type writerFunc func([]byte) error

func (f writerFunc) Write(b []byte) (int, error) {
	if err := f(b); err != nil {
		return 0, err
	}
	return len(b), nil
}
