package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// classicSite is a network whose router has a link to a classic network, with hosts on both.
type classicSite struct {
	*site
	e    *Engine
	n    *dataplane.Network
	host *netns.Namespace // 10.0.1.5, of the VPC
	near *netns.Namespace // 10.200.0.5 in the classic network
	far  *netns.Namespace // 10.200.0.6 there
}

const (
	classicHost  = "10.0.1.5"
	classicNear  = "10.200.0.5"
	classicFar   = "10.200.0.6"
	classicAtVPC = "10.200.0.200" // the router's
)

func newClassicSite(t testing.TB, shortcut bool) *classicSite {
	s := &classicSite{site: newSite(t)}
	if err := link.EnsureBridge(s.public.Name(), "classic0", netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	s.e, s.n = s.engine(t), s.network(t)
	s.n.Shortcut, s.n.PortSecurity = shortcut, true
	mustApply(t, s.e, s.n)
	s.host = nstest.Host(t, dataplane.Namespace(s.n.ID), "vsw-a", classicHost+"/24", "10.0.1.253")
	s.near = nstest.Host(t, s.public.Name(), "classic0", classicNear+"/24", classicAtVPC)
	s.far = nstest.Host(t, s.public.Name(), "classic0", classicFar+"/24", classicAtVPC)
	for _, h := range []*netns.Namespace{s.host, s.near, s.far, s.public} {
		nstest.Listen(t, h, 8080)
	}
	return s
}

// link applies the network with these hosts of the classic network linked to it.
func (s *classicSite) link(t testing.TB, hosts ...string) {
	t.Helper()
	next := *s.n
	next.Revision++
	next.Classic = nil
	for _, a := range hosts {
		if next.Classic == nil {
			next.Classic = &dataplane.Classic{Device: "classic0", Prefix: netip.MustParsePrefix("10.200.0.0/24"), Address: netip.MustParseAddr(classicAtVPC)}
		}
		next.Classic.Linked = append(next.Classic.Linked, dataplane.ClassicHost{Address: netip.MustParseAddr(a), MAC: s.macOf(t, a)})
	}
	s.n = &next
	mustApply(t, s.e, s.n)
}

func (s *classicSite) macOf(t testing.TB, address string) string {
	h := s.near
	if address == classicFar {
		h = s.far
	}
	return nstest.Link(t, h, "eth0").Attrs().HardwareAddr.String()
}

// talk fails the test unless a host of the classic network and the VPC's reach each other by TCP
// and UDP, seen as what they are, or, with want false, if anything is answered.
func (s *classicSite) talk(t testing.TB, from *netns.Namespace, address string, want bool) {
	t.Helper()
	for _, network := range []string{"tcp4", "udp4"} {
		for _, way := range []struct {
			from     *netns.Namespace
			to, seen string
		}{{from, classicHost, address}, {s.host, address, classicHost}} {
			if !want {
				if got, err := nstest.Seen(way.from, network, way.to+":8080"); err == nil {
					t.Errorf("%s %s answers %s, and is not linked", network, way.to, got)
				}
				continue
			}
			nstest.Eventually(t, func() error {
				got, err := nstest.Seen(way.from, network, way.to+":8080")
				if err == nil && got != way.seen {
					err = fmt.Errorf("%s sees %s, not %s", way.to, got, way.seen)
				}
				return err
			})
		}
	}
}

// Exactly the hosts that are linked and the network's VSwitches reach each other, untranslated,
// and nothing else by that way.
func TestClassic(t *testing.T) {
	onAndOff(t, func(t *testing.T, shortcut bool) {
		s := newClassicSite(t, shortcut)
		s.link(t, classicNear)
		s.talk(t, s.near, classicNear, true)
		s.talk(t, s.far, classicFar, false) // its question for the router's address is not even answered
		before := dropped(t, s.n.ID, "unlinked")

		// Neither the Internet, nor elastic IPs, nor what instances route.
		nstest.Command(t, s.host, "ip", "addr", "add", "10.9.0.1/32", "dev", "lo")
		for _, to := range []string{"203.0.113.1:8080", "203.0.113.11:80", "203.0.113.10:80", "10.9.0.1:8080"} {
			if got, err := nstest.Seen(s.near, "tcp4", to); err == nil {
				t.Errorf("%s answers the classic instance, seen as %s", to, got)
			}
		}
		if n := dropped(t, s.n.ID, "unlinked"); n <= before {
			t.Error("what the classic instance sends to elastic IPs is not counted")
		}
		before = dropped(t, s.n.ID, "unlinked")
		// A host of the classic network that takes a linked one's address is nobody, and an
		// instance does not forward for others.
		mac := nstest.Link(t, s.far, "eth0").Attrs().HardwareAddr
		router := nstest.Link(t, inNetwork(t, s.n.ID), dataplane.ClassicName).Attrs().HardwareAddr
		frames, hears := tap(t, s.far, "eth0"), tap(t, s.host, "eth0")
		frames.send(t, datagram(router, mac, classicNear, classicHost, "spoofed one"))
		frames.send(t, datagram(router, mac, "10.0.2.9", classicHost, "spoofed two"))
		frames.send(t, datagram(router, mac, "192.0.2.7", classicHost, "spoofed three"))
		frames.send(t, datagram(router, mac, classicFar, classicHost, "spoofed four"))
		tap(t, s.near, "eth0").send(t, datagram(router, nstest.Link(t, s.near, "eth0").Attrs().HardwareAddr, classicNear, classicHost, "the last"))
		for _, frame := range hears.until(t, []byte("the last")) {
			if strings.Contains(string(frame), "spoofed") {
				t.Errorf("a packet with a source that is another's came to the VPC: %q", frame)
			}
		}
		if n := dropped(t, s.n.ID, "unlinked"); n != before+4 {
			t.Errorf("%d packets are counted that came from nobody who is linked, want 4", n-before)
		}
		nstest.Command(t, s.host, "ip", "addr", "add", "192.0.2.7/32", "dev", "eth0")
		unreachable(t, s.host, classicNear, "192.0.2.7")

		// Open connections are cut with the link, and it can come back, and be another's.
		open, back := nstest.MustDial(t, s.near, "tcp4", classicHost+":8080"), nstest.MustDial(t, s.host, "tcp4", classicNear+":8080")
		goesOn(t, open, true)
		goesOn(t, back, true)
		s.link(t, classicFar)
		goesOn(t, open, false)
		goesOn(t, back, false)
		s.talk(t, s.far, classicFar, true)
		s.talk(t, s.near, classicNear, false)
		s.link(t)
		s.talk(t, s.far, classicFar, false)
		if names := linksIn(t, s.n.ID); strings.Contains(strings.Join(names, " "), dataplane.ClassicName) {
			t.Errorf("nobody is linked, and the links are %v", names)
		}
		s.link(t, classicNear, classicFar)
		s.talk(t, s.near, classicNear, true)
		s.talk(t, s.far, classicFar, true)
	})
}

// A restart leaves the link and open connections as they are; what somebody else changes of it is
// found and put right.
func TestClassicKept(t *testing.T) {
	s := newClassicSite(t, true)
	s.link(t, classicNear)
	open := nstest.MustDial(t, s.near, "tcp4", classicHost+":8080")
	goesOn(t, open, true)
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	s.e = s.engine(t)
	if o := mustApply(t, s.e, s.n); o.Changes != 0 {
		t.Errorf("adopted with %d changes", o.Changes)
	}
	goesOn(t, open, true)

	ns := inNetwork(t, s.n.ID)
	for what, change := range map[string]func() error{
		"the link is gone": func() error { return ns.Netlink().LinkDel(nstest.Link(t, ns, dataplane.ClassicName)) },
		"the link is down": func() error { return ns.Netlink().LinkSetDown(nstest.Link(t, ns, dataplane.ClassicName)) },
		"the filter is off": func() error {
			_, err := nstest.TryCommand(ns, "sysctl", "-q", "-w", "net.ipv4.conf.classic.rp_filter=0")
			return err
		},
		"nobody is linked": func() error {
			_, err := nstest.TryCommand(ns, "nft", "flush", "set", "ip", "sluice", "classic")
			return err
		},
		"a route is gone": func() error {
			_, err := nstest.TryCommand(ns, "ip", "route", "del", classicNear)
			return err
		},
		"the rule is gone": func() error {
			rules, err := ns.Netlink().RuleList(netlink.FAMILY_V4)
			for i := range rules {
				if rules[i].IifName == dataplane.ClassicName {
					return ns.Netlink().RuleDel(&rules[i])
				}
			}
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if differs, _ := s.e.Audit(t.Context(), s.n.ID, true); !differs {
			t.Errorf("%s, and the audit finds nothing", what)
		}
		if o := mustApply(t, s.e, s.n); o.Changes == 0 {
			t.Errorf("%s, and nothing was put right", what)
		}
		s.talk(t, s.near, classicNear, true)
	}
}

// The classic network may be at a device, on which each network has a macvlan.
func TestClassicDevice(t *testing.T) {
	s := newClassicSite(t, true)
	s.near = nstest.New(t)
	nstest.Veth(t, s.near, "eth0", s.public, "wire0")
	nstest.Address(t, s.near, "eth0", classicNear+"/24")
	nstest.Default(t, s.near, classicAtVPC)
	nstest.Up(t, s.public, "wire0")
	nstest.Listen(t, s.near, 8080)
	next := *s.n
	next.Revision++
	next.Classic = &dataplane.Classic{Device: "wire0", Prefix: netip.MustParsePrefix("10.200.0.0/24"), Address: netip.MustParseAddr(classicAtVPC),
		Linked: []dataplane.ClassicHost{{Address: netip.MustParseAddr(classicNear)}}}
	s.n = &next
	mustApply(t, s.e, s.n)
	s.talk(t, s.near, classicNear, true)
	before := dropped(t, s.n.ID, "unlinked")
	router := nstest.Link(t, inNetwork(t, s.n.ID), dataplane.ClassicName).Attrs().HardwareAddr
	nstest.Eventually(t, func() error {
		tap(t, s.near, "eth0").send(t, datagram(router, nstest.Link(t, s.near, "eth0").Attrs().HardwareAddr, classicFar, classicHost, "not linked"))
		if dropped(t, s.n.ID, "unlinked") == before {
			return fmt.Errorf("what is not linked is not dropped")
		}
		return nil
	})
	if err := s.public.Netlink().LinkDel(nstest.Link(t, s.public, "wire0")); err != nil {
		t.Fatal(err)
	}
	next2 := next
	next2.Revision++
	nstest.Eventually(t, func() error { // the kernel's word of it may still be on its way
		if _, err := s.e.Apply(t.Context(), &next2); err == nil || !strings.Contains(err.Error(), "wire0") {
			return fmt.Errorf("the device is gone, and the network is applied: %v", err)
		}
		return nil
	})
}
