package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/test/lab"
)

// primaryOf returns the id of an instance's primary network interface.
func primaryOf(t *testing.T, c *vpcsdk.Client, instance string) *string {
	t.Helper()
	in := vpcsdk.NewDescribeNetworkInterfacesRequest()
	in.Filters = []*vpcsdk.Filter{{Name: ptr("attachment.instance-id"), Values: []*string{&instance}}}
	got, err := c.DescribeNetworkInterfaces(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range got.Response.NetworkInterfaceSet {
		if *n.Primary {
			return n.NetworkInterfaceId
		}
	}
	t.Fatalf("instance %s has no primary interface", instance)
	return nil
}

// assign gives an interface an address until the test ends.
func (n *network) assign(t *testing.T, c *vpcsdk.Client, eni *string, a netip.Addr) {
	t.Helper()
	in := vpcsdk.NewAssignPrivateIpAddressesRequest()
	in.NetworkInterfaceId, in.PrivateIpAddresses = eni, []*vpcsdk.PrivateIpAddressSpecification{{PrivateIpAddress: ptr(a.String())}}
	done[*vpcsdk.AssignPrivateIpAddressesResponse](t, n)(c.AssignPrivateIpAddresses(in))
}

// elasticFor binds a new elastic IP to an address of an interface until the test ends.
func (n *network) elasticFor(t *testing.T, c *vpcsdk.Client, eni *string, a netip.Addr) netip.Addr {
	t.Helper()
	made, err := c.AllocateAddresses(vpcsdk.NewAllocateAddressesRequest())
	if err != nil {
		t.Fatal(err)
	}
	id := made.Response.AddressSet[0]
	bind := vpcsdk.NewAssociateAddressRequest()
	bind.AddressId, bind.NetworkInterfaceId, bind.PrivateIpAddress = id, eni, ptr(a.String())
	done[*vpcsdk.AssociateAddressResponse](t, n)(c.AssociateAddress(bind))
	t.Cleanup(func() {
		free := vpcsdk.NewDisassociateAddressRequest()
		free.AddressId = id
		done[*vpcsdk.DisassociateAddressResponse](t, n)(c.DisassociateAddress(free))
		release := vpcsdk.NewReleaseAddressesRequest()
		release.AddressIds = []*string{id}
		done[*vpcsdk.ReleaseAddressesResponse](t, n)(c.ReleaseAddresses(release))
	})
	shown := vpcsdk.NewDescribeAddressesRequest()
	shown.AddressIds = []*string{id}
	got, err := c.DescribeAddresses(shown)
	if err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddr(*got.Response.AddressSet[0].AddressIp)
}

// TestElasticIPPerAddress: each of two addresses of a host has an elastic IP of its own, both
// ways (goto-opensource/k8s-aws-operator #1: what comes from the second address is seen as the
// first one's); a third, without one, goes out by the NAT gateway.
func TestElasticIPPerAddress(t *testing.T) { onAndOff(t, testElasticIPPerAddress) }

func testElasticIPPerAddress(t *testing.T, g *gateway) {
	c, n := g.tencentClient(t), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	shared := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], shared)
	h := n.host(t, 0, "172.16.1.10")
	eni := primaryOf(t, c, h.instance)
	second, third := netip.MustParseAddr("172.16.1.20"), netip.MustParseAddr("172.16.1.21")
	for _, a := range []netip.Addr{second, third} {
		n.assign(t, c, eni, a)
		h.addAddr(t, a)
	}
	own := map[netip.Addr]netip.Addr{h.addr: n.elasticFor(t, c, eni, h.addr), second: n.elasticFor(t, c, eni, second), third: shared}
	h.serve(t, "tcp", "0.0.0.0:80")
	for private := range own {
		h.serve(t, "udp", netip.AddrPortFrom(private, 53).String())
	}
	echo := map[string]netip.AddrPort{"tcp": g.internet.echo(t, "tcp"), "udp": g.internet.echo(t, "udp")}
	for private, public := range own {
		for proto, port := range map[string]uint16{"tcp": 80, "udp": 53} {
			if got := h.seenFrom(t, private, proto, echo[proto]); got.Addr() != public {
				t.Errorf("%s from %s is seen as %s, not as %s", proto, private, got, public)
			}
			if public == shared {
				continue
			}
			if err := g.internet.tryEcho(proto, netip.AddrPortFrom(public, port), 5*time.Second); err != nil {
				t.Errorf("%s to %s of %s: %v", proto, public, private, err)
			}
		}
	}
}

