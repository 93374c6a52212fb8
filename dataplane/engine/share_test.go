package engine

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// One host that floods its gateway ends at its share, and is told as the one that does so;
// several that fill the gateway with what nobody answers make room for another host. What
// was answered stays.
func TestHostsThatFlood(t *testing.T) {
	t.Parallel()
	const most = 600
	c := newCrowd(t, func(n *dataplane.Network) {
		n.NATGateways[0].Limits, n.HostShare = dataplane.Limits{Connections: most}, 50
	})
	nstest.Listen(t, c.public, 9000)
	kept := nstest.MustDial(t, c.client, "udp4", "203.0.113.1:9000")
	answered := func() error { _, err := nstest.Ask(kept); return err }
	nstest.Eventually(t, answered)
	_, before := open(traffic(t, c.e, c.n.ID), dataplane.SessionSNAT)

	flood := func(host byte) {
		for port := range 2 * most {
			c.inside.send(t, unix.IPPROTO_UDP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, host}), uint16(1024+port)), netip.MustParseAddrPort("203.0.113.100:53"), 0)
		}
	}
	flood(20)
	nstest.Eventually(t, func() error {
		got := traffic(t, c.e, c.n.ID)
		now, _ := open(got, dataplane.SessionSNAT)
		greedy := of(got, "10.0.1.20")
		if greedy.Open != most/2 || greedy.Share != 2*most-most/2 || refused(got, dataplane.RefusedShare) != greedy.Share || now < most/2 || now > most/2+before {
			return fmt.Errorf("%d are open; of the host that floods %+v", now, greedy)
		}
		return nil
	})
	quick := nstest.MustDial(t, c.client, "udp4", "203.0.113.1:9000")
	if _, err := nstest.AskWithin(quick, nstest.Deadline); err != nil {
		t.Errorf("beside a host that floods: %v", err)
	}

	for host := range 3 {
		flood(byte(21 + host))
	}
	late := nstest.Host(t, dataplane.Namespace(c.n.ID), "vsw-a", "10.0.1.7/24", "10.0.1.253")
	nstest.Eventually(t, func() error {
		conn, err := nstest.Dial(late, "udp4", "203.0.113.1:9000")
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = nstest.Ask(conn)
		return err
	})
	if err := answered(); err != nil {
		t.Errorf("a connection that was answered: %v", err)
	}
	if got := of(traffic(t, c.e, c.n.ID), "10.0.1.6"); got.Open < 2 {
		t.Errorf("of the host with answered connections %d are open", got.Open)
	}
}
