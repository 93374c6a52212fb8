package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestListenBeforeTheAddress: an address that comes later is listened on, and answers as
// soon as it is there; until then it is said to be absent.
func TestListenBeforeTheAddress(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // and not unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"192.0.2.77/32", "2001:db8::77/128"} {
		address, err := netlink.ParseAddr(prefix)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		l, err := listen(t.Context(), net.JoinHostPort(address.IP.String(), "0"), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := l.Addr().String()
		if !strings.Contains(log.String(), "not this machine's yet") || !absent(at) {
			t.Errorf("%s is not said to be absent: %s", at, &log)
		}
		address.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, address); err != nil {
			t.Fatal(err)
		}
		if absent(at) {
			t.Errorf("%s is there, and said to be absent", at)
		}
		var c net.Conn
		for range 100 { // IPv6's routes come a little after the address
			if c, err = net.Dial("tcp", at); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}
