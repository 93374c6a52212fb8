package session

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane/internal/nstest"
)

// The hosts of these tests: 10.0.1.0/24 has an SNAT entry, and 10.0.1.9 in it an
// elastic IP of its own, 203.0.113.12. 10.0.2.0/24 has nothing.
const (
	outside   = "198.51.100.1"
	elasticIP = "203.0.113.12"
)

// configured is the settings of a network, and the limits of its gateway, which has the
// number 0 in these tests.
type configured struct {
	settings
	natLimits
}

// limited is a fixture with limits; change may change its settings.
func limited(t testing.TB, change func(*configured)) *fixture {
	t.Helper()
	f := newFixture(t)
	f.limit(change)
	return f
}

func (f *fixture) limit(change func(*configured)) {
	f.t.Helper()
	s := configured{settings: f.settings()}
	s.Flags = 0
	change(&s)
	f.settle(s.settings)
	f.put("limits", uint32(0), &s.natLimits)
	f.put("hosts", &hostKey{PrefixLength: 24, Addr: word4(10, 0, 1, 0)}, kindSNAT)
	f.put("hosts", &hostKey{PrefixLength: 32, Addr: word4(10, 0, 1, 9)}, kindElastic)
	elastic := word4(203, 0, 113, 12)
	f.put("elastic", &elastic, uint32(0))
}

func connections(n uint32) func(*configured) { return func(s *configured) { s.Connections = n } }

// opening is the first packet of a connection.
func opening(host string, port int) packet {
	return tcp(fmt.Sprintf("%s:%d", host, port), outside+":80", "").with(flags(flagSYN))
}

// counts is what the programs keep of connections.
type counts struct {
	Open, Opened map[uint32]uint64 // by kind
	Pending      uint64
	Addresses    map[string][2]uint64 // open, opened
}

func (f *fixture) counts() counts {
	f.t.Helper()
	g, err := f.state()
	if err != nil {
		f.t.Fatal(err)
	}
	c := counts{Open: map[uint32]uint64{}, Opened: map[uint32]uint64{}, Pending: g.Pending, Addresses: map[string][2]uint64{}}
	states, err := f.gatewayStates()
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range states {
		for kind, n := range states[i].Open {
			if n != 0 {
				c.Open[uint32(kind)] += n
			}
		}
		for kind, n := range states[i].Opened {
			if n != 0 {
				c.Opened[uint32(kind)] += n
			}
		}
	}
	for slot := range min(g.Slots, 16) {
		var a bpf.GatewayAddress
		if err := f.maps["addresses"].Lookup(gatewayNumbers+slot, &a); err != nil {
			f.t.Fatal(err)
		}
		if a.Open != 0 || a.Opened != 0 {
			c.Addresses[address(a.Addr).String()] = [2]uint64{a.Open, a.Opened}
		}
	}
	return c
}

func (f *fixture) wantCounts(t testing.TB, want counts) {
	t.Helper()
	for _, m := range []map[uint32]uint64{want.Open, want.Opened} {
		maps.DeleteFunc(m, func(_ uint32, n uint64) bool { return n == 0 })
	}
	if d := cmp.Diff(want, f.counts()); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
}

// want checks what became of a packet that opens or refuses something.
func (f *fixture) want(t testing.TB, p packet, verdict int32, stats ...bpf.GatewayStat) {
	t.Helper()
	r := f.run(t, switchIngress, p.frame())
	want := map[bpf.GatewayStat]uint64{}
	for _, s := range stats {
		want[s] = 1
	}
	if r.Verdict != verdict || !cmp.Equal(r.Stats, want) || !cmp.Equal(r.Frame, p.frame()) {
		t.Errorf("%s to %s: verdict %d, want %d; counted %v, want %v", p.from, p.to, r.Verdict, verdict, r.Stats, want)
	}
}