// hostPort is a further interface of a host: of another instance, or of a network interface that is
// attached to one.
type hostPort struct {
	host *host
	name string // in the host
	mac  string
}

// plugPort gives a host one more interface, with a routing table of its own, in silence: it
// says nothing by which a switch could learn where it is. Answers to ARP come only from the
// interface that has the address.
func (n *network) plugPort(t *testing.T, h *host, name, mac string, table int) *hostPort {
	t.Helper()
	namespace, port := dataplane.Namespace(n.vpc), n.short(name)
	inNamespace(t, h.namespace, func() error {
		for _, of := range []string{"all", "default", lab.HostInterface} {
			for key, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2", "rp_filter": "0", "arp_notify": "0"} {
				if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", of, key), []byte(value), 0o644); err != nil {
					return err
				}
			}
			if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", of, "disable_ipv6"), []byte("1"), 0o644); err != nil {
				return err
			}
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		if mac != "" {
			attrs.HardwareAddr, _ = net.ParseMAC(mac)
		}
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: port})
	})
	var peer netlink.Link
	inNamespace(t, h.namespace, func() (err error) {
		peer, err = netlink.LinkByName(port)
		return err
	})
	moveLink(t, h.namespace, namespace, peer)
	if err := link.Plug(namespace, n.switches[0], port); err != nil {
		t.Fatal(err)
	}
	p := &hostPort{host: h, name: name}
	inNamespace(t, h.namespace, func() error {
		dev, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		p.mac = dev.Attrs().HardwareAddr.String()
		if err := netlink.LinkSetUp(dev); err != nil {
			return err
		}
		gateway := netip.MustParseAddr("172.16.1.253")
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: ipNet(netip.PrefixFrom(gateway, 32)), Scope: netlink.SCOPE_LINK, Table: table}); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: dev.Attrs().Index, Gw: gateway.AsSlice(), Table: table})
	})
	return p
}

// moveLink moves a link from one namespace to another.
func moveLink(t *testing.T, from, to string, dev netlink.Link) {
	t.Helper()
	f, err := os.Open(filepath.Join("/run/netns", to))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inNamespace(t, from, func() error { return netlink.LinkSetNsFd(dev, int(f.Fd())) })
}

