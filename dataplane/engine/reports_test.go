package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// What public reports of trouble with peered VPCs and leased lines are about, with networks of
// our own. What they are beside it says each test.

// joined returns two VPCs that are joined, both applied.
func joined(t *testing.T, s *site, e *Engine) (a, b *vpc) {
	t.Helper()
	a, b = s.vpc(t, e, 1, true), s.vpc(t, e, 2, true)
	connect(a, b, "ab", 0)
	mustApply(t, e, a.Network)
	mustApply(t, e, b.Network)
	reaches(t, e, a.host, b.at(), a, b)
	return a, b
}

// Two peers with one block (cloudposse/terraform-aws-vpc-peering-multi-account 83): each is
// reached in the part that is led to it, answers from the other part are nobody's, and neither
// reaches the other.
func TestPeersWithOneBlock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b, c := s.vpc(t, e, 1, true), s.vpc(t, e, 2, true), s.vpc(t, e, 2, true)
	connect(a, b, "ab", 0)
	connect(a, c, "ac", 0)
	prefix := netip.MustParsePrefix
	a.Routes = nil
	lead(a, prefix("10.2.1.0/26"), "ri-ab-a")
	lead(a, prefix("10.2.1.64/26"), "ri-ac-a")
	for _, v := range []*vpc{a, b, c} {
		mustApply(t, e, v.Network)
	}
	there := map[*vpc]*netns.Namespace{}
	for _, v := range []*vpc{b, c} {
		there[v] = nstest.Host(t, dataplane.Namespace(v.ID), "vsw-a", "10.2.1.77/24", "10.2.1.253")
		nstest.Echo(t, there[v], 8080)
	}
	reaches(t, e, a.host, "10.2.1.5", a, b, c)
	reaches(t, e, a.host, "10.2.1.77", a, b, c)
	before := dropped(t, a.ID, "unreturned")
	unreachable(t, there[b], a.at())
	unreachable(t, c.host, a.at())
	if n := dropped(t, a.ID, "unreturned") - before; n != 2 {
		t.Errorf("%d packets of the other parts were dropped for their source, want 2", n)
	}
	// Each of the two has but one way, to the VPC between them.
	in := nstest.NewMeter(t, b.host, "eth0", false)
	nstest.Stream(t, a.host, "10.2.1.77:8080", 1<<16)
	if got := measured(in); got.Bytes > 2000 {
		t.Errorf("the other peer's host got %+v", got)
	}
}

// Routers that lead a block to each other (FRRouting/frr 15909): a packet does not go round until
// its time to live is over.
func TestRoutersThatLeadInCircles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := joined(t, s, e)
	a.renew()
	b.renew()
	lead(a, netip.MustParsePrefix("10.99.0.0/16"), "ri-ab-a")
	lead(b, netip.MustParsePrefix("10.99.0.0/16"), "ri-ab-b")
	mustApply(t, e, a.Network)
	mustApply(t, e, b.Network)
	m := nstest.NewMeter(t, inNetwork(t, a.ID), dataplane.LinkName("ri-ab-a"), false)
	before := dropped(t, a.ID, "unreturned")
	for range 3 {
		unreachable(t, a.host, "10.99.0.1")
	}
	// An answer to what was said before may be late.
	if got := measured(m); got.Packets < 3 || got.Packets > 10 {
		t.Errorf("3 packets came back %d times", got.Packets)
	}
	if n := dropped(t, a.ID, "unreturned") - before; n != 3 {
		t.Errorf("%d of 3 were dropped when they came back", n)
	}
}

// What traceroute shows (ovn-org/ovn 316): each router on the way by an address that it has
// and that leads back to it, not by the destination's.
func TestTraceroute(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := joined(t, s, e)
	for ttl, want := range map[int]string{1: "10.1.1.253", 2: "10.2.1.253"} {
		nstest.Eventually(t, func() error {
			got, err := offender(a.host, b.at()+":33434", ttl)
			if err == nil && got.String() != want {
				err = fmt.Errorf("hop %d is %s, want %s", ttl, got, want)
			}
			return err
		})
	}
}

