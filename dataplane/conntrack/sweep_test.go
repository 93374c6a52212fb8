package conntrack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
)

// table is conntrack's in a namespace.
type table struct {
	t testing.TB
	*conntrack.Conn
}

func openTable(t testing.TB, ns *netns.Namespace) table {
	t.Helper()
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return table{t, c}
}

// add adds an entry between source, port 999, and a port of destination.
func (c table) add(protocol uint8, source, answerer, destination, answerReturn string, port uint16) {
	c.t.Helper()
	f := conntrack.NewFlow(protocol, 0, ip(source), ip(destination), 999, port, 600, 0)
	if !ip(source).IsPrivate() {
		f.Mark = nft.MarkPublic
	}
	f.TupleReply.IP.SourceAddress, f.TupleReply.IP.DestinationAddress = ip(answerer), ip(answerReturn)
	switch protocol {
	case tcp:
		f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: tcpEstablished}
	case icmp:
		f.TupleOrig.Proto = conntrack.ProtoTuple{Protocol: icmp, ICMPv4: true, ICMPID: port, ICMPType: 8}
		f.TupleReply.Proto = conntrack.ProtoTuple{Protocol: icmp, ICMPv4: true, ICMPID: port}
	}
	if err := c.Create(f); err != nil {
		c.t.Fatalf("create flow: %v", err)
	}
}

