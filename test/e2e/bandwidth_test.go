package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

// TestBandwidth holds elastic IPs and packages to their bandwidths, on a gateway of its own:
// the others don't.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	g := gateways[0].another(t, "band", extraConfig+"\nbandwidth: {limits: on}\n")
	t.Run("live", func(t *testing.T) { testLiveBandwidth(t, g) })
	t.Run("common", func(t *testing.T) { testCommonPackage(t, g) })
	t.Run("NAT", func(t *testing.T) { testNATPackage(t, g) })
}

// rates waits until classes of the public device have these rates in Mbit/s, in a direction,
// and others (those that are not wanted any more) none.
func (g *gateway) rates(t *testing.T, direction string, wanted, gone []int) {
	t.Helper()
	has := func(classes []netlink.Class, mbit int) bool {
		for _, c := range classes {
			// To two percent: the kernel's own units are coarser.
			if h, ok := c.(*netlink.HtbClass); ok && h.Rate*50 > uint64(mbit)*125_000*49 && h.Rate*50 < uint64(mbit)*125_000*51 {
				return true
			}
		}
		return false
	}
	eventually(t, fmt.Sprintf("rates %v and not %v", wanted, gone), func() string {
		var classes []netlink.Class
		err := lab.In(g.internet.namespace, func() error {
			link, err := netlink.LinkByName("bw-" + direction + "-" + lab.PublicBridge)
			if err != nil {
				return err
			}
			classes, err = netlink.ClassList(link, 0)
			return err
		})
		if err != nil {
			return err.Error()
		}
		for _, mbit := range wanted {
			if !has(classes, mbit) {
				return fmt.Sprintf("no class has %d Mbit/s", mbit)
			}
		}
		for _, mbit := range gone {
			if has(classes, mbit) {
				return fmt.Sprintf("a class has %d Mbit/s", mbit)
			}
		}
		return ""
	})
}

// testLiveBandwidth changes an elastic IP's bandwidth under a connection, which goes on.
func testLiveBandwidth(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
	h := n.host(t, 0, "10.1.1.10")
	id, address := n.eip(t)
	n.bind(t, id, "EcsInstance", h.instance)
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != address {
		t.Fatalf("seen as %s, not %s", got, address)
	}
	g.rates(t, "out", []int{5}, nil)
	g.rates(t, "in", []int{10}, nil)
	f := h.flow(t, g.internet.echo(t, "tcp"))
	stop := background(t, func() { f.more(t, 1) })
	last := 5
	for _, mbit := range []int{60, 3, 200} {
		n.call(t, "ModifyEipAddressAttribute", "AllocationId", id, "Bandwidth", strconv.Itoa(mbit))
		n.settled(t)
		g.rates(t, "out", []int{mbit}, []int{last})
		g.rates(t, "in", []int{max(mbit, 10)}, nil)
		last = mbit
	}
	stop()
	f.lost(t, 0)
}

