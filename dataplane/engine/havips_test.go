package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// haVipHost is a host that may have the HaVip of a test.
type haVipHost struct {
	ns   *netns.Namespace
	port *port
	addr netip.Addr
}

// take gives the host an address, in silence, and release takes it back.
func (h *haVipHost) take(t *testing.T, a netip.Addr) {
	t.Helper()
	nstest.Command(t, h.ns, "ip", "address", "replace", a.String()+"/32", "dev", "eth0")
}

func (h *haVipHost) release(t *testing.T, a netip.Addr) {
	t.Helper()
	nstest.Command(t, h.ns, "ip", "address", "del", a.String()+"/32", "dev", "eth0")
}

// announce says that the host has an address.
func (h *haVipHost) announce(t *testing.T, a netip.Addr) {
	t.Helper()
	h.port.send(t, arp(broadcast, h.port.mac, 1, h.port.mac, a.String(), a.String()))
}

// What reports of virtual addresses in clouds are about: announcements that are lost
// (openshift/machine-config-operator #2782), two masters of whom the one that stays it says
// nothing (acassen/keepalived #166, #1528; cloudfoundry/haproxy-boshrelease #167), an address
// that is forgotten when it is announced (metallb/metallb #123), a stranger that claims it, and
// an instance that is unbound and has it all the same.
func TestHaVipIsWhereItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.PortSecurity = true
	sw := &n.Switches[0]
	vip := sw.Prefix.Addr()
	for range 100 {
		vip = vip.Next()
	}
	mustApply(t, e, n)
	var hosts [3]*haVipHost
	for i := range hosts {
		a := vip
		for range i + 1 {
			a = a.Next()
		}
		h := &haVipHost{addr: a, ns: nstest.Host(t, dataplane.Namespace(n.ID), sw.ID, netip.PrefixFrom(a, sw.Prefix.Bits()).String(), sw.Gateway.String())}
		h.port = tap(t, h.ns, "eth0")
		hosts[i] = h
	}
	a, b, stranger := hosts[0], hosts[1], hosts[2]
	bound := func(list ...*haVipHost) *dataplane.Network {
		next := *n
		next.Revision++
		h := dataplane.HaVip{Address: vip}
		for _, x := range list {
			h.Hosts = append(h.Hosts, dataplane.HaVipHost{Address: x.addr, MAC: x.port.mac.String()})
		}
		next.HaVips = []dataplane.HaVip{h}
		return &next
	}
	mustApply(t, e, bound(a, b))
	ns := inNetwork(t, n.ID)
	// at waits until the address is seen at a host, and packets go there.
	at := func(what string, h *haVipHost) {
		t.Helper()
		nstest.Eventually(t, func() error {
			if got := e.HaVips(n.ID)[vip]; got.Host != h.addr || got.MAC != h.port.mac.String() {
				return fmt.Errorf("%s: it is seen at %+v, not at %s", what, got, h.addr)
			}
			if neigh := nstest.Command(t, ns, "ip", "neigh", "show", vip.String()); !strings.Contains(neigh, h.port.mac.String()) {
				return fmt.Errorf("%s: packets go to %q, not to %s", what, neigh, h.port.mac)
			}
			return nil
		})
	}
	if got := e.HaVips(n.ID); len(got) > 0 {
		t.Errorf("nobody has it, and it is seen at %+v", got)
	}
	a.take(t, vip)
	a.announce(t, vip)
	at("announced", a)

	a.release(t, vip)
	b.take(t, vip)
	at("moved without an announcement", b)

	a.take(t, vip) // two have it
	a.announce(t, vip)
	at("announced by the second", a)
	a.release(t, vip)
	at("the one that stays it says nothing", b)

	nstest.Command(t, ns, "ip", "neigh", "flush", "to", vip.String())
	a.take(t, vip)
	a.announce(t, vip)
	at("announced when nobody knew it", a)

	stranger.take(t, vip)
	stranger.announce(t, vip)
	a.announce(t, vip)
	at("claimed by a stranger", a)

	b.release(t, vip)
	mustApply(t, e, bound(b))
	a.announce(t, vip) // which has it, and may not
	nstest.Eventually(t, func() error {
		if got, seen := e.HaVips(n.ID)[vip]; seen {
			return fmt.Errorf("it is seen at %+v", got)
		}
		if neigh := nstest.Command(t, ns, "ip", "neigh", "show", vip.String()); strings.Contains(neigh, a.port.mac.String()) {
			return fmt.Errorf("packets still go to who is unbound: %q", neigh)
		}
		return nil
	})
	b.take(t, vip)
	at("the one that is left", b)

	// A host of which no Ethernet address is known is known by what it says of its own.
	unknown := bound(a, b)
	unknown.HaVips[0].Hosts[0].MAC, unknown.HaVips[0].Hosts[1].MAC = "", ""
	unknown.Revision++
	mustApply(t, e, unknown)
	b.release(t, vip)
	at("bound, and not known by its Ethernet address", a)
}
