package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/test/frr"
	"sluice/test/lab"
)

// Where a site is that leased lines lead to: behind each customer's router is a service with
// the same address.
const (
	lineSite    = "10.200.0.0/16"
	lineService = "10.200.0.9"
	accessPoint = "ap-e2e"
)

// leasedLine is a physical connection of its own port, with the border router on it, and the
// customer's router at its other end, all until the test ends.
type leasedLine struct {
	*network    // the VPC that it is joined to
	id, border  string
	here, there string // router interfaces of the VPC and of the border router
	device      string
	local, peer netip.Addr // of the border router and of the customer's on the line
	customer    *endpoint  // whose link to the line is eth1
	pings       netip.Addr // of the VPC, from which the health check comes
}

// lineDevices are names of devices in the daemon's namespace that are no other test's.
func lineDevices(g *gateway, count int) (names []string) {
	for i := range count {
		names = append(names, fmt.Sprintf("sl%d%s%d", os.Getpid()%1_000_000, map[bool]string{true: "n", false: "f"}[g.shortcut], i))
	}
	return names
}

// portsOf is the part of the configuration with an access point and the devices behind its
// ports, which are numbered from 0.
func portsOf(devices []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\naccess_points:\n  - id: %s\n    ports:\n", accessPoint)
	for i, d := range devices {
		fmt.Fprintf(&b, "      - {number: \"%d\", device: %s}\n", i, d)
	}
	return b.String()
}

// lease applies for a line, has the operator build it at a port, and makes a border router on
// it, whose routes lead to the site and to the VPC.
func (n *network) lease(t *testing.T, port int, device string) *leasedLine {
	t.Helper()
	l := &leasedLine{network: n, device: device,
		local: netip.AddrFrom4([4]byte{192, 168, byte(50 + port), 17}), peer: netip.AddrFrom4([4]byte{192, 168, byte(50 + port), 18}), pings: netip.AddrFrom4([4]byte{10, 1, 200, byte(port + 1)})}
	l.customer = n.machine(t, fmt.Sprint("c", port))
	l.customer.unplug(t) // nothing goes round by the Internet
	l.plug(t)

	c, err := n.g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.id = n.call(t, "CreatePhysicalConnection", "AccessPointId", accessPoint, "LineOperator", "CT", "PeerLocation", "No 1, Office Street", "ClientToken", device)["PhysicalConnectionId"].(string)
	for _, step := range []string{admin.LineApprove, admin.LineAllocate, admin.LineConfirm} {
		number := ""
		if step == admin.LineAllocate {
			number = fmt.Sprint(port)
		}
		eventually(t, step+" line "+l.id, func() string {
			_, err := c.StepLine(t.Context(), l.id, step, number)
			return errorText(err)
		})
	}
	n.call(t, "EnablePhysicalConnection", "PhysicalConnectionId", l.id, "ClientToken", device)
	t.Cleanup(func() {
		n.call(t, "TerminatePhysicalConnection", "PhysicalConnectionId", l.id)
		eventually(t, "line "+l.id+" to be over", func() string {
			_, err := n.try("DeletePhysicalConnection", "PhysicalConnectionId", l.id)
			return errorText(err)
		})
	})

	l.border = n.call(t, "CreateVirtualBorderRouter", "PhysicalConnectionId", l.id, "VlanId", "0", "LocalGatewayIp", l.local.String(), "PeerGatewayIp", l.peer.String(),
		"PeeringSubnetMask", "255.255.255.248", "ClientToken", device)["VbrId"].(string)
	t.Cleanup(func() {
		eventually(t, "border router "+l.border+" to go", func() string {
			_, err := n.try("DeleteVirtualBorderRouter", "VbrId", l.border)
			return errorText(err)
		})
	})
	l.join(t)
	return l
}