// has gives the interface an address, and what it sends its way out: the host's sockets see
// nothing of it, but that the address is there all the time.
func (p *hostPort) has(t *testing.T, a netip.Addr, table int) {
	t.Helper()
	inNamespace(t, p.host.namespace, func() error {
		dev, err := netlink.LinkByName(p.name)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(dev, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))}); err != nil {
			return err
		}
		rules, err := netlink.RuleList(netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		rule := netlink.NewRule()
		rule.Src, rule.Table, rule.Priority = ipNet(netip.PrefixFrom(a, 32)), table, 1000-table
		if err := netlink.RuleAdd(rule); err != nil {
			return err
		}
		for i := range rules {
			if rules[i].Src != nil && rules[i].Src.IP.Equal(a.AsSlice()) {
				if err := netlink.RuleDel(&rules[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// lacks takes an address from the interface, and takes it down.
func (p *hostPort) lacks(t *testing.T, a netip.Addr) {
	t.Helper()
	inNamespace(t, p.host.namespace, func() error {
		dev, err := netlink.LinkByName(p.name)
		if err != nil {
			return err
		}
		if err := netlink.AddrDel(dev, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))}); err != nil {
			return err
		}
		return netlink.LinkSetDown(dev)
	})
}

// connections keeps so many TCP connections busy, and returns a function that ends them and
// says how many answers came, and how many connections were lost.
func (e *endpoint) connections(t *testing.T, to netip.AddrPort, count int) (answers *atomic.Int64, lost func() int) {
	t.Helper()
	answers = new(atomic.Int64)
	var failed atomic.Int64
	var stops []func()
	for i := range count {
		c, err := e.dial("tcp", netip.Addr{}, to, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		asked, broken := 0, false
		stops = append(stops, background(t, func() {
			if broken {
				time.Sleep(10 * time.Millisecond)
				return
			}
			asked++
			if _, _, err := exchange(c, fmt.Sprintf("question-%d-%d", i, asked), 15*time.Second); err != nil {
				broken = true
				failed.Add(1)
				return
			}
			answers.Add(1)
		}))
	}
	return answers, func() int {
		for _, stop := range stops {
			stop()
		}
		return int(failed.Load())
	}
}

// goOn waits until connections have had so many more answers.
func goOn(t *testing.T, what string, answers *atomic.Int64, more int64) {
	t.Helper()
	want := answers.Load() + more
	eventually(t, what, func() string {
		if got := answers.Load(); got < want {
			return fmt.Sprintf("%d of %d answers", got, want)
		}
		return ""
	})
}

// TestPrivateAddressMovesUnderTraffic: an address, with its elastic IP, goes from one
// instance's interface to another's and back, while TCP connections to the elastic IP
// are at work. The new place says nothing (cybertec-postgresql/vip-manager #12), and
// the old one is gone, whose Ethernet address the gateway would go on using while it is
// answered (aws/amazon-vpc-cni-k8s #3628). A machine that is two instances stands for one that
// takes its sockets along.
func TestPrivateAddressMovesUnderTraffic(t *testing.T) {
	onAndOff(t, testPrivateAddressMovesUnderTraffic)
}

func testPrivateAddressMovesUnderTraffic(t *testing.T, g *gateway) {
	c, n := g.tencentClient(t), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	moving := netip.MustParseAddr("172.16.1.20")
	ports, enis := [2]*hostPort{}, [2]*string{}
	for i := range ports {
		ports[i] = n.plugPort(t, h, fmt.Sprintf("eth%d", i+1), "", 101+i)
		instance := g.addInstance(t, n.switches[0], fmt.Sprintf("172.16.1.%d", 11+i))
		t.Cleanup(func() { g.removeInstance(t, instance) })
		admin, err := g.admin()
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.SetInstanceMAC(t.Context(), instance, ports[i].mac); err != nil {
			t.Fatal(err)
		}
		admin.Close()
		enis[i] = primaryOf(t, c, instance)
	}
	n.assign(t, c, enis[0], moving)
	elastic := n.elasticFor(t, c, enis[0], moving)
	ports[0].has(t, moving, 101)
	h.serve(t, "tcp", "0.0.0.0:80")
	in, lost := g.internet.connections(t, netip.AddrPortFrom(elastic, 80), 10)
	goOn(t, "before the move", in, 50)
	for round := range 4 {
		from, to := round%2, 1-round%2
		if round > 0 {
			inNamespace(t, h.namespace, func() error {
				dev, err := netlink.LinkByName(ports[to].name)
				if err != nil {
					return err
				}
				return netlink.LinkSetUp(dev)
			})
			ports[to].routes(t, 101+to)
		}
		move := vpcsdk.NewMigratePrivateIpAddressRequest()
		move.SourceNetworkInterfaceId, move.DestinationNetworkInterfaceId, move.PrivateIpAddress = enis[from], enis[to], ptr(moving.String())
		done[*vpcsdk.MigratePrivateIpAddressResponse](t, n)(c.MigratePrivateIpAddress(move))
		ports[to].has(t, moving, 101+to)
		ports[from].lacks(t, moving)
		goOn(t, fmt.Sprintf("after move %d", round+1), in, 50)
	}
	if n := lost(); n > 0 {
		t.Errorf("%d of 10 connections were lost", n)
	}
	if err := g.internet.tryEcho("tcp", netip.AddrPortFrom(elastic, 80), 5*time.Second); err != nil {
		t.Error(err)
	}
	n.shortened(t, 20)
}

// routes makes an interface's routes anew, which go when it goes down.
func (p *hostPort) routes(t *testing.T, table int) {
	t.Helper()
	inNamespace(t, p.host.namespace, func() error {
		dev, err := netlink.LinkByName(p.name)
		if err != nil {
			return err
		}
		gateway := netip.MustParseAddr("172.16.1.253")
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: ipNet(netip.PrefixFrom(gateway, 32)), Scope: netlink.SCOPE_LINK, Table: table}); err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Gw: gateway.AsSlice(), Table: table})
	})
}

