package boltfile

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
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged is what is wrong with a file that does not hold what was written
// to it.
var ErrDamaged = errors.New("the file is damaged")

// Establish makes a new file, and does nothing where there is one. It gets its
// name when fill has succeeded and it is on the disk, so that a file that is
// empty or half of one was once another, and is ErrDamaged.
func Establish(path string, patience time.Duration, fill func(*bbolt.Tx) error) error {
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
	db, err := Open(fresh, patience)
	if err != nil {
		_ = os.Remove(fresh) // it may not even have been made
		return err
	}
	err = db.Update(fill)
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

// Copy writes what a file holds, as of now, to another that is not there yet. That gets
// its name when it is whole and on the disk.
func Copy(db *bbolt.DB, path string) (err error) {
	defer Trap(&err)()
	fresh := path + ".new"
	file, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(file)
		return err
	})
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Link(fresh, path); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Remove(fresh); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// Open opens a file with mode 0600, or makes it. Another process that has it
// open is waited for for as long as patience, which is more than 0; then the
// error is bbolt's ErrTimeout. Of damage only what is in the way of opening it
// is noticed: see Check and Whole.
func Open(path string, patience time.Duration) (db *bbolt.DB, err error) {
	var file *os.File
	defer func() {
		if err != nil && file != nil {
			// If bbolt has not: its mapping of the file keeps the lock alive.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			file.Close()
		}
	}()
	defer func() {
		// What neither another process nor the system is the reason of stands in the file.
		var system syscall.Errno
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, bolterrors.ErrTimeout) && !errors.As(err, &system) {
			err = fmt.Errorf("%w: %w", err, ErrDamaged)
		}
	}()
	defer Trap(&err)()
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

// Whole says whether a file is as long as it was, which costs nothing. Beyond
// its end, the file's memory cannot be read.
func Whole(db *bbolt.DB) (err error) {
	defer Trap(&err)()
	info, err := os.Stat(db.Path())
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("it has %d bytes, and had at least %d: %w", info.Size(), tx.Size(), ErrDamaged)
		}
		return nil
	})
}

// Check walks through all pages of a file, before any is trusted: the time that
// it takes grows with the file.
func Check(db *bbolt.DB) (err error) {
	defer Trap(&err)()
	if err := Whole(db); err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		// Before bbolt's own check, which does not survive everything.
		if err := structure(tx); err != nil {
			return err
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

// Trap turns a panic, and a fault in the file's memory, of the function that
// defers what it returns into an error.
func Trap(err *error) func() {
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