// testCommonPackage floods the outside from two VPCs, whose elastic IPs share a package: no
// more arrives than the package allows, and something of each.
func testCommonPackage(t *testing.T, g *gateway) {
	const mbit = 20
	var sites [2]*network
	var hosts [2]*host
	var ids [2]string
	var addresses [2]netip.Addr
	for i := range sites {
		sites[i] = g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
		hosts[i] = sites[i].host(t, 0, "10.1.1.10")
		ids[i], addresses[i] = sites[i].eip(t)
		sites[i].bind(t, ids[i], "EcsInstance", hosts[i].instance)
	}
	n := sites[0]
	id := n.call(t, "CreateCommonBandwidthPackage", "Bandwidth", strconv.Itoa(mbit))["BandwidthPackageId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteCommonBandwidthPackage", "BandwidthPackageId", id, "Force", "true") })
	for i := range ids {
		n.call(t, "AddCommonBandwidthPackageIp", "BandwidthPackageId", id, "IpInstanceId", ids[i])
	}
	for _, n := range sites {
		n.settled(t)
	}
	g.rates(t, "out", []int{mbit}, []int{5})
	var list aliyun.DescribeCommonBandwidthPackagesResponse
	n.into(t, &list, "DescribeCommonBandwidthPackages", "BandwidthPackageId", id)
	p := list.CommonBandwidthPackages.CommonBandwidthPackage[0]
	if p.Status != "Available" || len(p.PublicIpAddresses.PublicIpAddress) != 2 || p.PublicIpAddresses.PublicIpAddress[1].BandwidthPackageIpRelationStatus != "BINDED" {
		t.Errorf("%+v", p)
	}

	var c net.PacketConn
	if err := lab.In(g.internet.namespace, func() (err error) {
		c, err = net.ListenPacket("udp4", g.internet.addr.String()+":0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to := netip.MustParseAddrPort(c.LocalAddr().String())
	const enough, headers = 4 << 20, 28
	// What may pass at once after a pause, and what is counted wrongly, is little beside it:
	// half as much again is what a package must not let through.
	var before time.Time
	var sent [2]atomic.Uint64
	for i, h := range hosts {
		out, err := h.dial("udp", netip.Addr{}, to, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		payload := make([]byte, 1200)
		background(t, func() {
			if k, err := out.Write(payload); err == nil {
				sent[i].Add(uint64(k + headers))
			}
		})
	}
	got, all := map[netip.Addr]int{}, 0
	buffer := make([]byte, 2000)
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for all < enough {
		k, from, err := c.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("after %d bytes, of %d and %d: %v", all, sent[0].Load(), sent[1].Load(), err)
		}
		if before.IsZero() {
			before = time.Now()
		}
		all += k + headers
		got[netip.MustParseAddrPort(from.String()).Addr()] += k + headers
	}
	allowed := time.Since(before).Seconds() * mbit * 125_000
	t.Logf("%d bytes came, by %v; the package allows %.0f, and %d and %d were sent", all, got, allowed, sent[0].Load(), sent[1].Load())
	if float64(all) > 1.5*allowed+256<<10 {
		t.Errorf("%d bytes came in a time for which the package allows %.0f", all, allowed)
	}
	for _, a := range addresses {
		if got[a] < enough/10 {
			t.Errorf("of %s only %d bytes of %d came", a, got[a], all)
		}
	}

	// One of them gets less within, and its own again when it is out.
	n.call(t, "ModifyCommonBandwidthPackageIpBandwidth", "BandwidthPackageId", id, "EipId", ids[0], "Bandwidth", "7")
	n.settled(t)
	g.rates(t, "out", []int{mbit}, []int{5})
	n.call(t, "ModifyCommonBandwidthPackageSpec", "BandwidthPackageId", id, "Bandwidth", "40")
	n.settled(t)
	sites[1].settled(t)
	g.rates(t, "out", []int{40}, []int{mbit, 5})
	n.call(t, "RemoveCommonBandwidthPackageIp", "BandwidthPackageId", id, "IpInstanceId", ids[0])
	n.settled(t)
	g.rates(t, "out", []int{40, 5}, nil)
}

// testNATPackage adds an address to a NAT bandwidth package while another one is in use, and
// makes a common package of it; the connection goes on.
func testNATPackage(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "10.1.0.0/16", "10.1.1.0/24")
	h := n.host(t, 0, "10.1.1.10")
	n.gateway(t)
	id := n.call(t, "CreateBandwidthPackage", "NatGatewayId", n.nat, "Bandwidth", "30", "IpCount", "1")["BandwidthPackageId"].(string)
	n.settled(t)
	addresses := func() (list []netip.Addr) {
		t.Helper()
		var all aliyun.DescribeBandwidthPackagesResponse
		n.into(t, &all, "DescribeBandwidthPackages", "BandwidthPackageId", id)
		p := all.BandwidthPackages.BandwidthPackage[0]
		if p.Status != "Available" {
			t.Errorf("package %+v", p)
		}
		for _, a := range p.PublicIpAddresses.PublicIpAdresse {
			list = append(list, netip.MustParseAddr(a.IpAddress))
		}
		return list
	}
	first := addresses()[0]
	n.snat(t, "SourceVSwitchId", n.switches[0], first)
	g.rates(t, "out", []int{30}, nil)
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != first {
		t.Fatalf("seen as %s, not %s", got, first)
	}
	f := h.flow(t, g.internet.echo(t, "tcp"))
	stop := background(t, func() { f.more(t, 1) })

	n.call(t, "AddBandwidthPackageIps", "BandwidthPackageId", id, "IpCount", "2")
	n.settled(t)
	both := addresses()
	if len(both) != 2 || both[0] != first {
		t.Fatalf("addresses %v, first was %s", both, first)
	}
	h.serve(t, "tcp", "0.0.0.0:80")
	entry := n.dnat(t, both[1], "8080", "TCP", "10.1.1.10", "80")
	if got := g.internet.seenAs(t, "tcp", netip.AddrPortFrom(both[1], 8080)); got.Addr() != g.internet.addr {
		t.Errorf("the server saw %s, not %s", got, g.internet.addr)
	}
	if code := n.refused(t, "RemoveBandwidthPackageIps", "BandwidthPackageId", id, "RemovedIpAddresses.1", both[1].String()); code != "DependencyViolation.ForwardEntry" {
		t.Errorf("an address in use: %s", code)
	}
	n.call(t, "DeleteForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", entry)
	n.settled(t)
	n.call(t, "RemoveBandwidthPackageIps", "BandwidthPackageId", id, "RemovedIpAddresses.1", both[1].String())
	n.settled(t)
	n.call(t, "ModifyBandwidthPackageSpec", "BandwidthPackageId", id, "Bandwidth", "80")
	n.settled(t)
	g.rates(t, "out", []int{80}, []int{30})

	common := n.call(t, "ConvertBandwidthPackage", "BandwidthPackageId", id)["ConvertInstanceId"].(string)
	n.settled(t)
	g.rates(t, "out", []int{80}, nil)
	stop()
	f.lost(t, 0)
	if got := h.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != first {
		t.Errorf("seen as %s, not %s", got, first)
	}
	var list aliyun.DescribeEipAddressesResponse
	n.into(t, &list, "DescribeEipAddresses", "BandwidthPackageId", common)
	if len(list.EipAddresses.EipAddress) != 1 || list.EipAddresses.EipAddress[0].Status != "InUse" {
		t.Fatalf("%+v", list.EipAddresses)
	}
	e := list.EipAddresses.EipAddress[0]
	t.Cleanup(func() {
		n.call(t, "UnassociateEipAddress", "AllocationId", e.AllocationId, "InstanceType", "Nat", "InstanceId", n.nat, "Force", "true")
		n.settled(t)
		n.call(t, "ReleaseEipAddress", "AllocationId", e.AllocationId)
		n.call(t, "DeleteCommonBandwidthPackage", "BandwidthPackageId", common)
	})
}
