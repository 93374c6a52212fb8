package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/test/strongswan"
)

// inClear counts packets in a namespace, at whatever link, with a destination in a block.
func inClear(t *testing.T, ns *netns.Namespace, block netip.Prefix) *atomic.Uint64 {
	t.Helper()
	var f *os.File
	err := ns.Do(func() error {
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
		if err == nil {
			f = os.NewFile(uintptr(fd), "sniffer")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Uint64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			n, err := f.Read(b)
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if err == nil && n >= 20 && b[0]>>4 == 4 && block.Contains(netip.AddrFrom4([4]byte(b[16:20]))) {
				seen.Add(1)
			}
		}
	}()
	t.Cleanup(func() { f.Close(); <-ended })
	return &seen
}

// remote is a site with a strongSwan set up by hand.
type remote struct {
	ns   *netns.Namespace
	peer *strongswan.Peer
	dir  string
	conf string
}

func (r *remote) start(t *testing.T, libipsec bool) {
	t.Helper()
	var err error
	if r.peer, err = strongswan.Start(t.Context(), r.ns.Name(), r.dir, libipsec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.peer.Kill() })
	if err := r.peer.Load(t.Context(), r.conf); err != nil {
		t.Fatal(err)
	}
}

// charonOf returns the process of the charon of a gateway's connection: it is the one
// whose site is at that address.
func charonOf(t *testing.T, runDir, address string) int {
	t.Helper()
	dirs, _ := filepath.Glob(filepath.Join(runDir, "vpn", "*"))
	for _, dir := range dirs {
		site, _ := os.ReadFile(filepath.Join(dir, "site"))
		if len(site) > 0 && !strings.HasPrefix(string(site), address+" ") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "charon.pid"))
		pid, err2 := strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil && err2 == nil {
			return pid
		}
	}
	t.Fatalf("no charon for %s in %v", address, dirs)
	return 0
}

