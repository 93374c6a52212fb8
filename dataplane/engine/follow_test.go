package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
	"sluice/dataplane/sorted"
)

// farAt is an address that is there twice: outside, and behind an instance of the
// VPC. Who asks there sees by which way, and with which source.
const farAt = "198.51.100.9"

// followed is a network with hosts whose flows to farAt follow its changes.
type followed struct {
	*populated
	space *netns.Namespace
	r     *rand.Rand
	hosts []string // of vsw-a, and of vsw-b
	flows []*running
}

// running is a flow that goes on through all changes.
type running struct {
	network string // udp4, tcp4, icmp
	host    string
	ns      *netns.Namespace
	conn    net.Conn
	ping    *icmp.PacketConn
	id      int // of the echo requests
	seq     int

	entry uint32     // in conntrack, when it was asked last
	as    netip.Addr // as which address it was seen then
}

func newFollowed(t *testing.T, shortcut bool, r *rand.Rand) *followed {
	t.Helper()
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	f := &followed{r: r, hosts: []string{"10.0.1.6", "10.0.2.7"}}
	f.populated = newPopulatedWith(t, shortcut, session.Options{}, func(n *dataplane.Network) {
		n.Switches = append(n.Switches, dataplane.Switch{
			ID: "vsw-c", Prefix: prefix("10.0.3.0/24"), Gateway: addr("10.0.3.253"), Attachment: n.Switches[0].Attachment,
		})
	})
	f.space = inNetwork(t, f.n.ID)
	instance := nstest.Host(t, f.space.Name(), "vsw-c", "10.0.3.20/24", "10.0.3.253")
	for _, ns := range []*netns.Namespace{instance, f.public} {
		nstest.Address(t, ns, "lo", farAt+"/32")
		nstest.ListenAt(t, ns, farAt+":9100")
	}
	for i, ns := range []*netns.Namespace{f.client, f.mapped} {
		for _, network := range []string{"udp4", "tcp4", "icmp"} {
			f.flows = append(f.flows, &running{network: network, host: f.hosts[i], ns: ns, id: 4000 + i})
		}
	}
	return f
}

// randomly changes what decides about flows.
func (f *followed) randomly(n *dataplane.Network) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	n.SNAT, n.Mappings = slices.Clone(n.SNAT), slices.Clone(n.Mappings)
	uplink, instance := []dataplane.NextHop{{Uplink: true}}, []dataplane.NextHop{{Via: addr("10.0.3.20")}}
	switch f.r.IntN(4) {
	case 0: // the way to farAt
		n.Routes = slices.DeleteFunc(n.Routes, func(r dataplane.Route) bool { return r.Destination.Contains(addr(farAt)) })
		if f.r.IntN(4) > 0 {
			n.Routes = append(n.Routes, dataplane.Route{Destination: prefix("0.0.0.0/0"), NextHops: uplink})
			if f.r.IntN(3) == 0 {
				n.Routes[len(n.Routes)-1].NextHops = instance
			}
		}
		if f.r.IntN(2) == 0 {
			n.Routes = append(n.Routes, dataplane.Route{Destination: prefix("198.51.100.0/24"), NextHops: instance})
		}
	case 1: // elastic IPs of their own
		n.Mappings = nil
		if h := append(f.hosts, "")[f.r.IntN(3)]; h != "" {
			n.Mappings = []dataplane.Mapping{{External: addr(mappedAt), Internal: addr(h)}}
		}
	case 2: // SNAT entries
		n.SNAT = nil
		for _, source := range []string{"10.0.1.0/24", "10.0.2.0/24"} {
			if first := f.r.IntN(3); first < 2 {
				n.SNAT = append(n.SNAT, dataplane.SNAT{Source: prefix(source), Pool: n.Elastic[first : first+1+f.r.IntN(2-first)]})
			}
		}
	case 3: // an entry that is for none of them
		n.DNAT = sorted.Of(n.DNAT.Slice()[:2]...)
		if f.r.IntN(2) == 0 {
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 17, ExternalPort: 99, Internal: addr("10.0.1.5"), InternalPort: 99})
		}
	}
}

// expected returns the addresses as one of which a host's new flow to farAt is
// seen; none if it is not answered.
func (f *followed) expected(host string) []netip.Addr {
	h, far := netip.MustParseAddr(host), netip.MustParseAddr(farAt)
	var mapped []netip.Addr
	for _, m := range f.n.Mappings {
		if m.Internal == h {
			mapped = []netip.Addr{m.External}
		}
	}
	longest, hop := -1, dataplane.NextHop{}
	for _, r := range f.n.Routes {
		if r.Destination.Contains(far) && r.Destination.Bits() > longest && (r.Destination.Bits() > 0 || mapped == nil) {
			longest, hop = r.Destination.Bits(), r.NextHops[0]
		}
	}
	switch {
	case hop.Via.IsValid():
		return []netip.Addr{h}
	case mapped != nil:
		return mapped
	case longest < 0:
		return nil
	}
	for _, s := range f.n.SNAT {
		if s.Source.Contains(h) {
			return s.Pool
		}
	}
	return nil
}

