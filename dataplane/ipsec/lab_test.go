package ipsec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

const (
	network     = "vpc-t"
	gatewayAddr = "192.0.2.1"
	peerAddr    = "192.0.2.2"
	testKey     = "a key that nobody must see"
	patience    = 60 * time.Second // also on a slow machine
)

// lab is a gateway and a peer, which is a strongSwan of its own, with a host
// behind each, that share a link.
type lab struct {
	t              *testing.T
	path           dataplane.VPNPath
	gw, peer, a, b *netns.Namespace
	dir            string // of gateways
	peerDir        string
	stopPeer       func()
	endPeer        func() // stopPeer, with leave taken of the gateway
	m              *Gateways
	log            *nstest.Log
	asked          uint64 // probes of carries
	gateway        *dataplane.VPNGateway
	at             string // the gateway's address; empty for gatewayAddr
}

// each runs a test on each path that this machine has.
func each(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Parallel() // they wait for one thing or another most of the time
	for _, path := range []dataplane.VPNPath{dataplane.VPNByXFRM, dataplane.VPNByLibipsec} {
		t.Run(string(path), func(t *testing.T) { f(t, newLab(t, path)) })
	}
}

func newLab(t *testing.T, path dataplane.VPNPath) *lab {
	t.Helper()
	needs(t, path)
	l := &lab{t: t, path: path, log: &nstest.Log{}}
	l.gw, l.peer, l.a, l.b = nstest.New(t), nstest.New(t), nstest.New(t), nstest.New(t)
	nstest.Veth(t, l.gw, "public", l.peer, "public")
	nstest.Address(t, l.gw, "public", gatewayAddr+"/24")
	nstest.Address(t, l.peer, "public", peerAddr+"/24")
	nstest.Veth(t, l.a, "eth0", l.gw, "inside")
	nstest.Address(t, l.a, "eth0", "10.0.0.2/24")
	nstest.Address(t, l.gw, "inside", "10.0.0.1/24")
	nstest.Default(t, l.a, "10.0.0.1")
	nstest.Veth(t, l.b, "eth0", l.peer, "inside")
	nstest.Address(t, l.b, "eth0", "10.1.0.2/24")
	nstest.Address(t, l.peer, "inside", "10.1.0.1/24")
	nstest.Address(t, l.b, "eth0", "10.2.0.2/24")
	nstest.Address(t, l.peer, "inside", "10.2.0.1/24")
	nstest.Default(t, l.b, "10.1.0.1")
	for _, ns := range []*netns.Namespace{l.gw, l.peer} {
		if err := ns.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	// Not t.TempDir, whose name may be too long for a socket.
	dir, err := os.MkdirTemp("", "ipsec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l.dir, l.peerDir = filepath.Join(dir, "g"), filepath.Join(dir, "p")
	l.startPeer()
	l.open()
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{filepath.Join(l.dir, network, logFile), filepath.Join(l.peerDir, logFile)} {
				b, _ := os.ReadFile(name)
				t.Logf("%s:\n%s", name, b)
			}
			t.Logf("the Gateways' log:\n%s", l.log)
		}
		if err := l.m.Apply(context.Background(), l.gw, network, nil); err != nil {
			t.Error(err)
		}
		l.m.Close()
		if text := l.log.String(); strings.Contains(text, testKey) {
			t.Error("the log has a key")
		}
	})
	return l
}

func needs(t *testing.T, path dataplane.VPNPath) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := findCharon(); err != nil {
		t.Skip(err)
	}
	have, err := choosePath()
	if path == dataplane.VPNByXFRM && have != path {
		t.Skip("needs a kernel with ESP and XFRM interfaces")
	}
	if path == dataplane.VPNByLibipsec {
		err = errors.Join(tryTUN(), tryPlugin())
	}
	if err != nil {
		t.Skip(err)
	}
}

// open makes Gateways.
func (l *lab) open() {
	l.t.Helper()
	m, err := New(Options{Dir: l.dir, Path: l.path, Logger: slog.New(slog.NewTextHandler(l.log, nil))})
	if err != nil {
		l.t.Fatal(err)
	}
	l.m = m
}

