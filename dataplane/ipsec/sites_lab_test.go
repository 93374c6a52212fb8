package ipsec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// sitesLab is a gateway with several sites, each a strongSwan in a namespace of its
// own, and constant traffic to all of them. What is sent says for which site it is,
// by its contents and by its size, which shows through ESP.
type sitesLab struct {
	t     *testing.T
	path  dataplane.VPNPath
	gw    *netns.Namespace
	dir   string
	log   *nstest.Log
	m     atomic.Pointer[Gateways]
	sites []*siteLab
	to    []*target
	want  map[string]dataplane.VPNConnection
	sent  atomic.Uint64

	second []string // connections of the second gateway
}

// siteLab is a site: its strongSwan is the peer of a lab without a gateway.
type siteLab struct {
	*lab
	n     int
	c     dataplane.VPNConnection
	alive bool
	inner atomic.Uint64 // probes that were for it, after decryption
	outer atomic.Uint64 // before

	mu     sync.Mutex
	others []string // what it has seen of another's
}

// target is a destination, and the sites that are there; the route names one.
type target struct {
	address netip.Addr
	prefix  netip.Prefix
	sites   []int

	mu    sync.Mutex // so that a probe goes by the route that it says
	named int
	link  string // that the route leads to
}

const (
	probePort  = 7777
	probeMagic = 0x51a1ce07
	probeBase  = 400 // bytes of UDP payload for the first site
	probeStep  = 96  // and for each site more: more than ESP rounds up to
	holdMetric = 4096
)

// plan says what the sites have.
type sitePlan struct {
	name    string
	remotes [][]string // of each site
	targets []target
	second  []int // sites of a second gateway
}

var sitePlans = []sitePlan{
	{name: "branches", remotes: [][]string{{"10.10.0.0/24"}, {"10.11.0.0/24"}, {"10.12.0.0/24"}}, targets: []target{
		{address: netip.MustParseAddr("10.10.0.1"), sites: []int{0}},
		{address: netip.MustParseAddr("10.11.0.1"), sites: []int{1}},
		{address: netip.MustParseAddr("10.12.0.1"), sites: []int{2}},
	}},
	// One has everything, the others a part of it.
	{name: "headquarters", remotes: [][]string{{"0.0.0.0/0"}, {"10.11.0.0/24"}, {"10.12.0.0/24", "10.13.0.0/24"}}, targets: []target{
		{address: netip.MustParseAddr("198.51.100.1"), sites: []int{0}},
		{address: netip.MustParseAddr("10.11.0.1"), sites: []int{1}},
		{address: netip.MustParseAddr("10.12.0.1"), sites: []int{2}},
		{address: netip.MustParseAddr("10.13.0.1"), sites: []int{2}},
	}},
	// Two with the same subnet: an active and a standby tunnel.
	{name: "twins", remotes: [][]string{{"10.10.0.0/24"}, {"10.10.0.0/24"}, {"10.10.0.0/23"}}, targets: []target{
		{address: netip.MustParseAddr("10.10.0.1"), sites: []int{0, 1, 2}},
		{address: netip.MustParseAddr("10.10.1.1"), sites: []int{2}},
	}},
	// Two gateways, one of which has one of two tunnels to the same subnet.
	{name: "gateways", remotes: [][]string{{"10.10.0.0/24"}, {"10.10.0.0/24"}, {"10.12.0.0/24"}}, targets: []target{
		{address: netip.MustParseAddr("10.10.0.1"), sites: []int{0, 1}},
		{address: netip.MustParseAddr("10.12.0.1"), sites: []int{2}},
	}, second: []int{1, 2}},
}

// secondAddr is the second gateway's address.
const secondAddr = "192.0.2.200"

