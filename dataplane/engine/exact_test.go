package engine

import (
	"fmt"
	"net/netip"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// onAndOff runs a test with the shortcut and without: what passes is the same. A short run
// has it only as gateways have it by default.
func onAndOff(t *testing.T, test func(t *testing.T, shortcut bool)) {
	for _, on := range []bool{true, false} {
		if testing.Short() && !on {
			continue
		}
		t.Run(fmt.Sprintf("shortcut=%v", on), func(t *testing.T) {
			t.Parallel()
			test(t, on)
		})
	}
}

// populated is a network with a host behind each kind of entry: server has DNAT
// entries, client an SNAT entry, mapped an elastic IP of its own. Each echoes at
// port 8080, and the host outside at port 9000.
type populated struct {
	*site
	e                      *Engine
	n                      *dataplane.Network
	server, client, mapped *netns.Namespace
}

// Where the hosts are reached from outside.
const (
	outsideAt    = "203.0.113.1"
	outsideEcho  = "203.0.113.1:9000"
	serverStream = "203.0.113.11:80"
	serverUDP    = "203.0.113.11:53"
	mappedAt     = "203.0.113.12"
	mappedEcho   = "203.0.113.12:8080"
)

func newPopulated(t *testing.T, shortcut bool) *populated {
	return newPopulatedWith(t, shortcut, session.Options{}, func(*dataplane.Network) {})
}

// newPopulatedWith changes the network before it is applied first.
func newPopulatedWith(t *testing.T, shortcut bool, o session.Options, change func(*dataplane.Network)) *populated {
	t.Helper()
	p := &populated{site: newSite(t)}
	addr := netip.MustParseAddr
	p.n = p.network(t)
	p.n.Shortcut = shortcut
	p.n.Elastic = append(p.n.Elastic, addr(mappedAt))
	p.n.Mappings = []dataplane.Mapping{{External: addr(mappedAt), Internal: addr("10.0.2.7")}}
	p.n.DNAT = p.n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 17, ExternalPort: 53, Internal: addr("10.0.1.5"), InternalPort: 8080})
	change(p.n)
	p.e = p.engineWith(t, o)
	mustApply(t, p.e, p.n)
	space := dataplane.Namespace(p.n.ID)
	p.server = nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	p.client = nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	p.mapped = nstest.Host(t, space, "vsw-b", "10.0.2.7/24", "10.0.2.253")
	for _, h := range p.hosts() {
		nstest.Echo(t, h.ns, 8080)
	}
	nstest.Echo(t, p.public, 9000)
	// Neighbours are known, and nobody is asked for any more.
	for _, h := range p.hosts() {
		nstest.Ping(t, h.ns, h.gateway, 1)
	}
	return p
}

type namedHost struct {
	name, gateway string
	ns            *netns.Namespace
}

func (p *populated) hosts() []namedHost {
	return []namedHost{{"10.0.1.5", "10.0.1.253", p.server}, {"10.0.1.6", "10.0.1.253", p.client}, {"10.0.2.7", "10.0.2.253", p.mapped}}
}

func (p *populated) traffic(t testing.TB) *dataplane.Traffic { return traffic(t, p.e, p.n.ID) }

// port returns the name of a host's port in the network's namespace.
func (p *populated) port(t testing.TB, host *netns.Namespace) string {
	t.Helper()
	k, err := inNetwork(t, p.n.ID).Netlink().LinkByIndex(nstest.Link(t, host, "eth0").Attrs().ParentIndex)
	if err != nil {
		t.Fatal(err)
	}
	return k.Attrs().Name
}

// of returns what was counted of a private address.
func of(c *dataplane.Traffic, host string) (a dataplane.AddressTraffic) {
	for _, a := range c.Addresses {
		if a.Address.String() == host {
			return a
		}
	}
	return a
}

// measured is what a meter saw.
func measured(m *nstest.Meter) dataplane.Volume {
	bytes, packets := m.Read()
	return dataplane.Volume{Bytes: bytes, Packets: packets}
}

func minus(a, b dataplane.Volume) dataplane.Volume {
	return dataplane.Volume{Bytes: a.Bytes - b.Bytes, Packets: a.Packets - b.Packets}
}

// oddSizes are lengths of datagrams, from the smallest to what takes many
// fragments: at the edges of a word and of a packet.
var oddSizes = []int{1, 2, 3, 17, 100, 511, 512, 1471, 1472, 1473, 1500, 2953, 6001, 20011, 1, 7, 1400, 1401}

// What is counted is what was on the wire, to the byte: every protocol, every
// kind of entry, fragments, packets that stand for many, hairpin.
func TestExactCounts(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, shortcut bool) {
		for _, offloads := range []bool{true, false} {
			if testing.Short() && !offloads {
				continue
			}
			t.Run(fmt.Sprintf("offloads=%v", offloads), func(t *testing.T) { exactCounts(t, shortcut, offloads) })
		}
	})
}

