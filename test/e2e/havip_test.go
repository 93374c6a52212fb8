package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/dataplane/garp"
	"sluice/test/lab"
)

// haVip makes a HaVip of a network's first VSwitch until the test ends, bound to hosts.
func (n *network) haVip(t *testing.T, address netip.Addr, hosts ...*host) string {
	t.Helper()
	id := n.call(t, "CreateHaVip", "VSwitchId", n.switches[0], "IpAddress", address.String())["HaVipId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteHaVip", "HaVipId", id) })
	n.settled(t)
	for _, h := range hosts {
		n.call(t, "AssociateHaVip", "HaVipId", id, "InstanceId", h.instance)
		t.Cleanup(func() {
			n.try("UnassociateHaVip", "HaVipId", id, "InstanceId", h.instance, "Force", "true")
			n.settled(t)
		})
		n.settled(t)
	}
	return id
}

// shownHaVip returns a HaVip as it is shown.
func (n *network) shownHaVip(t *testing.T, id string) aliyun.DescribeHaVipsHaVip {
	t.Helper()
	var got aliyun.DescribeHaVipsResponse
	n.into(t, &got, "DescribeHaVips", "Filter.1.Key", "HaVipId", "Filter.1.Value.1", id)
	if len(got.HaVips.HaVip) != 1 {
		t.Fatalf("%+v", got)
	}
	return got.HaVips.HaVip[0]
}

// master waits until a HaVip is shown to be at a host.
func (n *network) master(t *testing.T, id string, at *host) {
	t.Helper()
	eventually(t, "HaVip "+id, func() string {
		if got := n.shownHaVip(t, id).MasterInstanceId; got != at.instance {
			return fmt.Sprintf("it is at %q, not at %s", got, at.instance)
		}
		return ""
	})
}

// keepalived runs Debian's keepalived in a host, until the test ends or the function that it
// returns is called, which kills it.
func (h *host) keepalived(t *testing.T, priority int, more string, addresses ...netip.Addr) (kill func()) {
	t.Helper()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "keepalived.conf"), filepath.Join(dir, "log")
	var list []string
	for _, a := range addresses {
		list = append(list, a.String()+"/24")
	}
	conf := fmt.Sprintf(`global_defs {
	router_id %s
	vrrp_version 3
}
vrrp_instance web {
	state BACKUP
	interface %s
	virtual_router_id 51
	priority %d
	advert_int 0.2
	garp_master_delay 1
	%s
	virtual_ipaddress {
		%s
	}
}
`, h.name, lab.HostInterface, priority, more, strings.Join(list, "\n\t\t"))
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("keepalived", "--dont-fork", "--vrrp", "--log-console", "--log-detail", "--use-file", file,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, &syscall.SysProcAttr{Setpgid: true}
	if err := lab.In(h.namespace, cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); out.Close(); close(ended) }()
	kill = func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-ended }
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("keepalived at %s:\n%s", h.name, text)
		}
	})
	return kill
}

// setLink takes a host's link up or down.
func (h *host) setLink(t *testing.T, up bool) {
	t.Helper()
	inNamespace(t, h.namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	})
}