// As many connections are let begin as there may be open, and not one more; who
// has one goes on with it.
func TestLimitConnections(t *testing.T) {
	f := limited(t, connections(3))
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.want(t, opening("10.0.1.6", 4001), tcNext)
	f.want(t, udp("10.0.1.7:4000", outside+":53", ""), tcNext)
	full := counts{
		Open: map[uint32]uint64{kindSNAT: 3}, Opened: map[uint32]uint64{}, Pending: 3,
		Addresses: map[string][2]uint64{"10.0.1.6": {2, 0}, "10.0.1.7": {1, 0}},
	}
	f.wantCounts(t, full)

	const refused = bpf.GatewayStatSTAT_REFUSED_CONNECTIONS
	f.want(t, opening("10.0.1.6", 4002), tcShot, refused)
	f.want(t, udp("10.0.1.7:4001", outside+":53", ""), tcShot, refused)
	f.want(t, icmp("10.0.1.8", outside, 1, echo), tcShot, refused)
	f.want(t, opening("10.0.1.6", 4000), tcNext) // again: the SYN was lost
	f.want(t, tcp("10.0.1.6:4001", outside+":80", "more"), tcNext)
	f.want(t, udp("10.0.1.7:4000", outside+":53", "more"), tcNext)
	f.want(t, udp("10.0.1.7:4000", outside+":53", "").with(func(p *packet) { p.fragment = moreFragments | 185 }), tcNext)
	f.wantCounts(t, full)

	// Another specification holds from the next packet on.
	f.limit(connections(4))
	f.want(t, opening("10.0.1.6", 4002), tcNext)
	f.want(t, opening("10.0.1.6", 4003), tcShot, refused)
	f.limit(connections(2))
	f.want(t, opening("10.0.1.6", 4003), tcShot, refused)
	f.limit(connections(0))
	f.want(t, opening("10.0.1.6", 4003), tcNext)
}

