package probe

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/errtext"
)

// Answer is the outcome of a probe.
type Answer int

// The answers.
const (
	Unknown Answer = iota // the probe itself failed
	No
	Yes
)

// String returns the answer in words.
func (a Answer) String() string {
	switch a {
	case Yes:
		return "yes"
	case No:
		return "no"
	default:
		return "could not tell"
	}
}

// Need says what a feature is needed for.
type Need string

// The needs.
const (
	Required Need = "required" // no gateway works without
	Optional Need = "optional" // something works worse, or a setting is refused
	VPN      Need = "vpn"      // needed for VPN gateways only
	Looking  Need = "looking"  // for people that look into the kernel, never for the program
)

// Feature is something that a kernel or machine has or lacks.
type Feature struct {
	Name  string
	Need  Need
	Since string // first kernel that has it, or empty if that says nothing
	Costs string // what its lack costs
	try   func(*stage) (detail string, err error)
}

// Result is a feature with the answer to whether it is there.
type Result struct {
	Feature
	Answer Answer
	Detail string // what was seen; the error of a probe that failed
}

// Missing says whether the result keeps a gateway from working.
func (r Result) Missing() bool { return r.Need == Required && r.Answer == No }

// errLacking is what a probe that finds out by itself returns for no.
type errLacking struct{ what string }

func (e errLacking) Error() string { return e.what }

func lacking(format string, args ...any) error {
	return errLacking{fmt.Sprintf(format, args...)}
}

// refusals are what the kernel says when it has no such thing. What else it
// says (out of memory, not permitted) leaves the question open.
var refusals = []error{
	ebpf.ErrNotSupported,
	unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOSYS, unix.ENOENT, unix.ENODEV, unix.ENXIO,
}

func judge(err error) Answer {
	if err == nil {
		return Yes
	}
	if errors.As(err, new(errLacking)) {
		return No
	}
	for _, r := range refusals {
		if errors.Is(err, r) {
			return No
		}
	}
	return Unknown
}

// All tries every feature, in the order in which a reader wants to know. It
// needs root for most of them; without, they answer Unknown. Only a context
// that ends early is an error.
func All(ctx context.Context) ([]Result, error) {
	features := append(kernelFeatures(), machineFeatures()...)
	results := make([]Result, 0, len(features))
	for _, f := range features {
		if err := ctx.Err(); err != nil {
			return results, err
		}
		results = append(results, f.probe())
	}
	return results, nil
}

// probe tries one feature on a stage of its own.
func (f Feature) probe() Result {
	r := Result{Feature: f}
	var err error
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread()
		var s *stage
		if s, err = newStage(); err != nil {
			return
		}
		defer func() {
			// A thread that is still in there ends with its goroutine.
			if s.close() == nil {
				runtime.UnlockOSThread()
			}
		}()
		r.Detail, err = f.try(s)
	})
	done.Wait()
	r.Answer = judge(err)
	switch {
	case err == nil:
	case r.Answer == No && !errors.As(err, new(errLacking)) && builtBy[f.Name].option != "":
		r.Detail = builtBy[f.Name].lacking()
	default:
		r.Detail = errtext.Of(err)
	}
	return r
}
