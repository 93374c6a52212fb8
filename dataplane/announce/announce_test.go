package announce

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// fakeClock lets the test say when time has passed.
type fakeClock struct{ waiting chan chan time.Time }

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	if d == Interval {
		c.waiting <- ch
	}
	return ch
}

// wire is a veth pair with an ear at the far end.
func wire(t *testing.T) (ns *netns.Namespace, index int, mac net.HardwareAddr, heard func() string) {
	t.Helper()
	ns, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "public", far, "far")
	nstest.Up(t, ns, "public")
	nstest.Up(t, far, "far")
	var c *packet.Conn
	err := far.Do(func() (err error) {
		k, err := far.Netlink().LinkByName("far")
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
	a := nstest.Link(t, ns, "public").Attrs()
	return ns, a.Index, a.HardwareAddr, func() string {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(nstest.Deadline)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no announcement: %v", err)
		}
		var frame ethernet.Frame
		var body arp.Packet
		if err := frame.UnmarshalBinary(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if err := body.UnmarshalBinary(frame.Payload); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s>%s %s %s is-at %s for %s (%s)", frame.Source, frame.Destination, body.Operation,
			body.SenderIP, body.SenderHardwareAddr, body.TargetIP, body.TargetHardwareAddr)
	}
}

func TestAnnounceThreeTimes(t *testing.T) {
	ns, index, mac, heard := wire(t)
	clock := &fakeClock{waiting: make(chan chan time.Time)}
	a := New(clock, slog.New(slog.DiscardHandler))
	defer a.Close()
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")}
	if err := a.Announce("vpc-1", ns, index, mac, addrs); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, addr := range addrs {
		want = append(want,
			fmt.Sprintf("%s>ff:ff:ff:ff:ff:ff OperationRequest %s is-at %s for %s (00:00:00:00:00:00)", mac, addr, mac, addr),
			fmt.Sprintf("%s>ff:ff:ff:ff:ff:ff OperationReply %s is-at %s for %s (%s)", mac, addr, mac, addr, mac))
	}
	for round := range Times {
		if round > 0 {
			select {
			case ch := <-clock.waiting:
				ch <- time.Time{}
			case <-time.After(nstest.Deadline):
				t.Fatalf("round %d is not waited for", round)
			}
		}
		var got []string
		for range want {
			got = append(got, heard())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
	}
	a.wg.Wait() // no round after the last
}

func TestCancelAndClose(t *testing.T) {
	ns, index, mac, _ := wire(t)
	clock := &fakeClock{waiting: make(chan chan time.Time, 10)}
	a := New(clock, slog.New(slog.DiscardHandler))
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.5")}
	for _, id := range []string{"vpc-1", "vpc-1", "vpc-2"} {
		if err := a.Announce(id, ns, index, mac, addrs); err != nil {
			t.Fatal(err)
		}
	}
	a.Cancel("vpc-1")
	a.Cancel("vpc-1")
	a.Cancel("vpc-none")
	if len(a.running) != 1 {
		t.Errorf("%d networks still announce, want 1", len(a.running))
	}
	a.Close() // does not return before all have ended
	if err := a.Announce("vpc-3", ns, index, mac, addrs); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if err := a.Announce("vpc-3", ns, index, mac, nil); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	if err := a.Announce("vpc-3", ns, index, mac, []netip.Addr{netip.IPv6Loopback()}); err == nil {
		t.Error("an IPv6 address was announced by ARP")
	}
	if err := a.Announce("vpc-3", ns, 9999, mac, addrs); err == nil {
		t.Error("announced on a link that does not exist")
	}
}
