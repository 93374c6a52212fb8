package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Sysctl is one kernel setting: a path under /proc/sys/net with slashes, for
// example "ipv4/ip_forward", and its value.
type Sysctl struct {
	Path, Value string
	// Optional says that a kernel without the setting is as good.
	Optional bool
}

// String returns it as in sysctl.conf.
func (s Sysctl) String() string { return "net." + strings.ReplaceAll(s.Path, "/", ".") + "=" + s.Value }

// Differing returns those of want whose value in the namespace is another one,
// with the value that it has in the same place of have.
func (n *Namespace) Differing(want []Sysctl) (differ []Sysctl, have []string, err error) {
	err = n.Do(func() error {
		for _, s := range want {
			v, err := readSysctl(s.Path)
			if errors.Is(err, fs.ErrNotExist) && s.Optional {
				continue
			}
			if err != nil {
				return fmt.Errorf("read sysctl %s: %w", s, err)
			}
			if v != s.Value {
				differ, have = append(differ, s), append(have, v)
			}
		}
		return nil
	})
	return differ, have, err
}

// readSysctl reads a setting of the thread's namespace, by system calls of its own: files
// of package os are made ready to be waited for, which takes longer than all the rest.
func readSysctl(path string) (string, error) {
	fd, err := unix.Open(sysctlFile(path), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var b [256]byte // longer than what any that are set here holds
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b[:n])), nil
}

// Set writes settings, all of them also when one fails.
func (n *Namespace) Set(settings ...Sysctl) error {
	return n.Do(func() error {
		var errs []error
		for _, s := range settings {
			err := os.WriteFile(sysctlFile(s.Path), []byte(s.Value), 0)
			if err != nil && (!s.Optional || !errors.Is(err, fs.ErrNotExist)) {
				errs = append(errs, fmt.Errorf("write sysctl %s (needs /proc/sys to be writable): %w", s, err))
			}
		}
		return errors.Join(errs...)
	})
}

// The files under /proc/sys/net are those of the thread's namespace.
func sysctlFile(path string) string { return filepath.Join("/proc/sys/net", path) }
