package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Dir is where named namespaces are mounted.
const Dir = "/run/netns"

// ErrNotExist is what Open's error wraps where no namespace has the name.
var ErrNotExist = fs.ErrNotExist

// Namespace is an open network namespace. Its methods may be called from
// several goroutines, but not after Close.
type Namespace struct {
	name   string
	handle netns.NsHandle
	nl     *netlink.Handle
}

// Open opens the namespace of that name, or the process's own where name is
// empty. The error wraps ErrNotExist where there is none; a file that is there
// but has no namespace mounted on it (what a crash of Create leaves, or
// "umount") counts as none.
func Open(name string) (*Namespace, error) {
	path := filepath.Join(Dir, name)
	if name == "" {
		// Not /proc/self: the main thread may be in another namespace just now.
		path = "/proc/thread-self/ns/net"
	} else if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", display(name), err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || st.Type != unix.NSFS_MAGIC {
		unix.Close(fd)
		return nil, fmt.Errorf("open network namespace %s: nothing is mounted on %s: %w", display(name), path, ErrNotExist)
	}
	return open(name, netns.NsHandle(fd))
}

func open(name string, handle netns.NsHandle) (*Namespace, error) {
	nl, err := netlink.NewHandleAt(handle, unix.NETLINK_ROUTE)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("open netlink socket in network namespace %s (needs CAP_SYS_ADMIN): %w", display(name), err)
	}
	return &Namespace{name: name, handle: handle, nl: nl}, nil
}

// Create opens the namespace of that name and makes it first where there is
// none; made says which.
//
// A crash in between leaves an empty file under Dir, which Open takes for no
// namespace and Create mounts over, or a complete namespace.
func Create(name string) (ns *Namespace, made bool, err error) {
	if name == "" {
		return nil, false, errors.New("create network namespace: a name is needed")
	}
	ns, err = Open(name)
	if err == nil || !errors.Is(err, ErrNotExist) {
		return ns, false, err
	}
	if err := shareDir(); err != nil {
		return nil, false, fmt.Errorf("create network namespace %s: %w", name, err)
	}
	handle, err := fresh()
	if err != nil {
		return nil, false, fmt.Errorf("create network namespace %s (needs CAP_SYS_ADMIN): %w", name, err)
	}
	if err := mount(name, handle); err != nil {
		handle.Close()
		return nil, false, fmt.Errorf("create network namespace %s: %w", name, err)
	}
	ns, err = open(name, handle)
	return ns, true, err
}

// Anonymous makes a namespace without a name, which is gone after Close.
func Anonymous() (*Namespace, error) {
	handle, err := fresh()
	if err != nil {
		return nil, fmt.Errorf("create a network namespace: %w", err)
	}
	return open("", handle)
}

// New makes a namespace without a name. It stays as long as it is open, or has a
// process in it. name is for messages.
func New(name string) (*Namespace, error) {
	handle, err := fresh()
	if err != nil {
		return nil, fmt.Errorf("create network namespace %s (needs CAP_SYS_ADMIN): %w", name, err)
	}
	return open(name, handle)
}

// Of opens the namespace of a process. name is for messages.
func Of(pid int, name string) (*Namespace, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s, of process %d: %w", name, pid, err)
	}
	return open(name, netns.NsHandle(fd))
}

// fresh makes a namespace that only the returned descriptor keeps.
func fresh() (netns.NsHandle, error) {
	type result struct {
		handle netns.NsHandle
		err    error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread is left in the new namespace, and ends
		// with the goroutine.
		runtime.LockOSThread()
		handle, err := netns.New()
		done <- result{handle, err}
	}()
	r := <-done
	return r.handle, r.err
}

