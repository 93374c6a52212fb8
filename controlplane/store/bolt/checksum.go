package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bbolt "go.etcd.io/bbolt"

	"sluice/controlplane/store/boltfile"
)

// Each record has a checksum, of itself with its key and revision, and the file one of
// all: the sum of the records', which a commit changes by what it writes, and that of the
// revision. So a byte that was changed is noticed, and a record that is another's, is
// missing, was there before, or should not be there. They are against damage; whoever
// may write the file can write them, too.

// checksum returns that of a record. buffer is room for what it is made of, which may be
// used again; nil for none.
func checksum(buffer *[]byte, kind, id []byte, revision int64, value []byte) uint64 {
	var own []byte
	if buffer == nil {
		buffer = &own
	}
	b := binary.AppendUvarint((*buffer)[:0], uint64(len(kind)))
	b = append(b, kind...)
	b = binary.AppendUvarint(b, uint64(len(id)))
	b = append(b, id...)
	b = append(b, encode(revision)...)
	b = append(b, value...)
	*buffer = b
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// whole returns what sumKey has for a revision and the sum of the records' checksums.
func whole(revision int64, sum uint64) uint64 {
	return sum + checksum(nil, nil, nil, revision, nil)
}

// verify says which record is not as it was committed, if any is.
func verify(tx *bbolt.Tx) error {
	var sum uint64
	var buffer []byte
	meta, kinds := tx.Bucket(metaBucket), tx.Bucket(kindsBucket)
	revision := decode(meta.Get(revisionKey))
	err := each(kinds, func(kind, id, value []byte) error {
		if len(value) < headSize {
			return fmt.Errorf("record %s %q is cut short: %w", kind, id, boltfile.ErrDamaged)
		}
		c := uint64(decode(value[numberSize:headSize]))
		if c != checksum(&buffer, kind, id, decode(value[:numberSize]), value[headSize:]) {
			return fmt.Errorf("record %s %q is not what was written: %w", kind, id, boltfile.ErrDamaged)
		}
		sum += c
		return nil
	})
	if err == nil && uint64(decode(meta.Get(sumKey))) != whole(revision, sum) {
		err = fmt.Errorf("a record is missing, or one is there that should not be: %w", boltfile.ErrDamaged)
	}
	return err
}

// each calls fn for every record.
func each(kinds *bbolt.Bucket, fn func(kind, id, value []byte) error) error {
	return kinds.ForEach(func(kind, value []byte) error {
		b := kinds.Bucket(kind)
		if b == nil {
			return fmt.Errorf("there is a record %q among the kinds: %w", kind, boltfile.ErrDamaged)
		}
		return b.ForEach(func(id, value []byte) error {
			if value == nil {
				return fmt.Errorf("there is a bucket %q among the records of %s: %w", id, kind, boltfile.ErrDamaged)
			}
			return fn(kind, id, value)
		})
	})
}

// upgrade brings a file of format 1, whose records had no checksums, to this one.
func (s *Store) upgrade(path string) error {
	records := 0
	err := s.db.View(func(tx *bbolt.Tx) error {
		meta, kinds := tx.Bucket(metaBucket), tx.Bucket(kindsBucket)
		if meta == nil || kinds == nil {
			return errors.New("it is a database of something else; move it away")
		}
		switch f := decode(meta.Get(formatKey)); f {
		case format:
			records = -1
			return nil
		case 1:
			if meta.Get(sumKey) != nil {
				return fmt.Errorf("it has a sum, which format 1 has not: %w", boltfile.ErrDamaged)
			}
			return each(kinds, func(kind, id, value []byte) error {
				if records++; len(value) < numberSize {
					return fmt.Errorf("record %s %q is cut short: %w", kind, id, boltfile.ErrDamaged)
				}
				return nil
			})
		default:
			return fmt.Errorf("format %d is not known, only those up to %d: it was written by another version", f, format)
		}
	})
	if err != nil || records < 0 {
		return err
	}
	if records > 0 {
		before := fmt.Sprintf("%s.format-1.%s", path, time.Now().UTC().Format("20060102T150405Z"))
		if err := boltfile.Copy(s.db, before); err != nil {
			return fmt.Errorf("copy it before it is brought to format %d: %w", format, err)
		}
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		meta, kinds := tx.Bucket(metaBucket), tx.Bucket(kindsBucket)
		type record struct{ kind, id, value []byte }
		var all []record // a bucket must not be changed while it is gone through
		var sum uint64
		err := each(kinds, func(kind, id, old []byte) error {
			c := checksum(nil, kind, id, decode(old[:numberSize]), old[numberSize:])
			sum += c
			value := append(make([]byte, 0, numberSize+len(old)), old[:numberSize]...)
			value = append(value, encode(int64(c))...)
			// What bbolt hands out need not outlive the first write.
			all = append(all, record{bytes.Clone(kind), bytes.Clone(id), append(value, old[numberSize:]...)})
			return nil
		})
		if err != nil {
			return err
		}
		for _, r := range all {
			if err := kinds.Bucket(r.kind).Put(r.id, r.value); err != nil {
				return err
			}
		}
		if err := meta.Put(sumKey, encode(int64(whole(decode(meta.Get(revisionKey)), sum)))); err != nil {
			return err
		}
		return meta.Put(formatKey, encode(format))
	})
}
