package ipsec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/strongswan/govici/vici"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
)

// The files in a gateway's directory.
const (
	settingsFile = "strongswan.conf"
	socketFile   = "charon.vici"
	pidFile      = "charon.pid"
	logFile      = "charon.log"
	loadedFile   = "loaded.json"

	identifiersFile = "identifiers.json"
)

const (
	readyTimeout  = 10 * time.Second // for a charon to answer after its start
	answerTimeout = 10 * time.Second // for it to answer a command
	logLimit      = 4 << 20          // bytes
)

// charon is a running charon, and the session with it.
type charon struct {
	dir     string
	process *process.Helper
	session *vici.Session
	lines   []net.Conn      // below the session
	events  chan vici.Event // closed when charon ends, or the session
	answer  time.Duration   // as answerTimeout
	hung    atomic.Bool     // it has not answered for so long
}

// subscriptions are the events that say something of SAs.
var subscriptions = []string{"ike-updown", "child-updown", "ike-rekey", "child-rekey", "ike-update", "log"}

// find returns the processes that are charon with that directory's settings.
func find(dir string) ([]int, error) { return process.Find(isCharon(dir)) }

func isCharon(dir string) func(pid int) bool {
	return func(pid int) bool {
		return strings.Contains(filepath.Base(process.Program(pid)), "charon") && slices.Contains(process.Environment(pid), environment(dir))
	}
}

func environment(dir string) string { return "STRONGSWAN_CONF=" + filepath.Join(dir, settingsFile) }

// start runs charon in the namespace that enter enters, see process.Start.
func start(program, dir string, path dataplane.VPNPath, w waits, enter func(func() error) error) (*process.Helper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, settingsFile), []byte(settings(dir, path, w))); err != nil {
		return nil, err
	}
	// What an earlier charon left must not be taken for this one's.
	for _, name := range []string{socketFile, loadedFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	cmd := exec.Command(program)
	cmd.Env = []string{environment(dir), "PATH=/usr/sbin:/usr/bin:/sbin:/bin"} // without NOTIFY_SOCKET
	if path != dataplane.VPNByLibipsec {
		return process.Start(cmd, enter)
	}
	return process.Start(cmd, func(f func() error) error {
		return enter(func() error { return inBatches(f) })
	})
}

// inBatches runs f with a scheduling policy (SCHED_BATCH, sched(7)) that processes
// started by it inherit: one that wakes up waits for its turn instead of
// interrupting who woke it. A packet that charon carries itself goes through three
// of its threads; so each thread works off all that have come before the next is
// switched to, which is half the switches on a busy machine. On one with an idle
// CPU nothing waits.
func inBatches(f func() error) error {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return fmt.Errorf("get scheduling policy: %w", err)
	}
	batch := *before
	batch.Policy = unix.SCHED_BATCH
	if err := unix.SchedSetAttr(0, &batch, 0); err != nil {
		return fmt.Errorf("set scheduling policy: %w", err)
	}
	return errors.Join(f(), unix.SchedSetAttr(0, before, 0))
}

// writeFile puts a file in its place in one step. One that is there already is left
// alone, so that it needs no room.
func writeFile(name string, data []byte) error {
	if has, err := os.ReadFile(name); err == nil && bytes.Equal(has, data) {
		return nil
	}
	tmp := name + ".new"
	err := os.WriteFile(tmp, data, 0o600)
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp) // it takes room, and is of no use
	}
	return err
}

// adopt opens the session with a charon that runs already.
func adopt(ctx context.Context, dir string, pid int, w waits) (*charon, error) {
	h, err := process.Adopt(pid)
	if err != nil {
		return nil, ended(dir)
	}
	return connect(ctx, dir, h, w)
}

// connect opens the session with a charon, as soon as it answers. The charon that is
// returned owns the watching of the process; after an error that is closed.
func connect(ctx context.Context, dir string, h *process.Helper, w waits) (*charon, error) {
	c := &charon{dir: dir, process: h, answer: w.answer}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := h.Await(ctx, func(context.Context) error {
		err := c.open()
		if err != nil {
			c.hangUp()
			c.lines = nil
		}
		return err
	})
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, process.ErrEnded):
		err = ended(dir)
	default:
		err = fmt.Errorf("charon (process %d) does not answer: %w", h.PID, err)
	}
	h.Close()
	return nil, err
}

