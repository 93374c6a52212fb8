package garp

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"strings"
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

// tick lets an interval pass that somebody waits for.
func (c *fakeClock) tick(t *testing.T) {
	t.Helper()
	select {
	case ch := <-c.waiting:
		ch <- time.Time{}
	case <-time.After(nstest.Deadline):
		t.Fatal("nobody waits for a next round")
	}
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
			clock.tick(t)
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

// An address that is withdrawn between two rounds is not in the next.
func TestKeep(t *testing.T) {
	ns, index, mac, heard := wire(t)
	clock := &fakeClock{waiting: make(chan chan time.Time)}
	a := New(clock, slog.New(slog.DiscardHandler))
	defer a.Close()
	gone, stays := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
	if err := a.Announce("vpc-1", ns, index, mac, []netip.Addr{gone, stays}); err != nil {
		t.Fatal(err)
	}
	about := func(addr netip.Addr) {
		t.Helper()
		if got := heard(); !strings.Contains(got, "is-at "+mac.String()+" for "+addr.String()+" ") {
			t.Errorf("heard %q, want %s announced", got, addr)
		}
	}
	for _, addr := range []netip.Addr{gone, gone, stays, stays} {
		about(addr)
	}
	a.Keep("vpc-2", nil)
	a.Keep("vpc-1", []netip.Addr{stays})
	for range Times - 1 {
		clock.tick(t)
		about(stays)
		about(stays)
	}
	a.wg.Wait()
}

// What is announced anew is not said twice in a round.
func TestAnnouncedAgain(t *testing.T) {
	ns, index, mac, heard := wire(t)
	clock := &fakeClock{waiting: make(chan chan time.Time)}
	a := New(clock, slog.New(slog.DiscardHandler))
	defer a.Close()
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")}
	for _, list := range [][]netip.Addr{addrs, addrs[:1]} {
		if err := a.Announce("vpc-1", ns, index, mac, list); err != nil {
			t.Fatal(err)
		}
		for range 2 * len(list) {
			heard()
		}
	}
	for range 2 * (Times - 1) { // two announcements, of one address each
		clock.tick(t)
	}
	a.wg.Wait()
	count := map[string]int{}
	for range 2 * 2 * (Times - 1) {
		_, what, _ := strings.Cut(heard(), " for ")
		addr, _, _ := strings.Cut(what, " ")
		count[addr]++
	}
	if want := map[string]int{"203.0.113.5": 4, "203.0.113.6": 4}; !maps.Equal(count, want) {
		t.Errorf("frames after the first round %v, want %v", count, want)
	}
}

// A link that is down for a while hears of the addresses when it is up.
func TestLinkDownAtFirst(t *testing.T) {
	ns, index, mac, heard := wire(t)
	clock := &fakeClock{waiting: make(chan chan time.Time)}
	a := New(clock, slog.New(slog.DiscardHandler))
	defer a.Close()
	nstest.Command(t, ns, "ip", "link", "set", "public", "down")
	if err := a.Announce("vpc-1", ns, index, mac, []netip.Addr{netip.MustParseAddr("203.0.113.5")}); err != nil {
		t.Fatal(err)
	}
	const failing = 3
	for range failing {
		clock.tick(t)
	}
	nstest.Up(t, ns, "public")
	done := make(chan struct{})
	go func() { a.wg.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case ch := <-clock.waiting:
			ch <- time.Time{}
		case <-done:
			ended = true
		}
	}
	for range 2 * Times {
		heard()
	}
}

// A link that is never up, or gone, does not keep anybody waiting for ever.
func TestGivesUp(t *testing.T) {
	for _, damage := range []string{"down", "gone"} {
		t.Run(damage, func(t *testing.T) {
			ns, index, mac, _ := wire(t)
			clock := &fakeClock{waiting: make(chan chan time.Time)}
			var log bytes.Buffer
			a := New(clock, slog.New(slog.NewTextHandler(&log, nil)))
			defer a.Close()
			nstest.Command(t, ns, "ip", "link", "set", "public", "down")
			if err := a.Announce("vpc-1", ns, index, mac, []netip.Addr{netip.MustParseAddr("203.0.113.5")}); err != nil {
				t.Fatal(err)
			}
			first := <-clock.waiting
			warned := damage == "down"
			if !warned {
				nstest.Command(t, ns, "ip", "link", "del", "public")
			}
			first <- time.Time{}
			if warned {
				for range Attempts - 1 {
					clock.tick(t)
				}
			}
			a.wg.Wait()
			if strings.Contains(log.String(), "less often") != warned {
				t.Errorf("log: %q, want a warning: %v", log.String(), warned)
			}
		})
	}
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
