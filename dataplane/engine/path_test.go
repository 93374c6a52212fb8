package engine

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/networktest"
	"sluice/dataplane/session"
)

// say sends a datagram, or a line, to an Echo and waits for it to come back.
func say(c net.Conn, what []byte) error { return sayWithin(c, 500*time.Millisecond, what) }

// sayWithin is say that waits so long for the answer.
func sayWithin(c net.Conn, limit time.Duration, what []byte) error {
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write(what); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for got := 0; got < len(what); {
		n, err := c.Read(buf[got:])
		if err != nil {
			return err
		}
		if got += n; !bytes.Equal(buf[:got], what[:min(got, len(what))]) {
			got = 0 // late answer to something else
		}
	}
	return nil
}

// flow opens a flow to an Echo, and has it take the shortcut if that is on.
func (p *populated) flow(t *testing.T, from *netns.Namespace, network, address string) net.Conn {
	t.Helper()
	c := nstest.MustDial(t, from, network, address)
	nstest.Eventually(t, func() error { return say(c, []byte("hello")) })
	// On a busy machine a short path is learned more than once meanwhile.
	nstest.Eventually(t, func() error {
		before := p.traffic(t).Shortcut.Hits
		for range 20 {
			if err := say(c, []byte("hello")); err != nil {
				return err
			}
		}
		if hits := p.traffic(t).Shortcut.Hits - before; (hits >= 30) != p.n.Shortcut {
			return fmt.Errorf("%d of 40 packets took the shortcut", hits)
		}
		return nil
	})
	return c
}

// change applies another version of the network.
func (p *populated) change(t *testing.T, how func(n *dataplane.Network)) {
	t.Helper()
	n := *p.n
	n.Revision++
	n.Elastic, n.Switches, n.Routes = slices.Clone(n.Elastic), slices.Clone(n.Switches), slices.Clone(n.Routes)
	how(&n)
	mustApply(t, p.e, &n)
	p.n = &n
}

// nothing fails the test if a link sees a packet of a flow that is written to.
func nothing(t *testing.T, m *nstest.Meter, c net.Conn, what string) {
	t.Helper()
	before := measured(m)
	for range 10 {
		_, _ = c.Write([]byte("where does this go?")) // an error may have come back
	}
	if after := measured(m); after != before {
		t.Errorf("%s: %+v, before it was %+v", what, after, before)
	}
}

