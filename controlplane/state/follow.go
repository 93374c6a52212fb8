package state

import (
	"context"
	"errors"
	"fmt"

	"sluice/controlplane/resource"
	"sluice/controlplane/store"
)

// errSchema is about another writer that has brought the store to a form that this one
// does not read.
var errSchema = errors.New("another writer has brought the store to another schema")

// Follow takes in what other writers of a shared store commit, as they do, and what
// was committed here though its answer was lost, until ctx ends or the store is closed.
// Listeners are told of it as of one's own commits.
func (db *DB) Follow(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := db.store.Watch(ctx, db.View().Revision)
		switch {
		case errors.Is(err, store.ErrClosed):
			return nil
		case errors.Is(err, store.ErrCompacted):
			err = db.locked(func() error { return db.reload(ctx) })
		case err == nil:
			// A watch may break off: then the next one goes on from where it was.
			for e := range events {
				if err = db.locked(func() error { return db.take(ctx, e) }); err != nil {
					break
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("follow the store: %w", err)
		}
	}
	return nil
}

func (db *DB) locked(f func() error) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	return f()
}

// catchUp takes in the events up to a revision that the store is known to be at. What
// it costs follows what the others have done, not what the store holds. db.writing is
// held.
func (db *DB) catchUp(ctx context.Context, to int64) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		base := db.View().Revision
		events, err := db.store.Watch(watching, base)
		switch {
		case errors.Is(err, store.ErrCompacted), to <= base:
			return db.reload(ctx)
		case err != nil:
			return fmt.Errorf("follow the store: %w", err)
		}
		for e := range events {
			if err := db.take(ctx, e); err != nil {
				return err
			}
			if db.View().Revision >= to {
				return nil
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// take makes the view that of an event, unless it shows it already. db.writing is held.
func (db *DB) take(ctx context.Context, e store.Event) error {
	base := db.View()
	switch {
	case e.Revision <= base.Revision:
		return nil
	case e.Revision > base.Revision+1:
		return db.reload(ctx)
	}
	tx := begin(base)
	for _, w := range e.Writes {
		if w.Kind == store.KindSchema {
			if string(w.Value) != db.schema {
				return errSchema
			}
			continue
		}
		if err := tx.take(w); err != nil {
			return err
		}
	}
	tx.dropUnknownNetworks()
	db.publish(tx, e.Revision)
	return nil
}

// take puts another writer's write into the view as it is. Which networks have to
// follow it does not say, so that all do that it is about.
func (tx *Tx) take(w store.Write) error {
	t, err := tx.rows(resource.Kind(w.Kind))
	if err != nil {
		return err
	}
	var next resource.Resource
	if w.Value != nil {
		if next, err = t.decode(w.ID, w.Value); err != nil {
			return err
		}
	}
	tx.note(resource.Kind(w.Kind), w.ID, next)
	if old, ok := t.get(w.ID); ok {
		tx.follows(old)
		// One of that id may have been deleted and made again in one commit.
		if next == nil || next.Metadata().Created != old.Metadata().Created {
			tx.lost(old.Kind(), w.ID)
		}
	}
	if next == nil {
		t.remove(w.ID)
		return nil
	}
	tx.follows(next)
	t.put(next)
	return nil
}

// reload loads the store anew, where events were missed. All networks have to follow,
// and anything may have been deleted from them in the meantime. db.writing is held.
func (db *DB) reload(ctx context.Context) error {
	fresh, schema, err := load(ctx, db.store)
	base := db.View()
	switch {
	case err != nil:
		return err
	case schema != db.schema:
		return errSchema
	case fresh.Revision < base.Revision:
		return fmt.Errorf("the store has gone back from revision %d to %d", base.Revision, fresh.Revision)
	case fresh.Revision == base.Revision:
		return nil
	}
	tx := begin(base)
	tx.View = fresh
	for _, v := range []*View{base, fresh} {
		for n := range v.Networks() {
			tx.networks[n.Network()] = true
			for _, k := range kinds {
				tx.deleted[gone{network: n.Network(), kind: k.name()}] = true
			}
		}
	}
	db.changes.forget(fresh.Revision)
	db.publish(tx, fresh.Revision)
	return nil
}
