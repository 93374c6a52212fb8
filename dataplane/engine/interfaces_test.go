package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// vpc is a network without a public side, whose VSwitches and hosts are those of its number.
type vpc struct {
	*dataplane.Network
	host *netns.Namespace // 10.<number>.1.5 in VSwitch vsw-a
}

// vpc applies a network 10.<number>.0.0/16 with a host that echoes at port 8080.
func (s *site) vpc(t testing.TB, e *Engine, number int, shortcut bool) *vpc {
	t.Helper()
	n := s.network(t)
	n.Prefix = netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", number))
	n.Switches = []dataplane.Switch{{ID: "vsw-a", Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.1.0/24", number)),
		Gateway: netip.MustParseAddr(fmt.Sprintf("10.%d.1.253", number)), Attachment: dataplane.Attachment{Kind: dataplane.AttachBridge}}}
	n.Uplink, n.Elastic, n.DNAT, n.SNAT, n.NATGateways, n.Routes = nil, nil, dataplane.Network{}.DNAT, nil, nil, nil
	n.Shortcut = shortcut
	mustApply(t, e, n)
	v := &vpc{Network: n, host: nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", fmt.Sprintf("10.%d.1.5/24", number), fmt.Sprintf("10.%d.1.253", number))}
	nstest.Echo(t, v.host, 8080)
	return v
}

func (v *vpc) at() string {
	return v.Switches[0].Prefix.Addr().Next().Next().Next().Next().Next().String()
}

// connect joins two VPCs by router interfaces, and leads each one's block to the other.
func connect(a, b *vpc, name string, mbit int) {
	a.renew()
	b.renew()
	x := dataplane.RouterInterface{ID: "ri-" + name + "-a", Peer: "ri-" + name + "-b", Network: b.ID, Bandwidth: mbit}
	y := dataplane.RouterInterface{ID: x.Peer, Peer: x.ID, Network: a.ID, Bandwidth: mbit}
	a.RouterInterfaces, b.RouterInterfaces = append(slices.Clip(a.RouterInterfaces), x), append(slices.Clip(b.RouterInterfaces), y)
	lead(a, b.Prefix, x.ID)
	lead(b, a.Prefix, y.ID)
}

func lead(v *vpc, to netip.Prefix, by ...string) {
	r := dataplane.Route{Destination: to}
	for _, id := range by {
		r.NextHops = append(r.NextHops, dataplane.NextHop{Interface: id})
	}
	v.Routes = append(slices.Clip(v.Routes), r)
}

// renew makes the network another version, which may be changed until it is applied.
func (v *vpc) renew() *dataplane.Network {
	n := *v.Network
	n.Revision++
	v.Network = &n
	return v.Network
}

// follow applies a network whenever the engine says that something of it has changed, as the
// control plane does.
func followChanges(t testing.TB, e *Engine, all ...*vpc) {
	t.Helper()
	for {
		select {
		case id := <-e.Changed():
			for _, v := range all {
				if v.ID == id {
					mustApply(t, e, v.Network)
				}
			}
		default:
			return
		}
	}
}

// reaches waits until a host reaches another one's echo.
func reaches(t testing.TB, e *Engine, from *netns.Namespace, to string, all ...*vpc) {
	t.Helper()
	nstest.Eventually(t, func() error {
		followChanges(t, e, all...)
		c, err := nstest.Dial(from, "tcp4", to+":8080")
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// unreachable says that a host does not answer another one, with an address of that one's or
// any.
func unreachable(t testing.TB, from *netns.Namespace, to string, source ...string) {
	t.Helper()
	var local net.IP
	for _, s := range source {
		local = net.ParseIP(s)
	}
	err := from.Do(func() error {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: local}, &net.UDPAddr{IP: net.ParseIP(to), Port: 8080})
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, err := c.Read(make([]byte, 9)); err == nil {
			t.Errorf("%s answers %v with %d bytes", to, source, n)
		}
		return nil
	})
	if err != nil && !errors.Is(err, syscall.ENETUNREACH) {
		t.Error(err)
	}
}

// When the second of two networks that are linked has been applied, both lead packets across:
// the first one answers to each packet from then on, though it was applied before there was
// a link. Nobody tells it to follow.
func TestLinkedIsLed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b, c := s.vpc(t, e, 1, true), s.vpc(t, e, 2, true), s.vpc(t, e, 3, true)
	answered := func(from *netns.Namespace, to string) {
		t.Helper()
		conn, err := nstest.Dial(from, "udp4", to+":8080")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		if _, err := conn.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 9)); err != nil {
			t.Errorf("one datagram to %s: %v", to, err)
		}
	}
	alone := func(v *vpc) {
		v.renew()
		v.RouterInterfaces, v.Routes = nil, nil
	}
	for round := range 3 {
		name := fmt.Sprint(round)
		connect(a, b, "ab"+name, 1000)
		connect(c, b, "cb"+name, 1000)
		mustApply(t, e, a.Network)
		mustApply(t, e, c.Network)
		mustApply(t, e, b.Network)
		answered(a.host, b.at())
		answered(c.host, b.at())
		answered(b.host, a.at())
		for _, v := range []*vpc{a, b, c} {
			alone(v)
			mustApply(t, e, v.Network)
		}
	}
}