// startPeer starts the peer's charon.
func (l *lab) startPeer() {
	l.t.Helper()
	if err := os.MkdirAll(l.peerDir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	kernel := "kernel-netlink"
	if l.path == dataplane.VPNByLibipsec {
		kernel = "kernel-libipsec kernel-netlink"
	}
	conf := fmt.Sprintf(`charon-systemd {
  load = nonce aes sha1 sha2 md5 random openssl hmac kdf %s socket-default vici
  install_routes = no
  dos_protection = no # all begin from one address
  retransmit_tries = 3
  retransmit_base = 1.5
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  plugins {
    vici { socket = unix://%s/charon.vici }
    openssl { load_legacy = yes }
    kernel-netlink { fwmark = 0xfffffffe }
  }
  filelog { x { path = %[2]s/charon.log
    flush_line = yes } }
  journal { default = -1 }
}
`, kernel, l.peerDir)
	name := filepath.Join(l.peerDir, "strongswan.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		l.t.Fatal(err)
	}
	program, err := findCharon()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"STRONGSWAN_CONF=" + name, "PATH=/usr/sbin:/usr/bin"}
	if err := l.peer.Do(cmd.Start); err != nil {
		l.t.Fatal(err)
	}
	l.stopPeer = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	l.endPeer = func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }
	l.t.Cleanup(l.stopPeer)
	l.eventually(func() error { // one that was killed has left its socket
		c, err := net.Dial("unix", filepath.Join(l.peerDir, "charon.vici"))
		if err == nil {
			c.Close()
		}
		return err
	})
}

