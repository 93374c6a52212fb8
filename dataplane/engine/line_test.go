package engine

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// Where a site is that a leased line leads to.
const (
	sitePeer = "192.168.50.18"
	siteHost = "10.200.0.9" // of 10.200.0.0/16
)

// lineEngine starts an engine that knows of device line0, at the far end of which is the
// customer's router: a plain Linux, which echoes at port 8080, and so does siteHost behind it.
func (s *site) lineEngine(t testing.TB) (e *Engine, far, host *netns.Namespace) {
	t.Helper()
	far, host = nstest.New(t), nstest.New(t)
	nstest.Veth(t, s.public, "line0", far, "eth0")
	nstest.Address(t, far, "eth0", sitePeer+"/29")
	nstest.Echo(t, far, 8080)
	nstest.Veth(t, far, "lan0", host, "eth0")
	nstest.Address(t, far, "lan0", "10.200.0.1/16")
	nstest.Address(t, host, "eth0", siteHost+"/16")
	nstest.Default(t, host, "10.200.0.1")
	nstest.Echo(t, host, 8080)
	if err := far.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	return s.lineEngineOn(t), far, host
}

func (s *site) lineEngineOn(t testing.TB) *Engine {
	t.Helper()
	e, err := New(Config{RunDir: s.runDir, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Namespace: s.public.Name(), LineDevices: []string{"line0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// border returns a border router on line0, for frames without a VLAN, with a route to the
// site's network.
func (s *site) border(t testing.TB, mbit int) *vpc {
	t.Helper()
	id := "vbr-t" + nstest.Random(9)
	t.Cleanup(func() { s.remove(t, id) })
	subnet := netip.MustParsePrefix("192.168.50.16/29")
	return &vpc{Network: &dataplane.Network{
		ID: id, Revision: 1, Prefix: subnet, Timeouts: dataplane.DefaultTimeouts(), Line: &dataplane.Line{Device: "line0", Bandwidth: mbit},
		Switches: []dataplane.Switch{{ID: "ri-line", Prefix: subnet, Gateway: netip.MustParseAddr("192.168.50.17"), Attachment: dataplane.Attachment{Kind: dataplane.AttachMacvlan, Device: "line0"}}},
		Routes:   []dataplane.Route{{Destination: netip.MustParsePrefix("10.200.0.0/16"), NextHops: []dataplane.NextHop{{Via: netip.MustParseAddr(sitePeer)}}}},
	}}
}

// held says what is at the device of the line: the names of its queues, and its filters.
func (s *site) held(t testing.TB) string {
	t.Helper()
	links := nstest.Command(t, s.public, "ip", "-br", "link", "show", "type", "ifb")
	var names []string
	for line := range strings.Lines(links) {
		names = append(names, strings.Fields(line)[0])
	}
	return strings.Join(names, " ") + nstest.Command(t, s.public, "tc", "filter", "show", "dev", "line0", "egress")
}

// A border router carries what a VPC and a site on its line have to say to each other, by a
// router interface; the bandwidth is held at the device, whose link is seen; and all of it is
// gone with the last network on the line.
func TestBorderRouter(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e, far, host := s.lineEngine(t)
	was := s.held(t)
	v, b := s.vpc(t, e, 7, true), s.border(t, 50)
	mustApply(t, e, b.Network)
	nstest.Eventually(t, func() error { // its link is heard of
		if got := e.Line("line0"); !got.Present || !got.Up || len(got.Networks) != 1 || got.Networks[0] != b.ID {
			return fmt.Errorf("the line is %+v", got)
		}
		return nil
	})
	connect(v, b, "x", 0)
	v.Routes[len(v.Routes)-1].Destination = netip.MustParsePrefix("10.200.0.0/16")
	mustApply(t, e, v.Network)
	mustApply(t, e, b.Network)
	nstest.Command(t, far, "ip", "route", "add", "10.7.0.0/16", "via", "192.168.50.17")
	reaches(t, e, v.host, siteHost, v, b)
	nstest.Stream(t, v.host, siteHost+":8080", 1<<20)
	nstest.Datagrams(t, v.host, siteHost+":8080", 100, 1400)
	nstest.Ping(t, host, v.at(), 56, 1400)

	traffic, err := e.LineTraffic("line0")
	if err != nil || traffic.Outbound.Limit != 50 || traffic.Inbound.Limit != 50 || traffic.Outbound.Bytes < 1<<20 || traffic.Inbound.Bytes < 1<<20 {
		t.Errorf("counted are %+v, %v", traffic, err)
	}

	// As it is, it is adopted by the next process, and an audit finds nothing.
	again := s.lineEngineOn(t)
	if o := mustApply(t, again, b.Network); o.Changes != 0 {
		t.Errorf("adopting changes %d things", o.Changes)
	}
	// What somebody takes away is put back.
	nstest.Command(t, s.public, "tc", "qdisc", "del", "dev", "line0", "clsact")
	nstest.Command(t, s.public, "ip", "link", "del", dataplane.BandwidthLink(dataplane.LineInbound, "line0"))
	again.Invalidate(b.ID)
	if o := mustApply(t, again, b.Network); o.Changes == 0 {
		t.Error("nothing was put back")
	}
	nstest.Stream(t, v.host, siteHost+":8080", 1<<18)

	// Cut, it says so, and again when it is back.
	carrier := func(want bool) {
		t.Helper()
		nstest.Eventually(t, func() error {
			if got := again.Line("line0").Carrier; got != want {
				return fmt.Errorf("carrier is %v", got)
			}
			return nil
		})
	}
	carrier(true)
	nstest.Command(t, far, "ip", "link", "set", "eth0", "down")
	carrier(false)
	if !strings.Contains(s.log.String(), "the link of a line is down") {
		t.Error("nothing is logged of it")
	}
	nstest.Command(t, far, "ip", "link", "set", "eth0", "up")
	carrier(true)

	// Terminated, it keeps its network, without the line.
	b.renew()
	b.Switches, b.Line, b.Routes = nil, nil, nil
	mustApply(t, again, b.Network)
	if got := s.held(t); got != was {
		t.Errorf("left at the device is\n%s\nand was\n%s", got, was)
	}
	if got := again.Line("line0"); len(got.Networks) != 0 {
		t.Errorf("the line is %+v", got)
	}
	if left, _ := os.ReadDir(filepath.Join(s.runDir, linesDir)); len(left) != 0 {
		t.Errorf("noted are %v", left)
	}
	unreachable(t, v.host, siteHost)
}

// What border routers send to their line and get from it is held to its bandwidth together,
// to another while it flows, and the last one to go takes the queues along.
func TestLineBandwidth(t *testing.T) {
	s := newSite(t)
	e, far, _ := s.lineEngine(t)
	b := s.border(t, 40)
	mustApply(t, e, b.Network)
	in := inNetwork(t, b.ID)
	reaches(t, e, in, sitePeer, b)
	nstest.Ping(t, far, "192.168.50.17", 56)
	for _, mbit := range []int{40, 10} {
		n := b.renew()
		n.Line = &dataplane.Line{Device: "line0", Bandwidth: mbit}
		mustApply(t, e, n)
		// An echo passes both ways: what it takes at least is the bandwidth's.
		size := mbit * 1e6 / 8
		began := time.Now()
		nstest.Stream(t, in, sitePeer+":8080", size)
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("%d bytes took %v at %d Mbit/s", size, took, mbit)
		}
	}
	traffic, err := e.LineTraffic("line0")
	if err != nil || traffic.Outbound.Limit != 10 || traffic.Inbound.Limit != 10 {
		t.Errorf("%+v, %v", traffic, err)
	}
	if err := e.Remove(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if got := s.held(t); strings.Contains(got, "ln-") {
		t.Errorf("left is %s", got)
	}
}

// Without the device a network on a line is applied but for that, and says what is missing.
func TestLineWithoutADevice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.lineEngineOn(t)
	b := s.border(t, 10)
	if _, err := e.Apply(t.Context(), b.Network); err == nil || !strings.Contains(err.Error(), "line0") {
		t.Errorf("%v", err)
	}
	if got := e.Line("line0"); got.Present || got.Carrier {
		t.Errorf("%+v", got)
	}
	if err := e.LineAvailable(false); err != nil {
		t.Errorf("macvlans: %v", err)
	}
	if err := e.LineAvailable(true); err != nil && !strings.Contains(err.Error(), "802.1Q") {
		t.Errorf("VLANs: %v", err)
	}
}
