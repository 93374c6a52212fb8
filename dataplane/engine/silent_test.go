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

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
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
	t.Parallel()
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
	if _, err := nstest.AskWithin(in, nstest.Deadline); err != nil {
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

// The egress filter must not keep back what hosts say: a closed port is refused.
func TestHostsRefuse(t *testing.T) {
	t.Parallel()
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
	udp.DNAT = sorted.Of(udp.DNAT.Slice()[0], dataplane.DNAT{
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

// offender sends a datagram with a time to live, and returns who says that it is exceeded.
func offender(ns *netns.Namespace, address string, ttl int) (netip.Addr, error) {
	c, err := nstest.Dial(ns, "udp4", address)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return netip.Addr{}, err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, ttl),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	}); err != nil || set != nil {
		return netip.Addr{}, errors.Join(err, set)
	}
	if _, err := nstest.Ask(c); !errors.Is(err, unix.EHOSTUNREACH) {
		return netip.Addr{}, fmt.Errorf("%w, want time exceeded", err)
	}
	control := make([]byte, 512)
	var n int
	if err := raw.Control(func(fd uintptr) {
		_, n, _, _, set = unix.Recvmsg(int(fd), nil, control, unix.MSG_ERRQUEUE)
	}); err != nil || set != nil {
		return netip.Addr{}, errors.Join(err, set)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return netip.Addr{}, err
	}
	for _, m := range messages {
		// struct sock_extended_err, and a sockaddr_in (ip(7), IP_RECVERR).
		const extended, address = 16, 4
		if m.Header.Type == unix.IP_RECVERR && len(m.Data) >= extended+address+4 {
			return netip.AddrFrom4([4]byte(m.Data[extended+address:])), nil
		}
	}
	return netip.Addr{}, errors.New("no offender in the socket's error queue")
}

// The gateway's own ICMP errors leave, in a network without a default route,
// too: to the outside from the elastic IP that was spoken to, to a host from
// the gateway address of its VSwitch.
func TestTimeExceeded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	external := netip.MustParseAddr("203.0.113.12")
	n.Routes, n.SNAT, n.DNAT = nil, nil, sorted.Set[dataplane.DNAT]{}
	n.Elastic = append(n.Elastic, external)
	n.Mappings = []dataplane.Mapping{{External: external, Internal: netip.MustParseAddr("10.0.2.7")}}
	mustApply(t, s.engine(t), n)
	host := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-b", "10.0.2.7/24", "10.0.2.253")
	for _, test := range []struct {
		from        *netns.Namespace
		to, offends string
	}{{s.public, "203.0.113.12:4000", "203.0.113.12"}, {host, "203.0.113.1:9000", "10.0.2.253"}} {
		nstest.Eventually(t, func() error {
			got, err := offender(test.from, test.to, 1)
			if err == nil && got.String() != test.offends {
				err = fmt.Errorf("time exceeded comes from %s, want %s", got, test.offends)
			}
			return err
		})
	}
}

// An elastic IP in shared address space, outside the uplink's prefix, works
// like any other, and stops with its entry.
func TestElasticIPInPrivateSpace(t *testing.T) {
	t.Parallel()
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
