package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// private makes a directory that a setting names, with mode 0700, and refuses one that
// somebody else could put something into, or in which somebody has: the daemon is root,
// and reads, writes and removes files there. Whoever can write a directory can have a
// name in it lead elsewhere. The error says what is wrong and the command that mends it.
func private(setting, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", setting, err)
	}
	return checkPrivate(setting, dir)
}

// checkPrivate refuses such a directory; that it is not there yet is all right.
func checkPrivate(setting, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := checkWay(dir)
	if err == nil {
		err = checkContents(dir)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", setting, dir, err)
	}
	return nil
}

// checkWay looks at a directory, at all that it is in, and at those of them that
// symbolic links on the way lead to.
func checkWay(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	whole, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for _, way := range []string{dir, whole} {
		for at := way; ; at = filepath.Dir(at) {
			info, err := os.Lstat(at)
			if err != nil {
				return err
			}
			// Where everybody may make names, nobody may take away another's.
			shared := info.IsDir() && info.Mode()&fs.ModeSticky != 0 && at != way
			if err := checkOwner(at, info, shared); err != nil {
				return err
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}

// checkContents looks at everything in a directory.
func checkContents(dir string) error {
	whole, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(whole, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a process of an earlier daemon has just removed it
		case err != nil || path == whole:
			return err
		}
		info, err := entry.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a symbolic link, of which none may be there: rm %s", path, quoted(path))
		}
		// Whoever may connect to a socket is decided by the directories that it is in.
		return checkOwner(path, info, info.Mode()&fs.ModeSocket != 0)
	})
}

// checkOwner refuses what belongs to somebody else than root and the user that the
// daemon runs as, and, unless that is as it should be, what others may write.
func checkOwner(path string, info fs.FileInfo, shared bool) error {
	owner := info.Sys().(*syscall.Stat_t)
	if owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who could put anything there: chown -h %d %s", path, owner.Uid, os.Geteuid(), quoted(path))
	}
	if shared || info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	others := fs.FileMode(0o002)
	if owner.Gid != 0 && int(owner.Gid) != os.Getegid() {
		others |= 0o020
	}
	if info.Mode()&others != 0 {
		return fmt.Errorf("%s may be written by others (mode %04o): chmod go-w %s", path, info.Mode().Perm(), quoted(path))
	}
	return nil
}

// quoted returns a path as a shell takes it.
func quoted(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
