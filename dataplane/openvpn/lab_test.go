package openvpn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/internal/openvpntest"
	"sluice/dataplane/netns"
)

const (
	vpc  = "vpc-t"
	echo = 7 // port of what says who asks
)

var (
	address = netip.MustParseAddr("192.0.2.1")
	pool    = netip.MustParsePrefix("10.99.0.0/24")
	inside  = netip.MustParsePrefix("10.1.0.0/16") // has an address in the gateway
	port    = uint16(1194)
)

// lab is a gateway with a server, and clients' namespaces that reach it.
type lab struct {
	t         *testing.T
	gw        *netns.Namespace
	authority *openvpntest.Authority
	dir       string
	log       *nstest.Log
	m         *Servers
	changes   atomic.Int64
	server    dataplane.SSLServer
	clients   int
	ahead     atomic.Int64 // by how many ns the daemon's clock is ahead
	rawFull   int64        // bytes that OpenVPN's log may have; 0: as many as it has outside tests
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := Find(); err != nil {
		t.Skip(err)
	}
	l := &lab{t: t, gw: nstest.New(t), authority: openvpntest.NewAuthority(t), log: &nstest.Log{}}
	nstest.Up(t, l.gw, "lo")
	nstest.Address(t, l.gw, "lo", address.String()+"/32")
	nstest.Address(t, l.gw, "lo", inside.Addr().Next().String()+"/32")
	nstest.Listen(t, l.gw, echo)
	// Not t.TempDir, whose name may be too long for a socket.
	var err error
	if l.dir, err = os.MkdirTemp("", "ssl-"); err != nil {
		t.Fatal(err)
	}
	l.server = dataplane.SSLServer{ID: "vss-1", Protocol: unix.IPPROTO_UDP, Port: port, Pool: pool, Reach: []netip.Prefix{inside}, Cipher: dataplane.SSLAES128, Clients: 10}
	l.m = l.open()
	t.Cleanup(func() {
		if err := l.m.Remove(vpc); err != nil {
			t.Error(err)
		}
		l.m.Close()
		if pids, err := find(filepath.Join(l.m.dir(vpc), l.server.Link())); err != nil || len(pids) > 0 {
			t.Errorf("processes %v are left, %v", pids, err)
		}
		if _, err := os.Stat(l.m.dir(vpc)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the directory of the network is left: %v", err)
		}
		if t.Failed() {
			t.Logf("the servers have logged:\n%s", l.log)
		}
		os.RemoveAll(l.dir)
	})
	return l
}

