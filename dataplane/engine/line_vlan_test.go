package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// customer makes a customer's router, a plain Linux with a VLAN (0: none) of device trunk0 of
// far, and behind it the host siteHost, which answers at a port with the address that it
// sees. All customers have the same addresses. It skips the test where the kernel has no
// 802.1Q links.
func customer(t *testing.T, far *netns.Namespace, vlan, port int) (router, host *netns.Namespace) {
	t.Helper()
	router, host = nstest.New(t), nstest.New(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = "eth0", nstest.Link(t, far, "trunk0").Attrs().Index, netlink.NsFd(router.Handle())
	link := netlink.Link(&netlink.Vlan{LinkAttrs: attrs, VlanId: vlan, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	if vlan == 0 {
		link = &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	}
	err := far.Netlink().LinkAdd(link)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this kernel has no 802.1Q links (CONFIG_VLAN_8021Q, module 8021q)")
	}
	if err != nil {
		t.Fatal(err)
	}
	nstest.Address(t, router, "eth0", sitePeer+"/29")
	nstest.Veth(t, router, "lan0", host, "eth0")
	nstest.Address(t, router, "lan0", "10.200.0.1/16")
	nstest.Address(t, host, "eth0", siteHost+"/16")
	nstest.Default(t, host, "10.200.0.1")
	nstest.Listen(t, host, port)
	nstest.Echo(t, host, 8080)
	if err := router.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	return router, host
}

// lineVLAN is a VPC that a border router leads to the customer behind a VLAN of the line.
type lineVLAN struct {
	vlan        uint16
	vpc, border *vpc
	router      *netns.Namespace // the customer's
	host        *netns.Namespace // behind it
	port        int              // at which it alone of all customers' answers
}

// asks returns the host part of what the customer's host says about a host of the VPC.
func (l *lineVLAN) asks(port int) (string, error) {
	return nstest.Seen(l.vpc.host, "udp4", netip.AddrPortFrom(netip.MustParseAddr(siteHost), uint16(port)).String())
}

// Border routers on VLANs of one line, and one on its frames without a VLAN, send what the
// customers' plain VLAN devices at the other end take, and get what these send, whoever of the
// two devices puts the tags into the frames; and nothing of one gets into another, though all
// customers have the same addresses.
func TestBorderRoutersOfVLANs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	far := nstest.New(t)
	nstest.Veth(t, s.public, "line0", far, "trunk0")
	nstest.Up(t, far, "trunk0")
	e := s.lineEngineOn(t)
	var all []*lineVLAN
	for i, vlan := range []uint16{12, 13, 0} {
		l := &lineVLAN{vlan: vlan, port: 8091 + i}
		l.router, l.host = customer(t, far, int(vlan), l.port)
		all = append(all, l)
	}
	if err := e.LineAvailable(true); err != nil {
		t.Fatal(err)
	}
	for i, l := range all {
		l.vpc, l.border = s.vpc(t, e, 7+i, true), s.border(t, 50)
		if l.vlan != 0 {
			l.border.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: "line0", VLAN: l.vlan}
		}
		connect(l.vpc, l.border, fmt.Sprint(i), 0)
		l.vpc.Routes[len(l.vpc.Routes)-1].Destination = netip.MustParsePrefix("10.200.0.0/16")
		mustApply(t, e, l.border.Network)
		mustApply(t, e, l.vpc.Network)
		nstest.Command(t, l.router, "ip", "route", "add", l.vpc.Prefix.String(), "via", "192.168.50.17")
	}
	var networks []*vpc
	for _, l := range all {
		networks = append(networks, l.vpc, l.border)
	}
	if got := e.Line("line0").Networks; len(got) != len(all) {
		t.Errorf("on the line are %v", got)
	}
	apart := func(when string) {
		t.Helper()
		for _, l := range all {
			reaches(t, e, l.vpc.host, siteHost, networks...)
			for _, other := range all {
				if other == l {
					nstest.Eventually(t, func() error {
						if seen, err := l.asks(l.port); err != nil || seen != l.vpc.at() {
							return fmt.Errorf("%s: the host behind VLAN %d sees %q, %v", when, l.vlan, seen, err)
						}
						return nil
					})
				} else if seen, err := l.asks(other.port); err == nil {
					t.Errorf("%s: from VLAN %d the host behind VLAN %d is reached, and sees %q", when, l.vlan, other.vlan, seen)
				}
			}
			nstest.Stream(t, l.vpc.host, siteHost+":8080", 1<<16)
			nstest.Datagrams(t, l.vpc.host, siteHost+":8080", 100, 1400)
			nstest.Ping(t, l.host, l.vpc.at(), 56, 1400)
		}
	}
	apart("as devices are")
	for _, end := range []struct {
		ns   *netns.Namespace
		name string
	}{{s.public, "line0"}, {far, "trunk0"}} {
		nstest.Switch(t, end.ns, end.name, nstest.Tagging, false)
	}
	apart("with tags in the frames")

	traffic, err := e.LineTraffic("line0")
	if least := uint64(len(all)) * 2 << 16; err != nil || traffic.Outbound.Bytes < least || traffic.Inbound.Bytes < least {
		t.Errorf("counted are %+v, %v", traffic, err)
	}

	// The next process adopts them all.
	again := s.lineEngineOn(t)
	for _, l := range all {
		if o := mustApply(t, again, l.border.Network); o.Changes != 0 {
			t.Errorf("adopting the border router of VLAN %d changes %d things", l.vlan, o.Changes)
		}
	}
	// Whose VLAN is another one talks with that one's customer.
	first, second := all[0], all[1]
	if err := again.Remove(t.Context(), second.border.ID); err != nil {
		t.Fatal(err)
	}
	unreachable(t, second.vpc.host, siteHost)
	n := first.border.renew()
	n.Switches = slices.Clone(n.Switches)
	n.Switches[0].Attachment.VLAN = second.vlan
	mustApply(t, again, n)
	nstest.Command(t, second.router, "ip", "route", "add", first.vpc.Prefix.String(), "via", "192.168.50.17")
	nstest.Eventually(t, func() error {
		_, err := first.asks(second.port)
		return err
	})
	if seen, err := first.asks(first.port); err == nil {
		t.Errorf("the customer of VLAN %d is reached by VLAN %d, and sees %s", first.vlan, second.vlan, seen)
	}
	reaches(t, again, all[2].vpc.host, siteHost, all[2].vpc, all[2].border)
}
