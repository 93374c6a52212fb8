package errtext

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	vnetlink "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// libraries is what no operator should have to read.
var libraries = regexp.MustCompile(`conn\.\w+:|netlink (receive|send|dial|bind)|\b(sendto|sendmsg|recvmsg|recvfrom|setsockopt|socket|bind|setns|unshare): |fork/exec|dial (unix|tcp)|executable file not found`)

// apart runs fn in a network namespace that ends with it, by a thread that ends, too.
func apart(t *testing.T, fn func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks: what the thread has given up it does not get back
		ns, err := netns.New()
		if err == nil {
			err = fn()
			ns.Close()
		}
		done <- err
	}()
	return <-done
}

// unprivileged gives up all capabilities of the thread.
func unprivileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// TestProvoked: errors that the kernel and the libraries really make.
func TestProvoked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("provoking the kernel takes a network namespace, which needs root")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(l vnetlink.Link) func() error { return func() error { return vnetlink.LinkAdd(l) } }
	bridge := &vnetlink.Bridge{LinkAttrs: vnetlink.LinkAttrs{Name: "a"}}
	batch := func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		c.DelTable(&nftables.Table{Name: "none", Family: nftables.TableFamilyIPv4})
		return c.Flush()
	}
	for name, p := range map[string]struct {
		provoke func() error
		want    string
	}{
		"an nftables table that is not there": {batch, "the kernel does not know it (ENOENT)"},
		"nftables without privileges":         {func() error { return errors.Join(unprivileged(), batch()) }, "not permitted (EPERM): run it as root"},
		"a generic netlink family": {func() error {
			c, err := genetlink.Dial(nil)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.GetFamily("nosuchfamily")
			return err
		}, "the kernel does not know it (ENOENT)"},
		"netlink of an unknown protocol": {func() error { _, err := netlink.Dial(31, nil); return err }, "this kernel has no such thing (EPROTONOSUPPORT)"},
		"a link of an unknown kind":      {link(&vnetlink.GenericLink{LinkAttrs: vnetlink.LinkAttrs{Name: "a"}, LinkType: "nosuchkind"}), "this kernel has no such thing (EOPNOTSUPP)"},
		"a link that is there":           {func() error { return errors.Join(link(bridge)(), link(bridge)()) }, "it is there already"},
		"a link without privileges":      {func() error { return errors.Join(unprivileged(), link(bridge)()) }, "not permitted (EPERM)"},
		"a namespace without privileges": {func() error {
			_, err := netns.New()
			return errors.Join(unprivileged(), err, unix.Unshare(unix.CLONE_NEWNET))
		}, "not permitted (EPERM)"},
		"a socket that nobody listens on": {func() error { _, err := net.Dial("unix", filepath.Join(t.TempDir(), "none")); return err }, "connect to "},
		"a program that is not there":     {func() error { return exec.Command("nosuchprogram").Run() }, "there is no program nosuchprogram"},
		"a program that cannot run":       {func() error { return exec.Command(text).Run() }, "start " + text + ": permission denied"},
		"a file that is not there":        {func() error { _, err := os.Open("/none"); return err }, "open /none: no such file or directory"},
	} {
		err := apart(t, p.provoke)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		text := Of(fmt.Errorf("what was done: %w", err))
		if !strings.HasPrefix(text, "what was done: ") || !strings.Contains(text, p.want) || libraries.MatchString(text) {
			t.Errorf("%s:\n%v\nbecame\n%s\nwant %s", name, err, text, p.want)
		}
	}
	if _, err := net.Listen("tcp", listener.Addr().String()); !strings.Contains(Of(err), "another program has this address and port (EADDRINUSE)") {
		t.Error(Of(err))
	}
}

// TestEveryNumber: whatever a library says an error number with, its words go, those around
// it stay, and the name of the number is there.
func TestEveryNumber(t *testing.T) {
	for n := syscall.Errno(1); n < 134; n++ {
		name := name(n)
		if name == "" {
			continue
		}
		for _, err := range []error{
			n, os.NewSyscallError("setsockopt", n), &netlink.OpError{Op: "receive", Err: n},
			fmt.Errorf("conn.Receive: %w", errors.Join(&netlink.OpError{Op: "receive", Err: os.NewSyscallError("recvmsg", n)})),
		} {
			text := Of(fmt.Errorf("add the set: %w; more", err))
			translated := ofKernel[n] != "" || both[n] != ""
			if !strings.HasPrefix(text, "add the set: ") || !strings.HasSuffix(text, "; more") || libraries.MatchString(text) ||
				translated != strings.Contains(text, "("+name+")") || !translated && !strings.Contains(text, n.Error()) {
				t.Errorf("%q became %q", err, text)
			}
		}
	}
}

// TestLog: errors in logs have the same words.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: Log}))
	log.Error("failed", "error", &netlink.OpError{Op: "receive", Err: unix.ENOBUFS}, "network", "vpc-a", slog.Group("inner", "error", unix.EPERM))
	if text := out.String(); libraries.MatchString(text) || !strings.Contains(text, "(ENOBUFS)") || !strings.Contains(text, "(EPERM)") || !strings.Contains(text, "network=vpc-a") {
		t.Error(text)
	}
}

// TestInstead: another text, and the same error.
func TestInstead(t *testing.T) {
	err := Instead(unix.ENOENT, "nobody answers on %s", "/x")
	if !errors.Is(err, unix.ENOENT) || Of(err) != "nobody answers on /x" || Of(nil) != "" {
		t.Error(Of(err))
	}
}
