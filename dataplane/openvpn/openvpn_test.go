package openvpn

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// A client logs in, is told what it is led to, is seen with its addresses, and its session
// is written down when it is over.
func TestConnect(t *testing.T) {
	t.Parallel()
	for _, protocol := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.server.Protocol = protocol
			one, two := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
			l.apply(one, two)
			ns := l.home()
			var lines []string
			if protocol == unix.IPPROTO_UDP {
				lines = append(lines, "explicit-exit-notify 1")
			}
			c := l.connect(ns, one, lines...)
			l.connect(l.home(), two)
			l.eventually(connected("vsc-1", "vsc-2"))
			s := l.status()
			seen, err := l.seen(ns)
			if err != nil {
				t.Fatal(err)
			}
			if !s.Running || s.Error != "" || s.Starts != 1 || s.Limit != 10 || s.Inbound.Packets == 0 || s.Outbound.Bytes == 0 {
				t.Errorf("status is %+v", s)
			}
			if k := s.Clients[0]; k.Address != seen || !k.Remote.IsValid() || k.Cipher != "AES-256-GCM" || k.Since.IsZero() || k.Inbound.Bytes == 0 || k.Outbound.Bytes == 0 {
				t.Errorf("the client is seen as %s, and its session is %+v", seen, k)
			}
			c.Stop() // by UDP it says so
			l.eventually(connected("vsc-2"))
			contains(t, l.ended(), `"certificate":"vsc-1"`, `"address":"`+seen.String(), `"cipher":"AES-256-GCM"`)
			if protocol == unix.IPPROTO_UDP {
				contains(t, l.ended(), `"why":"the client has said goodbye"`)
			}
			logged, err := l.m.Log(vpc, l.server.ID, s.Since.Add(-time.Minute), time.Now())
			if err != nil || len(logged) == 0 {
				t.Fatalf("log: %v, %v", logged, err)
			}
			contains(t, fmt.Sprint(logged), "VERIFY OK: depth=0, CN=vsc-2", "Peer Connection Initiated")
			if none, err := l.m.Log(vpc, l.server.ID, logged[len(logged)-1].Time.Add(time.Microsecond), time.Now().Add(time.Hour)); err != nil || len(none) > 10 {
				t.Errorf("log of the time after that: %v, %v", none, err)
			}
		})
	}
}

// Other Servers take over an OpenVPN with its clients, and what was counted.
func TestAdopt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	c := l.connect(ns, one)
	l.eventually(connected("vsc-1"))
	before, pid := l.status(), l.pid()
	l.reopen()
	if err := l.ask(ns); err != nil {
		t.Errorf("without anybody: %v", err)
	}
	l.apply(one)
	after := l.status()
	if l.pid() != pid || len(after.Clients) != 1 || !after.Clients[0].Since.Equal(before.Clients[0].Since) || after.Starts != before.Starts || !after.Running {
		t.Errorf("before: process %d, %+v; after: process %d, %+v", pid, before, l.pid(), after)
	}
	if err := l.ask(ns); err != nil {
		t.Error(err)
	}
	c.Kill()
	l.eventually(connected())
}

// A daemon that may not look into others' processes finds its OpenVPN, which is another
// user's, all the same.
func TestFindWithoutPtrace(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and it ends with the goroutine
		head, sets := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		if err := unix.Capget(&head, &sets[0]); err != nil {
			done <- err
			return
		}
		sets[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
		if err := unix.Capset(&head, &sets[0]); err != nil {
			done <- err
			return
		}
		pids, err := find(filepath.Join(l.m.dir(vpc), l.server.Link()))
		if err == nil && len(pids) != 1 {
			err = fmt.Errorf("processes found: %v", pids)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A certificate that is taken out of those that may log in, or revoked, is thrown out when
// Apply returns, and does not get in again; another client does not notice.
func TestRevoke(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, two := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
	l.apply(one, two)
	ns, other := l.home(), l.home()
	l.connect(ns, one, "hand-window 3")
	l.connect(other, two)
	l.eventually(connected("vsc-1", "vsc-2"))
	pid := l.pid()
	l.server.Revoked = []dataplane.SSLSerial{one.Serial}
	l.apply(two)
	if err := connected("vsc-2")(ptr(l.status())); err != nil {
		t.Error(err)
	}
	l.eventually(failures(reasonRevoked, 1))
	l.server.Revoked = nil
	l.apply(two)
	l.eventually(failures(reasonUnknown, 1))
	if err := l.ask(other); err != nil || l.pid() != pid {
		t.Errorf("the other client: %v; process %d, then %d", err, pid, l.pid())
	}
	contains(t, l.ended(), `"why":"its certificate may not log in any more"`)
}

func ptr[T any](v T) *T { return &v }

// An OpenVPN that dies is started again, with its clients.
func TestDies(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	l.connect(ns, one)
	before, err := l.seen(ns)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(l.pid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.eventually(func(s *dataplane.SSLStatus) error {
		if s.Starts != 2 || !s.Running {
			return fmt.Errorf("status is %+v", s)
		}
		return nil
	})
	died := time.Now()
	l.through(ns)
	t.Logf("the client is back after %v", time.Since(died))
	if after, err := l.seen(ns); err != nil || after != before {
		t.Errorf("it had address %s, and has %s, %v", before, after, err)
	}
	contains(t, l.ended(), `"why":"OpenVPN has ended"`)
}
