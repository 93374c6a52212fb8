package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/test/lab"
)

// watchUplink fails the test if anything leaves the network by its public side, until
// the test ends, that should be in a tunnel or nowhere. It ends before the first
// connection is deleted after the test: what is sent then to where that led, such as
// what a closed socket still repeats, is meant for the public side.
func (n *network) watchUplink(t *testing.T) {
	t.Helper()
	wire, err := lab.CaptureOn(dataplane.Namespace(n.vpc), dataplane.UplinkName, func(p lab.Packet) bool { return p.Outgoing && p.InClear() })
	if err != nil {
		t.Fatal(err)
	}
	n.unwatch = sync.OnceFunc(func() {
		missed, err := wire.Dropped()
		if err != nil || missed > 0 {
			t.Errorf("the watch on the public side missed %d packets: %v", missed, err)
		}
		if err := wire.Close(); err != nil {
			t.Errorf("the watch on the public side: %v", err)
		}
		seen := wire.Packets()
		for _, p := range seen[:min(len(seen), 5)] {
			t.Errorf("left by the public side in clear at %s: %s", p.Time.Format(time.StampMicro), p)
		}
		if len(seen) > 5 {
			t.Errorf("and %d more", len(seen)-5)
		}
	})
	t.Cleanup(n.unwatch)
}

// sprays sends from a host to an address until the returned function is called, or the
// test ends, each packet from another port, as a new flow. That returns how many were
// sent.
func (h *host) sprays(t *testing.T, to netip.AddrPort) func() int64 {
	t.Helper()
	var sent atomic.Int64
	stop, done := make(chan struct{}), make(chan error, 1)
	end := sync.OnceFunc(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end) // before the routes go that it is about
	go func() {
		done <- lab.In(h.namespace, func() error {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				if c, err := net.Dial("udp4", to.String()); err == nil {
					if _, err := c.Write([]byte("private")); err == nil {
						sent.Add(1)
					}
					c.Close()
				}
				select {
				case <-stop:
					return nil
				case <-tick.C:
				}
			}
		})
	}()
	return func() int64 { end(); return sent.Load() }
}

// tunnelLink returns the name of the link that leads into a connection's tunnel.
func (n *network) tunnelLink(t *testing.T, connection string) string {
	t.Helper()
	name := ""
	n.in(t, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if l.Attrs().Name == connection || l.Type() == "tuntap" {
				name = l.Attrs().Name
			}
		}
		return err
	})
	return name
}

