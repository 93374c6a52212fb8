package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	bbolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sluice/controlplane/store"
	"sluice/controlplane/store/boltfile"
	"sluice/controlplane/store/events"
)

// The layout of the file: meta holds the format, the revision and the sum of all
// (see checksum.go), kinds one bucket per kind of record. A value is the revision of the
// commit that wrote it, and its checksum, in 8 bytes each, and the record's own bytes.
var (
	metaBucket  = []byte("meta")
	kindsBucket = []byte("kinds")
	formatKey   = []byte("format")
	revisionKey = []byte("revision")
	sumKey      = []byte("sum")
)

// format is raised when the layout changes.
const format = 2

// numberSize is that of a number, headSize that of what comes before a record's own bytes.
const (
	numberSize = 8
	headSize   = 2 * numberSize
)

// Store is a store.Store in one file.
type Store struct {
	db *bbolt.DB

	// committing is held across the commit and its event, so that watchers see
	// commits in order.
	committing sync.Mutex
	events     *events.Log

	closing sync.Once
	closed  chan struct{}
}

var _ store.Store = (*Store)(nil)

// Open opens the file, or makes it, with mode 0600. Another process that has it
// open is waited for for as long as patience; then the error says so. A file
// that is cut short or otherwise damaged, or holds anything else than what was
// committed, is refused, and left as it is. One of an older format is copied beside
// itself, and brought to this one.
func Open(path string, patience time.Duration) (*Store, error) {
	patience = max(patience, time.Millisecond) // 0 would wait for ever
	if err := boltfile.Establish(path, patience, fill); err != nil {
		return nil, explain(path, err)
	}
	db, err := boltfile.Open(path, patience)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("store %s is in use by another process: is sluiced running already?", path)
	case err != nil:
		return nil, explain(path, err)
	}
	s := &Store{db: db, closed: make(chan struct{})}
	if err := s.prepare(path); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	return s, nil
}

// fill lays out a new file.
func fill(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(kindsBucket); err != nil {
		return err
	}
	if err := meta.Put(formatKey, encode(format)); err != nil {
		return err
	}
	return meta.Put(sumKey, encode(int64(whole(0, 0))))
}

// explain names the file, and what to do about damage. To begin anew would
// remove every network from the kernel, which nobody but the operator decides.
func explain(path string, err error) error {
	if errors.Is(err, boltfile.ErrDamaged) {
		return fmt.Errorf("store %s: %w; restore it from a backup (sluicectl backup list, sluicectl backup restore FILE), or move it away to begin with an empty store, without any network", path, err)
	}
	return fmt.Errorf("store %s: %w", path, err)
}

func (s *Store) prepare(path string) error {
	// What stands in it is nobody else's business, whoever copied it here.
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	if err := boltfile.Check(s.db); err != nil {
		return err
	}
	if err := s.upgrade(path); err != nil {
		return err
	}
	var revision int64
	err := s.db.View(func(tx *bbolt.Tx) error {
		revision = decode(tx.Bucket(metaBucket).Get(revisionKey))
		return verify(tx)
	})
	s.events = events.New(revision, events.Kept)
	return err
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, fn func(store.Record) error) (int64, error) {
	var revision int64
	err := s.db.View(func(tx *bbolt.Tx) error {
		revision = decode(tx.Bucket(metaBucket).Get(revisionKey))
		kinds := tx.Bucket(kindsBucket)
		return kinds.ForEachBucket(func(kind []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return kinds.Bucket(kind).ForEach(func(id, value []byte) error {
				return fn(store.Record{ // that Open has verified
					Key:      store.Key{Kind: string(kind), ID: string(id)},
					Value:    value[headSize:],
					Revision: decode(value[:numberSize]),
				})
			})
		})
	})
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return 0, store.ErrClosed
	case err != nil:
		return 0, fmt.Errorf("read the store: %w", err)
	}
	return revision, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, base int64, writes []store.Write) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.committing.Lock()
	defer s.committing.Unlock()
	next := base + 1
	var at int64
	err := s.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if at = decode(meta.Get(revisionKey)); at != base {
			return store.ErrConflict
		}
		kinds := tx.Bucket(kindsBucket)
		sum := uint64(decode(meta.Get(sumKey))) - whole(at, 0)
		for _, w := range writes {
			if err := put(kinds, w, next, &sum); err != nil {
				return fmt.Errorf("%s %q: %w", w.Kind, w.ID, err)
			}
		}
		if err := meta.Put(sumKey, encode(int64(whole(next, sum)))); err != nil {
			return err
		}
		return meta.Put(revisionKey, encode(next))
	})
	switch {
	case errors.Is(err, store.ErrConflict):
		return at, store.ErrConflict
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return 0, store.ErrClosed
	case err != nil:
		return 0, fmt.Errorf("write the store: %w", err)
	}
	s.events.Add(store.Event{Revision: next, Writes: writes})
	return next, nil
}

// put makes a write, and keeps the sum of all checksums.
func put(kinds *bbolt.Bucket, w store.Write, revision int64, sum *uint64) error {
	if w.Kind == "" || w.ID == "" {
		return errors.New("a record needs a kind and an id")
	}
	b := kinds.Bucket([]byte(w.Kind))
	if b != nil {
		if old := b.Get([]byte(w.ID)); len(old) >= headSize {
			*sum -= uint64(decode(old[numberSize:headSize]))
		}
	}
	if w.Value == nil {
		if b != nil {
			return b.Delete([]byte(w.ID))
		}
		return nil
	}
	b, err := kinds.CreateBucketIfNotExists([]byte(w.Kind))
	if err != nil {
		return err
	}
	c := checksum(nil, []byte(w.Kind), []byte(w.ID), revision, w.Value)
	*sum += c
	value := make([]byte, 0, headSize+len(w.Value))
	value = append(value, encode(revision)...)
	value = append(value, encode(int64(c))...)
	return b.Put([]byte(w.ID), append(value, w.Value...))
}

// Backup writes the store, as it is now, to a file that is not there yet.
func (s *Store) Backup(path string) error { return boltfile.Copy(s.db, path) }

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, from int64) (<-chan store.Event, error) {
	return s.events.Watch(ctx, from, s.closed)
}

// Close implements store.Store. It ends all watches.
func (s *Store) Close() error {
	s.closing.Do(func() { close(s.closed) })
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

func encode(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// decode reads what encode wrote; an absent value is 0.
func decode(b []byte) int64 {
	if len(b) != numberSize {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}
