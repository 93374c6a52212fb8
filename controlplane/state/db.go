package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"sluice/controlplane/resource"
	"sluice/controlplane/store"
)

// DB is the view over a store, and the one way to write to it.
type DB struct {
	store  store.Store
	schema string // the form that the store is in
	view   atomic.Pointer[View]

	// writing serializes transactions. It is held across the store's commit, so
	// that views follow one another in the order of their revisions.
	writing   sync.Mutex
	listeners []func(Commit)
	changes   changes

	// Observed is what the dataplane has reported of each network.
	Observed *Observed
}

// Commit tells a listener what a transaction changed.
type Commit struct {
	Revision int64
	Networks []string // those whose dataplane has to follow, sorted
}

// Open loads everything in the store.
func Open(ctx context.Context, s store.Store) (*DB, error) {
	v, schema, err := load(ctx, s)
	if err != nil {
		return nil, err
	}
	db := &DB{store: s, schema: schema, Observed: newObserved()}
	db.view.Store(v)
	db.changes.forget(v.Revision)
	for n := range v.Networks() {
		db.Observed.want(n.Network(), n.Carrier(), v.Revision)
	}
	return db, nil
}

// View returns the newest snapshot.
func (db *DB) View() *View { return db.view.Load() }

// Listen registers fn to be called after each commit that the view shows, whoever made
// it, in order; of one's own, before Update returns. It must not block, and must be registered before the first Update.
func (db *DB) Listen(fn func(Commit)) { db.listeners = append(db.listeners, fn) }

// Update runs fn in a transaction. If fn returns an error, or the store does,
// nothing has changed. When Update returns nil, what fn wrote is durable and
// in View. fn may be run again, if another writer of a shared store was faster. After
// an error of the store that is not about the writes themselves (a lost connection, an
// ended context), they may be there all the same; Follow finds out.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	for {
		rev, err := db.attempt(ctx, fn)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := db.catchUp(ctx, rev); err != nil {
			return err
		}
	}
}

// attempt runs fn once. With ErrConflict comes the revision that the store is at.
func (db *DB) attempt(ctx context.Context, fn func(*Tx) error) (int64, error) {
	base := db.View()
	tx := begin(base)
	err := fn(tx)
	if err == nil {
		err = tx.err
	}
	if err != nil {
		return 0, err
	}
	tx.dropUnknownNetworks()
	if len(tx.writes) == 0 {
		return 0, nil
	}
	writes, err := tx.encode()
	if err != nil {
		return 0, err
	}
	rev, err := db.store.Commit(ctx, base.Revision, writes)
	if err != nil {
		return rev, fmt.Errorf("commit: %w", err)
	}
	db.publish(tx, rev)
	return rev, nil
}

// publish makes what a transaction has come to the view of a revision, and tells the
// listeners. db.writing is held.
func (db *DB) publish(tx *Tx, revision int64) {
	tx.View.Revision = revision
	commit := Commit{Revision: revision}
	for id := range tx.networks {
		commit.Networks = append(commit.Networks, id)
		// Before the view is published: whoever sees the change in the view sees
		// the network as unsettled.
		owner := ""
		if n, ok := tx.Network(id); ok {
			owner = n.Carrier()
		}
		db.Observed.want(id, owner, revision)
	}
	db.changes.note(tx, revision)
	for g := range tx.deleted {
		db.Observed.gone(g, revision)
	}
	slices.Sort(commit.Networks)
	db.view.Store(tx.View)
	for _, listen := range db.listeners {
		listen(commit)
	}
}

// Tx is a transaction: its own view, in which its writes show at once.
type Tx struct {
	*View
	base     *View
	revision int64
	writes   map[store.Key]resource.Resource // nil: deleted
	networks map[string]bool
	dirty    map[string]bool // networks that follow a change of something else
	changes  map[store.Key]Change
	deleted  map[gone]bool
	err      error // why it can't be committed
}

func begin(base *View) *Tx {
	return &Tx{View: base.clone(), base: base, revision: base.Revision + 1, writes: make(map[store.Key]resource.Resource), networks: make(map[string]bool), dirty: make(map[string]bool), changes: make(map[store.Key]Change), deleted: make(map[gone]bool)}
}

// gone is a kind of resource that has been deleted from a network, and the public address that it
// had of its own, if any.
type gone struct {
	network string
	kind    resource.Kind
	address netip.Addr
}

func goneOf(r resource.Resource) gone {
	g := gone{network: r.Network(), kind: r.Kind()}
	if a, ok := r.(resource.Addressed); ok {
		g.address = a.PublicAddress()
	}
	return g
}

// lost notes that what had an id has been deleted, from the network that it was in: the
// dataplane may hold it. What was made in this transaction nobody has had.
func (tx *Tx) lost(kind resource.Kind, id string) {
	t, err := tx.base.rows(kind)
	if err != nil {
		return
	}
	if old, ok := t.get(id); ok && old.Network() != "" {
		tx.deleted[goneOf(old)] = true
	}
}

// tries is how often an id is drawn before it is given up: with half of all ids taken,
// that none is free is a matter of one in 10^30.
const tries = 100

// NewID returns an id that draw gives and nothing has. If there is none, it returns one
// that is taken, with which Put makes the transaction fail.
func (tx *Tx) NewID(draw func() string) string {
	id := draw()
	for range tries {
		if !tx.Taken(id) {
			break
		}
		id = draw()
	}
	return id
}