// The limit is exact, however many CPUs ask at once.
func TestLimitConnectionsAtOnce(t *testing.T) {
	const most, askers, each = 50, 4, 40
	f := limited(t, connections(most))
	program := f.program(switchIngress)
	var all sync.WaitGroup
	for asker := range askers {
		all.Go(func() {
			host := fmt.Sprintf("10.0.1.%d", 20+asker%2)
			for i := range each {
				frame := opening(host, 4000+asker*each+i).frame()
				if _, err := program.Run(&ebpf.RunOptions{Data: frame}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	c := f.counts()
	if c.Open[kindSNAT] != most || c.Opened[kindSNAT] != 0 || c.Pending != most {
		t.Errorf("of %d: %+v", most, c)
	}
	if a, b := c.Addresses["10.0.1.20"], c.Addresses["10.0.1.21"]; a[0]+b[0] != most || a[1]+b[1] != 0 {
		t.Errorf("of %d: %+v", most, c)
	}
	if n := f.stats()[bpf.GatewayStatSTAT_REFUSED_CONNECTIONS]; n != askers*each-most {
		t.Errorf("%d refused, want %d", n, askers*each-most)
	}
}

// What is not a new SNAT connection to the outside takes no place, and passes
// though there is none.
func TestLimitLeavesOthers(t *testing.T) {
	full := counts{
		Open: map[uint32]uint64{kindSNAT: 1}, Opened: map[uint32]uint64{}, Pending: 1,
		Addresses: map[string][2]uint64{"10.0.1.6": {1, 0}},
	}
	f := limited(t, connections(1))
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	to := func(address string) packet {
		return opening("10.0.1.6", 4001).with(func(p *packet) { p.to = address })
	}
	for name, p := range map[string]packet{
		"within the VPC":              to("10.0.2.5:80"),
		"to the VPC's last address":   to("10.0.255.255:80"),
		"to a neighbour's elastic IP": to(elasticIP + ":80"),
		"multicast":                   udp("10.0.1.6:4001", "224.0.0.251:5353", ""),
		"last multicast address":      udp("10.0.1.6:4001", "239.255.255.255:5353", ""),
		"broadcast":                   udp("10.0.1.6:4001", "255.255.255.255:67", ""),
		"host without an entry":       opening("10.0.2.5", 4001),
		"ICMP error":                  icmp("10.0.1.6", outside, 1, 3<<8|1),
		"ICMP time exceeded":          icmp("10.0.1.6", outside, 1, 11<<8),
		"ICMP echo reply":             icmp("10.0.1.6", outside, 1, echoReply),
		"ICMP timestamp reply":        icmp("10.0.1.6", outside, 1, 14<<8),
		"RST":                         to(outside + ":80").with(flags(flagRST)),
		"RST and ACK":                 to(outside + ":80").with(flags(flagRST | flagACK)),
		"FIN":                         to(outside + ":80").with(flags(flagFIN | flagACK)),
		"SYN and FIN":                 to(outside + ":80").with(flags(flagSYN | flagFIN)),
		"SYN and ACK":                 to(outside + ":80").with(flags(flagSYN | flagACK)),
		"TCP without flags":           to(outside + ":80").with(flags(0)),
		"later fragment":              udp("10.0.1.6:4001", outside+":53", "").with(func(p *packet) { p.fragment = 185 }),
	} {
		t.Run(name, func(t *testing.T) {
			f.want(t, p, tcNext)
			f.wantCounts(t, full)
			if f.session(p.key()) != nil {
				t.Error("a session was made")
			}
		})
	}
	for name, p := range map[string]packet{
		"public prefix, nobody's address": to("203.0.113.99:80"),
		"just outside the VPC":            to("10.1.0.0:80"),
		"just below multicast":            to("223.255.255.255:80"),
		"just above multicast":            to("240.0.0.1:80"),
		"TCP picked up in the middle":     to(outside + ":80").with(flags(flagACK)),
		"first fragment":                  to(outside + ":53").with(func(p *packet) { *p = udp(p.from, p.to, ""); p.fragment = moreFragments }),
		"ICMP timestamp":                  icmp("10.0.1.6", outside, 1, timestamp),
		"GRE":                             to(outside + ":0").with(func(p *packet) { p.protocol = unix.IPPROTO_GRE }),
		"SCTP":                            to(outside + ":0").with(func(p *packet) { p.protocol, p.payload = unix.IPPROTO_SCTP, strings.Repeat("s", 32) }),
	} {
		t.Run(name, func(t *testing.T) {
			f.want(t, p, tcShot, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
			f.wantCounts(t, full)
		})
	}
}

// A SYN that conntrack will drop for its length opens nothing, and nothing anew.
func TestLimitLeavesMalformed(t *testing.T) {
	f := limited(t, connections(2))
	closed := opening("10.0.1.6", 4000)
	f.want(t, closed, tcNext)
	k := closed.key()
	s := *f.session(k)
	s.State |= stateClosed | stateClosing | stateConfirmed
	f.put("sessions", &k, &s)
	before := f.counts()
	for _, p := range []packet{closed, opening("10.0.1.6", 4001)} {
		frame := offset(4)(p.frame())
		if r := f.run(t, switchIngress, frame); r.Verdict != tcNext || len(r.Stats) > 0 {
			t.Errorf("%s: %+v", p.from, r)
		}
		f.wantCounts(t, before)
	}
	if s := f.session(k); s == nil || s.State&stateClosed == 0 {
		t.Errorf("the closed session is %+v", s)
	}
	if f.session(opening("10.0.1.6", 4001).key()) != nil {
		t.Error("a session was made")
	}
}

// What egress is told: to look, of whom it is, and whether it is to a neighbour.
func TestIndexOfNew(t *testing.T) {
	f := limited(t, connections(1))
	neighbour := opening("10.0.1.6", 4001).with(func(p *packet) { p.to = elasticIP + ":80" })
	for _, c := range []struct {
		name   string
		packet packet
		want   uint32
	}{
		{"to a neighbour, not known yet", neighbour, indexCheck | indexHairpin},
		{"first connection", opening("10.0.1.6", 4000), gatewayNumbers | indexCheck},
		{"to a neighbour", neighbour, gatewayNumbers | indexCheck | indexHairpin},
		{"ICMP error", icmp("10.0.1.6", outside, 1, 3<<8|1), gatewayNumbers | indexCheck},
		{"again", opening("10.0.1.6", 4000), gatewayNumbers | indexCheck},
		{"more of it", opening("10.0.1.6", 4000).with(flags(flagACK)), gatewayNumbers},
		{"within the VPC", opening("10.0.1.6", 4000).with(func(p *packet) { p.to = "10.0.2.1:80" }), 0},
		{"elastic IP", opening("10.0.1.9", 4000), gatewayNumbers + 1 | indexCheck},
		{"host without an entry", opening("10.0.2.1", 4000), indexCheck},
	} {
		if r := f.run(t, switchIngress, c.packet.frame()); r.Index != c.want || r.Verdict != tcNext {
			t.Errorf("%s: verdict %d, index %#x, want %#x", c.name, r.Verdict, r.Index, c.want)
		}
	}
}

// Hosts with an elastic IP are counted, and not limited, though their address is
// in the source of an SNAT entry.
func TestLimitLeavesElasticIPs(t *testing.T) {
	f := limited(t, func(s *configured) { s.Connections, s.Interval = 1, uint64(time.Hour) })
	for port := range 5 {
		f.want(t, opening("10.0.1.9", 4000+port), tcNext)
	}
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.want(t, opening("10.0.1.6", 4001), tcShot, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindSNAT: 1, kindElastic: 5}, Opened: map[uint32]uint64{}, Pending: 6,
		Addresses: map[string][2]uint64{"10.0.1.6": {1, 0}, "10.0.1.9": {5, 0}},
	})
}

// With reject, what is refused is marked for the stack to answer.
func TestLimitRejects(t *testing.T) {
	f := limited(t, func(s *configured) { s.Connections, s.Flags = 1, setReject })
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	p := opening("10.0.1.6", 4001)
	want := missed(switchIngress, p.frame())
	want.Mark, want.Index, want.Stats[bpf.GatewayStatSTAT_REFUSED_CONNECTIONS] = markRefused, gatewayNumbers|indexCheck, 1
	compare(t, want, f.run(t, switchIngress, p.frame()))
}

// The rate lets a burst begin at once, and then waits. The interval is so long
// that the test's own time does not matter.
func TestLimitRate(t *testing.T) {
	const interval = uint64(time.Hour)
	for _, burst := range []uint64{0, 1, 7} {
		t.Run(fmt.Sprint(burst), func(t *testing.T) {
			f := limited(t, func(s *configured) { s.Interval, s.Burst = interval, burst*interval })
			for i := range 2 * (burst + 1) {
				if i <= burst {
					f.want(t, opening("10.0.1.6", 4000+int(i)), tcNext)
				} else {
					f.want(t, opening("10.0.1.6", 4000+int(i)), tcShot, bpf.GatewayStatSTAT_REFUSED_RATE)
				}
			}
			f.wantCounts(t, counts{
				Open: map[uint32]uint64{kindSNAT: burst + 1}, Opened: map[uint32]uint64{}, Pending: burst + 1,
				Addresses: map[string][2]uint64{"10.0.1.6": {burst + 1, 0}},
			})

			// An hour later there is room for one more.
			states, err := f.gatewayStates()
			if err != nil {
				t.Fatal(err)
			}
			states[0].Arrival -= interval
			f.put("nat_states", uint32(0), &states[0])
			f.want(t, opening("10.0.1.6", 5000), tcNext)
			f.want(t, opening("10.0.1.6", 5001), tcShot, bpf.GatewayStatSTAT_REFUSED_RATE)
		})
	}
}

// A connection that has no place takes none of the rate either.
func TestLimitConnectionsBeforeRate(t *testing.T) {
	f := limited(t, func(s *configured) { s.Connections, s.Interval, s.Burst = 1, uint64(time.Hour), uint64(time.Hour) })
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	for port := range 5 {
		f.want(t, opening("10.0.1.6", 4001+port), tcShot, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
	}
	f.limit(func(s *configured) { s.Connections, s.Interval, s.Burst = 2, uint64(time.Hour), uint64(time.Hour) })
	f.want(t, opening("10.0.1.6", 4006), tcNext)
}

// When nobody has looked after the sessions for too long, those that have ended
// do not keep others out. The rate needs nobody.
func TestLimitUnsupervised(t *testing.T) {
	f := limited(t, func(s *configured) { s.Connections, s.Interval, s.Burst = 1, uint64(time.Hour), uint64(3*time.Hour) })
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.want(t, opening("10.0.1.6", 4001), tcShot, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
	g, err := f.state()
	if err != nil {
		t.Fatal(err)
	}
	g.Heartbeat -= f.settings().Patience + 1
	f.put("gateway", uint32(0), g)
	for port := range 3 {
		f.want(t, opening("10.0.1.6", 4001+port), tcNext)
	}
	f.want(t, opening("10.0.1.6", 4004), tcShot, bpf.GatewayStatSTAT_REFUSED_RATE)
	if _, err := f.Network.now(); err != nil { // is a heartbeat
		t.Fatal(err)
	}
	f.want(t, opening("10.0.1.6", 4004), tcShot, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
}

// A connection that was closed is begun anew by a SYN, if there is a place. Its
// path is void then: conntrack may translate it otherwise.
func TestLimitRenewed(t *testing.T) {
	again := opening("10.0.1.6", 4000)
	for _, kind := range []uint32{kindSNAT, kindElastic} {
		for name, most := range map[string]uint32{"room": 2, "full": 1} {
			t.Run(fmt.Sprintf("kind %d, %s", kind, name), func(t *testing.T) {
				f := limited(t, func(s *configured) { s.Connections, s.Flags = most, setShortcut })
				f.want(t, opening("10.0.1.6", 5000), tcNext, bpf.GatewayStatSTAT_MISS_CLOSING)
				slot := f.session(opening("10.0.1.6", 5000).key()).Slot
				f.learned(again, again, func(s *bpf.GatewaySession) {
					s.State, s.Kind, s.Slot = stateConfirmed|stateClosed|stateClosing, uint8(kind), slot
				})
				before := counts{
					Open: map[uint32]uint64{kindSNAT: 1}, Opened: map[uint32]uint64{}, Pending: 1,
					Addresses: map[string][2]uint64{"10.0.1.6": {1, 0}},
				}
				// Only a SYN does that.
				for _, other := range []uint8{flagACK, flagSYN | flagACK, flagRST, flagFIN | flagACK} {
					f.want(t, again.with(flags(other)), tcNext, bpf.GatewayStatSTAT_MISS_CLOSING)
				}
				f.wantCounts(t, before)

				if kind == kindSNAT && most == 1 {
					f.want(t, again, tcShot, bpf.GatewayStatSTAT_MISS_CLOSING, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
					f.wantCounts(t, before)
					if s := f.session(again.key()); s.State&stateClosed == 0 {
						t.Errorf("state %#x", s.State)
					}
					return
				}
				f.want(t, again, tcNext, bpf.GatewayStatSTAT_MISS_CLOSING)
				after := counts{
					Open: map[uint32]uint64{kindSNAT: 1}, Opened: map[uint32]uint64{}, Pending: 1,
					Addresses: map[string][2]uint64{"10.0.1.6": {2, 1}},
				}
				after.Open[kind]++
				after.Opened[kind]++
				f.wantCounts(t, after)
				f.want(t, again, tcNext, bpf.GatewayStatSTAT_MISS_CLOSING) // lost, and sent again
				f.wantCounts(t, after)
				f.want(t, again.with(flags(flagACK)), tcNext, bpf.GatewayStatSTAT_MISS_UNLEARNED)
			})
		}
	}
}

// What conntrack has already is not new: neither what was open before the
// programs came, nor the answers of a host that was called.
func TestLimitLeavesKnown(t *testing.T) {
	f := limited(t, connections(1))
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.track(t, unix.IPPROTO_TCP, "10.0.1.6:4001", outside+":80")
	f.track(t, unix.IPPROTO_UDP, "10.0.1.6:4002", outside+":53")
	f.track(t, unix.IPPROTO_UDP, outside+":53", "10.0.1.6:4003")
	f.want(t, tcp("10.0.1.6:4001", outside+":80", "more"), tcNext)
	f.want(t, udp("10.0.1.6:4002", outside+":53", "more"), tcNext)
	f.want(t, udp("10.0.1.6:4003", outside+":53", "answer"), tcNext)
	// Counted, and there is nothing to wait for.
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindSNAT: 3}, Opened: map[uint32]uint64{kindSNAT: 2}, Pending: 1,
		Addresses: map[string][2]uint64{"10.0.1.6": {3, 2}},
	})
	if f.session(udp("10.0.1.6:4003", outside+":53", "").key()) != nil {
		t.Error("an answer made a session")
	}
}

// track gives conntrack a connection that is established.
func (f *fixture) track(t testing.TB, protocol uint8, from, to string) conntrack.Flow {
	t.Helper()
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	flow := conntrack.NewFlow(protocol, conntrack.StatusConfirmed|conntrack.StatusAssured|conntrack.StatusSeenReply, a.Addr(), b.Addr(), a.Port(), b.Port(), 3000, 0)
	if protocol == unix.IPPROTO_TCP {
		flow.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: tcpEstablished}
	}
	if err := f.conntrack(t).Create(flow); err != nil {
		t.Fatal(err)
	}
	return flow
}

func (f *fixture) conntrack(t testing.TB) *conntrack.Conn {
	t.Helper()
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(f.ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A session that cannot be kept is not begun.
func TestLimitMemory(t *testing.T) {
	f := newFixture(t, func(s *ebpf.CollectionSpec) { s.Maps["sessions"].MaxEntries = 2 })
	f.limit(func(*configured) {})
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.want(t, opening("10.0.1.9", 4000), tcNext)
	f.want(t, opening("10.0.1.6", 4001), tcShot, bpf.GatewayStatSTAT_REFUSED_MEMORY)
	f.want(t, opening("10.0.1.9", 4001), tcShot, bpf.GatewayStatSTAT_REFUSED_MEMORY)
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindSNAT: 1, kindElastic: 1}, Opened: map[uint32]uint64{}, Pending: 2,
		Addresses: map[string][2]uint64{"10.0.1.6": {1, 0}, "10.0.1.9": {1, 0}},
	})
}

// When all slots are taken, further addresses share the first.
func TestSlotsTaken(t *testing.T) {
	const slots = 16384 // SLOTS in bpf/types.h
	f := limited(t, connections(3))
	g, err := f.state()
	if err != nil {
		t.Fatal(err)
	}
	g.Slots = slots - gatewayNumbers - 1
	f.put("gateway", uint32(0), g)
	for _, c := range []struct {
		host string
		slot uint16
	}{{"10.0.1.6", slots - 1}, {"10.0.1.7", 0}, {"10.0.1.8", 0}} {
		f.want(t, opening(c.host, 4000), tcNext)
		if s := f.session(opening(c.host, 4000).key()); s == nil || s.Slot != c.slot {
			t.Errorf("%s: session %+v, want slot %d", c.host, s, c.slot)
		}
	}
	f.want(t, opening("10.0.1.7", 4001), tcShot, bpf.GatewayStatSTAT_REFUSED_CONNECTIONS)
	if g, err = f.state(); err != nil || g.Slots != slots-gatewayNumbers || f.counts().Open[kindSNAT] != 3 {
		t.Errorf("%+v, %+v, %v", g, f.counts(), err)
	}
}

// Where the route table sends some of the VPC's packets elsewhere, only what
// leaves by the uplink counts.
func TestLimitRoutes(t *testing.T) {
	f := newFixture(t)
	far := nstest.New(t)
	index := map[string]uint32{}
	for name, prefix := range map[string]string{"vsw": "10.0.1.1/24", "public": "203.0.113.10/24", "inside": "10.0.3.1/24"} {
		nstest.Veth(t, f.ns, name, far, name)
		nstest.Address(t, f.ns, name, prefix)
		nstest.Up(t, far, name)
		index[name] = uint32(nstest.Link(t, f.ns, name).Attrs().Index)
	}
	nstest.Default(t, f.ns, "203.0.113.1")
	nstest.Command(t, f.ns, "ip", "route", "add", "192.0.2.0/24", "via", "10.0.3.2")
	nstest.Command(t, f.ns, "ip", "route", "add", "blackhole", "192.0.3.0/24")
	nstest.Command(t, f.ns, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	f.limit(func(s *configured) { s.Flags, s.Uplink, s.Connections = setRoutes, index["public"], 1 })
	for _, c := range []struct {
		to      string
		verdict int32
		open    uint64
	}{
		{"192.0.2.7:80", tcNext, 0},
		{"192.0.3.7:80", tcNext, 0},
		{"198.51.100.1:80", tcNext, 1},
		{"198.51.100.2:80", tcShot, 1},
		{"192.0.2.8:80", tcNext, 1},
	} {
		p := opening("10.0.1.6", 4000).with(func(p *packet) { p.to = c.to })
		r := f.run(t, switchIngress, p.frame(), skb{Ifindex: index["vsw"]})
		if open := f.counts().Open[kindSNAT]; r.Verdict != c.verdict || open != c.open {
			t.Errorf("to %s: verdict %d, %d open; want %d, %d", c.to, r.Verdict, open, c.verdict, c.open)
		}
	}
}