func TestRouterInterfaces(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, shortcut bool) {
		s := newSite(t)
		e := s.engine(t)
		a, b := s.vpc(t, e, 1, shortcut), s.vpc(t, e, 2, shortcut)
		unreachable(t, a.host, b.at())
		connect(a, b, "ab", 1000)
		mustApply(t, e, a.Network)
		if names := linksIn(t, a.ID); len(names) != 1 {
			t.Errorf("linked to a network that does not ask for it: %v", names)
		}
		unreachable(t, a.host, b.at())
		mustApply(t, e, b.Network)
		reaches(t, e, a.host, b.at(), a, b)
		reaches(t, e, b.host, a.at(), a, b)
		for _, n := range []*vpc{a, b} {
			if o := mustApply(t, e, n.renew()); o.Changes != 0 {
				t.Errorf("%d changes where nothing has changed", o.Changes)
			}
		}
		nstest.Stream(t, a.host, b.at()+":8080", 1<<20)
		nstest.Datagrams(t, b.host, a.at()+":8080", 100, 1400)
		nstest.Ping(t, a.host, b.at(), 56, 1400)

		status, err := e.Interfaces(t.Context(), a.ID)
		if err != nil || len(status) != 1 {
			t.Fatalf("%+v, %v", status, err)
		}
		st := status[0]
		if !st.Linked || !st.Reached || st.Outbound.Bytes < 1<<20 || st.Inbound.Bytes < 1<<20 || st.Outbound.Packets == 0 || st.Dropped != 0 {
			t.Errorf("status %+v after a megabyte each way", st)
		}

		// The one gives it up: the other one's packets end, and leave nowhere else.
		a.renew().RouterInterfaces = nil
		mustApply(t, e, a.Network)
		nstest.Eventually(t, func() error {
			followChanges(t, e, a, b)
			if names := linksIn(t, b.ID); len(names) != 1 {
				return fmt.Errorf("links %v", names)
			}
			return nil
		})
		mustApply(t, e, b.renew())
		if names := linksIn(t, b.ID); len(names) != 1 {
			t.Errorf("linked again, with %v, to a network that has given it up", names)
		}
		unreachable(t, a.host, b.at())
		unreachable(t, b.host, a.at())
	})
}

// linksIn returns the links of a network's namespace but for lo and hosts' ports.
func linksIn(t testing.TB, id string) (names []string) {
	t.Helper()
	ns := inNetwork(t, id)
	list, err := ns.Netlink().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if a := l.Attrs(); a.Name != "lo" && a.MasterIndex == 0 {
			names = append(names, a.Name)
		}
	}
	return names
}

