package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Restore puts a backup in the place of the store at path, which nobody may have open,
// and moves that aside, to where it returns; to nowhere if there is none. The backup is
// checked before, as Open does, and stays as it is.
func Restore(backup, path string) (aside string, err error) {
	var unlock func()
	switch unlock, err = Lock(path); {
	case errors.Is(err, fs.ErrNotExist):
		unlock = func() {}
	case err != nil:
		return "", err
	}
	defer unlock()
	// In a directory of its own, with what Open may leave beside it.
	dir, err := os.MkdirTemp(filepath.Dir(path), "restore")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fresh := filepath.Join(dir, filepath.Base(path))
	if err := copyFile(backup, fresh); err != nil {
		return "", err
	}
	s, err := Open(fresh, time.Second)
	if err != nil {
		return "", fmt.Errorf("backup %s cannot be used: %w", backup, err)
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	aside = fmt.Sprintf("%s.replaced.%s", path, time.Now().UTC().Format("20060102T150405Z"))
	switch err := os.Link(path, aside); {
	case errors.Is(err, fs.ErrNotExist):
		aside = ""
	case err != nil:
		return "", err
	}
	return aside, os.Rename(fresh, path)
}

// Lock takes the lock that a process has that has a store open. The error wraps
// fs.ErrNotExist where there is no store.
func Lock(path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("store %s is in use by another process: stop sluiced first", path)
	}
	return func() { f.Close() }, nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
