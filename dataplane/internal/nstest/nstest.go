package nstest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// Deadline is how long tests wait for something to happen.
const Deadline = 10 * time.Second

// Random returns n random lower-case letters and digits.
func Random(n int) string { return strings.ToLower(rand.Text()[:n]) }

// New makes a namespace slt-… with loopback up. It skips the test where there
// is no privilege for it.
func New(t testing.TB) *netns.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	ns, _, err := netns.Create("slt-" + Random(9))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(ns.Name()); err != nil {
			t.Error(err)
		}
	})
	Up(t, ns, "lo")
	return ns
}

// Link returns a link that must be there.
func Link(t testing.TB, ns *netns.Namespace, name string) netlink.Link {
	t.Helper()
	l, err := ns.Netlink().LinkByName(name)
	if err != nil {
		t.Fatalf("link %s in %s: %v", name, ns, err)
	}
	return l
}

// Up sets a link up.
func Up(t testing.TB, ns *netns.Namespace, name string) {
	t.Helper()
	if err := ns.Netlink().LinkSetUp(Link(t, ns, name)); err != nil {
		t.Fatalf("set %s up: %v", name, err)
	}
}

// Address adds an address to a link and sets the link up.
func Address(t testing.TB, ns *netns.Namespace, name, prefix string) {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	a := &netlink.Addr{IPNet: netipx.PrefixIPNet(p)}
	if err := ns.Netlink().AddrAdd(Link(t, ns, name), a); err != nil {
		t.Fatalf("add %s to %s: %v", prefix, name, err)
	}
	Up(t, ns, name)
}

// Veth makes a veth pair with an end in each of two namespaces.
func Veth(t testing.TB, a *netns.Namespace, nameA string, b *netns.Namespace, nameB string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = nameA
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerNamespace = nameB, netlink.NsFd(b.Handle())
	if err := a.Netlink().LinkAdd(pair); err != nil {
		t.Fatalf("make veth %s, %s: %v", nameA, nameB, err)
	}
}

// Default adds a default route.
func Default(t testing.TB, ns *netns.Namespace, via string) {
	t.Helper()
	all := netipx.PrefixIPNet(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	if err := ns.Netlink().RouteAdd(&netlink.Route{Dst: all, Gw: net.ParseIP(via)}); err != nil {
		t.Fatalf("add default route via %s: %v", via, err)
	}
}

// Host makes a namespace with one link, eth0, that is plugged into a VSwitch of
// namespace network, with an address and a default route.
func Host(t testing.TB, network, vswitch, address, gateway string) *netns.Namespace {
	t.Helper()
	h := New(t)
	gw, err := netns.Open(network)
	if err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	port := "p-" + Random(8)
	Veth(t, h, "eth0", gw, port)
	Address(t, h, "eth0", address)
	if gateway != "" {
		Default(t, h, gateway)
	}
	if err := link.Plug(network, vswitch, port); err != nil {
		t.Fatal(err)
	}
	return h
}

// Command runs a program in a namespace and returns what it prints.
func Command(t testing.TB, ns *netns.Namespace, name string, args ...string) string {
	t.Helper()
	out, err := TryCommand(ns, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryCommand is Command for programs that may fail.
func TryCommand(ns *netns.Namespace, name string, args ...string) (string, error) {
	var out []byte
	err := ns.Do(func() (err error) {
		if out, err = exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %v in %s: %w: %s", name, args, ns, err, out)
		}
		return nil
	})
	return string(out), err
}

// Eventually waits until f returns nil, at most Deadline.
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	EventuallyWithin(t, Deadline, f)
}

// EventuallyWithin waits until f returns nil, for what has timers of its own.
func EventuallyWithin(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		began := time.Now()
		err := f()
		if err == nil {
			return
		}
		// What takes long to look at is looked at less often: the processors are
		// for what is waited for.
		pause := min(max(5*time.Millisecond, 3*time.Since(began)), 100*time.Millisecond)
		select {
		case <-ctx.Done():
			t.Fatalf("after %s still: %v", limit, err)
		case <-time.After(pause):
		}
	}
}