// list returns the destination ports (or echo ids) of the flows, and the
// absorbers as text.
func (c table) list() (ports []int, absorbers []string) {
	c.t.Helper()
	flows, err := c.Dump(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range flows {
		f := &flows[i]
		o := &f.TupleOrig
		if f.Mark != markAbsorber {
			ports = append(ports, int(o.Proto.DestinationPort+o.Proto.ICMPID))
			continue
		}
		absorbers = append(absorbers, fmt.Sprintf("%d %s > %s", o.Proto.Protocol,
			netip.AddrPortFrom(o.IP.SourceAddress, o.Proto.SourcePort), netip.AddrPortFrom(o.IP.DestinationAddress, o.Proto.DestinationPort)))
		if f.Status.Value&statusFixedTimeout == 0 || f.Timeout > absorbFor {
			c.t.Errorf("absorber %s lives longer than %d s: %+v", absorbers[len(absorbers)-1], absorbFor, f)
		}
	}
	slices.Sort(ports)
	slices.Sort(absorbers)
	return ports, absorbers
}

func TestSweep(t *testing.T) {
	ns := nstest.New(t)
	m := NewModel(network(), nil)
	if ended, err := Sweep(t.Context(), ns, m); err != nil || ended != 0 {
		t.Fatalf("Sweep of nothing = %d, %v", ended, err)
	}
	c := openTable(t, ns)
	c.add(udp, "10.0.1.7", "198.51.100.1", "198.51.100.1", "203.0.113.2", 1)  // SNAT, stays
	c.add(udp, "10.0.1.7", "198.51.100.2", "198.51.100.2", "203.0.113.8", 2)  // SNAT to no address of ours
	c.add(udp, "10.0.1.7", "198.51.100.3", "198.51.100.3", "203.0.113.4", 3)  // SNAT to that of another host
	c.add(udp, "10.0.1.7", "198.51.100.4", "198.51.100.4", "10.0.1.7", 4)     // untranslated, and would not be
	c.add(icmp, "10.0.1.7", "198.51.100.4", "198.51.100.4", "10.0.1.7", 5)    // likewise
	c.add(47, "10.0.1.7", "198.51.100.4", "198.51.100.4", "10.0.1.7", 0)      // likewise
	c.add(tcp, "10.0.2.4", "198.51.100.5", "198.51.100.5", "10.0.2.4", 6)     // likewise
	c.add(tcp, "198.51.100.1", "10.0.1.9", "203.0.113.1", "198.51.100.1", 7)  // Any, stays
	c.add(tcp, "198.51.100.1", "10.0.1.10", "203.0.113.1", "198.51.100.1", 8) // Any that led elsewhere
	c.add(tcp, "10.0.1.7", "10.0.2.7", "10.0.2.7", "10.0.1.7", 9)             // within the VPC, stays
	if ended, err := Sweep(t.Context(), ns, m); err != nil || ended != 7 {
		t.Errorf("Sweep ended %d, %v, want 7", ended, err)
	}
	ports, absorbers := c.list()
	if want := []int{1, 7, 9}; !slices.Equal(ports, want) {
		t.Errorf("left are connections to ports %v, want %v", ports, want)
	}
	if want := []string{
		"17 198.51.100.4:4 > 10.0.1.7:999",
		"47 198.51.100.4:0 > 10.0.1.7:0", "6 198.51.100.5:6 > 10.0.2.4:999",
	}; !slices.Equal(absorbers, want) {
		t.Errorf("late answers are absorbed by %q, want %q", absorbers, want)
	}
	if ended, err := Sweep(t.Context(), ns, m); err != nil || ended != 0 {
		t.Errorf("second Sweep ended %d, %v", ended, err)
	}
	if _, again := c.list(); !slices.Equal(absorbers, again) {
		t.Errorf("late answers are absorbed by %q after the second one", again)
	}
	// What was ended is right again, and absorbers would be in its way. An elastic
	// IP of one of the hosts leads the answers to its other flows in.
	n := network()
	by(n, "198.51.100.4/32", dataplane.NextHop{Via: ip("10.0.3.20")})
	c.add(udp, "10.0.2.4", "198.51.100.4", "198.51.100.4", "203.0.113.4", 10)
	if ended, err := Sweep(t.Context(), ns, NewModel(n, nil)); err != nil || ended != 1 {
		t.Errorf("third Sweep ended %d, %v", ended, err)
	}
	if _, absorbers = c.list(); !slices.Equal(absorbers, []string{"17 198.51.100.4:10 > 203.0.113.4:999", "6 198.51.100.5:6 > 10.0.2.4:999"}) {
		t.Errorf("late answers are absorbed by %q after the third one", absorbers)
	}
	if ended, err := Sweep(t.Context(), ns, m); err != nil || ended != 0 {
		t.Errorf("fourth Sweep ended %d, %v", ended, err)
	}
	if _, absorbers = c.list(); !slices.Equal(absorbers, []string{"6 198.51.100.5:6 > 10.0.2.4:999"}) {
		t.Errorf("late answers are absorbed by %q after the fourth one", absorbers)
	}
}

// What has come in the place of an entry is not what was to end.
func TestEndIsOfOneEntry(t *testing.T) {
	ns := nstest.New(t)
	c := openTable(t, ns)
	c.add(udp, "10.0.1.7", "198.51.100.1", "198.51.100.1", "10.0.1.7", 1)
	flows, err := c.Dump(nil)
	if err != nil || len(flows) != 1 {
		t.Fatal(flows, err)
	}
	s := sweep{ns: ns, model: NewModel(network(), nil), conn: c.Conn}
	if s.deleter, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns.Handle())}); err != nil {
		t.Fatal(err)
	}
	defer s.deleter.Close()
	other := flows[0]
	other.ID++
	if err := s.remove(&other); !errors.Is(err, unix.ENOENT) {
		t.Errorf("another entry is removed: %v", err)
	}
	if ports, _ := c.list(); !slices.Equal(ports, []int{1}) {
		t.Errorf("left are %v", ports)
	}
	// An answer was faster than the entry that was to take it, and goes.
	f, _ := fromKernel(&flows[0])
	if err := s.remove(&flows[0]); err != nil {
		t.Fatal(err)
	}
	late := conntrack.NewFlow(udp, 0, f.Answerer.Addr(), f.AnswerReturn.Addr(), f.Answerer.Port(), f.AnswerReturn.Port(), 600, 0)
	if err := c.Create(late); err != nil {
		t.Fatal(err)
	}
	if err := s.absorb(&flows[0], f.Answerer, f.AnswerReturn); err != nil {
		t.Fatal(err)
	}
	if ports, absorbers := c.list(); len(ports) != 0 || len(absorbers) != 1 {
		t.Errorf("left are %v, and absorbers %v", ports, absorbers)
	}
}

// BenchmarkSweep100000 goes through 100,000 connections that stay.
func BenchmarkSweep100000(b *testing.B) {
	ns := nstest.New(b)
	c := openTable(b, ns)
	for i := range 100_000 {
		f := conntrack.NewFlow(udp, 0, ip("10.0.1.7"), ip("198.51.100.1"), uint16(1+i%50_000), uint16(1+i/50_000), 600, 0)
		f.TupleReply.IP.DestinationAddress = ip("203.0.113.2")
		if err := c.Create(f); err != nil {
			b.Fatal(err)
		}
	}
	m := NewModel(network(), nil)
	for b.Loop() {
		if ended, err := Sweep(b.Context(), ns, m); err != nil || ended != 0 {
			b.Fatal(ended, err)
		}
	}
}