func exactCounts(t *testing.T, shortcut, offloads bool) {
	p := newPopulated(t, shortcut)
	ns := inNetwork(t, p.n.ID)
	// What leaves the gateway is cut to packets before it is measured; with the
	// offloads off the hosts send nothing else.
	whole := func(ns *netns.Namespace, link string, on bool) {
		t.Helper()
		nstest.Switch(t, ns, link, nstest.TSO, on)
		nstest.Switch(t, ns, link, nstest.GSO, on)
	}
	whole(ns, dataplane.UplinkName, false)
	whole(p.public, p.n.ID, offloads)
	for _, h := range p.hosts() {
		whole(ns, p.port(t, h.ns), false)
		whole(h.ns, "eth0", offloads)
	}
	size := 4 << 20
	if offloads {
		size = 24 << 20
	}
	start := p.traffic(t)
	left := nstest.NewMeter(t, p.public, p.n.ID, false)
	sent, received := map[string]*nstest.Meter{}, map[string]*nstest.Meter{}
	for _, h := range p.hosts() {
		sent[h.name], received[h.name] = nstest.NewMeter(t, ns, p.port(t, h.ns), false), nstest.NewMeter(t, h.ns, "eth0", false)
	}

	nstest.Stream(t, p.client, outsideEcho, size)
	nstest.Stream(t, p.public, serverStream, size)
	nstest.Stream(t, p.mapped, outsideEcho, 1<<20+1)
	nstest.Stream(t, p.public, mappedEcho, 1<<20+1)
	nstest.Datagrams(t, p.client, outsideEcho, oddSizes...)
	nstest.Datagrams(t, p.public, serverUDP, oddSizes...)
	nstest.Datagrams(t, p.mapped, outsideEcho, oddSizes...)
	nstest.Datagrams(t, p.public, mappedEcho, oddSizes...)
	for _, h := range []*netns.Namespace{p.client, p.mapped} {
		nstest.Ping(t, h, outsideAt, 0, 1, 33, 1473, 5000)
	}
	nstest.Ping(t, p.public, mappedAt, 0, 1, 33, 1473, 5000)

	// compare checks what was counted against the meters.
	compare := func(outside dataplane.Volume) (c *dataplane.Traffic) {
		t.Helper()
		nstest.Eventually(t, func() error {
			c = p.traffic(t)
			var in, out dataplane.Volume
			for _, h := range p.hosts() {
				got := of(c, h.name)
				if want := measured(received[h.name]); got.Inbound != want {
					return fmt.Errorf("%s received %+v, counted are %+v", h.name, want, got.Inbound)
				}
				if want := measured(sent[h.name]); !offloads && got.Outbound != want {
					return fmt.Errorf("%s sent %+v, counted are %+v", h.name, want, got.Outbound)
				}
				add(&in, got.Inbound)
				add(&out, got.Outbound)
			}
			if out != c.Outbound || in != c.Inbound {
				return fmt.Errorf("of all addresses %+v and %+v, of the network %+v and %+v", out, in, c.Outbound, c.Inbound)
			}
			if got := minus(c.Outbound, outside); got != measured(left) {
				return fmt.Errorf("to the outside went %+v, counted are %+v", measured(left), got)
			}
			return nil
		})
		return c
	}
	before := compare(start.Outbound)
	t.Logf("out %+v, in %+v, %d hits", before.Outbound, before.Inbound, before.Shortcut.Hits)
	if hits := before.Shortcut.Hits; (hits > 200) != shortcut || !shortcut && hits > 0 {
		t.Errorf("%d packets took the shortcut", hits)
	}

	// Between two hosts, by way of an elastic IP: sent by one, received by the
	// other, and nothing of it outside.
	nstest.Stream(t, p.client, serverStream, 2<<20)
	nstest.Datagrams(t, p.client, serverUDP, oddSizes...)
	nstest.Datagrams(t, p.client, mappedEcho, oddSizes...)
	var hairpin dataplane.Volume
	nstest.Eventually(t, func() error {
		after := p.traffic(t)
		hairpin = dataplane.Volume{}
		for _, h := range p.hosts() {
			add(&hairpin, minus(of(after, h.name).Outbound, of(before, h.name).Outbound))
		}
		if in := minus(after.Inbound, before.Inbound); in != hairpin {
			return fmt.Errorf("hosts sent %+v to one another, and received %+v", hairpin, in)
		}
		for _, h := range p.hosts() {
			if got, want := of(after, h.name).Inbound, measured(received[h.name]); got != want {
				return fmt.Errorf("%s received %+v, counted are %+v", h.name, want, got)
			}
		}
		return nil
	})
	if hairpin.Bytes < 4<<20 {
		t.Errorf("hosts sent %+v to one another", hairpin)
	}
	add(&hairpin, start.Outbound)
	compare(hairpin)
}

func add(to *dataplane.Volume, v dataplane.Volume) {
	to.Bytes += v.Bytes
	to.Packets += v.Packets
}
