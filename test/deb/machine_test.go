package deb

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// packages are what the tree has beside the least that Debian can be: what the package
// depends on and recommends, and what the test looks with.
var packages = []string{
	"systemd", "init-system-helpers", "iproute2", "nftables", "iputils-ping",
	"charon-systemd", "libstrongswan-standard-plugins", "libcharon-extra-plugins",
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

// machine is a Debian 12 with processes, mounts and a network of its own. What it writes
// is kept in memory, and ends with it.
type machine struct {
	t      *testing.T
	pid    string // of its first process
	shared string // directory that is /shared in there
}

// boot is what makes it: DIR and what it shares, TREE and the directory that is shared.
const boot = `set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" none "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sys sys
mount -t bpf bpf sys/fs/bpf
mount --rbind /dev dev
mount -t tmpfs -o mode=755 run run
mkdir shared
mount --bind "$3" shared
ip link set lo up
exec chroot . /bin/bash -c 'echo booted; while :; do sleep 1000 & wait $!; done'`

func start(t *testing.T, tree, shared string) *machine {
	t.Helper()
	c := exec.Command("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"bash", "-c", boot, "boot", t.TempDir(), tree, shared)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	c.Stderr = &told
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// With its first process, all of them end.
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "booted\n" {
		_ = c.Wait()
		t.Fatalf("the machine does not start: %v: %s", err, told.String())
	}
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return &machine{t, strings.TrimSpace(string(child)), shared}
}

// command is one that runs in the machine.
func (m *machine) command(args ...string) *exec.Cmd {
	in := append([]string{"--target", m.pid, "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--", "env", "-i", "-C", "/",
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

// service is sluiced, as the unit that was installed has it, but for what needs systemd
// itself: restarts and the filter of system calls.
type service struct {
	*exec.Cmd
	log *bytes.Buffer
}

// startService starts sluiced as its unit says, and waits until it says that it is ready.
func (m *machine) startService() *service {
	m.t.Helper()
	unit := m.run("cat /usr/lib/systemd/system/sluiced.service")
	setting := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(unit)
		if found == nil {
			m.t.Fatalf("the unit has no %s:\n%s", name, unit)
		}
		return found[1]
	}
	// Directories as systemd makes them (systemd.exec(5)).
	m.run(fmt.Sprintf("mkdir -p -m %s /var/lib/%s; mkdir -p -m %s /run/%s; mkdir -p /etc/%s",
		setting("StateDirectoryMode"), setting("StateDirectory"), setting("RuntimeDirectoryMode"), setting("RuntimeDirectory"), setting("ConfigurationDirectory")))
	bounds := "-all"
	for _, c := range strings.Fields(setting("CapabilityBoundingSet")) {
		bounds += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	path := filepath.Join(m.shared, "notify")
	_ = os.Remove(path)
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		m.t.Fatal(err)
	}
	defer notified.Close()
	s := &service{log: new(bytes.Buffer)}
	s.Cmd = m.command("NOTIFY_SOCKET=/shared/notify", "bash", "-c",
		fmt.Sprintf("umask %s; ulimit -n %s; echo $$ >/shared/pid; exec setpriv --bounding-set %s --no-new-privs %s", setting("UMask"), setting("LimitNOFILE"), bounds, setting("ExecStart")))
	s.Stderr = s.log
	if err := s.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		buffer := make([]byte, 512)
		for {
			n, err := notified.Read(buffer)
			if err != nil || slices.Contains(strings.Split(string(buffer[:n]), "\n"), "READY=1") {
				close(ended)
				return
			}
		}
	}()
	_ = notified.SetReadDeadline(time.Now().Add(2 * time.Minute))
	<-ended
	if out, err := m.try("sluicectl status"); err != nil {
		_ = s.Process.Kill()
		_ = s.Wait()
		m.t.Fatalf("sluiced is not ready: %v: %s\n%s", err, out, s.log)
	}
	return s
}

// stopService ends it as systemd does.
func (m *machine) stopService(s *service) {
	m.t.Helper()
	m.run("kill -TERM $(cat /shared/pid)")
	if err := s.Wait(); err != nil {
		m.t.Fatalf("sluiced: %v\n%s", err, s.log)
	}
}
