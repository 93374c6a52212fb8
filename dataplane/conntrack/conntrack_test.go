package conntrack

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func network() *dataplane.Network {
	return &dataplane.Network{
		Elastic:  []netip.Addr{ip("203.0.113.1"), ip("203.0.113.2"), ip("203.0.113.3"), ip("203.0.113.4")},
		Mappings: []dataplane.Mapping{{External: ip("203.0.113.4"), Internal: ip("10.0.2.4")}},
		DNAT: []dataplane.DNAT{
			{External: ip("203.0.113.1"), Internal: ip("10.0.1.9")},
			{External: ip("203.0.113.1"), Protocol: unix.IPPROTO_TCP, ExternalPort: 80, Internal: ip("10.0.1.5"), InternalPort: 8080},
		},
		SNAT: []dataplane.SNAT{{Source: netip.MustParsePrefix("10.0.1.0/24"), Pool: []netip.Addr{ip("203.0.113.2"), ip("203.0.113.3")}}},
	}
}

func flow(protocol uint8, source, destination, answerer, answerReturn string) Flow {
	p := netip.MustParseAddrPort
	return Flow{Protocol: protocol, Source: p(source), Destination: p(destination), Answerer: p(answerer), AnswerReturn: p(answerReturn)}
}

const (
	tcp  = unix.IPPROTO_TCP
	udp  = unix.IPPROTO_UDP
	icmp = unix.IPPROTO_ICMP
)

func TestSupports(t *testing.T) {
	without := func(change func(*dataplane.Network)) *dataplane.Network {
		n := network()
		change(n)
		return n
	}
	noPort := without(func(n *dataplane.Network) { n.DNAT = n.DNAT[:1] })
	noAny := without(func(n *dataplane.Network) { n.DNAT = n.DNAT[1:] })
	noMapping := without(func(n *dataplane.Network) { n.Mappings = nil })
	noPool := without(func(n *dataplane.Network) { n.SNAT[0].Pool = n.SNAT[0].Pool[:1] })
	noElastic := without(func(n *dataplane.Network) { n.Elastic = n.Elastic[1:] })
	moved := without(func(n *dataplane.Network) { n.DNAT[1].Internal = ip("10.0.1.6") })
	byPort := flow(tcp, "198.51.100.1:999", "203.0.113.1:80", "10.0.1.5:8080", "198.51.100.1:999")
	byAny := flow(tcp, "198.51.100.1:999", "203.0.113.1:80", "10.0.1.9:80", "198.51.100.1:999")
	pinged := flow(icmp, "198.51.100.1:0", "203.0.113.1:0", "10.0.1.9:0", "198.51.100.1:0")
	hairpin := flow(tcp, "10.0.1.7:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.3:1024")
	hairpinOfMapped := flow(tcp, "10.0.2.4:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.4:999")
	hairpinOfNobody := flow(tcp, "10.0.3.7:999", "203.0.113.1:80", "10.0.1.5:8080", "203.0.113.1:1024")
	out := flow(udp, "10.0.1.7:999", "198.51.100.1:53", "198.51.100.1:53", "203.0.113.3:999")
	mappedOut := flow(udp, "10.0.2.4:999", "198.51.100.1:53", "198.51.100.1:53", "203.0.113.4:999")
	mappedIn := flow(udp, "198.51.100.1:53", "203.0.113.4:999", "10.0.2.4:999", "198.51.100.1:53")
	plain := flow(tcp, "10.0.1.7:999", "10.0.2.7:80", "10.0.2.7:80", "10.0.1.7:999")
	tests := []struct {
		name string
		f    Flow
		n    *dataplane.Network
		want bool
	}{
		{"port entry", byPort, network(), true},
		{"port entry withdrawn", byPort, noPort, false},
		{"port entry leads elsewhere", byPort, moved, false},
		{"port entry, Any withdrawn", byPort, noAny, true},
		{"port entry, address gone", byPort, noElastic, false},
		{"Any, behind a port entry that came later", byAny, network(), true},
		{"Any withdrawn", byAny, noAny, false},
		{"ping by Any", pinged, network(), true},
		{"ping, Any withdrawn", pinged, noAny, false},
		{"hairpin", hairpin, network(), true},
		{"hairpin, entry withdrawn", hairpin, noPort, false},
		{"hairpin, pool address withdrawn", hairpin, noPool, false},
		{"hairpin of a mapped host", hairpinOfMapped, network(), true},
		{"hairpin of a mapped host, mapping withdrawn", hairpinOfMapped, noMapping, false},
		{"hairpin of a host without an external address", hairpinOfNobody, network(), true},
		{"hairpin of such a host, entry withdrawn", hairpinOfNobody, noPort, false},
		{"SNAT", out, network(), true},
		{"SNAT, pool address withdrawn", out, noPool, false},
		{"SNAT, other address withdrawn", out, noElastic, true},
		{"mapping, outward", mappedOut, network(), true},
		{"mapping, inward", mappedIn, network(), true},
		{"mapping withdrawn, outward", mappedOut, noMapping, false},
		{"mapping withdrawn, inward", mappedIn, noMapping, false},
		{"no translation", plain, &dataplane.Network{}, true},
	}
	for _, test := range tests {
		if got := NewSupport(test.n).Supports(&test.f); got != test.want {
			t.Errorf("%s: Supports = %v, want %v", test.name, got, test.want)
		}
	}
}