// plug makes the line: a veth from the daemon's namespace to the customer's router.
func (l *leasedLine) plug(t *testing.T) {
	t.Helper()
	daemon, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	inNamespace(t, l.customer.namespace, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth1"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: l.device, PeerNamespace: netlink.NsFd(daemon)}); err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth1")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(l.peer, 29))}); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(lineService + "/32"))}); err != nil {
			return err
		}
		return netlink.LinkSetUp(link)
	})
	t.Cleanup(func() { // namespaces go in the background
		if link, err := netlink.LinkByName(l.device); err == nil {
			_ = netlink.LinkDel(link)
		}
	})
}

// join makes router interfaces between the border router and the VPC, and the border router's
// routes.
func (l *leasedLine) join(t *testing.T) {
	t.Helper()
	n, me, region := l.network, l.g.account(t), lab.DefaultRegion
	l.there = n.call(t, "CreateRouterInterface", "RouterType", "VBR", "RouterId", l.border, "AccessPointId", accessPoint, "Role", "InitiatingSide", "Spec", "Small.5",
		"OppositeRegionId", region, "OppositeRouterType", "VRouter", "OppositeRouterId", n.vrouter(t))["RouterInterfaceId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteRouterInterface", "RouterInterfaceId", l.there) })
	l.here = n.call(t, "CreateRouterInterface", "RouterType", "VRouter", "RouterId", n.vrouter(t), "Role", "AcceptingSide", "Spec", "Negative", "OppositeRegionId", region,
		"OppositeRouterType", "VBR", "OppositeAccessPointId", accessPoint, "OppositeRouterId", l.border, "OppositeInterfaceId", l.there, "OppositeInterfaceOwnerId", me)["RouterInterfaceId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteRouterInterface", "RouterInterfaceId", l.here) })
	n.call(t, "ModifyRouterInterfaceAttribute", "RouterInterfaceId", l.there, "OppositeInterfaceId", l.here, "OppositeInterfaceOwnerId", me)
	n.call(t, "ConnectRouterInterface", "RouterInterfaceId", l.there)
	t.Cleanup(func() {
		for _, id := range []string{l.there, l.here} {
			n.try("DeactivateRouterInterface", "RouterInterfaceId", id)
			n.is(t, id, "Inactive")
		}
	})
	n.is(t, l.here, "Active")
	n.is(t, l.there, "Active")

	var got aliyun.DescribeVirtualBorderRoutersResponse
	n.into(t, &got, "DescribeVirtualBorderRouters", "Filter.1.Key", "VbrId", "Filter.1.Value.1", l.border)
	b := got.VirtualBorderRouterSet.VirtualBorderRouterType[0]
	for destination, hop := range map[string]string{lineSite: b.VlanInterfaceId, "10.1.0.0/16": l.there} {
		n.routes(t, l.border, b.RouteTableId, destination, "NextHopType", "RouterInterface", "NextHopId", hop)
	}
}

// routes makes a route entry of a router, until the test ends.
func (n *network) routes(t *testing.T, router, table, destination string, hops ...string) {
	t.Helper()
	eventually(t, "a route entry of "+router, func() string {
		_, err := n.try("CreateRouteEntry", append([]string{"RouteTableId", table, "DestinationCidrBlock", destination}, hops...)...)
		return errorText(err)
	})
	t.Cleanup(func() {
		var list aliyun.DescribeRouteEntryListResponse
		n.into(t, &list, "DescribeRouteEntryList", "RouteTableId", table, "DestinationCidrBlock", destination)
		for _, e := range list.RouteEntrys.RouteEntry {
			eventually(t, "route entry "+e.RouteEntryId+" to go", func() string {
				_, err := n.try("DeleteRouteEntry", "RouteEntryId", e.RouteEntryId)
				return errorText(err)
			})
		}
		n.followed(t, router)
	})
	n.followed(t, router)
}

// followed waits until the dataplane has what is wanted of a network.
func (n *network) followed(t *testing.T, id string) {
	t.Helper()
	if !strings.HasPrefix(id, "vbr-") {
		id = n.vpc
	}
	(&network{g: n.g, vpc: id}).settled(t)
}