// mount gives a namespace its name, in place of what has it.
func mount(name string, handle netns.NsHandle) error {
	path := filepath.Join(Dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	detach(path)
	source := fmt.Sprintf("/proc/self/fd/%d", int(handle))
	if err := unix.Mount(source, path, "none", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount it on %s: %w", path, err)
	}
	return nil
}

// detach takes away whatever is mounted on path, in however many layers.
func detach(path string) {
	for unix.Unmount(path, unix.MNT_DETACH) == nil {
	}
}

// shareDir makes Dir, and makes it a shared mount point, as iproute2 does, so
// that a name that is made in one mount namespace (a systemd unit's) appears
// in the others.
func shareDir() error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	if unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "") == nil {
		return nil
	}
	if err := unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make %s a mount point: %w", Dir, err)
	}
	if err := unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share mount point %s: %w", Dir, err)
	}
	return nil
}

// Delete takes the name away. The kernel removes the namespace when the last
// descriptor, process and socket in it are gone. Deleting a name that does not
// exist succeeds.
func Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	path := filepath.Join(Dir, name)
	detach(path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

// List returns the names under Dir, ascending, mounted or not.
func List() ([]string, error) {
	entries, err := os.ReadDir(Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

// Again returns the same namespace once more, to be closed by itself.
func (n *Namespace) Again() (*Namespace, error) {
	fd, err := unix.FcntlInt(uintptr(n.handle), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s again: %w", n, err)
	}
	return open(n.name, netns.NsHandle(fd))
}

// Name returns the name, empty for the process's own namespace.
func (n *Namespace) Name() string { return n.name }

// String returns the name for a message.
func (n *Namespace) String() string { return display(n.name) }

// Handle returns the descriptor, which stays the Namespace's own.
func (n *Namespace) Handle() netns.NsHandle { return n.handle }

// Netlink returns a route netlink handle in the namespace.
func (n *Namespace) Netlink() *netlink.Handle { return n.nl }

// Bound reports whether the name still leads to this namespace.
func (n *Namespace) Bound() bool {
	if n.name == "" {
		return true
	}
	var here, named unix.Stat_t
	if unix.Fstat(int(n.handle), &here) != nil || unix.Stat(filepath.Join(Dir, n.name), &named) != nil {
		return false
	}
	return here.Dev == named.Dev && here.Ino == named.Ino
}

// Same reports whether another is the same namespace for the kernel, whatever
// names they have.
func (n *Namespace) Same(o *Namespace) bool {
	var a, b unix.Stat_t
	if unix.Fstat(int(n.handle), &a) != nil || unix.Fstat(int(o.handle), &b) != nil {
		return false
	}
	return a.Dev == b.Dev && a.Ino == b.Ino
}

// Bind gives the namespace its name again after someone deleted it or gave it
// to another namespace. Nothing inside is touched.
func (n *Namespace) Bind() error {
	if n.Bound() {
		return nil
	}
	err := shareDir()
	if err == nil {
		err = mount(n.name, n.handle)
	}
	if err != nil {
		return fmt.Errorf("give network namespace %s its name again: %w", n.name, err)
	}
	return nil
}

// Close gives the descriptors back; the namespace stays as long as it has a
// name.
func (n *Namespace) Close() error {
	n.nl.Close()
	return n.handle.Close()
}

// Do runs f on a thread that is in the namespace and waits for it. Sockets
// that f opens stay in the namespace. Goroutines that f starts are not in it.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	go func() {
		done <- n.enter(f)
	}()
	return <-done
}

func (n *Namespace) enter(f func() error) error {
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", n, err)
	}
	defer before.Close()
	if err := netns.Set(n.handle); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s (needs CAP_SYS_ADMIN): %w", n, err)
	}
	err = f()
	// A thread that cannot go back stays locked and ends with this goroutine:
	// nothing else must run in a foreign namespace.
	if netns.Set(before) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || filepath.Base(name) != name || len(name) > 255 {
		return fmt.Errorf("network namespace name %q: must be a file name of 1 to 255 bytes", name)
	}
	return nil
}

func display(name string) string {
	if name == "" {
		return "of the daemon"
	}
	return name
}