// swanctl speaks with the peer.
func (l *lab) swanctl(args ...string) string {
	l.t.Helper()
	out, err := l.trySwanctl(args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lab) trySwanctl(args ...string) (string, error) { return swanctlAt(l.peerDir, args...) }

// swanctlAt speaks with the charon of a directory.
func swanctlAt(dir string, args ...string) (string, error) {
	var out, stderr bytes.Buffer
	cmd := exec.Command("swanctl", append(args, "--uri", "unix://"+filepath.Join(dir, socketFile))...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("swanctl %v: %w: %s%s", args, err, out.String(), stderr.String())
	}
	return out.String(), nil
}

// answer makes the peer await a connection, and the subnets of others.
func (l *lab) answer(c dataplane.VPNConnection, others ...dataplane.VPNConnection) {
	l.t.Helper()
	var kids strings.Builder
	all := children(&c)
	for i := range others {
		maps.Copy(all, children(&others[i]))
	}
	for name, ts := range all {
		fmt.Fprintf(&kids, "%s { local_ts = %s\nremote_ts = %s\nesp_proposals = %s\n}\n",
			name, strings.Join(ts[1], ","), strings.Join(ts[0], ","), proposal(c.ESP.Proposal))
	}
	conf := fmt.Sprintf(`connections { peer {
version = %d
aggressive = %s
local_addrs = %s
remote_addrs = %s
proposals = %s
encap = %s
local {
auth = psk
id = %s
}
remote {
auth = psk
id = %s
}
children { %s }
} }
secrets { ike {
secret = 0x%x
id-1 = %[7]s
id-2 = %[8]s
} }
`, c.IKE.Version, yes(c.IKE.Aggressive), c.Remote, cmp.Or(l.at, gatewayAddr), proposal(c.IKE.Proposal),
		yes(l.path == dataplane.VPNByLibipsec), c.RemoteID, c.LocalID, kids.String(), string(c.PSK))
	name := filepath.Join(l.peerDir, "swanctl.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.swanctl("--load-all", "--clear", "--file", name)
}

// apply makes the Gateways hold those connections.
func (l *lab) apply(connections ...dataplane.VPNConnection) {
	l.t.Helper()
	l.gateway = &dataplane.VPNGateway{ID: "vpn-t", Address: netip.MustParseAddr(gatewayAddr), Connections: connections}
	if err := l.m.Apply(l.t.Context(), l.gw, network, []dataplane.VPNGateway{*l.gateway}); err != nil {
		l.t.Fatal(err)
	}
}

// holder returns what has the charon of a connection.
func (l *lab) holder(connection string) *gateway {
	l.t.Helper()
	all := l.m.of(network)
	i := slices.IndexFunc(all, func(g *gateway) bool { return g.wanted(connection) })
	if i < 0 {
		l.t.Fatalf("nobody has %s", connection)
	}
	return all[i]
}

// route leads remote subnets to the tunnels, as the engine does, and the other way
// at the peer.
func (l *lab) route() error {
	for _, c := range l.gateway.Connections {
		name, up := l.m.Link(network, c.ID)
		if !up {
			return fmt.Errorf("%s is down: %+v", c.ID, l.m.Status(network)[c.ID])
		}
		for _, p := range c.Policies.Remotes() {
			if err := lead(l.gw, p, name, ""); err != nil {
				return err
			}
		}
		for _, p := range c.Policies.Locals() {
			link, via := "ipsec0", ""
			if l.path == dataplane.VPNByXFRM {
				link, via = "public", gatewayAddr
			}
			if err := lead(l.peer, p, link, via); err != nil {
				return err
			}
		}
	}
	return nil
}

func lead(ns *netns.Namespace, to netip.Prefix, link, via string) error {
	k, err := ns.Netlink().LinkByName(link)
	if err != nil {
		return err
	}
	r := &netlink.Route{LinkIndex: k.Attrs().Index, Dst: netipx.PrefixIPNet(to)}
	if via != "" {
		r.Gw = netip.MustParseAddr(via).AsSlice()
	}
	return ns.Netlink().RouteReplace(r)
}

// carries waits until the tunnels carry packets, and pings through them.
func (l *lab) carries(addresses ...string) {
	l.t.Helper()
	l.eventually(l.route)
	for _, to := range addresses {
		// With IKEv1 the peer is ready a message later than we are.
		l.eventually(func() error { l.asked++; return reaches(l.a, to) })
		nstest.Ping(l.t, l.a, to, 56, 1200)
	}
}

// eventually is nstest.Eventually with more patience.
func (l *lab) eventually(f func() error) { l.t.Helper(); eventually(l.t, patience, f) }

func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.After(within)
	for {
		began := time.Now()
		err := f()
		if err == nil {
			return
		}
		// What takes long to look at is looked at less often: the processors are
		// for what is waited for.
		pause := min(max(10*time.Millisecond, 3*time.Since(began)), 100*time.Millisecond)
		select {
		case <-deadline:
			t.Fatalf("after %s still: %v", within, err)
		case <-time.After(pause):
		}
	}
}

// pid returns that of the gateway's charon.
func (l *lab) pid() int {
	l.t.Helper()
	pids, err := find(filepath.Join(l.dir, network))
	if err != nil || len(pids) != 1 {
		l.t.Fatalf("charons: %v, %v", pids, err)
	}
	return pids[0]
}

func (l *lab) kill() { _ = syscall.Kill(l.pid(), syscall.SIGKILL) }

func prefixes(s ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(s))
	for i := range s {
		out[i] = netip.MustParsePrefix(s[i])
	}
	return out
}

// usual is a connection with what Alibaba Cloud has by default.
func usual() dataplane.VPNConnection {
	p := dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA1, Group: 2}
	return dataplane.VPNConnection{
		ID: "vco-t", Remote: netip.MustParseAddr(peerAddr), LocalID: gatewayAddr, RemoteID: peerAddr, PSK: testKey,
		IKE:      dataplane.IKE{Version: 2, Proposal: p, Lifetime: 86400},
		ESP:      dataplane.ESP{Proposal: p, Lifetime: 86400},
		Policies: dataplane.Product(prefixes("10.0.0.0/24"), prefixes("10.1.0.0/24")),
		Start:    true, DPD: true, NATTraversal: true,
	}
}

// reaches fails unless a host says that it has no such port.
func reaches(ns *netns.Namespace, to string) error {
	c, err := nstest.Dial(ns, "udp4", to+":9")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = nstest.Ask(c); errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return fmt.Errorf("no answer from %s: %v", to, err)
}