// TestNetworkInterfaceMovesUnderTraffic: a network interface, with its Ethernet address and its
// elastic IP, goes from one host to another, at another port of the VSwitch, while TCP
// connections are at work.
func TestNetworkInterfaceMovesUnderTraffic(t *testing.T) {
	onAndOff(t, testNetworkInterfaceMovesUnderTraffic)
}

func testNetworkInterfaceMovesUnderTraffic(t *testing.T, g *gateway) {
	c, n := g.tencentClient(t), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	first, other := g.addInstance(t, n.switches[0], "172.16.1.12"), g.addInstance(t, n.switches[0], "172.16.1.11")
	t.Cleanup(func() { g.removeInstance(t, other); g.removeInstance(t, first) })
	moving := netip.MustParseAddr("172.16.1.30")
	in := vpcsdk.NewCreateNetworkInterfaceRequest()
	in.VpcId, in.SubnetId, in.NetworkInterfaceName = &n.vpc, &n.switches[0], ptr("moves")
	in.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{{PrivateIpAddress: ptr(moving.String()), Primary: ptr(true)}}
	eni := done[*vpcsdk.CreateNetworkInterfaceResponse](t, n)(c.CreateNetworkInterface(in)).Response.NetworkInterface
	t.Cleanup(func() {
		gone := vpcsdk.NewDeleteNetworkInterfaceRequest()
		gone.NetworkInterfaceId = eni.NetworkInterfaceId
		done[*vpcsdk.DeleteNetworkInterfaceResponse](t, n)(c.DeleteNetworkInterface(gone))
	})
	attach := vpcsdk.NewAttachNetworkInterfaceRequest()
	attach.NetworkInterfaceId, attach.InstanceId = eni.NetworkInterfaceId, &first
	done[*vpcsdk.AttachNetworkInterfaceResponse](t, n)(c.AttachNetworkInterface(attach))
	now := first
	t.Cleanup(func() {
		detach := vpcsdk.NewDetachNetworkInterfaceRequest()
		detach.NetworkInterfaceId, detach.InstanceId = eni.NetworkInterfaceId, &now
		done[*vpcsdk.DetachNetworkInterfaceResponse](t, n)(c.DetachNetworkInterface(detach))
	})
	elastic := n.elasticFor(t, c, eni.NetworkInterfaceId, moving)
	was := n.plugPort(t, h, "eth1", *eni.MacAddress, 101)
	was.has(t, moving, 101)
	h.serve(t, "tcp", "0.0.0.0:80")
	answers, lost := g.internet.connections(t, netip.AddrPortFrom(elastic, 80), 10)
	goOn(t, "before the move", answers, 50)

	// At its new place the interface says nothing, and the old port stays up without it.
	is := n.plugPort(t, h, "eth2", "", 102)
	was.setMAC(t, "02:00:00:00:99:01")
	is.setMAC(t, *eni.MacAddress)
	is.has(t, moving, 102)
	move := vpcsdk.NewMigrateNetworkInterfaceRequest()
	move.NetworkInterfaceId, move.SourceInstanceId, move.DestinationInstanceId = eni.NetworkInterfaceId, &first, &other
	done[*vpcsdk.MigrateNetworkInterfaceResponse](t, n)(c.MigrateNetworkInterface(move))
	now = other
	goOn(t, "after the move", answers, 50)
	if n := lost(); n > 0 {
		t.Errorf("%d of 10 connections were lost", n)
	}
	if err := g.internet.tryEcho("tcp", netip.AddrPortFrom(elastic, 80), 5*time.Second); err != nil {
		t.Error(err)
	}
}

// setMAC gives the interface another Ethernet address.
func (p *hostPort) setMAC(t *testing.T, mac string) {
	t.Helper()
	inNamespace(t, p.host.namespace, func() error {
		dev, err := netlink.LinkByName(p.name)
		if err != nil {
			return err
		}
		m, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(dev, m)
	})
}