// check has the VPC's end ask the customer's router whether the line carries packets.
func (l *leasedLine) check(t *testing.T) {
	t.Helper()
	l.call(t, "ModifyRouterInterfaceAttribute", "RouterInterfaceId", l.here, "HealthCheckSourceIp", l.pings.String(), "HealthCheckTargetIp", l.peer.String())
	l.settled(t)
}

// serves answers at the site's service with a name, by TCP and UDP, until the test ends.
func (l *leasedLine) serves(t *testing.T, name string) {
	t.Helper()
	l.customer.serveAs(t, "udp", lineService+":7", name)
	l.customer.serveAs(t, "tcp", lineService+":7", name)
}

// link sets the customer's end of the line up or down.
func (l *leasedLine) link(t *testing.T, up bool) {
	t.Helper()
	inNamespace(t, l.customer.namespace, func() error {
		link, err := netlink.LinkByName("eth1")
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	})
}

// back is the customer's route to the VPC.
func (l *leasedLine) back(t *testing.T) {
	t.Helper()
	inNamespace(t, l.customer.namespace, func() error {
		return netlink.RouteReplace(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("10.1.0.0/16")), Gw: l.local.AsSlice()})
	})
}

// behindFRR has FRR's zebra and staticd give the customer's router that route.
func (l *leasedLine) behindFRR(t *testing.T) *frr.Router {
	t.Helper()
	r, err := frr.Start(t.Context(), frr.Options{Dir: t.TempDir(), Static: true, Log: t.Output(), Config: l.static() + "\n",
		In: func(f func() error) error { return lab.In(l.customer.namespace, f) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// static is that route in FRR's words.
func (l *leasedLine) static() string { return "ip route 10.1.0.0/16 " + l.local.String() }

// linksOf returns the links of a namespace, of the daemon's own if it has no name, by name and
// index: a link that was made anew has another one.
func linksOf(t *testing.T, namespace string, chosen func(name string) bool) string {
	t.Helper()
	var names []string
	inNamespace(t, namespace, func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			if chosen(l.Name) {
				names = append(names, fmt.Sprintf("%s=%d", l.Name, l.Index))
			}
		}
		return err
	})
	return strings.Join(names, " ")
}

// adopted returns what the daemon has said of networks that it has found, since the log was so
// long.
func (g *gateway) adopted(t *testing.T, since int64) (lines []string) {
	t.Helper()
	log, err := os.ReadFile(g.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log[since:])) {
		if strings.Contains(line, "network adopted") || strings.Contains(line, "network built") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// logSize is how long the daemon's log is.
func (g *gateway) logSize(t *testing.T) int64 {
	t.Helper()
	st, err := os.Stat(g.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// turned waits until each flow is answered by whom it is to be, and says what else has
// happened to those that nobody was to touch: they have had one answerer all the time.
func turned(t *testing.T, what string, flows []*answers, want func(i int) string, untouched func(i int) bool) {
	t.Helper()
	for i, f := range flows {
		f.become(t, want(i))
		if untouched(i) && f.turns() != 1 {
			t.Errorf("%s: flow %d was to stay, and was answered by %s", what, i, f)
		}
	}
}

// TestLeasedLines: a VPC reaches a site by two leased lines, whose customers' routers are a
// plain Linux and FRR, with one route entry over both. Flows spread, and stay where they are:
// while sluiced is killed, which loses nothing and finds everything, and while the other line is
// cut. Those of the one that is cut, or whose router has no route back any more, go by the
// other as soon as the health check says so.
func TestLeasedLines(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for health checks: make test-all")
	}
	t.Parallel()
	devices := lineDevices(gateways[0], 2)
	g := gateways[0].another(t, "lines", extraConfig+portsOf(devices))
	n := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
	h := n.host(t, 0, "10.1.1.10")
	plain, routed := n.lease(t, 0, devices[0]), n.lease(t, 1, devices[1])
	plain.back(t)
	daemons := routed.behindFRR(t)
	plain.serves(t, "plain")
	routed.serves(t, "routed")
	n.routes(t, n.vpc, n.routeTable, lineSite, "NextHopList.1.NextHopType", "RouterInterface", "NextHopList.1.NextHopId", plain.here,
		"NextHopList.2.NextHopType", "RouterInterface", "NextHopList.2.NextHopId", routed.here)
	at := netip.MustParseAddrPort(lineService + ":7")
	eventually(t, "both lines to lead to the site", func() string {
		seen := map[string]bool{}
		var failed error
		for range 20 {
			_, name, err := h.once("tcp", netip.Addr{}, at, time.Second)
			if err != nil {
				failed = err
				continue
			}
			seen[name] = true
		}
		if failed != nil || len(seen) != 2 {
			return fmt.Sprint("seen are ", seen, failed)
		}
		return ""
	})
	plain.check(t)
	routed.check(t)

	var flows []*answers
	for range 16 {
		flows = append(flows, h.asks(t, at))
	}
	var was []string
	by := map[string]int{}
	for _, f := range flows {
		f.keep(t, 5)
		was = append(was, f.String())
		by[f.String()]++
	}
	if by["plain"] == 0 || by["routed"] == 0 || len(by) != 2 {
		t.Fatalf("flows go by %v", by)
	}
	same, all, none := func(i int) string { return was[i] }, func(int) bool { return true }, func(int) bool { return false }

	var open []*flow
	for range 8 {
		open = append(open, h.flow(t, at))
	}
	links := func() string {
		mine := linksOf(t, "", func(name string) bool {
			for _, d := range devices {
				if name == d || name == dataplane.BandwidthLink(dataplane.LineInbound, d) || name == dataplane.BandwidthLink(dataplane.LineOutbound, d) {
					return true
				}
			}
			return false
		})
		for _, id := range []string{n.vpc, plain.border, routed.border} {
			mine += " " + id + ": " + linksOf(t, dataplane.Namespace(id), func(string) bool { return true })
		}
		return mine
	}
	before, since := links(), g.logSize(t)
	missed := func() (n int) {
		for _, f := range flows {
			n += f.lost()
		}
		return n
	}
	lost := missed()
	g.killDaemon(t)
	for _, f := range open {
		f.more(t, 20)
	}
	g.startDaemon(t)
	for _, f := range open {
		f.more(t, 20)
		f.lost(t, 0)
	}
	for _, id := range []string{n.vpc, plain.border, routed.border} {
		n.followed(t, id)
	}
	turned(t, "killed", flows, same, all)
	if now := missed(); now != lost {
		t.Errorf("of %d flows %d questions were not answered while sluiced was killed", len(flows), now-lost)
	}
	if after := links(); after != before {
		t.Errorf("links were\n%s\nand are\n%s", before, after)
	}
	said := g.adopted(t, since)
	for _, line := range said {
		if !strings.Contains(line, "network adopted") || !strings.Contains(line, "changes=0") {
			t.Error(line)
		}
	}
	if len(said) != 3 {
		t.Errorf("adopted are %d networks", len(said))
	}

	plain.link(t, false)
	turned(t, "one line is cut", flows, func(int) string { return "routed" }, func(i int) bool { return was[i] == "routed" })
	for range 4 {
		if name := h.ask(t, "tcp", at); name != "routed" {
			t.Errorf("with a line cut a connection is answered by %s", name)
		}
	}
	g.logged(t, "the link of a line is down", devices[0])
	plain.link(t, true)
	plain.back(t)
	turned(t, "the line is back", flows, same, func(i int) bool { return was[i] == "routed" })

	if err := daemons.Configure(t.Context(), "no "+routed.static()); err != nil {
		t.Fatal(err)
	}
	turned(t, "FRR has no route back", flows, func(int) string { return "plain" }, none)
	if err := daemons.Configure(t.Context(), routed.static()); err != nil {
		t.Fatal(err)
	}
	turned(t, "FRR has its route again", flows, same, none)
}
