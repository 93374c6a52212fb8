package openvpn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/dataplane/netns"
)

// flood sends what could begin a session, but is not of somebody with the server's key, as
// fast as it goes, until the function that it returns is called.
func flood(t *testing.T, ns *netns.Namespace, to netip.AddrPort) (stop func()) {
	t.Helper()
	var c net.Conn
	if err := ns.Do(func() (err error) { c, err = net.Dial("udp4", to.String()); return err }); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// P_CONTROL_HARD_RESET_CLIENT_V2, a session id, a packet id, a time, and no HMAC.
		packet := append([]byte{7 << 3, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1}, make([]byte, 41)...)
		for {
			if _, err := c.Write(packet); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	stop = func() { c.Close(); <-ended }
	t.Cleanup(stop)
	return stop
}

// While nobody takes what OpenVPN logs, its log grows no longer than it may, and clients get
// in all the same. The next daemon knows them, says that lines are missing, and has the log
// go on.
func TestFullLog(t *testing.T) {
	if testing.Short() {
		t.Skip("floods for a while: make test-all")
	}
	t.Parallel()
	l := newLab(t)
	l.m.Close()
	l.rawFull = 2 << 20
	l.m = l.open()
	one, two, three := l.authority.Client("vsc-1"), l.authority.Client("vsc-2"), l.authority.Client("vsc-3")
	l.apply(one, two)
	ns := l.home()
	l.connect(ns, one)
	l.eventually(connected("vsc-1"))
	pid := l.pid()
	l.m.Close()

	log := filepath.Join(l.dir, "run", filepath.Base(l.m.dir(vpc)), l.server.Link(), logFile)
	size := func() int64 {
		st, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	stop := flood(t, l.home(), netip.AddrPortFrom(address, l.server.Port))
	l.until(func() error {
		if size() < l.rawFull {
			return fmt.Errorf("the log has %d bytes", size())
		}
		return nil
	})
	l.connect(l.home(), two)
	if err := l.ask(ns); err != nil {
		t.Errorf("who was connected before: %v", err)
	}
	stop()
	if got := size(); got != l.rawFull {
		t.Errorf("the log has %d bytes, not %d", got, l.rawFull)
	}

	l.m = l.open()
	l.apply(one, two, three)
	l.eventually(connected("vsc-1", "vsc-2"))
	if l.pid() != pid {
		t.Error("OpenVPN was started anew")
	}
	l.connect(l.home(), three)
	l.until(func() error {
		lines, err := l.m.Log(vpc, l.server.ID, time.Unix(0, 0), time.Now().Add(time.Hour))
		_, after, told := strings.Cut(fmt.Sprint(lines), "sluiced: OpenVPN's log was full")
		if err == nil && (!told || !strings.Contains(after, "vsc-3")) {
			err = errors.New("nothing says that lines are missing, or what came then")
		}
		return err
	})
}
