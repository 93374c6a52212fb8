package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane/internal/nstest"
)

// ctTable is conntrack's table of the fixture's namespace, and what listens to it.
type ctTable struct {
	t    *testing.T
	f    *fixture
	conn *conntrack.Conn
	port uint16
	live []conntrack.Flow
}

func newTable(t *testing.T, f *fixture) *ctTable {
	t.Helper()
	config := &netlink.Config{NetNS: int(f.ns.Handle())}
	conn, err := conntrack.Dial(config)
	if err != nil {
		t.Fatal(err)
	}
	// Also events of what nobody listened to when it began.
	nstest.Command(t, f.ns, "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_events=1")
	events, err := netlink.Dial(unix.NETLINK_NETFILTER, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := events.JoinGroup(unix.NFNLGRP_CONNTRACK_DESTROY); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	over := make(chan entry, 1<<10)
	reader.Go(func() { _ = receive(ctx, events, &f.ended, over) })
	t.Cleanup(func() { stop(); events.Close(); reader.Wait(); conn.Close() })
	return &ctTable{t: t, f: f, conn: conn, port: 1024}
}

func (c *ctTable) add(proto uint8) {
	c.t.Helper()
	c.port++
	from, to := netip.MustParseAddr("10.0.1.5"), netip.MustParseAddr("192.0.2.9")
	flow := conntrack.NewFlow(proto, 0, from, to, c.port, 53, 600, 0)
	if proto == unix.IPPROTO_ICMP {
		for _, tuple := range []*conntrack.Tuple{&flow.TupleOrig, &flow.TupleReply} {
			tuple.Proto = conntrack.ProtoTuple{Protocol: proto, ICMPv4: true, ICMPID: c.port, ICMPType: 8}
		}
		flow.TupleReply.Proto.ICMPType = 0
	}
	if err := c.conn.Create(flow); err != nil {
		c.t.Fatal(err)
	}
	c.live = append(c.live, flow)
}

// remove removes an entry, and waits until that was heard.
func (c *ctTable) remove(i int) {
	c.t.Helper()
	before := c.f.ended.Load()
	if err := c.conn.Delete(c.live[i]); err != nil {
		c.t.Fatal(err)
	}
	c.live = append(c.live[:i], c.live[i+1:]...)
	nstest.Eventually(c.t, func() error {
		if c.f.ended.Load() == before {
			return fmt.Errorf("of the end of a connection nothing was heard")
		}
		return nil
	})
}

// Whatever comes and goes, it is known whether conntrack's table has the entries that it
// had when it was listed, also if there are as many.
func TestSameEntries(t *testing.T) {
	f := newFixture(t)
	table := newTable(t, f)
	r := rand.New(rand.NewPCG(3, 4))
	same, compared, icmp, opened := false, false, 0, 0
	for i := range 300 {
		var what string
		switch k := r.IntN(10); {
		case k < 3:
			what, same = "a new entry", false
			table.add(unix.IPPROTO_UDP)
		case k < 4 && icmp == 0:
			what, same, icmp = "a new entry that cannot be asked for", false, 1
			table.add(unix.IPPROTO_ICMP)
		case k < 6 && len(table.live) > 0:
			what, same = "an entry goes", false
			at := r.IntN(len(table.live))
			if table.live[at].TupleOrig.Proto.Protocol == unix.IPPROTO_ICMP {
				icmp = 0
			}
			table.remove(at)
		case k < 7 && len(table.live) > 0 && table.live[0].TupleOrig.Proto.Protocol != unix.IPPROTO_ICMP:
			what, same = "one goes and one comes", false
			table.remove(0)
			table.add(unix.IPPROTO_UDP)
		case k == 7:
			what, same = "a session is opened", false
			opened++
			states, err := f.gatewayStates()
			if err != nil {
				t.Fatal(err)
			}
			states[7].Opened[kindSNAT]++
			f.put("nat_states", uint32(7), &states[7])
		case k == 8:
			what, same, compared = "the tables are compared", icmp == 0, true
			if err := f.Compare(t.Context()); err != nil {
				t.Fatal(err)
			}
		default:
			what = "nothing"
		}
		got, err := f.sameEntries()
		if err != nil || got != (same && compared) {
			t.Fatalf("step %d, %s, %d entries: the same is %v, %v; want %v", i, what, len(table.live), got, err, same && compared)
		}
	}
	if opened == 0 || !compared {
		t.Error("the sequence has not everything in it")
	}
}

// Where the table is as it was, a session of which conntrack has no entry goes all the
// same, and one that cannot be told is left to a comparison.
func TestLookRemoves(t *testing.T) {
	f := limited(t, connections(0))
	if err := f.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := udp("10.0.1.6:4000", outside+":53", "")
	f.want(t, p, tcNext)
	g, err := f.state()
	if err != nil {
		t.Fatal(err)
	}
	g.Pending = 0 // as if conntrack had had it
	f.put("gateway", new(uint32), g)
	if same, err := f.sameEntries(); !same || err != nil {
		t.Fatalf("the table is the same: %v, %v", same, err)
	}
	if err := f.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.session(p.key()) != nil {
		t.Error("a session without an entry of conntrack is left")
	}
}