// As soon as an apply has returned no packet goes by the way that it took away,
// although the flow was open and had taken the shortcut.
func TestPathsEndWithTheApply(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		run  func(*testing.T, *populated)
	}{
		{"DNAT entry to another host", func(t *testing.T, p *populated) {
			c := p.flow(t, p.public, "udp4", serverUDP)
			then, now := nstest.NewMeter(t, p.server, "eth0", false), nstest.NewMeter(t, p.client, "eth0", false)
			p.change(t, func(n *dataplane.Network) {
				networktest.EditDNAT(n, 1, func(d *dataplane.DNAT) { d.Internal = netip.MustParseAddr("10.0.1.6") })
			})
			nothing(t, then, c, "the old host received")
			nstest.Eventually(t, func() error { return say(c, []byte("hello")) })
			if got := measured(now); got.Packets == 0 {
				t.Error("the new host has received nothing")
			}
		}},
		{"DNAT entry that was added later", func(t *testing.T, p *populated) {
			later := p.n.DNAT.Slice()[1]
			later.ExternalPort = 54
			p.change(t, func(n *dataplane.Network) { n.DNAT = n.DNAT.With(later) })
			c := p.flow(t, p.public, "udp4", "203.0.113.11:54")
			inside := nstest.NewMeter(t, p.server, "eth0", false)
			p.change(t, func(n *dataplane.Network) {
				n.DNAT = n.DNAT.Without(later)
			})
			nothing(t, inside, c, "the host received")
		}},
		{"elastic IP unbound", func(t *testing.T, p *populated) {
			in, out := p.flow(t, p.public, "udp4", mappedEcho), p.flow(t, p.mapped, "udp4", outsideEcho)
			inside, outside := nstest.NewMeter(t, p.mapped, "eth0", false), nstest.NewMeter(t, p.public, p.n.ID, false)
			p.change(t, func(n *dataplane.Network) { n.Elastic, n.Mappings = n.Elastic[:2], nil })
			nothing(t, inside, in, "the host received")
			nothing(t, outside, out, "outside arrived")
		}},
		{"SNAT entry deleted", func(t *testing.T, p *populated) {
			c := p.flow(t, p.client, "udp4", outsideEcho)
			outside := nstest.NewMeter(t, p.public, p.n.ID, false)
			p.change(t, func(n *dataplane.Network) { n.SNAT = nil })
			nothing(t, outside, c, "outside arrived")
		}},
		{"route by an instance", func(t *testing.T, p *populated) {
			nstest.Address(t, p.public, "lo", "198.51.100.9/32")
			c := p.flow(t, p.client, "tcp4", "198.51.100.9:9000")
			outside := nstest.NewMeter(t, p.public, p.n.ID, false)
			p.change(t, func(n *dataplane.Network) {
				n.Routes = append(n.Routes, dataplane.Route{
					Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHops: []dataplane.NextHop{{Via: netip.MustParseAddr("10.0.1.5")}},
				})
			})
			nothing(t, outside, c, "outside arrived")
		}},
		{"smaller MTU of a VSwitch", func(t *testing.T, p *populated) {
			c := p.flow(t, p.public, "udp4", serverUDP)
			dontFragment(t, c)
			if err := say(c, make([]byte, 1400)); err != nil {
				t.Fatal(err)
			}
			inside := nstest.NewMeter(t, p.server, "eth0", false)
			p.change(t, func(n *dataplane.Network) { n.Switches[0].Attachment.MTU = 1200 })
			tooLarge(t, c, inside)
		}},
		{"too large for a path", func(t *testing.T, p *populated) {
			p.change(t, func(n *dataplane.Network) { n.Switches[0].Attachment.MTU = 1200 })
			c := p.flow(t, p.public, "udp4", serverUDP)
			dontFragment(t, c)
			tooLarge(t, c, nstest.NewMeter(t, p.server, "eth0", false))
			p.missed(t, "mtu")
		}},
		{"many packets in one that are too large for a path", func(t *testing.T, p *populated) {
			p.change(t, func(n *dataplane.Network) { n.Switches[0].Attachment.MTU = 1200 })
			c := p.flow(t, p.public, "tcp4", serverStream)
			if err := say(c, bytes.Repeat([]byte("0123456789abcdef"), 1<<11)); err != nil {
				t.Error(err)
			}
			p.missed(t, "mtu")
		}},
	}
	for i, c := range cases {
		if testing.Short() && i%2 > 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onAndOff(t, func(t *testing.T, on bool) { c.run(t, newPopulated(t, on)) })
		})
	}
}

// tooLarge checks that a large datagram does not pass a link with an MTU of 1200,
// and that its sender is told.
func tooLarge(t *testing.T, c net.Conn, inside *nstest.Meter) {
	t.Helper()
	before := measured(inside)
	nstest.Eventually(t, func() error {
		if _, err := c.Write(make([]byte, 1400)); !errors.Is(err, syscall.EMSGSIZE) {
			return fmt.Errorf("the sender has not been told: %v", err)
		}
		return nil
	})
	if after := measured(inside); after != before {
		t.Errorf("%+v passed, although too large", minus(after, before))
	}
	nstest.Eventually(t, func() error { return say(c, make([]byte, 1000)) }) // another error may have come
}