// open returns Servers as another daemon would have them.
func (l *lab) open() *Servers {
	l.t.Helper()
	m, err := New(Options{
		Dir: filepath.Join(l.dir, "run"), LogDir: filepath.Join(l.dir, "log"), Logger: slog.New(slog.NewTextHandler(l.log, nil)),
		Changed: func(string) { l.changes.Add(1) },
		Now:     func() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if l.rawFull > 0 {
		m.rawFull = l.rawFull
	}
	return m
}

// reopen has other Servers take over.
func (l *lab) reopen() {
	l.t.Helper()
	l.m.Close()
	l.m = l.open()
}

// gateways returns what is wanted.
func (l *lab) gateways() []dataplane.VPNGateway {
	return []dataplane.VPNGateway{{ID: "vpn-1", Address: address, SSL: []dataplane.SSLServer{l.server}}}
}

// apply applies the server, which lets these clients in.
func (l *lab) apply(clients ...openvpntest.Pair) {
	l.t.Helper()
	l.authority.Put(&l.server, clients...)
	openvpntest.Device(l.t, l.gw, &l.server)
	if err := l.m.Apply(context.Background(), l.gw, vpc, l.gateways()); err != nil {
		l.t.Fatal(err)
	}
}

// home returns a namespace that reaches the gateway.
func (l *lab) home() *netns.Namespace {
	l.t.Helper()
	l.clients++
	ns := nstest.New(l.t)
	link := fmt.Sprintf("c%d", l.clients)
	nstest.Veth(l.t, l.gw, link, ns, "eth0")
	nstest.Address(l.t, l.gw, link, fmt.Sprintf("198.51.100.%d/30", 4*l.clients+1))
	nstest.Address(l.t, ns, "eth0", fmt.Sprintf("198.51.100.%d/30", 4*l.clients+2))
	nstest.Default(l.t, ns, fmt.Sprintf("198.51.100.%d", 4*l.clients+1))
	nstest.Up(l.t, ns, "lo")
	return ns
}

// config returns how a client connects.
func (l *lab) config(p openvpntest.Pair, lines ...string) openvpntest.Config {
	return l.authority.Config(netip.AddrPortFrom(address, l.server.Port), l.server.Protocol, p, lines...)
}

// connect runs a client, and waits until it is through.
func (l *lab) connect(ns *netns.Namespace, p openvpntest.Pair, lines ...string) *openvpntest.Client {
	l.t.Helper()
	c := openvpntest.Connect(l.t, ns, l.config(p, lines...))
	l.through(ns)
	return c
}

// through waits until the gateway answers a client by the tunnel.
func (l *lab) through(ns *netns.Namespace) {
	l.t.Helper()
	l.until(func() error { return l.ask(ns) })
}

// ask says whether the gateway answers a client by the tunnel.
func (l *lab) ask(ns *netns.Namespace) error {
	_, err := l.seen(ns)
	return err
}

// seen returns the address of the pool as which the gateway sees a client.
func (l *lab) seen(ns *netns.Namespace) (netip.Addr, error) {
	host, err := nstest.Seen(ns, "tcp4", fmt.Sprintf("%s:%d", inside.Addr().Next(), echo))
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(host)
	if err == nil && !l.server.Pool.Contains(a) {
		err = fmt.Errorf("it is seen as %s: not through the tunnel", a)
	}
	return a, err
}

// status returns that of the server.
func (l *lab) status() dataplane.SSLStatus {
	l.t.Helper()
	s, ok := l.m.Status(vpc)[l.server.ID]
	if !ok {
		l.t.Fatal("there is no status of the server")
	}
	return s
}

// patience is how long OpenVPN may take for things that it does by its own clocks, also on
// a slow machine.
const patience = 2 * time.Minute

// eventually waits until the status is as it should be.
func (l *lab) eventually(is func(s *dataplane.SSLStatus) error) {
	l.t.Helper()
	l.until(func() error { s := l.status(); return is(&s) })
}

// until waits until f returns nil.
func (l *lab) until(f func() error) {
	l.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			l.t.Fatalf("after %s still: %v", patience, err)
		}
	}
}

// connected is a check whether these and no others are connected.
func connected(want ...string) func(*dataplane.SSLStatus) error {
	return func(s *dataplane.SSLStatus) error {
		var has []string
		for _, c := range s.Clients {
			has = append(has, c.Certificate)
		}
		if !slices.Equal(has, want) {
			return fmt.Errorf("connected are %q, not %q", has, want)
		}
		return nil
	}
}

// failures is a check whether so many handshakes have failed for a reason.
func failures(reason string, atLeast uint64) func(*dataplane.SSLStatus) error {
	return func(s *dataplane.SSLStatus) error {
		if s.Failures[reason] < atLeast {
			return fmt.Errorf("failures are %v, not %d of %s", s.Failures, atLeast, reason)
		}
		return nil
	}
}

// pid returns the process of the server's OpenVPN.
func (l *lab) pid() int {
	l.t.Helper()
	pids, err := find(filepath.Join(l.m.dir(vpc), l.server.Link()))
	if err != nil || len(pids) != 1 {
		l.t.Fatalf("OpenVPNs are %v, %v; want one", pids, err)
	}
	return pids[0]
}

// ended returns the lines of sessions that are over.
func (l *lab) ended() string {
	b, _ := os.ReadFile(filepath.Join(l.dir, "log", sessionsFile))
	return string(b)
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("has no %q:\n%s", w, text)
		}
	}
}
