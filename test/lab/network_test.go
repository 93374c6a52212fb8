package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// TestMain lets the test binary stand in for sluicectl, which a lab starts in
// its namespaces to serve HTTP.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "lab" && os.Args[2] == "serve" {
		arg := func(name string) string { return os.Args[slices.Index(os.Args, name)+1] }
		if err := Serve(context.Background(), arg("--name"), arg("--listen")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// built are the programs of this source tree, once they have been needed.
var built struct {
	sync.Once
	dir     string
	options Options
	err     error
}

// programs returns Options that name sluiced and sluicectl of this source tree: those in
// the directory that E2E_PROGRAMS names, if it does. All tests have the same ones: to link
// them takes longer than most tests.
func programs(t *testing.T) Options {
	t.Helper()
	built.Do(func() {
		if dir := os.Getenv("E2E_PROGRAMS"); dir != "" {
			built.options = Options{Sluiced: filepath.Join(dir, "sluiced"), Sluicectl: filepath.Join(dir, "sluicectl")}
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "slt-bin-"); built.err == nil {
			// Without what only debuggers read, they are linked faster.
			built.options, built.err = Build(context.Background(), built.dir, "-ldflags=-w")
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.options
}

// withoutDaemon makes a lab that has an Internet and no sluiced.
func withoutDaemon(t *testing.T) *Lab {
	t.Helper()
	requireRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Name: fmt.Sprintf("slt-%d", os.Getpid()), Dir: filepath.Join(t.TempDir(), "lab")}
	if err := os.Mkdir(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { down(t, l) })
	if err := (&state{Name: l.Name, Sluicectl: self}).save(l.Dir); err != nil {
		t.Fatal(err)
	}
	if err := l.makeInternet(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// down takes a lab down and checks that nothing of it remains.
func down(t *testing.T, l *Lab) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Down(ctx); err != nil {
		t.Error(err)
	}
	names, err := netns.List()
	if err != nil {
		t.Error(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, l.Name+"-") {
			t.Errorf("network namespace %s is left", n)
		}
	}
	left, err := marked(l.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("processes left: %+v, %v", left, err)
	}
	if _, err := os.Stat(l.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	if err := l.Down(ctx); err != nil {
		t.Errorf("a second Down: %v", err)
	}
}

func TestInternetAnswersTheCallersAddress(t *testing.T) {
	l := withoutDaemon(t)
	second, err := l.InternetAdd(t.Context(), "second", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if second.IP() != netip.MustParseAddr("203.0.113.2") {
		t.Errorf("address is %s", second.IP())
	}
	a, err := l.Get(t.Context(), "second", "http://203.0.113.1/anything")
	if err != nil {
		t.Fatal(err)
	}
	who, err := netip.ParseAddrPort(strings.TrimSpace(a.Body))
	if err != nil || who.Addr() != second.IP() || a.Server != InternetHost {
		t.Errorf("answer is %+v, %v", a, err)
	}
	if a, err = l.Get(t.Context(), InternetHost, "http://203.0.113.2/"); err != nil || a.Server != "second" {
		t.Errorf("answer is %+v, %v", a, err)
	}

	if _, err := l.InternetAdd(t.Context(), "second", netip.Addr{}); err == nil {
		t.Error("a second host of the same name was added")
	}
	if _, err := l.InternetAdd(t.Context(), "third", second.IP()); err == nil {
		t.Error("a second host of the same address was added")
	}
	if err := l.HostRemove(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Host("second"); err == nil {
		t.Error("the host is in the record after it was removed")
	}
	if _, err := l.InternetAdd(t.Context(), "third", second.IP()); err != nil {
		t.Errorf("its address is not free again: %v", err)
	}
	if err := l.HostRemove(t.Context(), InternetHost); err == nil {
		t.Error("the Internet was removed")
	}
}

// TestForeignNamespaceIsSpared takes a name that somebody else's namespace has.
func TestForeignNamespaceIsSpared(t *testing.T) {
	l := withoutDaemon(t)
	foreign := l.namespace("foreign")
	ns, _, err := netns.Create(foreign)
	if err != nil {
		t.Fatal(err)
	}
	ns.Close()
	if _, err := l.InternetAdd(t.Context(), "foreign", netip.Addr{}); err == nil {
		t.Error("a host was put into a namespace that was there already")
	}
	if err := l.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if ok, err := exists(foreign); err != nil || !ok {
		t.Errorf("Down removed a namespace that is not the lab's (%v)", err)
	}
	if err := netns.Delete(foreign); err != nil {
		t.Error(err)
	}
}

func TestSocketsInAHost(t *testing.T) {
	l := withoutDaemon(t)
	if _, err := l.InternetAdd(t.Context(), "second", netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	ln, err := l.Listen(t.Context(), "second", "tcp4", ":7000")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := l.DialFrom(t.Context(), InternetHost, &net.TCPAddr{IP: PublicGateway.AsSlice(), Port: 7001}, "tcp4", "203.0.113.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.LocalAddr().String() != "203.0.113.1:7001" {
		t.Errorf("local address is %s", c.LocalAddr())
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
		t.Errorf("echo is %q, %v", buf, err)
	}

	u, err := l.ListenPacket(t.Context(), "second", "udp4", ":7000")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	d, err := l.Dial(t.Context(), InternetHost, "udp4", "203.0.113.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := io.WriteString(d, "hi"); err != nil {
		t.Fatal(err)
	}
	if n, from, err := u.ReadFrom(buf); err != nil || string(buf[:n]) != "hi" || from.String() != d.LocalAddr().String() {
		t.Errorf("read %q from %v, %v", buf[:n], from, err)
	}
}

func TestRunInAHost(t *testing.T) {
	l := withoutDaemon(t)
	out, err := l.Run(t.Context(), InternetHost, "cat", "/proc/net/dev")
	if err != nil || !strings.Contains(out, PublicBridge) {
		t.Errorf("interfaces of the host: %v\n%s", err, out)
	}
	if _, err := l.Run(t.Context(), InternetHost, "sh", "-c", "echo broken >&2; exit 7"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error of a command that fails: %v", err)
	}
	if _, err := l.Run(t.Context(), "nobody", "true"); err == nil || !strings.Contains(err.Error(), InternetHost) {
		t.Errorf("error of an unknown host does not name those that there are: %v", err)
	}
}

// TestDownEndsWhatRunsInHosts starts something that nobody ends.
func TestDownEndsWhatRunsInHosts(t *testing.T) {
	l := withoutDaemon(t)
	cmd := exec.Command("sleep", "300")
	if err := l.Start(InternetHost, cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	down(t, l)
	if err := <-ended; err == nil {
		t.Error("the command ended by itself")
	}
}

func TestCapture(t *testing.T) {
	l := withoutDaemon(t)
	if _, err := l.InternetAdd(t.Context(), "second", netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	all, err := l.Capture("second", HostInterface, nil)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := l.Capture("second", HostInterface, func(p Packet) bool { return p.Protocol == 17 })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get(ctx, "second", "http://203.0.113.1/"); err != nil {
		t.Fatal(err)
	}
	syn, err := all.Await(ctx, func(p Packet) bool { return p.TCPFlags == SYN })
	if err != nil {
		t.Fatal(err)
	}
	if !syn.Outgoing || syn.Dst != PublicGateway || syn.DstPort != 80 {
		t.Errorf("first packet is %s", syn)
	}
	answer, err := all.Await(ctx, func(p Packet) bool { return p.TCPFlags == SYN|ACK })
	if err != nil {
		t.Fatal(err)
	}
	if answer.Outgoing || answer.DstPort != syn.SrcPort {
		t.Errorf("its answer is %s", answer)
	}
	if dropped, err := all.Dropped(); err != nil || dropped != 0 {
		t.Errorf("dropped %d, %v", dropped, err)
	}
	if err := all.Close(); err != nil {
		t.Error(err)
	}
	if _, err := all.Await(ctx, func(Packet) bool { return false }); err == nil {
		t.Error("Await found what never came")
	}
	if err := udp.Close(); err != nil {
		t.Error(err)
	}
	if p := udp.Packets(); len(p) > 0 {
		t.Errorf("a filtered capture holds %v", p)
	}
	if _, err := l.Capture("second", "eth9", nil); err == nil {
		t.Error("captured on an interface that is not there")
	}
}

// TestCaptureOnTheBridgeSeesAllPorts watches what two hosts send each other.
func TestCaptureOnTheBridgeSeesAllPorts(t *testing.T) {
	l := withoutDaemon(t)
	for _, name := range []string{"second", "third"} {
		if _, err := l.InternetAdd(t.Context(), name, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := l.Capture(InternetHost, PublicBridge, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := l.Get(ctx, "second", "http://203.0.113.3/"); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []uint8{SYN, SYN | ACK} {
		if _, err := c.Await(ctx, func(p Packet) bool { return p.TCPFlags == flags }); err != nil {
			t.Errorf("%s between two ports: %v", flagNames(flags), err)
		}
	}
}

// TestDownRemovesNetworks leaves what a sluiced that was killed leaves: marks,
// namespaces, the outer end of an uplink.
func TestDownRemovesNetworks(t *testing.T) {
	l := withoutDaemon(t)
	id := fmt.Sprintf("vpc-t%d", os.Getpid())
	marks := filepath.Join(l.RunDir(), "networks")
	if err := os.MkdirAll(marks, 0o700); err != nil {
		t.Fatal(err)
	}
	// One more that was marked and not made yet.
	for _, mark := range []string{id, "vpc-never"} {
		if err := os.WriteFile(filepath.Join(marks, mark), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	network := dataplane.Namespace(id)
	ns, _, err := netns.Create(network)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	t.Cleanup(func() { _ = netns.Delete(network) })
	err = inNamespace(l.namespace(InternetHost), func(nl *netlink.Handle, _ *netns.Namespace) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = id
		return nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: dataplane.UplinkName, PeerNamespace: netlink.NsFd(ns.Handle())})
	})
	if err != nil {
		t.Fatal(err)
	}
	down(t, l)
	if ok, err := exists(network); err != nil || ok {
		t.Errorf("network namespace %s is left (%v)", network, err)
	}
}

// TestDownAfterCrash ends the making of a lab at every step.
func TestDownAfterCrash(t *testing.T) {
	requireRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	namespace := func(l *Lab) string { return l.namespace(InternetHost) }
	for name, leave := range map[string]func(t *testing.T, l *Lab){
		"nothing but the directory": func(*testing.T, *Lab) {},
		"a record": func(t *testing.T, l *Lab) {
			save(t, l, &state{Name: l.Name})
		},
		"a record of a host that was not made": func(t *testing.T, l *Lab) {
			save(t, l, &state{Name: l.Name, Hosts: []*Host{{Name: InternetHost, Namespace: namespace(l), Address: PublicPrefix}}})
		},
		"the file of a namespace that was not mounted": func(t *testing.T, l *Lab) {
			save(t, l, &state{Name: l.Name, Hosts: []*Host{{Name: InternetHost, Namespace: namespace(l), Address: PublicPrefix}}})
			if err := os.WriteFile(filepath.Join(netns.Dir, namespace(l)), nil, 0o444); err != nil {
				t.Fatal(err)
			}
		},
		"a namespace with nothing in it": func(t *testing.T, l *Lab) {
			save(t, l, &state{Name: l.Name, Hosts: []*Host{{Name: InternetHost, Namespace: namespace(l), Address: PublicPrefix}}})
			ns, _, err := netns.Create(namespace(l))
			if err != nil {
				t.Fatal(err)
			}
			ns.Close()
		},
		"a process that is not in the record": func(t *testing.T, l *Lab) {
			save(t, l, &state{Name: l.Name, Sluicectl: self})
			sleeper(t, l.Dir)
		},
		"a process in the record that has gone": func(t *testing.T, l *Lab) {
			p := sleeper(t, l.Dir)
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			save(t, l, &state{Name: l.Name, Daemon: &p})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Lab{Name: fmt.Sprintf("slt-%d", os.Getpid()), Dir: filepath.Join(t.TempDir(), "lab")}
			if err := os.Mkdir(l.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			leave(t, l)
			down(t, l)
		})
	}
}

func save(t *testing.T, l *Lab, s *state) {
	t.Helper()
	if err := s.save(l.Dir); err != nil {
		t.Fatal(err)
	}
}