func newSitesLab(t *testing.T, path dataplane.VPNPath, plan *sitePlan, r *rand.Rand) *sitesLab {
	t.Helper()
	needs(t, path)
	dir, err := os.MkdirTemp("", "sites")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &sitesLab{t: t, path: path, log: &nstest.Log{}, dir: filepath.Join(dir, "g"), want: map[string]dataplane.VPNConnection{}}
	lan := nstest.New(t)
	l.gw = nstest.New(t)
	nstest.Command(t, lan, "ip", "link", "add", "lan", "up", "type", "bridge")
	plug := func(ns *netns.Namespace, port, address string) {
		nstest.Veth(t, ns, "public", lan, port)
		nstest.Command(t, lan, "ip", "link", "set", port, "up", "master", "lan")
		nstest.Address(t, ns, "public", address+"/24")
	}
	plug(l.gw, "gw", gatewayAddr)
	nstest.Address(t, l.gw, "public", secondAddr+"/24")
	nstest.Address(t, l.gw, "lo", "10.0.0.1/32")
	if err := l.gw.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	for i, remotes := range plan.remotes {
		c := usual()
		c.ID, c.Remote = fmt.Sprintf("vco-%d", i), netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
		c.RemoteID, c.Policies = c.Remote.String(), dataplane.Product(c.Policies.Locals(), prefixes(remotes...))
		c.IKE.Version = 1 + r.IntN(2)
		s := &siteLab{n: i, c: c, lab: &lab{t: t, path: path, peer: nstest.New(t), peerDir: filepath.Join(dir, "p"+strconv.Itoa(i))}}
		if slices.Contains(plan.second, i) {
			s.at, s.c.LocalID = secondAddr, secondAddr
			c = s.c
			l.second = append(l.second, c.ID)
		}
		plug(s.peer, "site"+strconv.Itoa(i), c.Remote.String())
		if err := s.peer.Set(netns.Sysctl{Path: "ipv4/conf/all/rp_filter", Value: "0"}, netns.Sysctl{Path: "ipv4/conf/public/rp_filter", Value: "0"}); err != nil {
			t.Fatal(err)
		}
		l.sites = append(l.sites, s)
		l.want[c.ID] = c
	}
	for i := range plan.targets {
		to := &target{address: plan.targets[i].address, sites: plan.targets[i].sites, named: plan.targets[i].sites[0]}
		to.prefix = netip.PrefixFrom(to.address, 24).Masked()
		for _, n := range to.sites {
			nstest.Command(t, l.sites[n].peer, "ip", "addr", "add", to.address.String()+"/32", "dev", "lo")
		}
		hold := &netlink.Route{Dst: netipx.PrefixIPNet(to.prefix), Type: unix.RTN_UNREACHABLE, Priority: holdMetric}
		if err := l.gw.Netlink().RouteAdd(hold); err != nil {
			t.Fatal(err)
		}
		l.to = append(l.to, to)
	}
	for _, s := range l.sites {
		s.start()
		s.sniff()
	}
	l.open()
	t.Cleanup(l.close)
	return l
}

func (l *sitesLab) close() {
	if l.t.Failed() {
		for _, s := range l.sites {
			b, _ := os.ReadFile(filepath.Join(s.peerDir, "charon.log"))
			l.t.Logf("site %d: %s", s.n, b)
		}
		for slot := range l.sites {
			b, _ := os.ReadFile(filepath.Join(l.m.Load().siteDir(network, slot), logFile))
			l.t.Logf("gateway, slot %d: %s", slot, b)
		}
		l.t.Logf("the Gateways' log:\n%s", l.log)
	}
	if err := l.m.Load().Apply(l.t.Context(), l.gw, network, nil); err != nil && !errors.Is(err, l.t.Context().Err()) {
		l.t.Error(err)
	}
	l.m.Load().Close()
}

// open makes Gateways that does not wait as long for its peers as others do.
func (l *sitesLab) open() {
	l.t.Helper()
	m, err := New(Options{Dir: l.dir, Path: l.path, Logger: slog.New(slog.NewTextHandler(l.log, nil))})
	if err != nil {
		l.t.Fatal(err)
	}
	m.waits = waits{retransmit: 0.2, tries: 4, dpd: time.Second, answer: answerTimeout}
	m.retryFirst, m.retryMost = 200*time.Millisecond, time.Second
	l.m.Store(m)
	l.apply()
}

func (l *sitesLab) apply() {
	l.t.Helper()
	gateways := []dataplane.VPNGateway{{ID: "vpn-t", Address: netip.MustParseAddr(gatewayAddr)}}
	if len(l.second) > 0 {
		gateways = append(gateways, dataplane.VPNGateway{ID: "vpn-u", Address: netip.MustParseAddr(secondAddr)})
	}
	for _, id := range slices.Sorted(maps.Keys(l.want)) {
		g := &gateways[0]
		if slices.Contains(l.second, id) {
			g = &gateways[1]
		}
		g.Connections = append(g.Connections, l.want[id])
	}
	if err := l.m.Load().Apply(l.t.Context(), l.gw, network, gateways); err != nil {
		l.t.Fatal(err)
	}
}

// start starts the site's strongSwan.
func (s *siteLab) start() {
	s.t.Helper()
	if s.alive {
		return
	}
	_ = os.Remove(filepath.Join(s.peerDir, "charon.vici"))
	s.startPeer()
	s.eventually(func() error { _, err := s.trySwanctl("--stats"); return err })
	s.answer(s.c)
	s.alive = true
}

func (s *siteLab) kill() {
	if s.alive {
		s.stopPeer()
	}
	s.alive = false
}

func (s *siteLab) plugged(up bool) {
	s.t.Helper()
	nstest.Command(s.t, s.peer, "ip", "link", "set", "public", map[bool]string{true: "up", false: "down"}[up])
}

// sniff watches all that the site sees.
func (s *siteLab) sniff() {
	s.t.Helper()
	var f *os.File
	err := s.peer.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16([]byte{8, 0})))
		if err == nil {
			f = os.NewFile(uintptr(fd), "sniffer")
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := f.Read(b)
			switch {
			case errors.Is(err, os.ErrClosed):
				return
			case err == nil: // others are of links that come and go
				s.see(b[:n])
			}
		}
	}()
	s.t.Cleanup(func() { f.Close(); <-ended })
}

