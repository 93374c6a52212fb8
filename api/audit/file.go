package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"sluice/errtext"
)

const (
	rotateAfter = 24 * time.Hour // a file's first line is at most that much older than its last one
	look        = time.Minute    // between looks whether that is so
	sweep       = 60             // looks between two of which an older file may be removed for its age
)

// torn says whether a file's last line has no end: the daemon was killed while it wrote.
func torn(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return false, err
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

// reopen has the file made, or opened, again if it is no more what was written to: somebody
// has removed, moved or emptied it.
func (l *Log) reopen() {
	if l.is == nil {
		return
	}
	is := l.stat()
	if is != nil && os.SameFile(is, l.is) && is.Size() >= l.is.Size() {
		return
	}
	l.Log.Warn("somebody has removed, moved or emptied the file of the audit log; it goes on in a new one, or behind what is left", "file", l.file.Filename, "bytes", l.is.Size())
	l.is = nil
	// What cannot be done about either is told by the write that follows.
	_ = l.file.Close()
	_ = os.MkdirAll(l.Dir, 0o700)
}

// stat returns what has the file's name; nil if that is not known.
func (l *Log) stat() fs.FileInfo {
	is, err := os.Stat(l.file.Filename)
	if err != nil {
		return nil
	}
	return is
}

// look begins a new file if the oldest line is too old, and removes an older one that is.
func (l *Log) look() {
	l.disk.Lock()
	defer l.disk.Unlock()
	l.reopen()
	first, err := begun(l.file.Filename)
	switch {
	case err == nil && l.Now().Sub(first) > rotateAfter:
		err = l.file.Rotate()
		l.is = l.stat()
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF):
		err = nil
	}
	if l.looks++; l.looks%sweep == 0 {
		err = errors.Join(err, l.removeOldest())
	}
	err = errors.Join(err, l.trim())
	if err != nil && !l.failing {
		l.Log.Warn("the audit log cannot be looked after", "dir", l.Dir, "error", errtext.Of(err))
	}
}

// removeOldest removes the oldest file if it is to be kept no longer. That is one at a time:
// a clock that is wrong for a moment costs no more.
func (l *Log) removeOldest() error {
	paths, err := files(l.Dir)
	if err != nil || len(paths) == 0 {
		return err
	}
	if end := ended(paths[0]); !end.IsZero() && l.Now().Sub(end) > l.Keep {
		err = os.Remove(paths[0])
	}
	return err
}

// trim removes the oldest files for which there is no room.
func (l *Log) trim() error {
	paths, err := files(l.Dir)
	if err != nil {
		return err
	}
	room := int64(l.MaxSize) << 20 * int64(l.Files)
	var errs []error
	for _, path := range slices.Backward(paths) {
		if ended(path).IsZero() {
			continue // it is written
		}
		info, err := os.Stat(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if room -= info.Size(); room < 0 {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}
