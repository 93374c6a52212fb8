package plan

import (
	"context"
	"errors"
	"fmt"
)

// Change is one change of one kernel object.
type Change struct {
	What string // for the log and for errors: "add address 10.0.0.1/24 to vsw-1"
	Do   func(context.Context) error

	// Makes is what the change is about, for example a link's name, and Needs
	// is what must be there before: where a change fails, those that need what
	// it makes are left out, because their errors would only repeat the first.
	Makes string
	Needs []string
}

// Plan is what has to be done to one facility.
type Plan struct {
	Add    []Change // what is missing or other than wanted, in order
	Remove []Change // what is too much, in order; to be done after the Adds of all facilities
	Err    error    // what cannot be reached, whatever is done
}

// Empty reports whether nothing differs.
func (p *Plan) Empty() bool { return len(p.Add) == 0 && len(p.Remove) == 0 }

// Whats returns what the changes are, those of Add first.
func (p *Plan) Whats() []string {
	out := make([]string, 0, len(p.Add)+len(p.Remove))
	for _, c := range p.Add {
		out = append(out, c.What)
	}
	for _, c := range p.Remove {
		out = append(out, c.What)
	}
	return out
}

// Runner carries out changes, and remembers what failed.
type Runner struct {
	Done   int // changes that succeeded
	failed map[string]bool
	errs   []error
}

// Run carries out changes in order. One that fails does not keep the others
// from being tried, but for those that need what it makes.
func (r *Runner) Run(ctx context.Context, changes []Change) {
	for _, c := range changes {
		if r.blocked(c.Makes, c.Needs) {
			continue
		}
		err := ctx.Err()
		if err == nil {
			err = c.Do(ctx)
		}
		if err == nil {
			r.Done++
			continue
		}
		r.errs = append(r.errs, fmt.Errorf("%s: %w", c.What, err))
		if c.Makes != "" {
			if r.failed == nil {
				r.failed = make(map[string]bool)
			}
			r.failed[c.Makes] = true
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// Add adds an error of something that the Runner did not run.
func (r *Runner) Add(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// Err returns all errors, or nil.
func (r *Runner) Err() error { return errors.Join(r.errs...) }

func (r *Runner) blocked(makes string, needs []string) bool {
	if makes != "" && r.failed[makes] {
		return true
	}
	for _, n := range needs {
		if r.failed[n] {
			return true
		}
	}
	return false
}
