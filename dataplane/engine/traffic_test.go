package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/mdlayher/packet"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
)

// privateSources counts IPv4 packets with a private source on a link.
func privateSources(t *testing.T, ns *netns.Namespace, name string) (count func() int) {
	t.Helper()
	var c *packet.Conn
	err := ns.Do(func() (err error) {
		k, err := ns.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		c, err = packet.Listen(&net.Interface{Index: k.Attrs().Index}, packet.Raw, 0x0800, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	var mu sync.Mutex
	n := 0
	private := netip.MustParsePrefix("10.0.0.0/8")
	go func() {
		buf := make([]byte, 2048)
		for {
			size, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if size >= 34 && binary.BigEndian.Uint16(buf[12:]) == 0x0800 && private.Contains(netip.AddrFrom4([4]byte(buf[26:30]))) {
				mu.Lock()
				n++
				mu.Unlock()
			}
		}
	}()
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func seenAs(ns *netns.Namespace, network, address, want string) func() error {
	return func() error {
		got, err := nstest.Seen(ns, network, address)
		if err == nil && got != want {
			err = fmt.Errorf("%s %s sees %s, want %s", network, address, got, want)
		}
		return err
	}
}

// A network that is changed, adopted, damaged and mended under a running
// connection keeps it, and never shows a private source outside.
func TestTraffic(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	addr := netip.MustParseAddr
	n.Elastic = append(n.Elastic, addr("203.0.113.12"))
	n.Mappings = []dataplane.Mapping{{External: addr("203.0.113.12"), Internal: addr("10.0.2.7")}}
	e := s.engine(t)
	mustApply(t, e, n)
	space := dataplane.Namespace(n.ID)
	server := nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	client := nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	mapped := nstest.Host(t, space, "vsw-b", "10.0.2.7/24", "10.0.2.253")
	nstest.Listen(t, server, 8080)
	nstest.Listen(t, mapped, 22)
	nstest.Listen(t, s.public, 9000)
	leaked := privateSources(t, s.public, "pub0")

	for _, network := range []string{"tcp4", "udp4"} {
		nstest.Eventually(t, seenAs(client, network, "203.0.113.1:9000", "203.0.113.10"))
		nstest.Eventually(t, seenAs(mapped, network, "203.0.113.1:9000", "203.0.113.12"))
	}
	nstest.Eventually(t, seenAs(s.public, "tcp4", "203.0.113.11:80", "203.0.113.1"))
	nstest.Eventually(t, seenAs(s.public, "tcp4", "203.0.113.12:22", "203.0.113.1"))
	nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.11:80", "203.0.113.10")) // hairpin

	out := nstest.MustDial(t, client, "tcp4", "203.0.113.1:9000")
	in := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80")
	alive := func(when string) {
		t.Helper()
		for name, c := range map[string]net.Conn{"outgoing": out, "incoming": in} {
			nstest.Eventually(t, func() error {
				if _, err := nstest.Ask(c); err != nil {
					return fmt.Errorf("%s connection %s: %w", name, when, err)
				}
				return nil
			})
		}
	}
	alive("at first")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	alive("without a daemon")
	e = s.engine(t)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("adoption changed %d objects", o.Changes)
	}
	alive("after adoption")
	rounds := reconcile(t, e, n)
	ns := inNetwork(t, n.ID)
	for _, damage := range [][]string{
		{"ip", "link", "del", "vsw-a"}, {"ip", "link", "del", "public"},
		{"ip", "addr", "flush", "dev", "public"}, {"ip", "rule", "flush"},
	} {
		before := rounds()
		nstest.Command(t, ns, damage[0], damage[1:]...)
		nstest.Eventually(t, func() error {
			if rounds() == before {
				return errors.New("not repaired yet")
			}
			return nil
		})
		alive(fmt.Sprintf("after %v", damage))
	}
	nstest.Command(t, s.public, "ip", "netns", "del", space)
	alive("after ip netns del")
	// Without the ruleset the gateway's own stack answers for elastic IPs, and
	// resets whoever speaks just then. New connections must work afterwards.
	nstest.Command(t, ns, "nft", "flush", "ruleset")
	nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.1:9000", "203.0.113.10"))
	nstest.Eventually(t, seenAs(s.public, "tcp4", "203.0.113.11:80", "203.0.113.1"))
	if n := leaked(); n > 0 {
		t.Errorf("%d packets left with a private source", n)
	}
}

// What is withdrawn ends; what is not goes on.
func TestWithdrawal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	addr := netip.MustParseAddr
	n.SNAT[0].Pool = []netip.Addr{addr("203.0.113.10")}
	n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 6, ExternalPort: 81, Internal: addr("10.0.1.5"), InternalPort: 8080})
	e := s.engine(t)
	mustApply(t, e, n)
	space := dataplane.Namespace(n.ID)
	server := nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	client := nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	nstest.Listen(t, server, 8080)
	nstest.Listen(t, s.public, 9000)
	leaked := privateSources(t, s.public, "pub0")

	kept := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80")
	ended := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:81")
	hairpin := nstest.MustDial(t, client, "tcp4", "203.0.113.11:81")
	out := nstest.MustDial(t, client, "tcp4", "203.0.113.1:9000")
	for _, c := range []net.Conn{kept, ended, hairpin, out} {
		if _, err := nstest.AskWithin(c, nstest.Deadline); err != nil {
			t.Fatal(err)
		}
	}
	fewer := *n
	fewer.Revision++
	fewer.DNAT = sorted.Of(n.DNAT.Slice()[0])
	mustApply(t, e, &fewer)
	check := func(name string, c net.Conn, alive bool) {
		t.Helper()
		if _, err := nstest.Ask(c); (err == nil) != alive {
			t.Errorf("%s connection: %v, want it alive: %v", name, err, alive)
		}
	}
	check("kept DNAT", kept, true)
	check("withdrawn DNAT", ended, false)
	check("withdrawn hairpin", hairpin, false)
	check("SNAT", out, true)

	// A pool without the address that the connection has.
	other := fewer
	other.Revision++
	other.SNAT = []dataplane.SNAT{{Source: n.SNAT[0].Source, Pool: []netip.Addr{addr("203.0.113.11")}}}
	mustApply(t, e, &other)
	check("kept DNAT", kept, true)
	check("SNAT of an address that left the pool", out, false)
	nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.1:9000", "203.0.113.11"))

	// The elastic IP itself.
	last := other
	last.Revision++
	last.Elastic, last.DNAT, last.SNAT = last.Elastic[:1], sorted.Set[dataplane.DNAT]{}, nil
	mustApply(t, e, &last)
	check("DNAT of an elastic IP that is gone", kept, false)
	if n := leaked(); n > 0 {
		t.Errorf("%d packets left with a private source", n)
	}
}

