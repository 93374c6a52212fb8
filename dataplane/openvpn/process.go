package openvpn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane/internal/process"
)

const (
	readyTimeout = 10 * time.Second       // for an OpenVPN to listen after its start
	farewell     = 300 * time.Millisecond // for it to tell clients that they shall come back
)

// ErrUnsupported is what an error wraps where this machine has no OpenVPN that can be
// used; its text says what is lacking.
var ErrUnsupported = errors.New("SSL-VPN is not available")

// places are where programs for root are, also where PATH does not say so.
var places = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// Find returns the path of OpenVPN. The error wraps ErrUnsupported.
func Find() (string, error) {
	if path, err := exec.LookPath("openvpn"); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range places {
		// A name with a slash is not searched for, only checked.
		if path, err := exec.LookPath(filepath.Join(dir, "openvpn")); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: there is no program openvpn in PATH nor in %s; apt-get install openvpn", ErrUnsupported, strings.Join(places, ", "))
}

// The oldest version that does what is asked of it here.
const oldestMajor, oldestMinor = 2, 6

var versionLine = regexp.MustCompile(`^OpenVPN ((\d+)\.(\d+)\S*) `)

// Version asks an OpenVPN for its version. The error wraps ErrUnsupported if that is too
// old.
func Version(ctx context.Context, program string) (string, error) {
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Dir = "/"
	out, err := cmd.Output() // before 2.7 it ends with 1
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s --version says no version: %w", program, errors.Join(err, errors.New(firstLine(string(out)))))
	}
	major, _ := strconv.Atoi(string(m[2]))
	minor, _ := strconv.Atoi(string(m[3]))
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return string(m[1]), fmt.Errorf("%w: %s is OpenVPN %s; install %d.%d or later", ErrUnsupported, program, m[1], oldestMajor, oldestMinor)
	}
	return string(m[1]), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strconv.Quote(line)
}

// Available says what keeps SSL-VPN servers from running on this machine, and what to
// install: nil for nothing. The error wraps ErrUnsupported.
func (m *Servers) Available() error {
	program, err := m.program()
	if err != nil {
		return err
	}
	st, err := os.Stat(program)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked != nil && os.SameFile(m.asked, st) && m.asked.ModTime().Equal(st.ModTime()) {
		return m.unusable
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	_, err = Version(ctx, program)
	if err == nil || errors.Is(err, ErrUnsupported) {
		m.asked, m.unusable = st, err // it is another one when it is written anew
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnsupported, err)
}

func (m *Servers) program() (string, error) {
	if m.options.Program != "" {
		return m.options.Program, nil
	}
	return Find()
}

// find returns the processes that are OpenVPN with that directory's settings.
func find(dir string) ([]int, error) { return process.Find(isOpenVPN(dir)) }

// isOpenVPN tells by what everybody may see: what else there is in /proc of a process that
// is another user's by now, its program and its namespace, needs CAP_SYS_PTRACE, which a
// daemon need not have.
func isOpenVPN(dir string) func(pid int) bool {
	return func(pid int) bool {
		if !slices.Contains(process.Arguments(pid), filepath.Join(dir, settingsFile)) {
			return false
		}
		// The directory is root's while the process may not be looked into, else its user's:
		// nobody else can have it taken for ours by calling it so.
		st, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
		if err != nil {
			return false
		}
		owner := st.Sys().(*syscall.Stat_t).Uid
		return owner == 0 || strconv.Itoa(int(owner)) == nobody()
	}
}

// nobody is the number of the user that OpenVPN goes on as.
var nobody = sync.OnceValue(func() string {
	u, err := user.Lookup(unprivileged)
	if err != nil {
		return ""
	}
	return u.Uid
})

// capped runs a program whose files may not get longer than so many blocks of 512 bytes: what
// it writes beyond is not written, and the signal that would end it then (setrlimit(2)) is
// ignored.
const capped = `trap '' XFSZ; ulimit -f "$1" && shift && exec "$@"`

// start runs OpenVPN with a configuration file in the namespace that enter enters. Its log
// gets no longer than full bytes: somebody has to take it, and while nobody does whoever can
// reach the port can have it log.
func start(program, dir, conf string, full int64, enter func(func() error) error) (*process.Helper, error) {
	// The shell could only say that it has ended.
	if _, err := exec.LookPath(program); err != nil {
		return nil, err
	}
	if _, err := write(filepath.Join(dir, settingsFile), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	// What an earlier one left must not be taken for this one's.
	if err := os.RemoveAll(filepath.Join(dir, socketFile)); err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", capped, "sh", strconv.FormatInt(full/512, 10), program, "--config", filepath.Join(dir, settingsFile))
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"} // without NOTIFY_SOCKET
	return process.Start(cmd, enter)
}

// endAll ends the OpenVPNs of a directory. Clients over UDP are told to come back (over
// TCP they see it); without that they would find out by a silence of some seconds.
func endAll(dir string) error {
	pids, err := find(dir)
	if err != nil {
		return fmt.Errorf("look for OpenVPN: %w", err)
	}
	var errs []error
	for _, pid := range pids {
		errs = append(errs, endOne(pid))
	}
	return errors.Join(errs...)
}

func endOne(pid int) error {
	h, err := process.Adopt(pid)
	if err != nil {
		return nil // it has gone
	}
	defer h.Close()
	_ = unix.Kill(pid, unix.SIGTERM)
	if h.Ended(farewell) {
		return nil
	}
	return h.End() // asked for a second time, it does not wait for what clients say
}