// see takes in an IPv4 packet.
func (s *siteLab) see(p []byte) {
	if len(p) < 28 || p[0]>>4 != 4 {
		return
	}
	p = p[:min(len(p), int(binary.BigEndian.Uint16(p[2:])))]
	body := p[int(p[0]&15)*4:]
	esp := 0 // bytes of an ESP packet for the site
	switch protocol, ours := p[9], netip.AddrFrom4([4]byte(p[16:20])) == s.c.Remote; {
	case len(body) < 16:
		return
	case protocol == unix.IPPROTO_UDP && binary.BigEndian.Uint16(body[2:]) == probePort && binary.BigEndian.Uint32(body[8:]) == probeMagic:
		if site := int(body[12]); site == s.n {
			s.inner.Add(1)
		} else {
			s.say("decrypted, a probe for site %d to %v", site, netip.AddrFrom4([4]byte(p[16:20])))
		}
	case ours && protocol == unix.IPPROTO_ESP:
		esp = len(body)
	case ours && protocol == unix.IPPROTO_UDP && binary.BigEndian.Uint16(body[2:]) == 4500 && binary.BigEndian.Uint32(body[8:]) != 0:
		esp = len(body) - 8
	}
	// Header 8, vector 16, check value 12, and the packet with 2 bytes rounded up
	// to 16.
	if rest := esp - 36 - 28 - probeBase; rest >= 0 && rest%probeStep <= 17 {
		if site := rest / probeStep; site == s.n {
			s.outer.Add(1)
		} else {
			s.say("an ESP packet of %d bytes, which is a probe for site %d", esp, site)
		}
	}
}

func (s *siteLab) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.others) < 5 {
		s.others = append(s.others, fmt.Sprintf(format, args...))
	}
}

// lead makes a target's route follow the link of the site that it names, as the
// engine does. The caller holds to.mu.
func (l *sitesLab) lead(to *target) {
	link, _ := l.m.Load().Link(network, l.sites[to.named].c.ID)
	nl := l.gw.Netlink()
	if link != "" {
		k, err := nl.LinkByName(link)
		if err == nil {
			err = nl.RouteReplace(&netlink.Route{LinkIndex: k.Attrs().Index, Dst: netipx.PrefixIPNet(to.prefix), Scope: netlink.SCOPE_LINK})
		}
		if err == nil {
			to.link = link
			return
		}
	}
	if to.link != "" {
		_ = gone(nl.RouteDel(&netlink.Route{Dst: netipx.PrefixIPNet(to.prefix), Scope: netlink.SCOPE_LINK}))
		to.link = ""
	}
}

// traffic sends a probe to each target, again and again, until the test ends.
func (l *sitesLab) traffic() {
	l.t.Helper()
	var c net.PacketConn
	err := l.gw.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", "10.0.0.1:0")
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer c.Close()
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		probe := make([]byte, 1400)
		binary.BigEndian.PutUint32(probe, probeMagic)
		for n := 0; ; n++ {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			for _, to := range l.to {
				to.mu.Lock()
				if n%8 == 0 {
					l.lead(to)
				}
				probe[4] = byte(to.named)
				// It is routed before this returns. An error says that there is no way.
				_, _ = c.WriteTo(probe[:probeBase+probeStep*to.named], net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.address, probePort)))
				to.mu.Unlock()
			}
			l.sent.Add(1)
		}
	}()
	l.t.Cleanup(func() { close(end); <-ended })
}

// name makes a route name a site.
func (l *sitesLab) name(to *target, site int) {
	to.mu.Lock()
	defer to.mu.Unlock()
	to.named = site
	l.lead(to)
}

// dwell waits until so many probes more were sent to each target.
func (l *sitesLab) dwell(probes int) {
	l.t.Helper()
	until := l.sent.Load() + uint64(probes)
	l.eventually(func() error {
		if l.sent.Load() < until {
			return errors.New("no probes are sent")
		}
		return nil
	})
}

func (l *sitesLab) eventually(f func() error) { l.t.Helper(); eventually(l.t, 2*patience, f) }

// reach waits until what is sent to a site gets there.
func (l *sitesLab) reach(n int) {
	l.t.Helper()
	s := l.sites[n]
	inner, outer := s.inner.Load(), s.outer.Load()
	l.eventually(func() error {
		if s.inner.Load() < inner+5 || s.outer.Load() < outer+5 {
			return fmt.Errorf("site %d gets nothing: %+v", n, l.m.Load().Status(network)[s.c.ID])
		}
		return nil
	})
}

// lose waits until the gateway finds a site lost.
func (l *sitesLab) lose(n int) {
	l.t.Helper()
	l.eventually(func() error {
		if l.m.Load().Status(network)[l.sites[n].c.ID].IKE {
			return fmt.Errorf("site %d is not found lost", n)
		}
		return nil
	})
}

func (l *sitesLab) check() {
	l.t.Helper()
	for _, s := range l.sites {
		s.mu.Lock()
		if len(s.others) > 0 {
			l.t.Errorf("site %d has seen of others:\n%s", s.n, strings.Join(s.others, "\n"))
		}
		s.mu.Unlock()
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// all waits until every site gets what is for it.
func (l *sitesLab) all() {
	l.t.Helper()
	for _, to := range l.to {
		for _, n := range to.sites {
			l.name(to, n)
			l.reach(n)
		}
	}
	l.check()
}