// missed checks that some packet did not take the shortcut for a reason.
func (p *populated) missed(t *testing.T, reason string) {
	t.Helper()
	for _, m := range p.traffic(t).Shortcut.Misses {
		if m.Reason == reason && m.Count == 0 && p.n.Shortcut {
			t.Errorf("no packet was left to the kernel for the reason %q", reason)
		}
	}
}

func dontFragment(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	if err := errors.Join(err, inner); err != nil {
		t.Fatal(err)
	}
}

// A host that gets another hardware address, and says so, is reached there long
// before its paths end by themselves, also if it was known before the daemon
// was started.
func TestNeighbourMoves(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulatedWith(t, on, session.Options{Lifetime: time.Hour}, func(*dataplane.Network) {})
		move := func(mac string, c net.Conn) {
			t.Helper()
			if err := p.server.Set(netns.Sysctl{Path: "ipv4/conf/eth0/arp_notify", Value: "1"}); err != nil {
				t.Fatal(err)
			}
			nstest.Command(t, p.server, "ip", "link", "set", "eth0", "address", mac)
			nstest.Eventually(t, func() error { return say(c, []byte("still there?")) })
		}
		move("02:00:00:00:00:77", p.flow(t, p.public, "udp4", serverUDP))
		if err := p.e.Close(); err != nil {
			t.Fatal(err)
		}
		p.e = p.engineWith(t, session.Options{Lifetime: time.Hour})
		mustApply(t, p.e, p.n)
		move("02:00:00:00:00:78", p.flow(t, p.public, "udp4", serverUDP))
	})
}

// connections returns what conntrack knows of a protocol.
func connections(t testing.TB, ns *netns.Namespace, protocol uint8) []conntrack.Flow {
	t.Helper()
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(f conntrack.Flow) bool { return f.TupleOrig.Proto.Protocol != protocol })
}

// Conntrack forgets: so does the shortcut, and the next packet is its matter.
func TestFlushEndsPaths(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulatedWith(t, on, session.Options{Lifetime: time.Hour}, func(*dataplane.Network) {})
		ns := inNetwork(t, p.n.ID)
		c := p.flow(t, p.client, "udp4", outsideEcho)
		flush(t, ns)
		nstest.Eventually(t, func() error {
			if err := say(c, []byte("hello")); err != nil {
				return err
			}
			if len(connections(t, ns, unix.IPPROTO_UDP)) != 1 {
				return errors.New("packets pass that conntrack does not know")
			}
			return nil
		})
	})
}

// A flow that only the shortcut carries is not forgotten by conntrack, whether
// it is answered or not.
func TestConntrackIsKeptAwake(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	const lifetime, timeout = 1500 * time.Millisecond, 3 * time.Second
	p := newPopulatedWith(t, true, session.Options{Lifetime: lifetime}, func(n *dataplane.Network) { n.Timeouts.UDP = timeout })
	ns := inNetwork(t, p.n.ID)
	answered, oneWay := p.flow(t, p.client, "udp4", outsideEcho), p.flow(t, p.mapped, "udp4", outsideEcho)
	ids := func() (ids []uint32) {
		for _, f := range connections(t, ns, unix.IPPROTO_UDP) {
			ids = append(ids, f.ID)
		}
		slices.Sort(ids)
		return ids
	}
	known := ids()
	if len(known) != 2 {
		t.Fatalf("conntrack knows %d flows, not 2", len(known))
	}
	// From now on nobody answers it.
	nstest.Command(t, p.public, "nft", "add table ip silence; add chain ip silence in { type filter hook input priority 0; }; add rule ip silence in ip saddr 203.0.113.12 drop")
	before := p.traffic(t)
	_ = oneWay.SetDeadline(time.Time{})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(2*timeout + time.Second); time.Now().Before(over); <-tick.C {
		if err := say(answered, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := oneWay.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if now := ids(); !slices.Equal(now, known) {
		t.Errorf("conntrack knows the flows %v, not %v", now, known)
	}
	after := p.traffic(t)
	packets := after.Outbound.Packets + after.Inbound.Packets - before.Outbound.Packets - before.Inbound.Packets
	if hits := after.Shortcut.Hits - before.Shortcut.Hits; hits < packets*8/10 {
		t.Errorf("%d of %d packets took the shortcut", hits, packets)
	}
}

// Conntrack sees the end of a connection whose data it has not seen.
func TestConntrackSeesTheEnd(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		ns := inNetwork(t, p.n.ID)
		for _, reset := range []bool{false, true} {
			c := p.flow(t, p.client, "tcp4", outsideEcho).(*net.TCPConn)
			if err := say(c, bytes.Repeat([]byte("0123456789abcdef"), 1<<11)); err != nil {
				t.Fatal(err)
			}
			if reset {
				_ = c.SetLinger(0)
			}
			port := uint16(c.LocalAddr().(*net.TCPAddr).Port)
			c.Close()
			nstest.Eventually(t, func() error {
				for _, f := range connections(t, ns, unix.IPPROTO_TCP) {
					if f.TupleOrig.Proto.SourcePort == port && !ended(&f, reset) {
						return fmt.Errorf("conntrack knows the connection as %+v, %d s", f.ProtoInfo.TCP, f.Timeout)
					}
				}
				if now, _ := open(p.traffic(t), dataplane.SessionSNAT); now != 0 {
					return fmt.Errorf("%d sessions count as open", now)
				}
				return nil
			})
		}
	})
}