// Each host is supported by the entry that it is in, whatever its length.
func TestSupportsSources(t *testing.T) {
	n := &dataplane.Network{Elastic: []netip.Addr{ip("203.0.113.1"), ip("203.0.113.2")}}
	for i, source := range []string{"10.0.1.0/24", "10.0.2.0/25", "10.0.2.128/32", "10.1.0.0/16", "172.16.0.0/12"} {
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: netip.MustParsePrefix(source), Pool: n.Elastic[i%2 : i%2+1]})
	}
	for _, test := range []struct {
		host, external string
		want           bool
	}{
		{"10.0.1.0", "203.0.113.1", true}, {"10.0.1.255", "203.0.113.1", true}, {"10.0.1.255", "203.0.113.2", false},
		{"10.0.0.255", "203.0.113.1", false}, {"10.0.2.127", "203.0.113.2", true}, {"10.0.2.128", "203.0.113.2", false},
		{"10.0.2.128", "203.0.113.1", true}, {"10.0.2.129", "203.0.113.1", false}, {"10.1.255.255", "203.0.113.2", true},
		{"10.2.0.0", "203.0.113.2", false}, {"172.31.255.255", "203.0.113.1", true}, {"172.32.0.0", "203.0.113.1", false},
	} {
		f := flow(udp, test.host+":999", "198.51.100.1:53", "198.51.100.1:53", test.external+":999")
		if got := NewSupport(n).Supports(&f); got != test.want {
			t.Errorf("%s as %s: Supports = %v, want %v", test.host, test.external, got, test.want)
		}
	}
}

// BenchmarkSupports5000 is one flow among 5,000 SNAT entries, of which the last
// supports it.
func BenchmarkSupports5000(b *testing.B) {
	n := &dataplane.Network{Elastic: []netip.Addr{ip("203.0.113.1")}}
	for i := range 5000 {
		source := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24+i%3)
		n.SNAT = append(n.SNAT, dataplane.SNAT{Source: source, Pool: n.Elastic})
	}
	s := NewSupport(n)
	host := n.SNAT[4999].Source.Addr().Next().String()
	f := flow(udp, host+":999", "198.51.100.1:53", "198.51.100.1:53", "203.0.113.1:999")
	for b.Loop() {
		if !s.Supports(&f) {
			b.Fatal("not supported")
		}
	}
}

