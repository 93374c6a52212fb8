package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// guardDropped returns how many packets the filters at the uplink's egress have
// dropped.
func guardDropped(t *testing.T, ns *netns.Namespace) int {
	t.Helper()
	text := nstest.Command(t, ns, "tc", "-s", "qdisc", "show", "dev", "public", "clsact")
	_, rest, _ := strings.Cut(text, "dropped ")
	var n int
	if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
		t.Fatalf("no count of dropped packets in %q", text)
	}
	return n
}

// A connection that speaks while there is no ruleset must not be reset by the
// gateway's own stack, to which the elastic IP belongs: it goes on when the
// ruleset is back.
func TestConnectionsSpeakWithoutRuleset(t *testing.T) {
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	space := dataplane.Namespace(n.ID)
	server := nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	client := nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	nstest.Listen(t, server, 8080)
	var l net.Listener
	if err := s.public.Do(func() (err error) { l, err = net.Listen("tcp4", "203.0.113.1:9000"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	in := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80")
	out := nstest.MustDial(t, client, "tcp4", "203.0.113.1:9000")
	outside, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	if _, err := nstest.Ask(in); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil { // nobody mends
		t.Fatal(err)
	}

	ns := inNetwork(t, n.ID)
	nstest.Command(t, ns, "nft", "flush", "ruleset")
	for name, c := range map[string]net.Conn{"incoming": in, "outgoing": outside} {
		before := guardDropped(t, ns)
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		nstest.Eventually(t, func() error {
			if guardDropped(t, ns) == before {
				return fmt.Errorf("the gateway's stack has not answered the %s connection", name)
			}
			return nil
		})
	}
	udp := nstest.MustDial(t, s.public, "udp4", "203.0.113.10:4000")
	if _, err := nstest.Ask(udp); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a datagram to an elastic IP without a ruleset: %v, want silence", err)
	}

	mustApply(t, s.engine(t), n)
	nstest.Eventually(t, func() error { _, err := nstest.Ask(in); return err })
	heard := make([]byte, len("hello"))
	if err := out.SetReadDeadline(time.Now().Add(nstest.Deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, heard); err != nil || string(heard) != "hello" {
		t.Errorf("the outgoing connection hears %q, %v, after the repair", heard, err)
	}
}

// The guard must not keep back what hosts say: a closed port is refused.
func TestHostsRefuse(t *testing.T) {
	s := newSite(t)
	n := s.network(t)
	mustApply(t, s.engine(t), n)
	nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	nstest.Eventually(t, func() error {
		c, err := nstest.Dial(s.public, "tcp4", "203.0.113.11:80")
		switch {
		case err == nil:
			c.Close()
			t.Fatal("connected to a closed port")
		case !errors.Is(err, syscall.ECONNREFUSED):
			return fmt.Errorf("a closed port: %w, want a refusal", err)
		}
		return nil
	})
	udp := *n
	udp.Revision++
	udp.DNAT = append(udp.DNAT[:1:1], dataplane.DNAT{
		External: n.Elastic[1], Protocol: syscall.IPPROTO_UDP, ExternalPort: 53, Internal: netip.MustParseAddr("10.0.1.5"), InternalPort: 53,
	})
	mustApply(t, s.engine(t), &udp)
	nstest.Eventually(t, func() error {
		if _, err := nstest.Seen(s.public, "udp4", "203.0.113.11:53"); !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("a closed UDP port: %v, want a refusal", err)
		}
		return nil
	})
}

// An elastic IP in shared address space, outside the uplink's prefix, works
// like any other, and stops with its entry.
func TestElasticIPInPrivateSpace(t *testing.T) {
	s := newSite(t)
	n := s.network(t)
	external := netip.MustParseAddr("100.64.7.1")
	nstest.Command(t, s.public, "ip", "route", "add", "100.64.7.0/24", "dev", "pub0")
	nstest.Listen(t, s.public, 9000)
	e := s.engine(t)
	mustApply(t, e, n)
	client := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.6/24", "10.0.1.253")
	nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.1:9000", "203.0.113.10"))

	more := *n
	more.Revision++
	more.Elastic = []netip.Addr{external, n.Elastic[0], n.Elastic[1]}
	more.SNAT = []dataplane.SNAT{{Source: n.SNAT[0].Source, Pool: []netip.Addr{external}}}
	mustApply(t, e, &more)
	nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.1:9000", external.String()))
	mustApply(t, e, n)
	nstest.Eventually(t, seenAs(client, "tcp4", "203.0.113.1:9000", "203.0.113.10"))
	e.Invalidate(n.ID)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("an audit changed %d objects", o.Changes)
	}
}
