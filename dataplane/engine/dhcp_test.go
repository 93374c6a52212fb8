package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// asked asks by udhcpc at link eth0 of a host, which has no address, and returns what it was
// given: an address, and DNS servers.
func asked(t *testing.T, host *netns.Namespace) string {
	t.Helper()
	out, _ := nstest.TryCommand(host, "sh", "-c", `printf '#!/bin/sh\n[ "$1" = bound ] && echo "given $ip by $router of $dns"\nexit 0\n' >"$1" && chmod +x "$1" && udhcpc -i eth0 -f -n -q -t 2 -T 1 -s "$1"`,
		"sh", t.TempDir()+"/told")
	for line := range strings.Lines(out) {
		if told, ok := strings.CutPrefix(line, "given "); ok {
			return strings.TrimSpace(told)
		}
	}
	return "nothing"
}

// TestDHCP: hosts are told what the network says of them, and port security lets them ask;
// also after a change, after the link was made anew, and by the engine that comes after.
func TestDHCP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.PortSecurity = true
	mustApply(t, e, n)
	host := nstest.Host(t, dataplane.Namespace(n.ID), dataplane.LinkName("vsw-a"), "10.0.1.77/24", "10.0.1.253")
	stranger := nstest.Host(t, dataplane.Namespace(n.ID), dataplane.LinkName("vsw-b"), "10.0.2.77/24", "10.0.2.253")
	for _, h := range []*netns.Namespace{host, stranger} {
		nstest.Command(t, h, "ip", "address", "flush", "dev", "eth0")
	}
	mac := nstest.Link(t, host, "eth0").Attrs().HardwareAddr.String()
	if got := asked(t, host); got != "nothing" {
		t.Errorf("without DHCP a host is given %s", got)
	}
	with := func(address string, dns ...string) *dataplane.Network {
		m := *n
		m.Revision++
		m.DHCP = &dataplane.DHCP{Leases: []dataplane.Binding{{Address: netip.MustParseAddr(address), MAC: mac}}}
		for _, a := range dns {
			m.DHCP.DNS = append(m.DHCP.DNS, netip.MustParseAddr(a))
		}
		m.Bindings = slices.Clone(m.DHCP.Leases)
		n = &m
		return n
	}
	expect := func(when, want string) {
		t.Helper()
		if got := asked(t, host); got != want {
			t.Errorf("%s: a host is given %s, want %s", when, got, want)
		}
	}
	mustApply(t, e, with("10.0.1.5", "10.0.0.53"))
	expect("at first", "10.0.1.5 by 10.0.1.253 of 10.0.0.53")
	if got := asked(t, stranger); got != "nothing" {
		t.Errorf("a stranger is given %s", got)
	}
	mustApply(t, e, with("10.0.1.6", "10.0.0.53", "8.8.8.8"))
	expect("after a change", "10.0.1.6 by 10.0.1.253 of 10.0.0.53 8.8.8.8")

	// A server that reads no more is found by the next audit, and made anew.
	e.networks[n.ID].dhcp.failed.Store(true)
	if _, whats := e.differing(e.networks[n.ID], staleLinks); !slices.Contains(whats, "answer DHCP again") {
		t.Errorf("an audit finds %q", whats)
	}
	mustApply(t, e, n)
	expect("by a server made anew", "10.0.1.6 by 10.0.1.253 of 10.0.0.53 8.8.8.8")

	// Somebody takes the VSwitch's link away; the engine makes it anew.
	ns := inNetwork(t, n.ID)
	name := dataplane.LinkName("vsw-a")
	before := nstest.Link(t, ns, name)
	if err := ns.Netlink().LinkDel(before); err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, func() error {
		mustApply(t, e, n)
		l, err := ns.Netlink().LinkByName(name)
		if err != nil || l.Attrs().Index == before.Attrs().Index {
			return errors.Join(fmt.Errorf("the link is not made anew"), err)
		}
		return nil
	})
	// The old port went out of the bridge with it.
	plugged, err := portOf(ns, host)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Netlink().LinkSetMaster(plugged, nstest.Link(t, ns, name)); err != nil {
		t.Fatal(err)
	}
	expect("at a link made anew", "10.0.1.6 by 10.0.1.253 of 10.0.0.53 8.8.8.8")

	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if got := asked(t, host); got != "nothing" {
		t.Errorf("without an engine a host is given %s", got)
	}
	e = s.engine(t)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("adopted with %d changes", o.Changes)
	}
	expect("after a restart", "10.0.1.6 by 10.0.1.253 of 10.0.0.53 8.8.8.8")
	off := *n
	off.Revision, off.DHCP = off.Revision+1, nil
	mustApply(t, e, &off)
	if got := asked(t, host); got != "nothing" {
		t.Errorf("turned off, a host is given %s", got)
	}
}

// portOf returns the end in a network of the veth pair of which a host has eth0.
func portOf(network, host *netns.Namespace) (netlink.Link, error) {
	eth, err := host.Netlink().LinkByName("eth0")
	if err != nil {
		return nil, err
	}
	list, err := network.Netlink().LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		if l.Type() == "veth" && l.Attrs().ParentIndex == eth.Attrs().Index && l.Attrs().Index == eth.Attrs().ParentIndex {
			return l, nil
		}
	}
	return nil, net.ErrClosed
}
