package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bbolt "go.etcd.io/bbolt"
)

// ErrDamaged is what is wrong with a file that does not hold what was written
// to it.
var ErrDamaged = errors.New("the file is damaged; restore it from a backup, or move it away to begin with an empty store, without any network")

// establish makes the file of a new store. It gets its name when it is
// complete, so that a file that is empty or half of one was once another: to
// begin anew with it would remove every network from the kernel.
func establish(path string, patience time.Duration) error {
	switch info, err := os.Stat(path); {
	case err == nil && info.Size() == 0:
		return fmt.Errorf("it is empty: %w", ErrDamaged)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	fresh := path + ".new"
	// What a crash has left of an earlier attempt is worth nothing.
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openFile(fresh, patience)
	if err != nil {
		_ = os.Remove(fresh) // it may not even have been made
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(kindsBucket); err != nil {
			return err
		}
		return meta.Put(formatKey, encode(format))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	// Not over a store that another process has made meanwhile.
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// openFile opens a database. bbolt panics over some kinds of damage; that
// becomes an error.
func openFile(path string, patience time.Duration) (db *bbolt.DB, err error) {
	var file *os.File
	defer func() {
		if err != nil && file != nil {
			// If bbolt has not: its mapping of the file keeps the lock alive.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			file.Close()
		}
	}()
	defer trap(&err)()
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      patience,
		FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	})
}

// inspect walks through all pages of a database, before any is trusted.
func inspect(db *bbolt.DB) (err error) {
	defer trap(&err)()
	info, err := os.Stat(db.Path())
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		// Beyond its end, the file's memory cannot be read.
		if info.Size() < tx.Size() {
			return fmt.Errorf("it has %d bytes, and had at least %d: %w", info.Size(), tx.Size(), ErrDamaged)
		}
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = fmt.Errorf("%w: %w", err, ErrDamaged)
			}
		}
		return first
	})
}

// trap turns a panic, and a fault in the file's memory, of the function that
// defers what it returns into an error.
func trap(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%v: %w", r, ErrDamaged)
		}
	}
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
