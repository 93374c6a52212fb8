// Package damage changes records in the file of a store behind its back, for tests and
// measurements of what is made of that.
package damage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	bbolt "go.etcd.io/bbolt"
)

// record is a record as it is in the file.
type record struct{ kind, id, value []byte }

// Record makes one random change of the records in a file that nobody has open, and says
// which: some bytes of a record are others, records have changed places, one is missing,
// or is there again under another key, or has the value that it had in an older file.
// older may be empty.
func Record(path, older string, r *rand.Rand) (what string, err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return "", err
	}
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
	}()
	all, err := records(db)
	if err != nil {
		return "", err
	}
	x, y := all[r.IntN(len(all))], all[r.IntN(len(all))]
	for bytes.Equal(x.value, y.value) {
		y = all[r.IntN(len(all))]
	}
	var writes []record // a nil value deletes
	switch r.IntN(7) {
	case 0, 1, 2: // in the bytes
		value := bytes.Clone(x.value)
		for range 1 + r.IntN(3)*r.IntN(2) {
			i := r.IntN(len(value))
			switch r.IntN(4) {
			case 0:
				value[i] ^= 1 << r.IntN(8)
			case 1: // into what may stand in JSON
				value[i] = `abcdefghijklmnopqrstuvwxyz0123456789"{}[],:.-`[r.IntN(45)]
			case 2:
				value = append(value[:i], value[min(i+1+r.IntN(4), len(value)):]...)
			case 3:
				value = append(value[:i:i], append([]byte{value[i]}, value[i:]...)...)
			}
		}
		if bytes.Equal(value, x.value) {
			value = append(value, ' ')
		}
		writes, what = []record{{x.kind, x.id, value}}, fmt.Sprintf("%s %q has become %q, from %q", x.kind, x.id, value, x.value)
	case 3:
		writes, what = []record{{x.kind, x.id, y.value}, {y.kind, y.id, x.value}}, fmt.Sprintf("%s %q and %s %q have changed places", x.kind, x.id, y.kind, y.id)
	case 4:
		writes, what = []record{{x.kind, x.id, nil}}, fmt.Sprintf("%s %q is missing", x.kind, x.id)
	case 5:
		id := append(bytes.Clone(x.id), "abcdef"[r.IntN(6)])
		writes, what = []record{{x.kind, id, x.value}}, fmt.Sprintf("%s %q is there again as %q", x.kind, x.id, id)
	case 6:
		old, err := changed(older, all, r)
		if err != nil {
			return "", err
		}
		writes, what = []record{old}, fmt.Sprintf("%s %q is as it was before", old.kind, old.id)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, w := range writes {
			b, err := tx.Bucket([]byte("kinds")).CreateBucketIfNotExists(w.kind)
			if err != nil {
				return err
			}
			if w.value == nil {
				err = b.Delete(w.id)
			} else {
				err = b.Put(w.id, w.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return what, err
}

func records(db *bbolt.DB) (all []record, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		kinds := tx.Bucket([]byte("kinds"))
		return kinds.ForEachBucket(func(kind []byte) error {
			return kinds.Bucket(kind).ForEach(func(id, value []byte) error {
				all = append(all, record{bytes.Clone(kind), bytes.Clone(id), bytes.Clone(value)})
				return nil
			})
		})
	})
	return all, err
}

// changed returns a record of an older file that is not so among those of now.
func changed(older string, now []record, r *rand.Rand) (record, error) {
	db, err := bbolt.Open(older, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return record{}, err
	}
	defer db.Close()
	all, err := records(db)
	if err != nil {
		return record{}, err
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, old := range all {
		same := false
		for _, x := range now {
			same = same || bytes.Equal(x.kind, old.kind) && bytes.Equal(x.id, old.id) && bytes.Equal(x.value, old.value)
		}
		if !same {
			return old, nil
		}
	}
	return record{}, fmt.Errorf("%s has no record that is another now", older)
}

// Believed makes so many changes, each in a copy of a file, and returns those with which
// open does not fail. In the copy some records are newer than in the file, by grow. dir
// is for the copies.
func Believed(dir, file string, changes int, seed uint64, grow, open func(path string) error) (believed []string, err error) {
	older, newer := filepath.Join(dir, "older.db"), filepath.Join(dir, "newer.db")
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{older, newer} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
		// Both in the format of today.
		if err := open(path); err != nil {
			return nil, err
		}
	}
	if err := grow(newer); err != nil {
		return nil, err
	}
	if content, err = os.ReadFile(newer); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(dir, "damaged.db")
	for range changes {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
		what, err := Record(path, older, r)
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		if open(path) == nil {
			believed = append(believed, what)
		}
	}
	return believed, nil
}
