package ipsec

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// With no room left in the run directory a tunnel goes on, comes back when charon dies,
// and another one comes up as soon as there is room.
func TestRunDirectoryIsFull(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("sluice-test", l.dir, "tmpfs", 0, "size=256k"); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			if err := l.m.Apply(context.Background(), l.gw, network, nil); err != nil {
				t.Error(err)
			}
			if err := unix.Unmount(l.dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		filler := filepath.Join(l.dir, "filler")
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = f.Write(make([]byte, 512))
		}
		f.Close()

		l.apply(c)
		l.carries("10.1.0.2")
		pid := l.pid()
		l.kill()
		l.eventually(func() error {
			pids, err := find(filepath.Join(l.dir, network))
			if err != nil || len(pids) != 1 || pids[0] == pid {
				return fmt.Errorf("processes %v, was %d: %v", pids, pid, err)
			}
			return l.route()
		})
		l.carries("10.1.0.2")
		again := l.pid()

		other := usual()
		other.ID, other.Remote, other.RemoteID = "vco-u", netip.MustParseAddr("192.0.2.3"), "192.0.2.3"
		l.gateway.Connections = append(l.gateway.Connections, other)
		if err := l.m.Apply(t.Context(), l.gw, network, []dataplane.VPNGateway{*l.gateway}); err == nil {
			t.Error("it is not said that there is no room")
		} else {
			t.Log(err)
		}
		l.gateway.Connections = l.gateway.Connections[:1]
		l.carries("10.1.0.2")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		l.apply(c)
		l.carries("10.1.0.2")
		if now := l.pid(); now != again {
			t.Errorf("charon is process %d, was %d", now, again)
		}
	})
}