func (c *charon) open() error {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		line, err := d.DialContext(ctx, network, address)
		if err == nil {
			c.lines = append(c.lines, line)
		}
		return line, err
	}
	session, err := vici.NewSession(vici.WithSocketPath(filepath.Join(c.dir, socketFile)), vici.WithDialContext(dial))
	if err != nil {
		return err
	}
	c.session, c.events = session, make(chan vici.Event, 4096)
	session.NotifyEvents(c.events)
	return c.within(func() error { return session.Subscribe(subscriptions...) })
}

// ended says why a charon that was just started is not there any more.
func ended(dir string) error {
	why := "see " + filepath.Join(dir, logFile)
	if b, err := os.ReadFile(filepath.Join(dir, logFile)); err == nil {
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		why = "its log ends with: " + lines[len(lines)-1]
	}
	return fmt.Errorf("charon ended by itself; %s", why)
}

// hangUp ends the session. Session.Close would talk to charon first, and wait.
func (c *charon) hangUp() {
	for _, line := range c.lines {
		line.Close()
	}
}

// close ends the session; charon itself works on.
func (c *charon) close() {
	c.hangUp()
	c.process.Close()
}

// gone reports whether the process has ended, and waits for it so long.
func (c *charon) gone(wait time.Duration) bool { return c.process.Ended(wait) }

// within runs f, and ends the session if that takes too long, which ends f.
func (c *charon) within(f func() error) error {
	timer := time.AfterFunc(c.answer, func() {
		c.hung.Store(true)
		c.hangUp()
	})
	defer timer.Stop()
	err := f()
	if err != nil && c.hung.Load() {
		return fmt.Errorf("process %d has not answered for %s", c.process.PID, c.answer)
	}
	return err
}

// do runs a command.
func (c *charon) do(command string, arguments section) (*vici.Message, error) {
	in, err := vici.MarshalMessage(arguments)
	if arguments == nil {
		in, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out *vici.Message
	err = c.within(func() (err error) {
		out, err = c.session.CommandRequest(command, in)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("charon's %s: %w", command, err)
	}
	return out, nil
}

// listTries is how often a list that is torn is asked for.
const listTries = 3

// list returns the SAs that charon has.
func (c *charon) list() (sas []ikeSA, err error) {
	for range listTries {
		if sas, err = c.listOnce(); err != nil || !torn(sas) {
			break
		}
	}
	return sas, err
}

func (c *charon) listOnce() (sas []ikeSA, err error) {
	messages, err := c.stream("list-sas", "list-sa")
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		sas = append(sas, readSAs(m)...)
	}
	return sas, nil
}

// stream runs a command that is answered by events.
func (c *charon) stream(command, event string) (messages []*vici.Message, err error) {
	err = c.within(func() (err error) {
		messages, err = c.session.StreamedCommandRequest(command, event, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("charon's %s: %w", command, err)
	}
	return messages, nil
}

// torn reports whether a list lacks the IKE_SA that has taken another one's place.
// Charon lists one after the other, and waits for those that it is working on: the
// new one may come after its place in the list has gone by, and the old one is
// listed after its CHILD_SAs have moved. The connection would look as if it were
// down.
func torn(sas []ikeSA) bool {
	for i := range sas {
		old := &sas[i]
		replaced := old.state == "REKEYED" || old.state == "DELETING" && len(old.children) == 0
		successor := func(s ikeSA) bool {
			return s.connection == old.connection && s.id != old.id && s.established()
		}
		if replaced && !slices.ContainsFunc(sas, successor) {
			return true
		}
	}
	return false
}

// boundLog keeps charon's log from growing without end; charon appends to it. Where
// somebody has moved or removed it, as who rotates logs does, charon would go on with a
// file that nobody reads, or could bound: it is told to open its log anew.
func (c *charon) boundLog() error {
	name := filepath.Join(c.dir, logFile)
	st, err := os.Stat(name)
	if err != nil || !process.Opens(c.process.PID, st) {
		_, err = c.do("reload-settings", nil)
		return err
	}
	if st.Size() > logLimit {
		return os.Truncate(name, 0)
	}
	return nil
}
