package openvpn

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// Somebody else on the management interface keeps no certificate from being withdrawn.
func TestHijacked(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, two := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
	l.apply(one, two)
	ns, other := l.home(), l.home()
	l.connect(ns, one, "hand-window 3")
	l.connect(other, two)
	l.eventually(connected("vsc-1", "vsc-2"))
	l.m.Close()
	thief, err := dial(t.Context(), filepath.Join(l.m.dir(vpc), l.server.Link(), socketFile), func(message) {})
	if err != nil {
		t.Fatal(err)
	}
	defer thief.close()
	l.m = l.open()
	l.m.hungAfter = 0 // it is not taken for one that hangs
	pid := l.pid()
	l.apply(one, two)
	l.apply(one, two)
	if s := l.status(); !s.Running || len(s.Clients) != 2 || l.pid() != pid {
		t.Errorf("with somebody else there the status is %+v", s)
	}
	contains(t, l.log.String(), "another client is connected to its management interface")
	l.server.Revoked = []dataplane.SSLSerial{one.Serial}
	l.apply(two)
	if err := connected()(ptr(l.status())); err != nil { // two is not back yet, or is
		if err := connected("vsc-2")(ptr(l.status())); err != nil {
			t.Error(err)
		}
	}
	l.through(other)
	l.eventually(failures(reasonRevoked, 1))
	l.eventually(connected("vsc-2"))
}

// An OpenVPN that hangs is ended and started anew.
func TestHangs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.m.hungAfter = 0 // at once
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	l.connect(ns, one)
	pid := l.pid()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.eventually(func(s *dataplane.SSLStatus) error {
		if s.Starts != 2 || !s.Running {
			return fmt.Errorf("status is %+v", s)
		}
		return nil
	})
	contains(t, l.log.String(), "OpenVPN hangs; it is ended")
	l.through(ns)
}