// A way that is narrower behind the other router (Direct Connect's jumbo frames): who sends too
// large a packet is told, by both routers and again after a shortcut was learned.
func TestPathMTUBehindAPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := joined(t, s, e)
	b.renew().Switches = []dataplane.Switch{b.Switches[0]}
	b.Switches[0].Attachment.MTU = 1200
	mustApply(t, e, b.Network)
	nstest.Command(t, b.host, "ip", "link", "set", "eth0", "mtu", "1200")
	c := nstest.MustDial(t, a.host, "udp4", b.at()+":8080")
	nstest.Eventually(t, func() error { return say(c, []byte("hello")) })
	for range 50 {
		if err := say(c, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	dontFragment(t, c)
	inside := nstest.NewMeter(t, b.host, "eth0", false)
	tooLarge(t, c, inside)
	nstest.Stream(t, a.host, b.at()+":8080", 1<<20)
	nstest.Ping(t, a.host, b.at(), 1400) // in fragments
}

// A peer's host is answered by its way also where the answering one has an elastic IP, or an
// SNAT entry and a default route (kubeovn/kube-ovn 1981): nothing of it is translated.
func TestPeerOfANATGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a := s.vpc(t, e, 1, true)
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	b := s.vpc(t, e, 2, true)
	of := s.network(t)
	n := b.renew()
	n.Uplink, n.Elastic, n.NATGateways = of.Uplink, of.Elastic, of.NATGateways
	n.Mappings = []dataplane.Mapping{{External: addr("203.0.113.11"), Internal: addr("10.2.1.6")}}
	n.NATGateways[0].Elastic = n.Elastic[:1]
	n.SNAT = []dataplane.SNAT{{Source: prefix("10.2.1.0/24"), Pool: []netip.Addr{addr("203.0.113.10")}}}
	n.Routes = of.Routes[:1]
	mustApply(t, e, n)
	mapped := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.2.1.6/24", "10.2.1.253")
	nstest.Echo(t, mapped, 8080)
	nstest.Listen(t, a.host, 9000)
	nstest.Listen(t, s.public, 9000)
	connect(a, b, "ab", 0)
	mustApply(t, e, a.Network)
	mustApply(t, e, b.Network)
	leaked := privateSources(t, s.public, "pub0")
	reaches(t, e, a.host, "10.2.1.6", a, b)
	reaches(t, e, a.host, b.at(), a, b)
	nstest.Ping(t, a.host, "10.2.1.6", 56)
	for from, seen := range map[*netns.Namespace][2]string{b.host: {b.at(), "203.0.113.10"}, mapped: {"10.2.1.6", "203.0.113.11"}} {
		nstest.Eventually(t, seenAs(from, "tcp4", a.at()+":9000", seen[0]))
		nstest.Eventually(t, seenAs(from, "tcp4", "203.0.113.1:9000", seen[1]))
	}
	if n := leaked(); n > 0 {
		t.Errorf("%d packets left with a private source", n)
	}
}