// ended says whether conntrack takes a connection for ended. After a reset whose
// sequence number it did not expect that shows in the timeout only.
func ended(f *conntrack.Flow, reset bool) bool {
	const established, timeWait, closed = 3, 7, 8
	state := f.ProtoInfo.TCP.State
	if reset {
		return state == closed || state == established && f.Timeout <= uint32(dataplane.DefaultTimeouts().TCPReset.Seconds())
	}
	return state == timeWait
}

// Before Linux 6.6 programs are attached by clsact.
func TestClsact(t *testing.T) {
	t.Parallel()
	options := session.Options{WithoutTCX: true}
	p := newPopulatedWith(t, true, options, func(*dataplane.Network) {})
	work := func() {
		t.Helper()
		for _, network := range []string{"tcp4", "udp4"} {
			p.flow(t, p.client, network, outsideEcho)
			p.flow(t, p.mapped, network, outsideEcho)
			p.flow(t, p.public, network, mappedEcho)
		}
		p.flow(t, p.public, "tcp4", serverStream)
		p.flow(t, p.public, "udp4", serverUDP)
	}
	work()
	if err := p.e.Close(); err != nil {
		t.Fatal(err)
	}
	p.e = p.engineWith(t, options)
	if o := mustApply(t, p.e, p.n); o.Changes != 0 {
		t.Errorf("adoption changed %d objects: %s", o.Changes, p.log)
	}
	work()
	reconcile(t, p.e, p.n)
	ns := inNetwork(t, p.n.ID)
	for _, damage := range []string{"public ingress", "public egress", "vsw-a ingress", "vsw-a egress"} {
		t.Run(damage, func(t *testing.T) {
			var link, hook string
			fmt.Sscan(damage, &link, &hook)
			nstest.Command(t, ns, "tc", "filter", "del", "dev", link, hook, "prio", "2")
			nstest.Eventually(t, func() error {
				if !repaired(p.log.String(), p.n.ID, fmt.Sprintf("attach %s program to %s by clsact", hook, link)) {
					return errors.New("not repaired")
				}
				return nil
			})
		})
	}
	work()
}

// What an earlier version has pinned goes once the programs of this one are
// attached.
func TestProgramsOfAnotherVersionGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	old := filepath.Join(session.DefaultDir, n.ID, "programs-0123456789ab")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	e.Invalidate(n.ID)
	if o := mustApply(t, e, n); o.Changes != 1 {
		t.Errorf("%d changes", o.Changes)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("they are still there: %v", err)
	}
}