// entryOf returns what conntrack has of a flow that goes on by this local port, or
// id.
func (f *followed) entryOf(t *testing.T, r *running) (id uint32, as netip.Addr) {
	t.Helper()
	protocol, port := uint8(unix.IPPROTO_ICMP), r.id
	if r.network != "icmp" {
		_, at, _ := net.SplitHostPort(r.conn.LocalAddr().String())
		protocol = unix.IPPROTO_UDP
		if r.network == "tcp4" {
			protocol = unix.IPPROTO_TCP
		}
		fmt.Sscan(at, &port)
	}
	for _, k := range connections(t, f.space, protocol) {
		o := &k.TupleOrig
		if o.IP.SourceAddress.String() == r.host && o.IP.DestinationAddress.String() == farAt && int(o.Proto.SourcePort+o.Proto.ICMPID) == port {
			return k.ID, k.TupleReply.IP.DestinationAddress
		}
	}
	return 0, netip.Addr{}
}

// open makes a flow of UDP or TCP, which are dialled, or ICMP.
func (r *running) open(t *testing.T) {
	t.Helper()
	if r.network == "icmp" {
		if r.ping == nil {
			err := r.ns.Do(func() (err error) { r.ping, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0"); return err })
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.ping.Close() })
		}
	} else if r.conn == nil {
		r.conn = nstest.MustDial(t, r.ns, r.network, farAt+":9100")
	}
}

// ask sends a packet and returns the address as which the other end has seen it.
// For a ping that is conntrack's to say.
func (f *followed) ask(t *testing.T, r *running) (netip.Addr, error) {
	t.Helper()
	if r.network == "icmp" {
		if err := r.echo(); err != nil {
			return netip.Addr{}, err
		}
		_, as := f.entryOf(t, r)
		return as, nil
	}
	said, err := nstest.Ask(r.conn)
	if err != nil {
		return netip.Addr{}, err
	}
	p, err := netip.ParseAddrPort(said)
	return p.Addr(), err
}

func (r *running) echo() error {
	r.seq++
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: r.id, Seq: r.seq}}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_ = r.ping.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := r.ping.WriteTo(b, &net.IPAddr{IP: net.ParseIP(farAt)}); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := r.ping.ReadFrom(buf)
		if err != nil {
			return err
		}
		got, err := icmp.ParseMessage(unix.IPPROTO_ICMP, buf[:n])
		if e, ok := got.Body.(*icmp.Echo); err == nil && ok && got.Type == ipv4.ICMPTypeEchoReply && e.ID == r.id && e.Seq == r.seq {
			return nil
		}
	}
}

// After each change the next packets of running flows are seen as those of a new
// flow would be, by whatever way, and those flows that it is not about have their
// entry still; also if the change comes while no engine runs.
func TestRunningFlowsFollow(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		seed := rand.Uint64()
		f := newFollowed(t, on, rand.New(rand.NewPCG(seed, 3)))
		in := []net.Conn{nstest.MustDial(t, f.public, "udp4", serverUDP), nstest.MustDial(t, f.public, "tcp4", serverStream)}
		leaked := privateSources(t, f.public, "pub0")
		f.check(t, in)
		for step := range 10 {
			if step%4 == 3 { // it changes while nobody is there to see it
				if err := f.e.Close(); err != nil {
					t.Fatal(err)
				}
				f.e = f.engine(t)
			}
			f.change(t, f.randomly)
			t.Logf("seed %d, step %d: routes %v, mappings %v, SNAT %v", seed, step, f.n.Routes, f.n.Mappings, f.n.SNAT)
			f.check(t, in)
		}
		if n := leaked(); n > 0 {
			t.Errorf("%d packets left with a private source", n)
		}
	})
}

// check asks all flows.
func (f *followed) check(t *testing.T, in []net.Conn) {
	t.Helper()
	for _, r := range f.flows {
		want := f.expected(r.host)
		if len(want) == 0 {
			if r.conn != nil && r.network == "tcp4" {
				r.conn.Close() // it may or may not live on; that is for the ends to find out
				r.conn = nil
			}
			r.entry = 0
			if r.network == "tcp4" {
				continue
			}
			r.open(t)
			if as, err := f.ask(t, r); err == nil {
				t.Fatalf("%s of %s is answered, seen as %s", r.network, r.host, as)
			}
			continue
		}
		same := r.entry != 0 && slices.Contains(want, r.as)
		r.open(t)
		if r.network == "tcp4" && !same && r.entry != 0 {
			// The other end knows no such connection, and says so.
			nstest.Eventually(t, func() error {
				_, err := f.ask(t, r)
				var timeout net.Error
				switch {
				case err == nil:
					t.Fatalf("a connection of %s goes on from another address", r.host)
				case errors.As(err, &timeout) && timeout.Timeout():
					return err
				}
				return nil
			})
			r.conn.Close()
			r.conn = nil
			r.open(t)
		}
		for range 5 {
			nstest.Eventually(t, func() error {
				as, err := f.ask(t, r)
				if err == nil && !slices.Contains(want, as) {
					t.Fatalf("%s of %s is seen as %s, want one of %s", r.network, r.host, as, want)
				}
				return err
			})
		}
		entry, as := f.entryOf(t, r)
		if same && entry != r.entry {
			t.Fatalf("%s of %s, seen as %s, has another entry although nothing became of it, %s", r.network, r.host, r.as, as)
		}
		r.entry, r.as = entry, as
	}
	for _, c := range in {
		nstest.Eventually(t, func() error { return say(c, []byte("still there?")) })
	}
}
