package deb

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// packages are what the tree has beside the least that Debian can be: what the package
// depends on and recommends, and what the test looks with.
var packages = []string{
	"systemd", "init-system-helpers", "iproute2", "nftables", "iputils-ping",
	"charon-systemd", "libstrongswan-standard-plugins", "libcharon-extra-plugins", "openvpn",
}

// tree returns the directory of a Debian 12, which is made once, and never written to.
func tree(t *testing.T, build string) string {
	t.Helper()
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("there is no debootstrap: make setup")
	}
	dir, want := filepath.Join(build, "debian12"), strings.Join(packages, " ")
	if have, err := os.ReadFile(filepath.Join(dir, ".packages")); err == nil && string(have) == want {
		return dir
	}
	mirror := mirror(t)
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), "bookworm", fresh, mirror).CombinedOutput()
	if err != nil {
		t.Skipf("no Debian 12 can be made from %s: %v: %s", mirror, err, out[max(0, len(out)-500):])
	}
	if err := os.WriteFile(filepath.Join(fresh, ".packages"), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mirror is where apt on this machine gets Debian 12 from.
func mirror(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages").Output()
	if err == nil {
		for line := range strings.Lines(string(out)) {
			if uri, name, _ := strings.Cut(strings.TrimSpace(line), " "); name == "bookworm" {
				return uri
			}
		}
	}
	t.Skipf("apt knows no mirror of Debian 12 (%v)", err)
	return ""
}

// machine is a Debian 12 with processes, mounts, control groups and a network of its own,
// run by its systemd. What it writes is kept in memory, and ends with it.
type machine struct {
	t   *testing.T
	pid string // of its systemd
}

// boot is what makes it: DIR, TREE, the directory that is shared, and the name of a control
// group. Of /proc/sys, only what each network has of its own can be written there.
const boot = `set -e
mount -t tmpfs none "$1"
mkdir "$1/cgroup" "$1/upper" "$1/work" "$1/root"
mount -t cgroup2 none "$1/cgroup"
mkdir "$1/cgroup/$4"
echo $$ >"$1/cgroup/$4/cgroup.procs"
exec unshare --cgroup bash -c '
set -e
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" none "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,rw proc/sys/net
mount -t sysfs sys sys
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none dev
mkdir dev/net dev/pts dev/shm
for d in null zero full random urandom tty net/tun; do
	[ -e "/dev/$d" ] || continue
	touch "dev/$d"
	mount --bind "/dev/$d" "dev/$d"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /dev/null etc/systemd/system/console-getty.service
mount -t tmpfs -o mode=755 none run
mkdir shared
mount --bind "$3" shared
ip link set lo up
exec chroot . /usr/bin/env -i container=sluice PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system' boot "$@"`

func start(t *testing.T, tree, shared string) *machine {
	t.Helper()
	group := fmt.Sprintf("sluice-test-%d", os.Getpid())
	c := exec.Command("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"bash", "-c", boot, "boot", t.TempDir(), tree, shared, group)
	var told bytes.Buffer
	c.Stderr = &told
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		// With its first process, all of them end.
		_ = c.Process.Kill()
		<-ended
		const removed = `d=$(mktemp -d); mount -t cgroup2 none $d
for i in $(seq 100); do find $d/$0 -depth -type d -exec rmdir {} + 2>/dev/null && break; sleep 0.1; done
test ! -e $d/$0`
		if out, err := exec.Command("unshare", "--mount", "--propagation", "private", "bash", "-c", removed, group).CombinedOutput(); err != nil {
			t.Errorf("the machine's control group stays: %v: %s", err, out)
		}
	})
	m := &machine{t: t}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Process.Pid))
		if m.pid = strings.TrimSpace(string(child)); err == nil && m.pid != "" {
			if state, _ := m.try("systemctl is-system-running"); state == "running" {
				return m
			}
		}
		select {
		case <-ended:
			t.Fatalf("the machine does not start: %s", told.String())
		default:
		}
		if time.Now().After(end) {
			state, _ := m.try("systemctl is-system-running; systemctl --failed; systemctl list-jobs")
			t.Fatalf("the machine does not come up: %s\n%s", state, told.String())
		}
	}
}

// command is one that runs in the machine.
func (m *machine) command(args ...string) *exec.Cmd {
	in := append([]string{"--target", m.pid, "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--", "env", "-i", "-C", "/",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}, args...)
	return exec.Command("nsenter", in...)
}

// try runs a script in the machine.
func (m *machine) try(script string) (string, error) {
	out, err := m.command("bash", "-ec", script).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a script in the machine, which has to succeed.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.try(script)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// await runs a script until its output is what is wanted.
func (m *machine) await(script, want string) {
	m.t.Helper()
	var out string
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if out, err = m.try(script); err == nil && out == want {
			return
		}
	}
	m.t.Fatalf("%s: %v\n%s\nwant %s", script, err, out, want)
}
