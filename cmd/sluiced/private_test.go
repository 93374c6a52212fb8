package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrivate makes of a directory as it should be one that is not, in each way that
// lets somebody else have the daemon touch what is not its own, and asks for the
// command that mends it.
func TestPrivate(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	const stranger = 65534
	for name, c := range map[string]struct {
		spoil func(t *testing.T, parent, dir string) error
		want  string // empty: nothing is wrong
	}{
		"as it should be": {func(*testing.T, string, string) error { return nil }, ""},
		"by way of root's symbolic link": {func(t *testing.T, parent, dir string) error {
			if err := os.Rename(dir, dir+"-real"); err != nil {
				return err
			}
			return os.Symlink(dir+"-real", dir)
		}, ""},
		"by way of a stranger's symbolic link": {func(t *testing.T, parent, dir string) error {
			if err := os.Rename(dir, dir+"-real"); err != nil {
				return err
			}
			if err := os.Symlink(dir+"-real", dir); err != nil {
				return err
			}
			return os.Lchown(dir, stranger, stranger)
		}, "DIR belongs to user 65534, who could put anything there: chown -h 0 'DIR'"},
		"by way of root's link to a stranger's directory": {func(t *testing.T, parent, dir string) error {
			if err := os.Rename(dir, dir+"-real"); err != nil {
				return err
			}
			if err := os.Chown(dir+"-real", stranger, 0); err != nil {
				return err
			}
			return os.Symlink(dir+"-real", dir)
		}, "DIR-real belongs to user 65534"},
		"a stranger's":         {func(t *testing.T, parent, dir string) error { return os.Chown(dir, stranger, 0) }, "DIR belongs to user 65534"},
		"of everybody":         {func(t *testing.T, parent, dir string) error { return os.Chmod(dir, 0o777) }, "DIR may be written by others (mode 0777): chmod go-w 'DIR'"},
		"of everybody, sticky": {func(t *testing.T, parent, dir string) error { return os.Chmod(dir, os.ModeSticky|0o777) }, "DIR may be written by others"},
		"of a group": {func(t *testing.T, parent, dir string) error {
			if err := os.Chown(dir, 0, stranger); err != nil {
				return err
			}
			return os.Chmod(dir, 0o770)
		}, "DIR may be written by others (mode 0770)"},
		"of root's group":             {func(t *testing.T, parent, dir string) error { return os.Chmod(dir, 0o770) }, ""},
		"in a stranger's":             {func(t *testing.T, parent, dir string) error { return os.Chown(parent, stranger, 0) }, "PARENT belongs to user 65534"},
		"in one of everybody":         {func(t *testing.T, parent, dir string) error { return os.Chmod(parent, 0o777) }, "PARENT may be written by others"},
		"in one of everybody, sticky": {func(t *testing.T, parent, dir string) error { return os.Chmod(parent, os.ModeSticky|0o777) }, ""},
		"with a symbolic link": {func(t *testing.T, parent, dir string) error {
			return os.Symlink("/etc", filepath.Join(dir, "networks"))
		}, "DIR/networks is a symbolic link, of which none may be there: rm 'DIR/networks'"},
		"with one that leads nowhere": {func(t *testing.T, parent, dir string) error { return os.Symlink("/none", filepath.Join(dir, "a", "x")) }, "DIR/a/x is a symbolic link"},
		"with a stranger's file": {func(t *testing.T, parent, dir string) error {
			return os.Chown(filepath.Join(dir, "a", "file"), stranger, 0)
		}, "DIR/a/file belongs to user 65534"},
		"with a directory of everybody": {func(t *testing.T, parent, dir string) error { return os.Chmod(filepath.Join(dir, "a"), 0o777) }, "DIR/a may be written by others"},
		"with a file of everybody":      {func(t *testing.T, parent, dir string) error { return os.Chmod(filepath.Join(dir, "a", "file"), 0o666) }, "DIR/a/file may be written by others"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "it's there")
			dir := filepath.Join(parent, "run")
			if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "a", "file"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(t, parent, dir); err != nil {
				t.Fatal(err)
			}
			err := private("run_dir", dir)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := strings.NewReplacer("'DIR", "'"+strings.ReplaceAll(dir, "'", `'\''`), "DIR", dir, "PARENT", parent).Replace(c.want)
			if err == nil || !strings.Contains(err.Error(), "run_dir "+dir+": ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
	made := filepath.Join(t.TempDir(), "a", "b")
	if err := private("data_dir", made); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it was made as %v, %v", info, err)
	}
}
