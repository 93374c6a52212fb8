package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"
)

// made returns a file with everything that a structure may consist of: branches, leaves,
// pages that go on over others, buckets with pages of their own and without, and a list
// of free pages.
func made(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 { // what is written again leaves free pages
		err := db.Update(func(tx *bbolt.Tx) error {
			for b := range 3 {
				bucket, err := tx.CreateBucketIfNotExists(fmt.Appendf(nil, "bucket %d", b))
				if err != nil {
					return err
				}
				for i := range []int{200, 1, 20}[b] {
					size := 100
					if i%50 == 7 {
						size = 3 * os.Getpagesize()
					}
					if err := bucket.Put(fmt.Appendf(nil, "key %d", i), []byte(strings.Repeat("x", size+round))); err != nil {
						return err
					}
				}
				if _, err := bucket.CreateBucketIfNotExists([]byte("within")); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checked opens what is in a file and checks it.
func checked(t *testing.T, content []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path, time.Second)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := Check(db); err != nil {
		return err
	}
	// What has been checked can be read.
	return db.View(func(tx *bbolt.Tx) error {
		var read func(b *bbolt.Bucket) error
		read = func(b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if v == nil {
					return read(b.Bucket(k))
				}
				_ = strings.Clone(string(k)) + string(v)
				return nil
			})
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return read(b) })
	})
}

// TestStructure: numbers by which a page says where something is, or how much, may be any
// without a panic, a fault, or an end of memory.
func TestStructure(t *testing.T) {
	whole := made(t)
	if err := checked(t, whole); err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	pages := len(whole) / size
	random := rand.New(rand.NewPCG(1, 2))
	values := []func() uint32{
		random.Uint32,
		func() uint32 { return 0 },
		func() uint32 { return ^uint32(0) },
		func() uint32 { return 1 << random.IntN(32) },
		func() uint32 { return uint32(random.IntN(pages)) }, // another page, or itself
	}
	times := 2000
	if testing.Short() {
		times = 400
	}
	refused := 0
	for range times {
		content := []byte(string(whole))
		// In a page's header, and the first of its elements, or behind that.
		within := []int{32, 64, size}[random.IntN(3)]
		at := random.IntN(pages)*size + random.IntN(within)&^1
		value := values[random.IntN(len(values))]()
		if random.IntN(3) == 0 {
			binary.LittleEndian.PutUint16(content[at:], uint16(value))
		} else {
			binary.LittleEndian.PutUint32(content[min(at, len(content)-4):], value)
		}
		switch err := checked(t, content); {
		case err == nil:
		case errors.Is(err, ErrDamaged):
			refused++
		default:
			t.Errorf("%#x at %d of page %d: %v", value, at%size, at/size, err)
		}
	}
	if refused < times/20 {
		t.Errorf("only %d of %d damaged files were refused", refused, times)
	}
}

// TestStructureSays: what is wrong, of which page.
func TestStructureSays(t *testing.T) {
	whole := made(t)
	size := os.Getpagesize()
	find := func(kind uint16, elements int) int {
		t.Helper()
		for p := 2; p < len(whole)/size; p++ {
			b := whole[p*size:]
			if binary.LittleEndian.Uint64(b) == uint64(p) && binary.LittleEndian.Uint16(b[8:]) == kind && int(binary.LittleEndian.Uint16(b[10:])) >= elements && inUse(t, whole, p) {
				return p
			}
		}
		t.Fatalf("there is no page of kind %#x with %d elements", kind, elements)
		return 0
	}
	for name, c := range map[string]struct {
		kind   uint16
		change func(page []byte)
		want   string
	}{
		"goes on without end":        {leafPage, func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 1<<31) }, "goes on over 2147483648 pages"},
		"is another":                 {leafPage, func(b []byte) { binary.LittleEndian.PutUint64(b, 3) }, "takes itself for page 3"},
		"a value beyond the end":     {leafPage, func(b []byte) { binary.LittleEndian.PutUint32(b[headerSize+12:], 1<<30) }, "element 0: from"},
		"a key beyond the end":       {branchPage, func(b []byte) { binary.LittleEndian.PutUint32(b[headerSize+4:], 1<<30) }, "element 0: from"},
		"more elements than room":    {leafPage, func(b []byte) { binary.LittleEndian.PutUint16(b[10:], 0xffff) }, "not room for 65535 elements"},
		"a branch that leads to one": {branchPage, func(b []byte) { copy(b[headerSize+8:], b[headerSize+elementSize+8:headerSize+2*elementSize]) }, "in two places"},
		"a branch to itself":         {branchPage, func(b []byte) { copy(b[headerSize+8:headerSize+16], b[:8]) }, "in two places"},
		"an empty branch":            {branchPage, func(b []byte) { binary.LittleEndian.PutUint16(b[10:], 0) }, "nothing on it"},
		"a branch to nowhere":        {branchPage, func(b []byte) { binary.LittleEndian.PutUint64(b[headerSize+8:], 1<<40) }, "page 1099511627776: there are those from 2"},
	} {
		t.Run(name, func(t *testing.T) {
			content := []byte(string(whole))
			at := find(c.kind, 2) * size
			c.change(content[at : at+size])
			if err := checked(t, content); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// inUse says whether a page is in the file's structure, and not a free one that was.
func inUse(t *testing.T, whole []byte, page int) bool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	used := false
	err = db.View(func(tx *bbolt.Tx) error {
		info, err := tx.Page(page)
		used = err == nil && info != nil && info.Type != "free"
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}