// Put writes a resource that the dataplane has to follow. One that is new (it has no
// Created) may not take the place of another: the transaction then fails.
func (tx *Tx) Put(r resource.Resource) {
	r.Metadata().Generation = tx.revision
	tx.follows(r)
	tx.write(r)
}

// PutLive writes a change that the dataplane has to follow while the resource stays Ready:
// of something that is in use, and remains so.
func (tx *Tx) PutLive(r resource.Resource) {
	tx.follows(r)
	tx.write(r)
}

// follows notes that the networks have to follow for which a resource matters, or has
// mattered until now: an interface that leaves a security group leaves the rules that name it.
func (tx *Tx) follows(r resource.Resource) {
	if old, ok := tx.table(r.Kind()).get(r.Metadata().ID); ok {
		for _, network := range byName[r.Kind()].decides(tx.View, old) {
			tx.networks[network] = true
		}
	}
	for _, network := range byName[r.Kind()].decides(tx.View, r) {
		tx.networks[network] = true
	}
}

// PutAttributes writes a change that the dataplane does not follow, such as a
// new name.
func (tx *Tx) PutAttributes(r resource.Resource) { tx.write(r) }

// Delete removes a resource, and with it its tags. Of one with a network of its own it
// leaves a DeletedNetwork, which is deleted when nothing is left of that.
func (tx *Tx) Delete(r resource.Resource) {
	id := r.Metadata().ID
	if t, ok := tx.TagSets.Get(id); ok && r.Kind() == t.Of {
		tx.Delete(t)
	}
	tx.follows(r)
	tx.lost(r.Kind(), id)
	tx.note(r.Kind(), id, nil)
	tx.table(r.Kind()).remove(id)
	tx.writes[store.Key{Kind: string(r.Kind()), ID: id}] = nil
	if n, ok := ownNetwork(r); ok {
		d := &resource.DeletedNetwork{Meta: resource.Meta{ID: id, Account: r.Metadata().Account, Region: r.Metadata().Region}, Owner: n.Carrier()}
		if before, again := tx.DeletedNetworks.Get(id); again {
			d.Created = before.Created
		}
		tx.PutAttributes(d)
	}
}

// Dirty makes the dataplane of a network follow although no resource of it
// changed: for what a change elsewhere implies for it.
func (tx *Tx) Dirty(network string) { tx.networks[network], tx.dirty[network] = true, true }

// note remembers what becomes of a resource, before it does in the view.
func (tx *Tx) note(kind resource.Kind, id string, next resource.Resource) {
	key := store.Key{Kind: string(kind), ID: id}
	change, again := tx.changes[key]
	if !again {
		change.Old, _ = tx.table(kind).get(id)
	}
	change.New = next
	tx.changes[key] = change
}

// Revision is the revision that the transaction will have.
func (tx *Tx) Revision() int64 { return tx.revision }

func (tx *Tx) write(r resource.Resource) {
	m := r.Metadata()
	t := tx.table(r.Kind())
	m.Revision = tx.revision
	if old, ok := t.get(m.ID); ok {
		if m.Created == 0 {
			tx.err = errors.Join(tx.err, fmt.Errorf("a new %s would take the place of %s", r.Kind(), m.ID))
		}
		m.Created = old.Metadata().Created
		tx.networks[old.Network()] = tx.networks[old.Network()] || old.Network() != r.Network()
	} else {
		m.Created = tx.revision
	}
	tx.note(r.Kind(), m.ID, r)
	t.put(r)
	tx.writes[store.Key{Kind: string(r.Kind()), ID: m.ID}] = r
}

// table returns the table of a kind that the program itself uses, so it exists.
func (tx *Tx) table(k resource.Kind) *rows {
	t, err := tx.rows(k)
	if err != nil {
		panic(err)
	}
	return t
}

// encode returns the writes in order of kind and id.
func (tx *Tx) encode() ([]store.Write, error) {
	writes := make([]store.Write, 0, len(tx.writes))
	for k, r := range tx.writes {
		w := store.Write{Key: k}
		if r != nil {
			value, err := json.Marshal(r)
			if err != nil {
				return nil, fmt.Errorf("encode %s %s: %w", k.Kind, k.ID, err)
			}
			// What can't be read would keep the next start, and all others, from the store.
			if _, err := tx.table(resource.Kind(k.Kind)).decode(k.ID, value); err != nil {
				return nil, fmt.Errorf("%s %s could not be read again: %w", k.Kind, k.ID, err)
			}
			w.Value = value
		}
		writes = append(writes, w)
	}
	slices.SortFunc(writes, func(a, b store.Write) int { return a.Key.Compare(b.Key) })
	return writes, nil
}

// dropUnknownNetworks settles which networks have to follow: not those that
// were gone before the transaction, since nobody would ever report them.
func (tx *Tx) dropUnknownNetworks() {
	known := func(id string) bool {
		_, now := tx.Network(id)
		_, before := tx.base.Network(id)
		return now || before
	}
	for id, dirty := range tx.networks {
		if !dirty || !known(id) {
			delete(tx.networks, id)
		}
	}
	for g := range tx.deleted {
		if !known(g.network) {
			delete(tx.deleted, g)
		}
	}
}