// deleteTunnelLink deletes that link.
func (n *network) deleteTunnelLink(t *testing.T, connection string) {
	t.Helper()
	name := n.tunnelLink(t, connection)
	n.in(t, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}

// TestVPNFailsClosed: while hosts send new flows all the time, beside a NAT gateway
// and with elastic IPs of their own, charon dies, the tunnel's link is deleted, and
// the daemon is not there. Nothing leaves in clear, and the tunnel comes back.
func TestVPNFailsClosed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	g := gateways[0].another(t, "closed", "")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h, own := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11")
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	eip, _ := n.eip(t)
	n.bind(t, eip, "EcsInstance", own.instance)
	id, address := n.vpnGateway(t, "100")
	s := n.site(t, "a", "192.168.77.1")
	more := netip.MustParseAddr("192.168.79.1")
	s.own(t, more)
	w := modern("172.16.1.0/24", "192.168.77.0/24,192.168.79.0/24")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern, "AutoConfigRoute", "false")
	policy := []string{"VpnGatewayId", id, "RouteSource", "172.16.1.0/24", "RouteDest", "192.168.77.0/24", "NextHop", c, "Weight", "100"}
	n.call(t, "CreateVpnPbrRouteEntry", append(policy, "PublishVpc", "true")...)
	t.Cleanup(func() { n.try("DeleteVpnPbrRouteEntry", policy...); n.settled(t) })
	route := []string{"VpnGatewayId", id, "RouteDest", "192.168.79.0/24", "NextHop", c, "Weight", "100"}
	n.call(t, "CreateVpnRouteEntry", append(route, "PublishVpc", "true")...)
	t.Cleanup(func() { n.try("DeleteVpnRouteEntry", route...); n.settled(t) })
	n.settled(t)
	n.status(t, c, "ipsec_sa_established")
	far := []netip.AddrPort{s.open(t, "tcp", "-"), netip.AddrPortFrom(more, s.serve(t, "tcp", more.String()+":0").Port())}
	reached := func() {
		t.Helper()
		for _, from := range []*host{h, own} {
			for _, to := range far {
				from.reaches(t, to)
			}
		}
	}
	reached()

	kill := func() {
		if err := killCharon(filepath.Join(g.RunDir(), "vpn", n.vpc)); err != nil {
			t.Fatal(err)
		}
	}
	cut := func() { n.deleteTunnelLink(t, c) }
	// Nothing gets through while nobody is there to mend it; kernel's SAs outlive charon.
	closed := func() {
		for _, from := range []*host{h, own} {
			for _, to := range far {
				if err := from.tryEcho("tcp", to, time.Second/4); err == nil {
					t.Errorf("%s reaches %s", from.addr, to)
				}
			}
		}
	}
	for _, damage := range []struct {
		name string
		do   func()
	}{
		{"charon is killed", kill},
		{"the link is deleted", cut},
		{"charon is killed while the daemon is away", func() {
			g.killDaemon(t)
			kill()
			if s.byLibipsec(t) {
				closed()
			}
			g.startDaemon(t)
		}},
		{"the link is deleted while the daemon is away", func() { g.killDaemon(t); cut(); closed(); g.startDaemon(t) }},
		{"the connection is changed", func() {
			n.call(t, "ModifyVpnConnectionAttribute", "VpnConnectionId", c, "EffectImmediately", "true", "IpsecConfig", `{"IpsecLifetime":3600}`)
			n.settled(t)
		}},
	} {
		t.Run(damage.name, func(t *testing.T) {
			var ends []func() int64
			for _, from := range []*host{h, own} {
				for _, to := range far {
					ends = append(ends, from.sprays(t, netip.AddrPortFrom(to.Addr(), 9)))
				}
			}
			// Open flows as well: none of them may have a path past the tunnel.
			udp := s.open(t, "udp", "-")
			var pings []func() (int, int)
			var open []net.Conn
			for _, from := range []*host{h, own} {
				conn, err := from.dial("udp", netip.Addr{}, udp, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, _, err := exchange(conn, "hello", answerTimeout); err != nil {
					t.Fatal(err)
				}
				pings, open = append(pings, from.pingsWithin(t, udp, time.Second)), append(open, conn)
			}
			damage.do()
			n.status(t, c, "ipsec_sa_established")
			reached()
			for _, end := range pings {
				end()
			}
			for _, c := range open {
				eventually(t, "an open flow", func() string {
					_, _, err := exchange(c, "again", time.Second)
					return errorText(err)
				})
			}
			for _, end := range ends {
				if sent := end(); sent < 10 {
					t.Errorf("%d packets were sent", sent)
				}
			}
		})
	}
}

// TestVPNEverything: routes into a tunnel that contain the peer itself, up to all of
// the Internet, of both kinds, carry the hosts' packets, and leave the tunnel alone.
func TestVPNEverything(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "100")
	s := n.site(t, "e", "192.168.77.1")
	beyond := netip.MustParseAddr("198.51.100.7") // of the Internet, by way of the site
	s.own(t, beyond)
	w := modern("172.16.1.0/24", "0.0.0.0/0")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern, "AutoConfigRoute", "false")
	n.status(t, c, "ipsec_sa_established")
	at := netip.AddrPortFrom(beyond, s.serve(t, "tcp", beyond.String()+":0").Port())
	for _, v := range []struct{ action, source, destination string }{
		{"VpnPbrRouteEntry", "172.16.1.0/24", "0.0.0.0/0"},
		{"VpnPbrRouteEntry", "0.0.0.0/0", "0.0.0.0/0"},
		{"VpnPbrRouteEntry", "0.0.0.0/0", "198.51.100.0/24"},
		{"VpnRouteEntry", "", "0.0.0.0/0"},
	} {
		t.Run(v.action+" from "+v.source+" to "+v.destination, func(t *testing.T) {
			params := []string{"VpnGatewayId", id, "RouteDest", v.destination, "NextHop", c, "Weight", "100"}
			if v.source != "" {
				params = append(params, "RouteSource", v.source)
			}
			n.call(t, "Create"+v.action, append(params, "PublishVpc", "true")...)
			n.settled(t)
			h.reaches(t, at)
			// IKE and ESP go on, also from the beginning. It is not done each time: what
			// goes down again and again is tried ever more rarely.
			if v.destination == "0.0.0.0/0" && v.source != "0.0.0.0/0" {
				if _, err := s.peer.Swanctl(t.Context(), "--terminate", "--ike", "site"); err != nil {
					t.Error(err)
				}
			}
			n.status(t, c, "ipsec_sa_established")
			h.reaches(t, at)
			end := h.pings(t, netip.AddrPortFrom(beyond, s.serve(t, "udp", beyond.String()+":0").Port()))
			h.reaches(t, at)
			h.reaches(t, at)
			if sent, lost := end(); lost > 0 {
				t.Errorf("%d of %d packets were lost", lost, sent)
			}
			n.call(t, "Delete"+v.action, params...)
			n.settled(t)
			if err := h.tryEcho("tcp", at, time.Second/4); err == nil {
				t.Error("still reached")
			}
		})
	}
}

