package applied

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sluice/controlplane/state"
	"sluice/controlplane/store"
)

// Every is how long what is seen is gathered before it is written, so that there is at
// most one write of it in this time however many networks change.
const Every = time.Second

// tries is how often a write that others were faster than is tried at once.
const tries = 10

// kind is that of the records: one for each network, by the id of its VPC.
const kind = "network"

// Recorder is the task that records what this machine's dataplane has applied, and takes
// in what others have recorded.
type Recorder struct {
	db      *state.DB
	store   store.Store
	machine string
	log     *slog.Logger
	every   time.Duration

	revision int64                         // of the records, as they were seen last
	records  map[string]state.Observation  // what they are
	pending  map[string]*state.Observation // seen here, and not written yet; nil: nothing is left
	failing  bool                          // it has been said that nothing can be written
}

// NewRecorder returns the task of a machine. records is a store that holds nothing else.
func NewRecorder(db *state.DB, records store.Store, machine string, every time.Duration, log *slog.Logger) *Recorder {
	return &Recorder{db: db, store: records, machine: machine, log: log, every: every, pending: map[string]*state.Observation{}}
}

// String names the task.
func (r *Recorder) String() string { return "record what is applied" }

// Run records until ctx ends, and writes what is left then. It ends earlier only if the
// records can't be read.
func (r *Recorder) Run(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return r.ended(ctx, err)
	}
	// What an earlier process has seen holds no longer: it may have been before a reboot.
	r.write(ctx)
	var due <-chan time.Time
	soon := func() {
		if due == nil {
			due = time.After(r.every)
		}
	}
	events, err := r.store.Watch(ctx, r.revision)
	for {
		switch {
		case errors.Is(err, store.ErrClosed):
			return nil
		case errors.Is(err, store.ErrCompacted):
			if err := r.load(ctx); err != nil {
				return r.ended(ctx, err)
			}
			events, err = r.store.Watch(ctx, r.revision)
			continue
		case err != nil:
			return r.ended(ctx, err)
		}
		select {
		case e, ok := <-events:
			if !ok && ctx.Err() == nil {
				events, err = r.store.Watch(ctx, r.revision)
			} else if ok {
				err = r.take(e)
			}
		case <-r.db.Observed.News():
			soon()
		case <-due:
			if due = nil; !r.write(ctx) {
				soon()
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.every)
			defer cancel()
			r.write(last)
			return nil
		}
	}
}

func (r *Recorder) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return nil
	}
	return fmt.Errorf("read what is applied: %w", err)
}

// load reads all records.
func (r *Recorder) load(ctx context.Context) error {
	before := r.records
	r.records = map[string]state.Observation{}
	revision, err := r.store.Load(ctx, func(rec store.Record) error {
		if rec.Kind != kind {
			return fmt.Errorf("a record of the unknown kind %q", rec.Kind)
		}
		return r.put(rec.ID, rec.Value)
	})
	if err != nil {
		return err
	}
	for id, x := range before {
		if _, ok := r.records[id]; !ok {
			r.gone(id, x)
		}
	}
	r.revision = revision
	for id, x := range r.records {
		if x.Owner == r.machine && !r.db.Observed.Holds(id) {
			r.pending[id] = nil // it went while no daemon ran
		}
	}
	return nil
}

// take takes in an event.
func (r *Recorder) take(e store.Event) error {
	if e.Revision <= r.revision {
		return nil
	}
	for _, w := range e.Writes {
		if w.Value == nil {
			if x, ok := r.records[w.ID]; ok {
				delete(r.records, w.ID)
				r.gone(w.ID, x)
			}
		} else if err := r.put(w.ID, w.Value); err != nil {
			return err
		}
	}
	r.revision = e.Revision
	return nil
}

// put takes in a record.
func (r *Recorder) put(network string, value []byte) error {
	var x state.Observation
	if err := json.Unmarshal(value, &x); err != nil {
		return fmt.Errorf("record %q: %w", network, err)
	}
	r.records[network] = x
	if x.Owner != r.machine {
		r.db.Observed.Take(network, x)
	}
	return nil
}

// gone takes in that a network's owner has nothing of it any more.
func (r *Recorder) gone(network string, x state.Observation) {
	if x.Owner == r.machine {
		return
	}
	v := r.db.View()
	if _, wanted := v.Network(network); wanted {
		r.db.Observed.Take(network, state.Observation{Owner: x.Owner})
		return
	}
	r.db.Observed.Forget(network, v.Revision)
}

// write writes what is pending, and says whether it is written.
func (r *Recorder) write(ctx context.Context) bool {
	for id, x := range r.db.Observed.Taken() {
		r.pending[id] = x
	}
	var writes []store.Write
	for id, x := range r.pending {
		recorded, is := r.records[id]
		switch {
		case x == nil && (!is || recorded.Owner != r.machine), x != nil && x.Owner != r.machine, x != nil && is && *x == recorded:
			delete(r.pending, id)
			continue
		}
		w := store.Write{Key: store.Key{Kind: kind, ID: id}}
		if x != nil {
			value, err := json.Marshal(x)
			if err != nil {
				r.log.Error("what is applied cannot be recorded", "network", id, "error", err)
				delete(r.pending, id)
				continue
			}
			w.Value = value
		}
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return true
	}
	at := r.revision
	for range tries {
		// Whatever other machines have written meanwhile is about others' networks.
		revision, err := r.store.Commit(ctx, at, writes)
		switch {
		case err == nil:
			if r.failing {
				r.log.Info("what is applied is recorded again")
			}
			r.failing = false
			for id, x := range r.pending {
				if x == nil {
					delete(r.records, id)
				} else {
					r.records[id] = *x
				}
			}
			clear(r.pending)
			return true
		case errors.Is(err, store.ErrConflict) && ctx.Err() == nil:
			at = revision
		default:
			if !r.failing {
				r.log.Error("what is applied cannot be recorded; other machines see what was before", "error", err)
			}
			r.failing = true
			return false
		}
	}
	return false
}