// A network has two VPN gateways, each with a site. Both carry; when one dies, the other
// goes on, and nothing that was for the dead one's site leaves in clear.
func TestTwoVPNGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	if _, err := os.Stat(strongswan.Program); err != nil {
		t.Skip(err)
	}
	public := nstest.New(t)
	if err := link.EnsureBridge(public.Name(), "pub0", netip.MustParsePrefix("203.0.113.1/24")); err != nil {
		t.Fatal(err)
	}
	runDir, err := os.MkdirTemp("", "gw") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runDir) })
	open := func() *engine.Engine {
		e, err := engine.New(engine.Config{RunDir: runDir, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Namespace: public.Name()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	t.Cleanup(func() { e.Close() })
	path, err := e.VPNPath()
	if err != nil {
		t.Skip(err)
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	n := &dataplane.Network{
		ID: "vpc-g" + nstest.Random(9), Revision: 1, Prefix: prefix("10.0.0.0/8"), Timeouts: dataplane.DefaultTimeouts(), Shortcut: true,
		Switches: []dataplane.Switch{{ID: "vsw-a", Prefix: prefix("10.0.1.0/24"), Gateway: addr("10.0.1.253"), Attachment: dataplane.Attachment{Kind: dataplane.AttachBridge}}},
		Routes:   []dataplane.Route{{Destination: prefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}},
		Uplink:   &dataplane.Uplink{Mode: dataplane.UplinkBridge, Device: "pub0", Prefix: prefix("203.0.113.0/24"), Gateway: addr("203.0.113.1")},
		Elastic:  []netip.Addr{addr("203.0.113.10"), addr("203.0.113.20"), addr("203.0.113.21")},
		SNAT:     []dataplane.SNAT{{Source: prefix("10.0.1.0/24"), Pool: []netip.Addr{addr("203.0.113.10")}}},
	}
	algorithms := dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA256, Group: 14}
	var sites []*remote
	for i := range 2 {
		address, lan, at := fmt.Sprintf("203.0.113.%d", 77+i), fmt.Sprintf("192.168.%d", 7+i), n.Elastic[1+i]
		r := &remote{ns: nstest.New(t), dir: filepath.Join(runDir, "site"+strconv.Itoa(i))}
		nstest.Veth(t, public, "site"+strconv.Itoa(i), r.ns, "eth0")
		nstest.Command(t, public, "ip", "link", "set", "site"+strconv.Itoa(i), "up", "master", "pub0")
		nstest.Address(t, r.ns, "eth0", address+"/24")
		nstest.Address(t, r.ns, "lo", lan+".1/32")
		nstest.Listen(t, r.ns, 7)
		r.conf = fmt.Sprintf(`connections { gateway {
  version = 2
  local_addrs = %s
  remote_addrs = %s
  proposals = aes128-sha256-modp2048
  encap = yes
  local { auth = psk
    id = %[1]s }
  remote { auth = psk
    id = %[2]s }
  children { lan {
    local_ts = %s.0/24
    remote_ts = 10.0.1.0/24
    esp_proposals = aes128-sha256-modp2048 } }
} }
secrets { ike { secret = "of %[1]s" } }
`, address, at, lan)
		r.start(t, path == dataplane.VPNByLibipsec)
		sites = append(sites, r)
		id := fmt.Sprintf("vco-%d", i)
		n.VPNGateways = append(n.VPNGateways, dataplane.VPNGateway{ID: fmt.Sprintf("vpn-%d", i), IPsec: true, Address: at, Bandwidth: 50 * (1 + i),
			Connections: []dataplane.VPNConnection{{ID: id, Remote: addr(address), LocalID: at.String(), RemoteID: address, PSK: dataplane.Secret("of " + address),
				IKE: dataplane.IKE{Version: 2, Proposal: algorithms, Lifetime: 3600}, ESP: dataplane.ESP{Proposal: algorithms, Lifetime: 3600},
				Policies: dataplane.Product([]netip.Prefix{prefix("10.0.1.0/24")}, []netip.Prefix{prefix(lan + ".0/24")}), Start: true, DPD: true, NATTraversal: true}},
			Routes: []dataplane.VPNRoute{{Destination: prefix(lan + ".0/24"), Connection: id, Published: true}}})
	}
	apply := func() {
		t.Helper()
		n.Revision++
		if _, err := e.Apply(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := e.Remove(context.Background(), n.ID); err != nil { // the test's own context has ended
			t.Error(err)
		}
	})
	clear := inClear(t, public, prefix("192.168.0.0/16"))
	apply()
	stop := make(chan struct{})
	followed := make(chan struct{})
	follow := func() { // the routes follow the tunnels, and what somebody has changed is put right
		defer close(followed)
		for {
			select {
			case <-e.Changed():
				_, _ = e.Apply(t.Context(), n)
			case <-stop:
				return
			}
		}
	}
	go follow()
	pause := func() { close(stop); <-followed }
	host := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	gets := func(i int) {
		t.Helper()
		nstest.Eventually(t, func() error {
			seen, err := nstest.Seen(host, "tcp4", fmt.Sprintf("192.168.%d.1:7", 7+i))
			if err == nil && seen != "10.0.1.5" {
				t.Fatalf("the site sees %s", seen)
			}
			return err
		})
	}
	gets(0)
	gets(1)
	ns, err := netns.Open(dataplane.Namespace(n.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	// 50 and 100 Mbit/s, and, by XFRM interfaces, what packets' headers take.
	for name, rate := range map[string]string{"vpn-in": "50", "vpn-out": "50", "vpn-in1": "10", "vpn-out1": "10"} {
		if text := nstest.Command(t, ns, "tc", "qdisc", "show", "dev", name); !strings.Contains(text, "rate "+rate) {
			t.Errorf("%s does not hold %s: %s", name, rate, text)
		}
	}

	// The one dies: its charon, and its peer, so that nothing brings it back.
	second := charonOf(t, runDir, "203.0.113.78")
	if err := sites[0].peer.Kill(); err != nil {
		t.Fatal(err)
	}
	if path == dataplane.VPNByLibipsec {
		if err := syscall.Kill(charonOf(t, runDir, "203.0.113.77"), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if seen, err := nstest.Seen(host, "tcp4", "192.168.7.1:7"); err == nil {
			t.Errorf("a dead gateway's site answers, and sees %s", seen)
		}
		if _, err := nstest.Seen(host, "tcp4", "192.168.8.1:7"); err != nil {
			t.Errorf("the other gateway does not go on: %v", err)
		}
	}
	if now := charonOf(t, runDir, "203.0.113.78"); now != second {
		t.Errorf("the other gateway's charon is %d, was %d", now, second)
	}

	// It goes, and comes back, as the other goes on; and another engine takes both over.
	both := n.VPNGateways
	one := *n
	pause()
	one.VPNGateways = both[1:]
	n = &one
	apply()
	gets(1)
	if text, err := nstest.TryCommand(ns, "ip", "link", "show", "vpn-in1"); err == nil {
		t.Errorf("a gateway less, and still there is %s", text)
	}
	sites[0].start(t, path == dataplane.VPNByLibipsec)
	two := *n
	two.VPNGateways = both
	n = &two
	apply()
	stop, followed = make(chan struct{}), make(chan struct{})
	go follow()
	gets(0)
	gets(1)
	pause()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open()
	if o, err := e.Apply(t.Context(), n); err != nil || o.Changes != 0 {
		t.Errorf("another engine: %+v, %v", o, err)
	}
	gets(0)
	gets(1)
	if now := charonOf(t, runDir, "203.0.113.78"); now != second {
		t.Errorf("the other gateway's charon is %d, was %d", now, second)
	}
	if got := clear.Load(); got != 0 {
		t.Errorf("%d packets for sites on the public side in clear", got)
	}
}
