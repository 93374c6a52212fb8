package engine

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// gateway is a network with limits, a host in it, and a listener outside.
type limitedGateway struct {
	*site
	e      *Engine
	n      *dataplane.Network
	client *netns.Namespace
}

func newLimited(t *testing.T, l dataplane.Limits) *limitedGateway {
	g := &limitedGateway{site: newSite(t)}
	g.n = g.network(t)
	g.n.Shortcut = true
	limit(g.n, l)
	g.e = g.engine(t)
	mustApply(t, g.e, g.n)
	g.client = nstest.Host(t, dataplane.Namespace(g.n.ID), "vsw-a", "10.0.1.6/24", "10.0.1.253")
	nstest.Listen(t, g.public, 9000)
	// Who is slow to be found is dialled twice, and the first attempt counts.
	nstest.Ping(t, g.client, "10.0.1.253", 1)
	nstest.Ping(t, g.client, "203.0.113.1", 1)
	flush(t, inNetwork(t, g.n.ID))
	nstest.Eventually(t, func() error {
		if now, _ := open(g.traffic(t), dataplane.SessionSNAT); now != 0 {
			return fmt.Errorf("%d sessions are left of those that were flushed", now)
		}
		return nil
	})
	return g
}

func (g *limitedGateway) traffic(t testing.TB) *dataplane.Traffic { return traffic(t, g.e, g.n.ID) }

func refused(t *dataplane.Traffic, reason string) uint64 {
	for _, r := range t.Refused {
		if r.Reason == reason {
			return r.Count
		}
	}
	return 0
}

// flush ends all connections of a namespace.
func flush(t testing.TB, ns *netns.Namespace) {
	t.Helper()
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// A gateway takes as many connections as its specification allows and not one
// more; those that are open go on, and one that ends makes room.
func TestConnectionLimit(t *testing.T) {
	const most = 20
	g := newLimited(t, dataplane.Limits{Connections: most})
	_, before := open(g.traffic(t), dataplane.SessionSNAT)
	var conns []net.Conn
	for range most {
		conns = append(conns, nstest.MustDial(t, g.client, "tcp4", "203.0.113.1:9000"))
	}
	if now, _ := open(g.traffic(t), dataplane.SessionSNAT); now != most {
		t.Fatalf("%d connections are open, want %d", now, most)
	}
	dial := func() (net.Conn, error) { return nstest.Dial(g.client, "tcp4", "203.0.113.1:9000") }
	if c, err := dial(); err == nil {
		c.Close()
		t.Fatal("one connection too many was let in")
	}
	got := g.traffic(t)
	if now, all := open(got, dataplane.SessionSNAT); now != most || all-before != most || refused(got, dataplane.RefusedConnections) == 0 {
		t.Errorf("%d open of %d, %d refused", now, all-before, refused(got, dataplane.RefusedConnections))
	}
	for _, c := range conns {
		if _, err := nstest.AskWithin(c, nstest.Deadline); err != nil {
			t.Errorf("an open connection was disturbed: %v", err)
		}
	}
	// What DNAT entries let in is not limited.
	server := nstest.Host(t, dataplane.Namespace(g.n.ID), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	nstest.Listen(t, server, 8080)
	for range most + 5 {
		nstest.MustDial(t, g.public, "tcp4", "203.0.113.11:80")
	}
	conns[0].Close()
	nstest.Eventually(t, func() error {
		c, err := dial()
		if err == nil {
			conns[0] = c
		}
		return err
	})

	// A larger specification takes effect at once, a smaller one cuts nothing.
	larger := *g.n
	larger.Revision++
	limit(&larger, dataplane.Limits{Connections: most + 1})
	mustApply(t, g.e, &larger)
	conns = append(conns, nstest.MustDial(t, g.client, "tcp4", "203.0.113.1:9000"))
	smaller := larger
	smaller.Revision++
	limit(&smaller, dataplane.Limits{Connections: most / 2})
	mustApply(t, g.e, &smaller)
	for _, c := range conns {
		if _, err := nstest.AskWithin(c, nstest.Deadline); err != nil {
			t.Errorf("a smaller specification cut a connection: %v", err)
		}
	}
	if c, err := dial(); err == nil {
		c.Close()
		t.Error("a connection beyond the smaller specification was let in")
	}
	for _, c := range conns[:most/2+2] {
		c.Close()
	}
	nstest.Eventually(t, func() error { _, err := dial(); return err })
}

// A refused host is told, where the network says so.
func TestRefusalIsAnswered(t *testing.T) {
	t.Parallel()
	g := newLimited(t, dataplane.Limits{Connections: 1})
	nstest.MustDial(t, g.client, "tcp4", "203.0.113.1:9000")
	reject := *g.n
	reject.Revision++
	reject.Refusal = dataplane.RefuseReject
	mustApply(t, g.e, &reject)
	began := time.Now()
	_, err := nstest.Dial(g.client, "tcp4", "203.0.113.1:9000")
	if err == nil || time.Since(began) > 900*time.Millisecond {
		t.Errorf("after %s: %v; want an error at once", time.Since(began), err)
	}
	t.Log(err)
}

// Connections that conntrack forgets, for whatever reason, make room.
func TestForgottenConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	const most = 50
	g := newLimited(t, dataplane.Limits{Connections: most})
	ns := inNetwork(t, g.n.ID)
	fill := func() (conns []net.Conn) {
		t.Helper()
		for range most {
			c := nstest.MustDial(t, g.client, "udp4", "203.0.113.1:9000") // open until the end: another socket would get its port
			if _, err := nstest.AskWithin(c, nstest.Deadline); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		if now, _ := open(g.traffic(t), dataplane.SessionSNAT); now != most {
			t.Fatalf("%d sessions are open, want %d", now, most)
		}
		return conns
	}
	empty := func(how string) {
		t.Helper()
		nstest.Eventually(t, func() error {
			if now, _ := open(g.traffic(t), dataplane.SessionSNAT); now != 0 {
				return fmt.Errorf("%s: %d sessions still count as open", how, now)
			}
			return nil
		})
	}
	fill()
	flush(t, ns)
	empty("flushed")
	// The kernel need not remove what has timed out; a refused connection has
	// it done.
	conns := fill()
	if err := ns.Set(netns.Sysctl{Path: "netfilter/nf_conntrack_udp_timeout", Value: "1"},
		netns.Sysctl{Path: "netfilter/nf_conntrack_udp_timeout_stream", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		if _, err := c.Write([]byte("who am I?")); err != nil { // the time is that of its last packet
			t.Fatal(err)
		}
	}
	nstest.Eventually(t, func() error {
		c, err := nstest.Dial(g.client, "udp4", "203.0.113.1:9000")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = nstest.Ask(c)
		return err
	})
	// While nobody listens the ends of connections are missed, and made up for.
	if err := g.e.Close(); err != nil {
		t.Fatal(err)
	}
	flush(t, ns)
	g.e = g.engine(t)
	mustApply(t, g.e, g.n)
	empty("flushed while no daemon ran")
}
