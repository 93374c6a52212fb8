package openvpn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/openvpntest"
)

// Keys are in a file that only root can read, and neither in the log nor in what others see
// of a process.
func TestSecrets(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	l.connect(l.home(), one)
	l.server.Cipher = dataplane.SSLAES256
	l.apply(one) // it says in what settings differ
	dir := filepath.Join(l.m.dir(vpc), l.server.Link())
	secret := func(text string) bool {
		for _, key := range []string{l.authority.Key, l.authority.TLSCrypt} {
			for _, line := range strings.Split(key, "\n") {
				if len(line) > 20 && !strings.HasPrefix(line, "-----") && strings.Contains(text, line) {
					return true
				}
			}
		}
		return false
	}
	for name, private := range map[string]bool{settingsFile: true, stateFile: true, logFile: true, poolFile: true} {
		file := filepath.Join(dir, name)
		b, err := os.ReadFile(file)
		st, err2 := os.Stat(file)
		if errors.Join(err, err2) != nil || private && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, st, errors.Join(err, err2))
		}
		if secret(string(b)) != (name == settingsFile) {
			t.Errorf("%s has a key, or none", name)
		}
	}
	for _, d := range []string{dir, l.m.logDir(vpc)} {
		if st, err := os.Stat(d); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, st, err)
		}
	}
	lines, err := l.m.Log(vpc, l.server.ID, time.Unix(0, 0), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	seen := l.log.String() + fmt.Sprint(lines) + fmt.Sprintf("%+v", l.server)
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", l.pid(), name))
		if err != nil {
			t.Fatal(err)
		}
		seen += string(b)
	}
	if secret(seen) {
		t.Error("a key can be seen")
	}
	// It has given up what it does not need.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.pid()))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(status), "Uid:\t65534\t65534")
	if root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", l.pid())); err != nil || root != filepath.Join(dir, rootDir) {
		t.Errorf("its root directory is %s, %v", root, err)
	}
}

// Files that are none of ours, or have others' ways, are put right.
func TestStrayFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, bad := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
	l.apply(one)
	root := filepath.Join(l.m.dir(vpc), l.server.Link(), rootDir)
	for _, f := range []string{filepath.Join(clientsDir, "vsc-2"), filepath.Join(clientsDir, "DEFAULT"), filepath.Join(revokedDir, string(one.Serial))} {
		if err := os.WriteFile(filepath.Join(root, f), []byte("push \"route 0.0.0.0 0.0.0.0\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(root, clientsDir, "vsc-1")
	if err := errors.Join(os.Remove(own), os.MkdirAll(filepath.Join(own, "x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	l.apply(one)
	for dir, want := range map[string]string{clientsDir: "[- vsc-1]", revokedDir: "[]"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(entries); got != want {
			t.Errorf("in %s are %s, want %s", dir, got, want)
		}
	}
	// A network that is there no more, and a directory that is no server's.
	if err := os.MkdirAll(filepath.Join(l.m.dir(vpc), "nothing"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.apply(one)
	if _, err := os.Stat(filepath.Join(l.m.dir(vpc), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is no server's: %v", err)
	}
	openvpntest.Connect(t, l.home(), l.config(bad, "hand-window 3"))
	l.eventually(failures(reasonUnknown, 1))
	l.connect(l.home(), one)
}
