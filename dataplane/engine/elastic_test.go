package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"sluice/dataplane"
	"sluice/dataplane/garp"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
)

// A neighbour that knows an elastic IP elsewhere learns where it is now.
func TestElasticIPMovesBetweenNetworks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	external := netip.MustParseAddr("203.0.113.21")
	withIt := func(n *dataplane.Network) *dataplane.Network {
		n.Elastic, n.DNAT, n.SNAT[0].Pool = []netip.Addr{external}, sorted.Set[dataplane.DNAT]{}, []netip.Addr{external}
		return n
	}
	without := func(n dataplane.Network) *dataplane.Network {
		n.Elastic, n.SNAT = nil, nil
		return &n
	}
	neighbour := func(n *dataplane.Network) func() error {
		mac := link.MAC(n.ID, dataplane.UplinkName).String()
		return func() error {
			known := nstest.Command(t, s.public, "ip", "neigh", "show", external.String())
			if !strings.Contains(known, mac) {
				return fmt.Errorf("neighbour is %q, want %s", known, mac)
			}
			return nil
		}
	}
	first, second := withIt(s.network(t)), withIt(s.network(t))
	mustApply(t, e, first)
	mustApply(t, e, without(*second))
	// The public side asks once, and then believes what it knows.
	_, _ = nstest.Seen(s.public, "udp4", external.String()+":1")
	nstest.Eventually(t, neighbour(first))
	mustApply(t, e, without(*first))
	mustApply(t, e, second)
	nstest.Eventually(t, neighbour(second))
}

// stoppedClock lets no time pass until the test says so.
type stoppedClock struct{ waiting chan chan time.Time }

func (c *stoppedClock) After(time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	c.waiting <- ch
	return ch
}

// An elastic IP that goes on to another network at once is not announced by the
// first one any more.
func TestElasticIPMovesBetweenAnnouncements(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	clock := &stoppedClock{waiting: make(chan chan time.Time, 10)}
	e, err := New(Config{RunDir: s.runDir, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Namespace: s.public.Name(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	moving, stays := netip.MustParseAddr("203.0.113.21"), netip.MustParseAddr("203.0.113.22")
	version := func(n *dataplane.Network, addrs ...netip.Addr) *dataplane.Network {
		c := *n
		c.Elastic, c.DNAT, c.SNAT = addrs, sorted.Set[dataplane.DNAT]{}, nil
		return &c
	}
	first, second := s.network(t), s.network(t)
	heard := gratuitous(t, s.public, "pub0")
	mustApply(t, e, version(first, moving, stays))
	rounds := <-clock.waiting // the first round is sent
	for range 2 {
		heard() // and has arrived
	}
	mustApply(t, e, version(first, stays))

	mustApply(t, e, version(second, moving))
	rounds <- time.Time{}
	for range garp.Times - 1 {
		(<-clock.waiting) <- time.Time{}
	}
	want := map[string]bool{
		fmt.Sprintf("%s is at %s", moving, link.MAC(second.ID, dataplane.UplinkName)): true,
		fmt.Sprintf("%s is at %s", stays, link.MAC(first.ID, dataplane.UplinkName)):   true,
	}
	got := map[string]bool{}
	for len(got) < len(want) {
		said := heard()
		if !want[said] {
			t.Fatalf("heard that %s", said)
		}
		got[said] = true
	}
}

// gratuitous listens for announcements on a link.
func gratuitous(t *testing.T, ns *netns.Namespace, name string) (heard func() string) {
	t.Helper()
	var c *packet.Conn
	err := ns.Do(func() (err error) {
		k, err := ns.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		c, err = packet.Listen(&net.Interface{Index: k.Attrs().Index}, packet.Raw, 0x0806, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() string {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(nstest.Deadline)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				t.Fatalf("no announcement: %v", err)
			}
			// Sender's hardware and protocol address, and target's (RFC 826).
			if n >= 42 && bytes.Equal(buf[28:32], buf[38:42]) {
				return fmt.Sprintf("%s is at %s", netip.AddrFrom4([4]byte(buf[28:32])), net.HardwareAddr(buf[22:28]))
			}
		}
	}
}
