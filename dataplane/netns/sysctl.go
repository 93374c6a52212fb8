package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
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
		var dirs sysctlDirs
		defer dirs.close()
		for _, s := range want {
			v, err := dirs.read(s.Path)
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

// Set writes settings, all of them also when one fails.
func (n *Namespace) Set(settings ...Sysctl) error {
	return n.Do(func() error {
		var dirs sysctlDirs
		defer dirs.close()
		var errs []error
		for _, s := range settings {
			err := dirs.write(s.Path, s.Value)
			if err != nil && (!s.Optional || !errors.Is(err, fs.ErrNotExist)) {
				errs = append(errs, fmt.Errorf("write sysctl %s (needs /proc/sys to be writable): %w", s, err))
			}
		}
		return errors.Join(errs...)
	})
}

// sysctlDirs are open directories under /proc/sys/net of the thread's namespace, by path.
// What each namespace has of its own in a directory that all share the kernel finds among
// that of all others, one by one: with a hundred networks that takes longer than all the
// rest. It works by system calls of its own, since files of package os are made ready to be
// waited for. The zero has none open.
type sysctlDirs map[string]int

func (d *sysctlDirs) close() {
	for _, fd := range *d {
		_ = unix.Close(fd)
	}
}

// open opens the file of a setting, for the caller to close.
func (d *sysctlDirs) open(file string, flags int) (int, error) {
	dir, name := path.Split(file)
	fd, err := d.dir(path.Clean(dir))
	if err != nil {
		return -1, err
	}
	return unix.Openat(fd, name, flags|unix.O_CLOEXEC, 0)
}

// dir returns an open directory, which d closes.
func (d *sysctlDirs) dir(name string) (int, error) {
	if fd, ok := (*d)[name]; ok {
		return fd, nil
	}
	in, err := unix.AT_FDCWD, error(nil)
	rest := "/proc/sys/net"
	if name != "." {
		if in, err = d.dir(path.Dir(name)); err != nil {
			return -1, err
		}
		rest = path.Base(name)
	}
	fd, err := unix.Openat(in, rest, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if *d == nil {
		*d = sysctlDirs{}
	}
	(*d)[name] = fd
	return fd, nil
}

func (d *sysctlDirs) read(file string) (string, error) {
	fd, err := d.open(file, unix.O_RDONLY)
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

func (d *sysctlDirs) write(file, value string) error {
	fd, err := d.open(file, unix.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(value))
	return errors.Join(err, unix.Close(fd))
}