// announce says once, by gratuitous ARP, that a host has an address.
func (h *host) announce(t *testing.T, a netip.Addr) {
	t.Helper()
	inNamespace(t, h.namespace, func() error {
		ifi, err := net.InterfaceByName(lab.HostInterface)
		if err != nil {
			return err
		}
		conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		frames, err := garp.Frames(ifi.HardwareAddr, []netip.Addr{a})
		if err != nil {
			return err
		}
		for _, f := range frames {
			if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// answeredBy waits until a flow is answered by a host, by its service's name, and then stays so.
func (f *flow) answeredBy(t *testing.T, want *host) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	ask := func(timeout time.Duration) string {
		f.next++
		_, name, err := exchange(f.conn, fmt.Sprint("h", f.next), timeout)
		switch {
		case err != nil:
			return err.Error()
		case name != want.name:
			return "it is answered by " + name
		}
		return ""
	}
	eventually(t, f.name+" at "+want.name, func() string { return ask(100 * time.Millisecond) })
	for range 5 {
		if said := ask(answerTimeout); said != "" {
			t.Errorf("%s: then %s", f.name, said)
		}
	}
}

// haVipLab is two hosts with keepalived, that share two HaVips: one with an elastic IP, and
// one that a DNAT entry leads to; a third host beside them; and a route entry to the first.
type haVipLab struct {
	*network
	a, b, third     *host
	byEIP, byDNAT   netip.Addr
	idEIP, idDNAT   string
	eip, dnat       netip.AddrPort // UDP
	eipTCP, dnatTCP netip.AddrPort
	behind          netip.AddrPort // by the route entry
	killA           func()
}

// The hosts speak VRRP by multicast, or by unicast.
func newHaVipLab(t *testing.T, g *gateway, unicast bool) *haVipLab {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip(err)
	}
	l := &haVipLab{network: g.newNetwork(t, "10.44.0.0/16", "10.44.1.0/24"), byEIP: netip.MustParseAddr("10.44.1.100"), byDNAT: netip.MustParseAddr("10.44.1.101")}
	l.a, l.b, l.third = l.host(t, 0, "10.44.1.11"), l.host(t, 0, "10.44.1.12"), l.host(t, 0, "10.44.1.13")
	l.gateway(t)
	l.idEIP, l.idDNAT = l.haVip(t, l.byEIP, l.a, l.b), l.haVip(t, l.byDNAT, l.a, l.b)
	eip, address := l.network.eip(t)
	l.bind(t, eip, "HaVip", l.idEIP)
	external := l.gatewayIP(t)
	l.network.dnat(t, external, "7000", "UDP", l.byDNAT.String(), "7000")
	l.network.dnat(t, external, "7001", "TCP", l.byDNAT.String(), "7001")
	l.eip, l.eipTCP = netip.AddrPortFrom(address, 7000), netip.AddrPortFrom(address, 7001)
	l.dnat, l.dnatTCP = netip.AddrPortFrom(external, 7000), netip.AddrPortFrom(external, 7001)
	l.call(t, "CreateRouteEntry", "RouteTableId", l.routeTable, "DestinationCidrBlock", "172.20.0.0/16", "NextHopType", "HaVip", "NextHopId", l.idEIP)
	t.Cleanup(func() {
		l.try("DeleteRouteEntry", "RouteTableId", l.routeTable, "DestinationCidrBlock", "172.20.0.0/16", "NextHopId", l.idEIP)
		l.settled(t)
	})
	l.settled(t)
	l.behind = netip.MustParseAddrPort("172.20.0.1:7000")
	for _, h := range []*host{l.a, l.b} {
		h.addAddr(t, l.behind.Addr())
		h.serveAs(t, "udp", l.behind.String(), h.name)
		for _, a := range []netip.Addr{l.byEIP, l.byDNAT} {
			inNamespace(t, h.namespace, func() error { return writeSysctl("net/ipv4/ip_nonlocal_bind", "1") })
			h.serveAs(t, "udp", netip.AddrPortFrom(a, 7000).String(), h.name)
		}
	}
	peer := func(h, other *host) string {
		if !unicast {
			return ""
		}
		return fmt.Sprintf("unicast_src_ip %s\n\tunicast_peer {\n\t\t%s\n\t}", h.addr, other.addr)
	}
	l.killA = l.a.keepalived(t, 150, peer(l.a, l.b), l.byEIP, l.byDNAT)
	l.master(t, l.idEIP, l.a)
	l.b.keepalived(t, 100, peer(l.b, l.a), l.byEIP, l.byDNAT)
	l.master(t, l.idDNAT, l.a)
	return l
}

// udp opens a flow that is kept.
func (e *endpoint) udp(t *testing.T, to netip.AddrPort) *flow {
	t.Helper()
	c, err := e.dial("udp", netip.Addr{}, to, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &flow{name: fmt.Sprintf("udp from %s to %s", e.namespace, to), conn: c}
}

// TestHaVip: two hosts with keepalived share HaVips. Flows by DNAT, by an elastic IP and by a
// route entry go on at the other one when the first one's link is cut, and come back with it;
// so do open TCP connections, which the other host takes over. The same while no daemon
// runs, when keepalived is killed and its host keeps the address, and with a third host that
// claims it. VRRP is spoken by multicast where the shortcut is on, else by unicast.
func TestHaVip(t *testing.T) { onAndOff(t, testHaVip) }

func testHaVip(t *testing.T, g *gateway) {
	l := newHaVipLab(t, g, !g.shortcut)
	flows := []*flow{g.internet.udp(t, l.eip), g.internet.udp(t, l.dnat), l.third.udp(t, l.behind)}
	at := func(h *host) {
		t.Helper()
		for _, f := range flows {
			f.answeredBy(t, h)
		}
	}
	at(l.a)
	tcp := []*carried{l.carry(t, l.eipTCP, l.byEIP), l.carry(t, l.dnatTCP, l.byDNAT)}
	for _, c := range tcp {
		c.works(t)
	}
	if got := l.shownHaVip(t, l.idEIP); got.Status != "InUse" || len(got.AssociatedInstances.AssociatedInstance) != 2 || len(got.AssociatedEipAddresses.AssociatedEipAddresse) != 1 {
		t.Errorf("%+v", got)
	}

	// The first one's link is cut.
	l.a.setLink(t, false)
	for _, c := range tcp {
		c.moveTo(t, l.b)
	}
	at(l.b)
	for _, c := range tcp {
		c.works(t)
	}
	l.master(t, l.idEIP, l.b)

	// It comes back, and takes over again.
	l.a.setLink(t, true)
	l.gatewayRoute(t, l.a)
	l.master(t, l.idEIP, l.a)
	for _, c := range tcp {
		c.moveTo(t, l.a)
	}
	at(l.a)
	for _, c := range tcp {
		c.works(t)
	}

	// Another host that has the address, and says so, is not believed.
	l.third.addAddr(t, l.byEIP)
	l.third.announce(t, l.byEIP)
	l.third.announce(t, l.byEIP)
	at(l.a)
	l.claimed(t, l.byEIP, l.third)
	if got := l.shownHaVip(t, l.idEIP).MasterInstanceId; got != l.a.instance {
		t.Errorf("the master is %s", got)
	}

	// While nobody looks after the network.
	g.killDaemon(t)
	l.a.setLink(t, false)
	at(l.b)
	l.a.setLink(t, true)
	l.gatewayRoute(t, l.a)
	at(l.a)
	g.startDaemon(t)
	l.settled(t)
	l.master(t, l.idEIP, l.a)
	l.master(t, l.idDNAT, l.a)
	at(l.a)

	// keepalived dies, and its host keeps the address, and answers for it.
	l.killA()
	at(l.b)
	l.master(t, l.idEIP, l.b)

	// The master is unbound only by force; then it counts no more, and nothing of it gets
	// through.
	if code := l.refused(t, "UnassociateHaVip", "HaVipId", l.idEIP, "InstanceId", l.b.instance); code != "Forbidden.UnassociateMaster" {
		t.Errorf("unbinding the master: %s", code)
	}
	l.call(t, "UnassociateHaVip", "HaVipId", l.idEIP, "InstanceId", l.b.instance, "Force", "true")
	l.settled(t)
	flows[0].answeredBy(t, l.a) // which has kept the address
	l.b.announce(t, l.byEIP)
	flows[0].answeredBy(t, l.a)
	l.master(t, l.idEIP, l.a)
	if code := l.refused(t, "DeleteHaVip", "HaVipId", l.idEIP); code != "DependencyViolation.HaVipReferedByRouteEntry" {
		t.Errorf("deleting it: %s", code)
	}
	l.shortened(t, 20)
}

// gatewayRoute gives a host whose link was down its default route again.
func (l *haVipLab) gatewayRoute(t *testing.T, h *host) {
	t.Helper()
	inNamespace(t, h.namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IPv4(10, 44, 1, 253)})
	})
}

// claimed waits until port security has noted that a host claims an address.
func (l *haVipLab) claimed(t *testing.T, a netip.Addr, by *host) {
	t.Helper()
	mac := ""
	inNamespace(t, by.namespace, func() error {
		ifi, err := net.InterfaceByName(lab.HostInterface)
		if err == nil {
			mac = ifi.HardwareAddr.String()
		}
		return err
	})
	eventually(t, "a claim of "+a.String(), func() string {
		out, err := exec.Command("ip", "netns", "exec", dataplane.Namespace(l.vpc), "nft", "list", "set", "bridge", "sluice", "claims").CombinedOutput()
		if err != nil || !strings.Contains(string(out), a.String()+" . "+mac) {
			return fmt.Sprintf("%v: %s", err, out)
		}
		return ""
	})
}

// carried is a TCP connection of the Internet's to a HaVip, whose end at the host is carried
// from one to another, as by a host that replicates its connections.
type carried struct {
	client net.Conn
	reader *bufio.Reader
	server *net.TCPConn
	n      int
}