// The line and the router at its other end are up, and what is behind that is not (sonic-mgmt
// 27997): the check of the way says so, and nothing is led there.
func TestLineThatIsUpAndLeadsNowhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	s := newSite(t)
	e, far, _ := s.lineEngine(t)
	v, b := s.vpc(t, e, 7, true), s.border(t, 0)
	mustApply(t, e, b.Network)
	connect(v, b, "x", 0)
	site := netip.MustParsePrefix("10.200.0.0/16")
	v.Routes[len(v.Routes)-1].Destination = site
	v.RouterInterfaces[0].Check = &dataplane.InterfaceCheck{Source: netip.MustParseAddr("10.7.200.1"), Target: netip.MustParseAddr(siteHost)}
	mustApply(t, e, v.Network)
	mustApply(t, e, b.Network)
	nstest.Command(t, far, "ip", "route", "add", "10.7.0.0/16", "via", "192.168.50.17")
	reaches(t, e, v.host, siteHost, v, b)
	reached := func(want bool) {
		t.Helper()
		nstest.EventuallyWithin(t, time.Minute, func() error {
			followChanges(t, e, v, b)
			status, err := e.Interfaces(t.Context(), v.ID)
			if err == nil && (len(status) != 1 || status[0].Reached != want) {
				err = fmt.Errorf("%+v, want reached %v", status, want)
			}
			if leads := strings.Contains(dump(t, v.ID), site.String()+" via 192.0.0.8"); err == nil && leads != want {
				err = fmt.Errorf("the route is there: %v, want %v", leads, want)
			}
			return err
		})
	}
	reached(true)
	if err := far.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "0"}); err != nil {
		t.Fatal(err)
	}
	reached(false)
	if !e.Line("line0").Carrier {
		t.Error("the line is down, too")
	}
	if err := far.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	reached(true)
}

// The customer's router is another one, with the address of the first and without a word about it
// (Direct Connect's second layer): connections go on by the new one.
func TestAnotherRouterOnTheLine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	s := newSite(t)
	e, far, _ := s.lineEngine(t)
	v, b := s.vpc(t, e, 7, true), s.border(t, 0)
	mustApply(t, e, b.Network)
	connect(v, b, "x", 0)
	v.Routes[len(v.Routes)-1].Destination = netip.MustParsePrefix("10.200.0.0/16")
	mustApply(t, e, v.Network)
	mustApply(t, e, b.Network)
	nstest.Command(t, far, "ip", "route", "add", "10.7.0.0/16", "via", "192.168.50.17")
	reaches(t, e, v.host, siteHost, v, b)
	c := nstest.MustDial(t, v.host, "tcp4", siteHost+":8080")
	for range 50 {
		if err := say(c, []byte("by the first")); err != nil {
			t.Fatal(err)
		}
	}
	if err := far.Set(netns.Sysctl{Path: "ipv4/conf/eth0/arp_notify", Value: "0"}); err != nil {
		t.Fatal(err)
	}
	nstest.Command(t, far, "ip", "link", "set", "eth0", "address", "02:00:00:00:50:18")
	nstest.EventuallyWithin(t, 90*time.Second, func() error { return say(c, []byte("by the second")) })
}

// Datagrams in fragments over several ways (FRR and kernels whose hash sees ports in the first
// fragment alone): each goes by one, whole, and so do its answers.
func TestFragmentsOverSeveralWays(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := joined(t, s, e)
	var by [2][]string
	by[0], by[1] = []string{"ri-ab-a"}, []string{"ri-ab-b"}
	for i := range 2 {
		name := fmt.Sprintf("ab%d", i)
		connect(a, b, name, 0)
		by[0], by[1] = append(by[0], "ri-"+name+"-a"), append(by[1], "ri-"+name+"-b")
	}
	a.Routes, b.Routes = nil, nil
	lead(a, b.Prefix, by[0]...)
	lead(b, a.Prefix, by[1]...)
	mustApply(t, e, a.Network)
	mustApply(t, e, b.Network)
	followChanges(t, e, a, b)
	var meters []*nstest.Meter
	for _, id := range by[0] {
		nstest.Eventually(t, func() error {
			followChanges(t, e, a, b)
			_, err := inNetwork(t, a.ID).Netlink().LinkByName(dataplane.LinkName(id))
			return err
		})
		meters = append(meters, nstest.NewMeter(t, inNetwork(t, a.ID), dataplane.LinkName(id), true))
	}
	reaches(t, e, a.host, b.at(), a, b)
	for range 40 {
		nstest.Datagrams(t, a.host, b.at()+":8080", 100, 3000, 1472, 8000)
	}
	for i, m := range meters {
		if got := measured(m); got.Packets < 40 {
			t.Errorf("by %s went %+v", by[0][i], got)
		}
	}
}
