package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/session"
)

// What a host sends from addresses that are not its own begins no session, takes no slot
// and no entry of conntrack, and never leaves; whoever they belong to, or whoever is new,
// opens connections as ever.
func TestForgedSources(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		addr := netip.MustParseAddr
		c := newCrowdWith(t, session.Options{Addresses: 255}, func(n *dataplane.Network) {
			n.Shortcut, n.SourceCheck = on, true
			n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix("10.0.2.0/24"), Pool: n.SNAT[0].Pool})
			n.Elastic = append(n.Elastic, addr("203.0.113.12"))
			n.Mappings = []dataplane.Mapping{{External: addr("203.0.113.12"), Internal: addr("10.0.2.8")}}
		})
		space := dataplane.Namespace(c.n.ID)
		nstest.Listen(t, c.public, 9000)
		known := nstest.Host(t, space, "vsw-a", "10.0.1.7/24", "10.0.1.253")
		dial := func(what string) {
			t.Helper()
			nstest.Eventually(t, func() error {
				conn, err := nstest.Dial(known, "udp4", what)
				if err != nil {
					return err
				}
				defer conn.Close()
				_, err = nstest.Ask(conn)
				return err
			})
		}
		dial("203.0.113.1:9000")
		before := traffic(t, c.e, c.n.ID)
		outside := nstest.NewMeter(t, c.public, "pub0", false)
		_, quiet := outside.Read()

		from := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 4000) }
		to, hairpin := netip.MustParseAddrPort("203.0.113.100:53"), netip.MustParseAddrPort("203.0.113.11:80")
		var sent uint64
		forge := func(a netip.Addr, to netip.AddrPort) {
			c.inside.send(t, unix.IPPROTO_UDP, from(a), to, 0)
			c.inside.send(t, unix.IPPROTO_TCP, from(a), to, flagSYN)
			sent += 2
		}
		for i := 20; i < 250; i++ {
			forge(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), to) // nobody's
			forge(netip.AddrFrom4([4]byte{10, 0, 2, byte(i)}), to) // another VSwitch's, if anybody's
		}
		for range 50 {
			forge(addr("10.0.1.7"), to)                                                   // a neighbour's
			forge(addr("10.0.2.8"), to)                                                   // an elastic IP's host's
			c.inside.send(t, unix.IPPROTO_TCP, from(addr("10.0.1.30")), hairpin, flagSYN) // to a neighbour by its elastic IP
			sent++
		}
		// Few are believed as long as nobody has answered for them.
		var got *dataplane.Traffic
		var believed uint64
		nstest.Eventually(t, func() error {
			got, believed = traffic(t, c.e, c.n.ID), 0
			for _, kind := range dataplane.SessionKinds() {
				_, was := open(before, kind)
				_, now := open(got, kind)
				believed += now - was
			}
			n := refused(got, dataplane.RefusedSource) + refused(got, dataplane.RefusedUnknown)
			// A slow machine loses some before the programs see them.
			if n+believed > sent || n+believed < sent*9/10 {
				return fmt.Errorf("%d were refused, %d opened, of %d", n, believed, sent)
			}
			return nil
		})
		if believed > 200 {
			t.Errorf("%d sessions were opened", believed)
		}
		// A neighbour that is called is counted, whoever calls.
		have := slices.DeleteFunc(got.Addresses, func(a dataplane.AddressTraffic) bool { return a.Address == addr("10.0.1.5") })
		if len(have) != len(before.Addresses) {
			t.Errorf("addresses are counted: %+v; before: %+v", got.Addresses, before.Addresses)
		}
		if n := refused(got, dataplane.RefusedSource); n < 100 {
			t.Errorf("%d were refused as another's", n)
		}
		if _, now := outside.Read(); now > quiet+believed {
			t.Errorf("%d packets left", now-quiet)
		}
		nstest.Eventually(t, func() error {
			flows, err := c.c.Dump(nil)
			for _, f := range flows {
				if from := f.TupleOrig.IP.SourceAddress; c.n.Prefix.Contains(from) && from != addr("10.0.1.6") && from != addr("10.0.1.7") {
					return fmt.Errorf("a connection from %s is there still", from)
				}
			}
			return err
		})
		nstest.Eventually(t, func() error {
			for _, want := range []string{"hosts send from addresses that are not theirs", " from " + nstest.Link(t, c.client, "eth0").Attrs().HardwareAddr.String()} {
				if !strings.Contains(c.log.String(), want) {
					return fmt.Errorf("the log does not say %q", want)
				}
			}
			return nil
		})

		// The neighbour is not disturbed, also when the kernel has forgotten it.
		nstest.Command(t, c.ns, "ip", "neigh", "flush", "dev", "vsw-a")
		c.inside.send(t, unix.IPPROTO_UDP, from(addr("10.0.1.6")), netip.MustParseAddrPort("203.0.113.100:54"), 0)
		dial("203.0.113.1:9000")
		// It may have addresses that it has never asked from.
		nstest.Address(t, known, "eth0", "10.0.1.77/24")
		nstest.Command(t, known, "ip", "route", "replace", "default", "via", "10.0.1.253", "src", "10.0.1.77")
		dial("203.0.113.1:9000")
		// And another network card.
		nstest.Command(t, known, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:77")
		nstest.Command(t, known, "ip", "route", "replace", "default", "via", "10.0.1.253")
		dial("203.0.113.1:9000")
	})
}