func TestWithdrawn(t *testing.T) {
	tests := []struct {
		name   string
		change func(*dataplane.Network)
		want   bool
	}{
		{"nothing", func(*dataplane.Network) {}, false},
		{"elastic IP", func(n *dataplane.Network) { n.Elastic = n.Elastic[:3] }, true},
		{"mapping", func(n *dataplane.Network) { n.Mappings = nil }, true},
		{"mapping to another host", func(n *dataplane.Network) { n.Mappings[0].Internal = ip("10.0.2.5") }, true},
		{"first DNAT entry", func(n *dataplane.Network) { n.DNAT = n.DNAT[1:] }, true},
		{"last DNAT entry", func(n *dataplane.Network) { n.DNAT = n.DNAT[:1] }, true},
		{"DNAT to another port", func(n *dataplane.Network) { n.DNAT[1].InternalPort = 81 }, true},
		{"SNAT entry", func(n *dataplane.Network) { n.SNAT = nil }, true},
		{"address of a pool", func(n *dataplane.Network) { n.SNAT[0].Pool = n.SNAT[0].Pool[1:] }, true},
		{"revision only", func(n *dataplane.Network) { n.Revision++ }, false},
		{"route only", func(n *dataplane.Network) { n.Routes = nil }, false},
	}
	for _, test := range tests {
		n := network()
		test.change(n)
		if got := Withdrawn(network(), n); got != test.want {
			t.Errorf("%s: Withdrawn = %v, want %v", test.name, got, test.want)
		}
		// What is added withdraws nothing, but a changed entry is both.
		if test.name != "mapping to another host" && test.name != "DNAT to another port" && Withdrawn(n, network()) {
			t.Errorf("%s: the reverse withdraws something", test.name)
		}
	}
}

func TestSweep(t *testing.T) {
	ns := nstest.New(t)
	if ended, err := Sweep(t.Context(), ns, network()); err != nil || ended != 0 {
		t.Fatalf("Sweep of nothing = %d, %v", ended, err)
	}
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	add := func(protocol uint8, source, answerer, destination, answerReturn string, port uint16) {
		t.Helper()
		f := conntrack.NewFlow(protocol, 0, ip(source), ip(destination), 999, port, 600, 0)
		f.TupleReply.IP.SourceAddress, f.TupleReply.IP.DestinationAddress = ip(answerer), ip(answerReturn)
		if protocol == tcp {
			f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: 3}
		}
		if err := c.Create(f); err != nil {
			t.Fatalf("create flow: %v", err)
		}
	}
	add(udp, "10.0.1.7", "198.51.100.1", "198.51.100.1", "203.0.113.2", 53)  // SNAT, stays
	add(udp, "10.0.1.7", "198.51.100.2", "198.51.100.2", "203.0.113.9", 53)  // SNAT to no address of ours
	add(tcp, "198.51.100.1", "10.0.1.9", "203.0.113.1", "198.51.100.1", 22)  // Any, stays
	add(tcp, "198.51.100.1", "10.0.1.10", "203.0.113.1", "198.51.100.1", 23) // Any that led elsewhere
	add(tcp, "10.0.1.7", "10.0.2.7", "10.0.2.7", "10.0.1.7", 80)             // untranslated, stays
	if ended, err := Sweep(t.Context(), ns, network()); err != nil || ended != 2 {
		t.Errorf("Sweep ended %d, %v, want 2", ended, err)
	}
	flows, err := c.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	var ports []uint16
	for _, f := range flows {
		ports = append(ports, f.TupleOrig.Proto.DestinationPort)
	}
	slices.Sort(ports)
	if want := []uint16{22, 53, 80}; !slices.Equal(ports, want) {
		t.Errorf("left are connections to ports %v, want %v", ports, want)
	}
	if ended, err := Sweep(t.Context(), ns, network()); err != nil || ended != 0 {
		t.Errorf("second Sweep ended %d, %v", ended, err)
	}
}
