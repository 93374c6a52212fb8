package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
)

// fake is a dataplane that only remembers.
type fake struct {
	mu       sync.Mutex
	calls    []string                     // "apply vpc-a", "remove vpc-a", "invalidate vpc-a", in order
	holds    map[string]dataplane.Network // what was applied last
	marked   []string                     // by an earlier process
	failing  map[string]error             // what Apply and Remove of a network answer
	listing  error                        // what Networks answers
	gates    map[string]chan struct{}     // Apply of a network waits here, if there is one
	working  map[string]bool
	overlaps []string // networks that were worked on twice at a time
	parallel int      // most networks worked on at a time
	changes  int      // what Apply reports of an unchanged network
	followed bool     // Apply reports that tunnels are why
	repeated bool     // Apply reports that it has repaired the same before
	changed  chan string

	differing  map[string]bool // networks in which an audit finds something
	auditTakes time.Duration
}

func newFake() *fake {
	return &fake{
		holds:   make(map[string]dataplane.Network),
		failing: make(map[string]error),
		gates:   make(map[string]chan struct{}),
		working: make(map[string]bool),
		changed: make(chan string),
	}
}

func (f *fake) begin(what, id string) (gate chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what+" "+id)
	if f.working[id] {
		f.overlaps = append(f.overlaps, id)
	}
	f.working[id] = true
	f.parallel = max(f.parallel, len(f.working))
	return f.gates[id], f.failing[id]
}

func (f *fake) end(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.working, id)
}

func (f *fake) Apply(ctx context.Context, n *dataplane.Network) (dataplane.Observed, error) {
	gate, err := f.begin("apply", n.ID)
	defer f.end(n.ID)
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return dataplane.Observed{}, ctx.Err()
		}
	}
	if err != nil {
		return dataplane.Observed{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, had := f.holds[n.ID]
	f.holds[n.ID] = *n
	o := dataplane.Observed{Revision: n.Revision, Changes: f.changes, Followed: f.followed, Repeated: f.repeated}
	if !had || fmt.Sprint(old.Switches) != fmt.Sprint(n.Switches) {
		o.Changes++
	}
	return o, nil
}

func (f *fake) Remove(_ context.Context, id string) error {
	_, err := f.begin("remove", id)
	defer f.end(id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.holds, id)
	f.marked = slices.DeleteFunc(f.marked, func(m string) bool { return m == id })
	return nil
}

func (f *fake) Networks() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.marked), f.listing
}

func (f *fake) Changed() <-chan string { return f.changed }

func (f *fake) Invalidate(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "invalidate "+id)
}

// Audit finds something in those networks that the fake says, and else only where
// everything is to be compared.
func (f *fake) Audit(_ context.Context, id string, full bool) (differs, seen bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	takes := f.auditTakes
	f.mu.Unlock()
	time.Sleep(takes)
	f.mu.Lock()
	what := "audit "
	if full {
		what = "full audit "
	}
	f.calls = append(f.calls, what+id)
	return full || f.differing[id], !full
}

// set changes the fake under its lock.
func (f *fake) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// take returns the calls since the last take.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.calls
	f.calls = nil
	return out
}

// revision returns the revision that is held of a network, 0 if none.
func (f *fake) revision(id string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holds[id].Revision
}