// An entry that was withdrawn while no daemon ran: its connections are found
// when the network is adopted.
func TestWithdrawalAcrossRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	server := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	nstest.Listen(t, server, 8080)
	in := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80")
	if _, err := nstest.AskWithin(in, nstest.Deadline); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	fewer := *n
	fewer.DNAT = sorted.Set[dataplane.DNAT]{}
	mustApply(t, s.engine(t), &fewer)
	if _, err := nstest.Ask(in); err == nil {
		t.Error("the connection lives without its entry")
	}
}

// Even a flushed ruleset does not let a private source out.
func TestGuardHoldsWithoutRuleset(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	client := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.6/24", "10.0.1.253")
	nstest.Listen(t, s.public, 9000)
	nstest.Eventually(t, seenAs(client, "udp4", "203.0.113.1:9000", "203.0.113.10"))
	if err := e.Close(); err != nil { // nobody mends
		t.Fatal(err)
	}
	leaked := privateSources(t, s.public, "pub0")
	ns := inNetwork(t, n.ID)
	nstest.Command(t, ns, "nft", "flush", "ruleset")
	nstest.Eventually(t, func() error {
		if seen, err := nstest.Seen(client, "udp4", "203.0.113.1:9000"); err == nil {
			t.Fatalf("answered, seen as %s", seen)
		}
		if strings.Contains(nstest.Command(t, ns, "tc", "-s", "qdisc", "show", "dev", "public", "clsact"), "dropped 0,") {
			return errors.New("the egress filter has dropped nothing yet")
		}
		return nil
	})
	if n := leaked(); n > 0 {
		t.Errorf("%d packets left with a private source", n)
	}
}

// Two VPCs with the same addresses, each with its own elastic IP.
func TestTwoNetworksWithTheSameAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	nstest.Listen(t, s.public, 9000)
	for _, external := range []string{"203.0.113.21", "203.0.113.22"} {
		n := s.network(t)
		a := netip.MustParseAddr(external)
		n.Elastic, n.DNAT, n.SNAT[0].Pool = []netip.Addr{a}, sorted.Set[dataplane.DNAT]{}, []netip.Addr{a}
		mustApply(t, e, n)
		client := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.6/24", "10.0.1.253")
		nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.1:9000", external))
	}
}

// manyEntries returns the network with count DNAT entries.
func manyEntries(n *dataplane.Network, count int) *dataplane.Network {
	c := *n
	c.DNAT = sorted.Set[dataplane.DNAT]{}
	for i := range count {
		c.DNAT = c.DNAT.With(dataplane.DNAT{
			External: n.Elastic[1], Protocol: 6, ExternalPort: uint16(1 + i), Internal: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), InternalPort: 80,
		})
	}
	return &c
}

// BenchmarkChangeOneOf10000 is one DNAT entry added or withdrawn among 10,000.
func BenchmarkChangeOneOf10000(b *testing.B) {
	s := newSite(b)
	e := s.engine(b)
	all := manyEntries(s.network(b), 10_001)
	fewer := *all
	fewer.DNAT = all.DNAT.Without(all.DNAT.Slice()[5000])
	versions := []*dataplane.Network{&fewer, all}
	if _, err := e.Apply(context.Background(), all); err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		o, err := e.Apply(context.Background(), versions[i%2])
		if err != nil || o.Changes != 1 {
			b.Fatalf("%d changes, %v", o.Changes, err)
		}
		i++
	}
}

// BenchmarkRestore10000 is a network with 10,000 DNAT entries from nothing.
func BenchmarkRestore10000(b *testing.B) {
	s := newSite(b)
	e := s.engine(b)
	for b.Loop() {
		b.StopTimer()
		n := manyEntries(s.network(b), 10_000)
		b.StartTimer()
		if _, err := e.Apply(context.Background(), n); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAudit10000 is an audit that finds nothing.
func BenchmarkAudit10000(b *testing.B) {
	s := newSite(b)
	e := s.engine(b)
	n := manyEntries(s.network(b), 10_000)
	if _, err := e.Apply(context.Background(), n); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e.Invalidate(n.ID)
		if o, err := e.Apply(context.Background(), n); err != nil || o.Changes != 0 {
			b.Fatalf("%d changes, %v", o.Changes, err)
		}
	}
}
