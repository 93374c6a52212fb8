package storetest

import (
	"context"
	"sync/atomic"

	"sluice/controlplane/store"
)

// Rival is a store between whose steps somebody else acts: before and after each call.
type Rival struct {
	store.Store
	// Act is what the other does at a step, with the store itself; it is called by
	// whoever takes the step.
	Act func(step string)
	// Lose says of a commit that has been made that its answer is lost; nil: none is.
	Lose func() bool
	// Cut says whether a watch ends before its next event; nil: none does.
	Cut func() bool

	quiet atomic.Bool
}

// Quiet has the other do nothing from now on.
func (r *Rival) Quiet() { r.quiet.Store(true) }

func (r *Rival) act(step string) {
	if !r.quiet.Load() {
		r.Act(step)
	}
}

// Load implements store.Store.
func (r *Rival) Load(ctx context.Context, fn func(store.Record) error) (int64, error) {
	r.act("before Load")
	rev, err := r.Store.Load(ctx, fn)
	r.act("after Load")
	return rev, err
}

// Commit implements store.Store.
func (r *Rival) Commit(ctx context.Context, base int64, writes []store.Write) (int64, error) {
	r.act("before Commit")
	rev, err := r.Store.Commit(ctx, base, writes)
	if err == nil && r.Lose != nil && !r.quiet.Load() && r.Lose() {
		rev, err = 0, context.DeadlineExceeded
	}
	r.act("after Commit")
	return rev, err
}

// Watch implements store.Store.
func (r *Rival) Watch(ctx context.Context, from int64) (<-chan store.Event, error) {
	r.act("before Watch")
	watching, cancel := context.WithCancel(ctx)
	in, err := r.Store.Watch(watching, from)
	r.act("after Watch")
	if err != nil {
		cancel()
		return nil, err
	}
	out := make(chan store.Event)
	go func() {
		defer close(out)
		defer cancel()
		for e := range in {
			if r.Cut != nil && !r.quiet.Load() && r.Cut() {
				return
			}
			select {
			case out <- e:
			case <-watching.Done():
				return
			}
		}
	}()
	return out, nil
}
