package openvpn

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice/dataplane"
)

// write puts a file in its place in one step, and leaves one alone that is right already.
// What is in the way and no file is removed.
func write(name string, data []byte, mode os.FileMode) (changed bool, err error) {
	if st, err := os.Lstat(name); err == nil {
		has, err := os.ReadFile(name)
		if st.Mode() == mode && err == nil && bytes.Equal(has, data) {
			return false, nil
		}
		if !st.Mode().IsRegular() {
			if err := os.RemoveAll(name); err != nil {
				return false, err
			}
		}
	}
	// Beside its directory: in there, it would be somebody's file for a moment.
	tmp := filepath.Dir(name) + ".new"
	err = os.WriteFile(tmp, data, 0o600)
	if err == nil {
		err = os.Chmod(tmp, mode) // whatever the umask
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return false, err
	}
	return true, nil
}

// directory makes a directory with a mode, whatever the umask.
func directory(name string, mode os.FileMode) error {
	if err := os.Mkdir(name, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(name, mode)
}

// makeDirs makes the directories of a server: those of OpenVPN's own root can be read by
// whomever it runs as, who can get there only since that is its root.
func makeDirs(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root := filepath.Join(dir, rootDir)
	return errors.Join(directory(root, 0o755), directory(filepath.Join(root, clientsDir), 0o755),
		directory(filepath.Join(root, revokedDir), 0o755), directory(filepath.Join(root, tmpDir), 0o755))
}

// fill makes a directory hold these files, all with the same text, and nothing else, and
// says whether a file has another text than before.
func fill(dir string, names map[string]bool, text string) (changed bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	var errs []error
	for _, e := range entries {
		if !names[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	had := map[string]bool{}
	for _, e := range entries {
		had[e.Name()] = true
	}
	for name := range names {
		wrote, err := write(filepath.Join(dir, name), []byte(text), 0o644)
		changed = changed || wrote && had[name]
		errs = append(errs, err)
	}
	return changed, errors.Join(errs...)
}

// admitted returns whose certificates may log in, by their ids.
func admitted(s *dataplane.SSLServer, now time.Time) map[string]bool {
	out := map[string]bool{}
	for _, c := range s.Certificates {
		if !slices.Contains(s.Revoked, c.Serial) && !expired(c, now) {
			out[c.ID] = true
		}
	}
	return out
}

func expired(c dataplane.SSLCertificate, now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// admit makes the directories say who may log in now, and whether those who are connected are
// led to something else than they were told.
func admit(dir string, s *dataplane.SSLServer, now time.Time) (rerouted bool, err error) {
	revoked := map[string]bool{}
	for _, serial := range s.Revoked {
		revoked[string(serial)] = true
	}
	root := filepath.Join(dir, rootDir)
	// Both refuse: a serial number before its client may be missed.
	_, err = fill(filepath.Join(root, revokedDir), revoked, "")
	if err != nil {
		return false, fmt.Errorf("write who is revoked: %w", err)
	}
	if rerouted, err = fill(filepath.Join(root, clientsDir), admitted(s, now), clientFile(s)); err != nil {
		return rerouted, fmt.Errorf("write who may log in: %w", err)
	}
	return rerouted, nil
}
