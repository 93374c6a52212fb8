package store

import (
	"cmp"
	"context"
	"errors"
	"strings"
)

// Key names a record.
type Key struct {
	Kind string // part of the store; not empty
	ID   string // not empty; any bytes
}

// Compare orders keys by kind, and by id within a kind.
func (k Key) Compare(other Key) int {
	return cmp.Or(strings.Compare(k.Kind, other.Kind), strings.Compare(k.ID, other.ID))
}

// KindSchema is the kind of the record that says in which form all others are: see
// package schema. It is no resource.
const KindSchema = "schema"

// Record is one stored value.
type Record struct {
	Key
	Value    []byte
	Revision int64 // of the commit that wrote it
}

// Write is one change of a commit.
type Write struct {
	Key
	Value []byte // nil deletes; deleting what is absent succeeds
}

// Event is one commit, as a watcher sees it.
type Event struct {
	Revision int64
	Writes   []Write
}

// ErrConflict is returned by Commit when another writer has committed since
// the given revision: load what changed, check the rules again, and retry.
var ErrConflict = errors.New("the store has been written since that revision")

// ErrCompacted is returned by Watch when the events after the given revision
// are no longer kept: load everything and watch from there.
var ErrCompacted = errors.New("the store no longer keeps the events after that revision")

// ErrClosed is returned by a store that has been closed.
var ErrClosed = errors.New("the store is closed")

// Store keeps records. All methods may be called concurrently, by any number of
// writers: another may commit between any two calls. Bytes that are handed over, and
// those of an event, are not changed by anybody afterwards.
type Store interface {
	// Load calls fn for every record, in order of kind and id, as of one
	// revision, which it returns. The record's bytes are valid during the call;
	// fn must not call the store.
	Load(ctx context.Context, fn func(Record) error) (revision int64, err error)
	// Commit makes all writes durable, or none. base is the revision that the
	// writes were decided on; if the store has moved on since, ErrConflict, and
	// the revision that it is at. The new revision is base+1. When Commit returns
	// nil, the writes survive a crash of the process and of the machine. After an
	// error other than ErrConflict they may have been made all the same: Watch
	// delivers them then.
	Commit(ctx context.Context, base int64, writes []Write) (revision int64, err error)
	// Watch delivers every commit after revision from, in order, until ctx ends,
	// the store is closed, or the store can't deliver any more; then the channel is
	// closed. Whoever wants more watches again from what was seen last. A revision
	// that is still to come is an error.
	Watch(ctx context.Context, from int64) (<-chan Event, error)
	Close() error
}
