package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// rootTag is how the machine finds this one's files.
const rootTag = "root"

// runInit is the machine's first process. It makes the machine ready, starts
// the agent, takes in the processes that others leave, and ends the machine.
func runInit() {
	// It returns only if something failed: who has started the machine ends it.
	fmt.Fprintln(os.Stderr, "init:", initialize())
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	os.Exit(1) // the kernel panics, which ends the machine as well
}

func initialize() error {
	s, err := prepare()
	if err != nil {
		return err
	}
	if err := furnish(s); err != nil {
		return err
	}
	agent := exec.Command("/proc/self/exe")
	agent.Args = []string{agentName}
	agent.Stderr = os.Stderr
	if err := agent.Start(); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for processes: %w", err)
		}
		if pid == agent.Process.Pid {
			return errors.New("the agent has ended")
		}
	}
}

// prepare loads the modules and changes the root.
func prepare() (setup, error) {
	var s setup
	text, err := os.ReadFile(setupFile)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, err
	}
	for _, file := range s.Load {
		if err := load(file); err != nil {
			return s, err
		}
	}
	const (
		below = "/below" // this machine's files
		layer = "/layer" // what is written
		root  = "/root"
	)
	// Files that nobody is expected to change meanwhile may be cached.
	err = mountAll(
		mount{rootTag, below, "9p", unix.MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose"},
		mount{"layer", layer, "tmpfs", 0, "mode=755"},
	)
	if err != nil {
		return s, err
	}
	for _, dir := range []string{layer + "/upper", layer + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return s, err
		}
	}
	err = mountAll(mount{"root", root, "overlay", 0, "lowerdir=" + below + ",upperdir=" + layer + "/upper,workdir=" + layer + "/work"})
	if err != nil {
		return s, err
	}
	if err := os.Chdir(root); err != nil {
		return s, err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return s, fmt.Errorf("move the root: %w", err)
	}
	// The kernel's threads share the root of the first process, so that modprobe
	// and its modules are found as well.
	if err := unix.Chroot("."); err != nil {
		return s, fmt.Errorf("change the root: %w", err)
	}
	return s, os.Chdir("/")
}

// load loads a module from a file.
func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", filepath.Base(file), err)
	}
	return nil
}

// furnish makes the new root one that programs expect.
func furnish(s setup) error {
	modules := filepath.Join("/lib/modules", s.Version)
	err := mountAll(
		mount{"proc", "/proc", "proc", 0, ""},
		mount{"sysfs", "/sys", "sysfs", 0, ""},
		mount{"devtmpfs", "/dev", "devtmpfs", 0, "mode=755"},
		mount{"devpts", "/dev/pts", "devpts", 0, "mode=600,ptmxmode=666"},
		mount{"shm", "/dev/shm", "tmpfs", 0, "mode=1777"},
		mount{"run", "/run", "tmpfs", 0, "mode=755"},
		mount{"cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""},
		mount{"bpf", "/sys/fs/bpf", "bpf", 0, "mode=700"},
		mount{"tracefs", "/sys/kernel/tracing", "tracefs", 0, ""},
		mount{s.Modules, modules, "", unix.MS_BIND, ""},
	)
	if err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	// Opening it loads the module, by the device's number.
	if err := os.MkdirAll("/dev/net", 0o755); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		return fmt.Errorf("make /dev/net/tun: %w", err)
	}
	if err := unix.Sethostname([]byte("vm")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return loopbackUp()
}

// mount is a line of fstab(5).
type mount struct {
	what, where, kind string
	flags             uintptr
	options           string
}

// mountAll mounts in the given order, on directories that it makes.
func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.where, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.what, m.where, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	return nil
}

// loopbackUp goes without package netlink, which needs the C library.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}
