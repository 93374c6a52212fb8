package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	bbolt "go.etcd.io/bbolt"
)

// The layout of bbolt's pages, little-endian (bbolt's internal/common, 1.5.0). A page
// begins with its number (8 bytes), what it is (2), how many elements it has (2), and
// how many pages more it goes on over (4). Elements follow, which say where their keys
// and values are, from their own beginning on: of a leaf flags, position, and the sizes
// of key and value (4 bytes each); of a branch position, size of the key, and the page
// (8). The value of a leaf's element that is a bucket is its root page and a sequence
// (8 each); root page 0 stands for a leaf in the value itself.
const (
	headerSize  = 16
	elementSize = 16
	bucketSize  = 16
	numberSize  = 8

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01
	manyFree      = 0xffff     // elements of a freelist whose number is its first element
	noFreelist    = ^uint64(0) // in place of the freelist's page
	metaFreelist  = headerSize + 32
	metaRevision  = headerSize + 48
)

// structure looks whether all that pages say of places, in themselves and of other pages,
// is within the file, and that no page is in two places. bbolt believes all that: it reads
// beyond the file's memory, goes round in circles, or counts up to whatever a page says
// that it goes on over; and what its own check does so in is a goroutine that nobody can
// catch a fault of. What pages hold is not looked at. The file has all pages of tx (see
// Whole); a fault of its memory is for Trap.
func structure(tx *bbolt.Tx) (err error) {
	file, err := os.Open(tx.DB().Path())
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := syscall.Mmap(int(file.Fd()), 0, int(tx.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s into memory: %w", file.Name(), err)
	}
	defer func() { err = errors.Join(err, syscall.Munmap(data)) }()
	w := &pages{data: data, size: tx.DB().Info().PageSize, seen: make([]bool, len(data)/tx.DB().Info().PageSize)}
	freelist, err := w.meta(uint64(tx.ID()))
	if err != nil {
		return err
	}
	if freelist != noFreelist {
		if err := w.freelist(freelist); err != nil {
			return err
		}
	}
	return w.tree(uint64(tx.Cursor().Bucket().Root()))
}

// pages are those of a file, as of a transaction.
type pages struct {
	data []byte
	size int    // of a page, in bytes
	seen []bool // by number; as many as there are
}

// damaged says what is wrong with a page.
func damaged(page uint64, format string, a ...any) error {
	return fmt.Errorf("page %d: %s: %w", page, fmt.Sprintf(format, a...), ErrDamaged)
}

// meta returns the number of the freelist's page as of a transaction.
func (w *pages) meta(transaction uint64) (freelist uint64, err error) {
	for id := range 2 {
		page := w.data[id*w.size:]
		if binary.LittleEndian.Uint64(page[metaRevision:]) == transaction {
			return binary.LittleEndian.Uint64(page[metaFreelist:]), nil
		}
	}
	return 0, fmt.Errorf("there is no transaction %d in it: %w", transaction, ErrDamaged)
}

// page returns a page, with those that it goes on over, and notes that they are in use.
func (w *pages) page(id uint64) (b []byte, kind, elements int, err error) {
	n := uint64(len(w.seen))
	if id < 2 || id >= n {
		return nil, 0, 0, damaged(id, "there are those from 2 to %d", n-1)
	}
	b = w.data[int(id)*w.size:]
	more := uint64(binary.LittleEndian.Uint32(b[12:]))
	switch at := binary.LittleEndian.Uint64(b); {
	case at != id:
		return nil, 0, 0, damaged(id, "it takes itself for page %d", at)
	case more >= n-id:
		return nil, 0, 0, damaged(id, "it goes on over %d pages, beyond the last", more)
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i] {
			return nil, 0, 0, damaged(i, "it is in two places")
		}
		w.seen[i] = true
	}
	b = b[:int(1+more)*w.size]
	return b, int(binary.LittleEndian.Uint16(b[8:])), int(binary.LittleEndian.Uint16(b[10:])), nil
}

// freelist looks at the list of free pages.
func (w *pages) freelist(id uint64) error {
	b, kind, count, err := w.page(id)
	if err != nil {
		return err
	}
	list := b[headerSize:]
	n := uint64(count)
	if count == manyFree {
		n, list = binary.LittleEndian.Uint64(list), list[numberSize:]
	}
	if kind != freelistPage || n > uint64(len(list)/numberSize) {
		return damaged(id, "it is no list of free pages, or has not room for %d", n)
	}
	for i := range n {
		if free := binary.LittleEndian.Uint64(list[i*numberSize:]); free < 2 || free >= uint64(len(w.seen)) {
			return damaged(id, "page %d is free, and there are those from 2 to %d", free, len(w.seen)-1)
		}
	}
	return nil
}

// tree looks at a page of a bucket, and at all that are below it.
func (w *pages) tree(id uint64) error {
	b, kind, elements, err := w.page(id)
	switch {
	case err != nil:
		return err
	case kind == leafPage:
		return w.leaf(id, b, elements)
	case kind != branchPage:
		return damaged(id, "it is %#x, and neither a branch nor a leaf", kind)
	case elements == 0:
		return damaged(id, "it is a branch with nothing on it")
	case headerSize+elements*elementSize > len(b):
		return damaged(id, "it has not room for %d elements", elements)
	}
	for i := range elements {
		e := b[headerSize+i*elementSize:]
		if _, err := part(e, binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])); err != nil {
			return damaged(id, "element %d: %v", i, err)
		}
		if err := w.tree(binary.LittleEndian.Uint64(e[8:])); err != nil {
			return err
		}
	}
	return nil
}

// leaf looks at the elements of a leaf, and at the buckets among them. b is the page, or
// what stands for it in a value of page id.
func (w *pages) leaf(id uint64, b []byte, elements int) error {
	if headerSize+elements*elementSize > len(b) {
		return damaged(id, "it has not room for %d elements", elements)
	}
	for i := range elements {
		e := b[headerSize+i*elementSize:]
		key := binary.LittleEndian.Uint32(e[8:])
		both, err := part(e, binary.LittleEndian.Uint32(e[4:]), key, binary.LittleEndian.Uint32(e[12:]))
		if err != nil {
			return damaged(id, "element %d: %v", i, err)
		}
		if binary.LittleEndian.Uint32(e)&bucketElement != 0 {
			if err := w.bucket(id, both[key:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket looks at what is in the bucket that is a value of page id.
func (w *pages) bucket(id uint64, value []byte) error {
	if len(value) < bucketSize {
		return damaged(id, "a bucket of %d bytes", len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return w.tree(root)
	}
	inline := value[bucketSize:]
	if len(inline) < headerSize || binary.LittleEndian.Uint16(inline[8:]) != leafPage {
		return damaged(id, "a bucket that is no leaf")
	}
	return w.leaf(id, inline, int(binary.LittleEndian.Uint16(inline[10:])))
}

// part returns what begins at a position of an element, sizes together long, and is within
// its page, which ends where element does.
func part(element []byte, at uint32, sizes ...uint32) ([]byte, error) {
	end := uint64(at)
	for _, n := range sizes {
		end += uint64(n)
	}
	if end > uint64(len(element)) {
		return nil, fmt.Errorf("from %d to %d, of %d bytes", at, end, len(element))
	}
	return element[at:end], nil
}