// What comes in by a router interface and would not be answered by it is dropped: a host
// that makes up its source, and one of a network with the same block as another.
func TestRouterInterfaceSources(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, shortcut bool) {
		s := newSite(t)
		e := s.engine(t)
		a, b := s.vpc(t, e, 1, shortcut), s.vpc(t, e, 2, shortcut)
		connect(a, b, "ab", 0)
		mustApply(t, e, a.Network)
		mustApply(t, e, b.Network)
		reaches(t, e, a.host, b.at(), a, b)
		before := dropped(t, b.ID, "unreturned")
		// 10.2.1.9 is in b's own VSwitch, and 192.0.2.1 nowhere.
		for _, source := range []string{"10.2.1.9", "192.0.2.1"} {
			nstest.Command(t, a.host, "ip", "addr", "add", source+"/32", "dev", "eth0")
			unreachable(t, a.host, b.at(), source)
		}
		if n := dropped(t, b.ID, "unreturned"); n != before+2 {
			t.Errorf("%d packets counted for their source, want 2", n-before)
		}

		// A route table of some VSwitches leads back, too.
		b.renew().Tables = []dataplane.RouteTable{{ID: "vtb-1", Switches: []string{"vsw-a"}, Routes: b.Routes}}
		b.Routes = nil
		mustApply(t, e, b.Network)
		reaches(t, e, a.host, b.at(), a, b)
		b.renew().Tables = []dataplane.RouteTable{{ID: "vtb-1", Switches: []string{"vsw-a"}}}
		mustApply(t, e, b.Network)
		unreachable(t, a.host, b.at())
	})
}

// dropped returns how many packets nftables has dropped for a reason.
func dropped(t testing.TB, id, reason string) uint64 {
	t.Helper()
	out := nstest.Command(t, inNetwork(t, id), "nft", "list", "counter", "ip", "sluice", reason)
	var packets, bytes uint64
	if _, after, ok := strings.Cut(out, "packets "); ok {
		if _, err := fmt.Sscanf(after, "%d bytes %d", &packets, &bytes); err == nil {
			return packets
		}
	}
	t.Fatalf("no counter in %s", out)
	return 0
}

// While the health check of a router interface is not answered nothing is led there, and
// when it is again, so are packets.
func TestRouterInterfaceCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := s.vpc(t, e, 1, true), s.vpc(t, e, 2, true)
	connect(a, b, "ab", 0)
	a.RouterInterfaces[0].Check = &dataplane.InterfaceCheck{Source: netip.MustParseAddr("10.1.200.1"), Target: netip.MustParseAddr(b.at())}
	mustApply(t, e, a.Network)
	mustApply(t, e, b.Network)
	reached := func(want bool) {
		t.Helper()
		nstest.EventuallyWithin(t, time.Minute, func() error {
			followChanges(t, e, a, b)
			status, err := e.Interfaces(t.Context(), a.ID)
			if err == nil && (len(status) != 1 || !status[0].Linked || status[0].Reached != want) {
				err = fmt.Errorf("%+v, want reached %v", status, want)
			}
			if leads := strings.Contains(dump(t, a.ID), "10.2.0.0/16 via 192.0.0.8"); err == nil && leads != want {
				err = fmt.Errorf("the route is there: %v, want %v", leads, want)
			}
			return err
		})
	}
	reaches(t, e, a.host, b.at(), a, b)
	reached(true)
	nstest.Command(t, b.host, "ip", "link", "set", "eth0", "down")
	reached(false)
	unreachable(t, a.host, b.at())
	nstest.Command(t, b.host, "ip", "link", "set", "eth0", "up")
	nstest.Default(t, b.host, "10.2.1.253")
	reached(true)
	reaches(t, e, a.host, b.at(), a, b)
	if o := mustApply(t, e, a.renew()); o.Changes != 0 {
		t.Errorf("%d changes where nothing has changed", o.Changes)
	}
}