// TestVPNErrors: what the gateway has to say about packets out of a tunnel goes back
// through it.
func TestVPNErrors(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "100")
	s := n.site(t, "i", "192.168.77.1")
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern)
	n.status(t, c, "ipsec_sa_established")
	h.reaches(t, s.open(t, "tcp", "-"))
	// Nobody has this address: the gateway says so when nobody has answered for it.
	conn, err := s.dial("udp", s.lan, netip.MustParseAddrPort("172.16.1.99:9"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	eventually(t, "an error about a host that is not there", func() string {
		if _, _, err := exchange(conn, "hello", time.Second); !isErrno(err, syscall.EHOSTUNREACH) {
			return fmt.Sprint(err)
		}
		return ""
	})
	// Nor is a packet taken that is too big for the VSwitch.
	n.in(t, func() error {
		link, err := netlink.LinkByName(n.switches[0])
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, narrowMTU-100)
	})
	from := *s.endpoint
	from.addr = s.lan
	if mtu := from.pathMTU(t, h.listen(t, "udp"), dataplane.VPNMTU); mtu != narrowMTU-100 {
		t.Errorf("the site learned a path MTU of %d, not %d", mtu, narrowMTU-100)
	}
}

// killSpeaker ends the process that speaks BGP for the network.
func (n *network) killSpeaker(t *testing.T) {
	t.Helper()
	dir := filepath.Join(n.g.RunDir(), "bgp", n.vpc)
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, name := range all {
		line, _ := os.ReadFile(name) // of one that has ended meanwhile
		if args := strings.Split(string(line), "\x00"); !slices.Contains(args, dir) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed != 1 {
		t.Fatalf("%d BGP speakers of %s", killed, dir)
	}
}

// TestVPNLearnedIsHeld: what goes to a destination that a peer has told of does not leave
// by the NAT gateway when the session is lost, on whichever side, or both.
func TestVPNLearnedIsHeld(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	g := gateways[0].another(t, "held", "")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	id, _ := n.vpnGateway(t, "10")
	n.call(t, "ModifyVpnGatewayAttribute", "VpnGatewayId", id, "AutoPropagate", "true")
	n.settled(t)
	s := n.place(t, "g", "192.168.77.1", "Asn", "65010")
	behind := n.behind(t, s)
	c := n.connect(t, id, s, modern("0.0.0.0/0", "0.0.0.0/0"), ikeModern, ipsecModern, "AutoConfigRoute", "false",
		"BgpConfig", `{"EnableBgp":true,"TunnelCidr":"169.254.11.0/30","LocalBgpIp":"169.254.11.1","LocalAsn":65001}`)
	r := s.routed(t, c)
	n.bgpStatus(t, c, "success")
	announce := func() {
		t.Helper()
		if err := r.Configure(t.Context(), "router bgp 65010", "address-family ipv4 unicast", "network 192.168.78.0/24"); err != nil {
			t.Fatal(err)
		}
	}
	announce()
	eventually(t, "a route to what was told", func() string { // before anything is sent there
		said := ""
		n.in(t, func() error {
			list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: ipNet(netip.MustParsePrefix("192.168.78.0/24")), Table: 100},
				netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
			if len(list) == 0 {
				said = "there is none"
			}
			return err
		})
		return said
	})
	far := behind.listen(t, "tcp")
	h.reaches(t, far)
	end := h.sprays(t, netip.AddrPortFrom(far.Addr(), 9))

	n.killSpeaker(t)
	h.reaches(t, far)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	n.bgpStatus(t, c, "false")
	h.cut(t, far)
	g.killDaemon(t)
	n.killSpeaker(t)
	g.startDaemon(t)
	n.settled(t)
	h.cut(t, far)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.bgpStatus(t, c, "success")
	announce()
	h.reaches(t, far)
	if sent := end(); sent < 100 {
		t.Errorf("%d packets were sent", sent)
	}
}
