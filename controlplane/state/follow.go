package state

import (
	"context"
	"errors"

	"sluice/controlplane/resource"
	"sluice/controlplane/store"
)

// Follow takes in what other writers of a shared store commit, as they do, until ctx
// ends or the store is closed. Listeners are told of it as of one's own commits.
func (db *DB) Follow(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := db.store.Watch(ctx, db.View().Revision)
		switch {
		case errors.Is(err, store.ErrCompacted):
			if err := db.locked(func() error { return db.catchUp(ctx) }); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		for e := range events {
			if err := db.locked(func() error { return db.take(ctx, e) }); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

func (db *DB) locked(f func() error) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	return f()
}

// take makes the view that of an event, unless it shows it already. db.writing is held.
func (db *DB) take(ctx context.Context, e store.Event) error {
	base := db.View()
	switch {
	case e.Revision <= base.Revision:
		return nil
	case e.Revision > base.Revision+1:
		return db.catchUp(ctx)
	}
	tx := begin(base)
	for _, w := range e.Writes {
		if err := tx.take(w); err != nil {
			return err
		}
	}
	tx.dropUnknownNetworks(base)
	db.publish(tx, e.Revision)
	return nil
}

// take puts another writer's write into the view as it is. Which networks have to
// follow it does not say, so that all do that it is about.
func (tx *Tx) take(w store.Write) error {
	if w.Kind == store.KindSchema {
		return errors.New("another writer has brought the store to another schema")
	}
	t, err := tx.rows(resource.Kind(w.Kind))
	if err != nil {
		return err
	}
	tx.note(resource.Kind(w.Kind), w.ID, nil)
	if old, ok := t.get(w.ID); ok {
		tx.networks[old.Network()] = true
		if w.Value == nil {
			if n := old.Network(); n != "" {
				tx.deleted[gone{n, old.Kind()}] = true
			}
			t.remove(w.ID, tx.touched)
		}
	}
	if w.Value == nil {
		return nil
	}
	r, err := t.decode(w.Value)
	if err != nil {
		return err
	}
	tx.networks[r.Network()] = true
	tx.note(resource.Kind(w.Kind), w.ID, r)
	t.put(r, tx.touched)
	return nil
}

// catchUp loads the store anew, where events were missed. db.writing is held.
func (db *DB) catchUp(ctx context.Context) error {
	fresh, err := Open(ctx, db.store)
	if err != nil {
		return err
	}
	base := db.View()
	tx := begin(base)
	tx.View = fresh.View()
	for _, v := range []*View{base, tx.View} {
		for vpc := range v.VPCs.All() {
			tx.networks[vpc.ID] = true
		}
	}
	db.changes.forget(tx.View.Revision)
	db.publish(tx, tx.View.Revision)
	return nil
}
