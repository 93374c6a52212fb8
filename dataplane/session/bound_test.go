package session

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// The entries of these tests: ports 80 and 53 of 203.0.113.11 lead to 10.0.2.7, and
// 203.0.113.12 to its host, 10.0.1.9.
const shared = "203.0.113.11"

// boundedBy is a fixture with entries; change may change its settings.
func boundedBy(t testing.TB, change func(*configured)) *fixture {
	t.Helper()
	f := limited(t, change)
	f.rebound(change)
	return f
}

func (f *fixture) rebound(change func(*configured)) {
	f.t.Helper()
	f.limit(change)
	entry := func(external string, protocol uint8, port uint16, private string) {
		k := boundKey{Addr: word(addrOf(external)), Proto: protocol, Port: order16(port)}
		f.put("entries", &k, word(addrOf(private)))
	}
	entry(shared, unix.IPPROTO_TCP, 80, "10.0.2.7")
	entry(shared, unix.IPPROTO_UDP, 53, "10.0.2.7")
	entry(elasticIP, 0, 0, "10.0.1.9")
	other := word(addrOf(shared))
	f.put("elastic", &other, uint32(0))
}

// called is the first packet of a connection from outside.
func called(port int, to string) packet {
	return tcp(fmt.Sprintf("%s:%d", outside, port), to, "").with(flags(flagSYN))
}

func asked(port int, to string) packet { return udp(fmt.Sprintf("%s:%d", outside, port), to, "") }

func (f *fixture) wantInbound(t testing.TB, p packet, verdict int32, stats ...bpf.GatewayStat) {
	t.Helper()
	r := f.run(t, uplinkIngress, p.frame())
	want := map[bpf.GatewayStat]uint64{}
	for _, s := range stats {
		want[s] = 1
	}
	if r.Verdict != verdict || !cmp.Equal(r.Stats, want) || r.Mark != 0 {
		t.Errorf("%s to %s: verdict %d, want %d; counted %v, want %v", p.from, p.to, r.Verdict, verdict, r.Stats, want)
	}
}

// bounds are the counters, by what they count: open and refused.
func (f *fixture) counters() map[string][2]uint64 {
	f.t.Helper()
	out := map[string][2]uint64{}
	err := every(f.maps["bounds"], func(k boundKey, b bound) {
		name := []string{"entry", "elastic IP", "host"}[k.Of] + " " + address(k.Addr).String()
		if k.Port != 0 {
			name += fmt.Sprintf(" %d/%d", order16(k.Port), k.Proto)
		}
		out[name] = [2]uint64{b.Open, b.Refused}
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *fixture) wantCounters(t testing.TB, want map[string][2]uint64) {
	t.Helper()
	if d := cmp.Diff(want, f.counters()); d != "" {
		t.Errorf("counters (-want +got):\n%s", d)
	}
}

const (
	refusedEntry     = bpf.GatewayStatSTAT_REFUSED_ENTRY
	refusedElasticIP = bpf.GatewayStatSTAT_REFUSED_ELASTIC_IP
	refusedHost      = bpf.GatewayStatSTAT_REFUSED_HOST
	refusedTable     = bpf.GatewayStatSTAT_REFUSED_TABLE
)

// Of each entry and each elastic IP as many are open as may be, and what ends makes
// room where it was.
func TestBounds(t *testing.T) {
	f := boundedBy(t, func(s *configured) { s.PerEntry, s.PerElasticIp, s.PerHost = 2, 3, 2 })
	f.wantInbound(t, called(4000, shared+":80"), tcNext)
	f.wantInbound(t, called(4001, shared+":80"), tcNext)
	f.wantInbound(t, called(4002, shared+":80"), tcShot, refusedEntry)
	f.wantInbound(t, called(4000, shared+":80"), tcNext) // again: the SYN was lost
	f.wantInbound(t, asked(4000, shared+":53"), tcNext)
	f.wantInbound(t, asked(4001, shared+":53"), tcShot, refusedElasticIP)
	f.wantInbound(t, icmp(outside, elasticIP, 1, echo), tcNext)
	f.wantInbound(t, asked(4000, elasticIP+":9"), tcNext)
	f.wantInbound(t, called(4000, elasticIP+":22"), tcShot, refusedEntry)
	// What no entry is for costs nothing, and is nftables' to drop.
	f.wantInbound(t, called(4000, shared+":81"), tcNext)
	f.wantInbound(t, icmp(outside, shared, 1, echo), tcNext)
	f.wantInbound(t, called(4000, shared+":80").with(flags(flagSYN|flagACK)), tcNext)
	f.wantInbound(t, called(4009, shared+":80").with(flags(flagRST)), tcNext)
	// Hosts behind elastic IPs are held by themselves, whatever comes from outside.
	f.want(t, opening("10.0.1.9", 4000), tcNext)
	f.want(t, opening("10.0.1.9", 4001), tcNext)
	f.want(t, opening("10.0.1.9", 4002), tcShot, refusedHost)
	full := map[string][2]uint64{
		"entry 203.0.113.11 80/6": {2, 1}, "entry 203.0.113.11 53/17": {1, 0}, "elastic IP 203.0.113.11": {3, 1},
		"entry 203.0.113.12": {2, 1}, "elastic IP 203.0.113.12": {2, 0}, "host 10.0.1.9": {2, 1},
	}
	f.wantCounters(t, full)
	f.wantCounts(t, counts{
		Open: map[uint32]uint64{kindDNAT: 3, kindElastic: 4}, Opened: map[uint32]uint64{}, Pending: 7,
		Addresses: map[string][2]uint64{"10.0.2.7": {3, 0}, "10.0.1.9": {4, 0}},
	})

	// A host that calls the elastic IP of another one counts, too, and is answered.
	f.rebound(func(s *configured) { s.PerEntry, s.PerElasticIp, s.PerHost, s.Flags = 2, 3, 2, setReject })
	hairpin := opening("10.0.1.6", 4000).with(func(p *packet) { p.to = shared + ":80" })
	if r := f.run(t, switchIngress, hairpin.frame()); r.Verdict != tcNext || r.Mark != markRefused || r.Stats[refusedEntry] != 1 {
		t.Errorf("to a neighbour: %+v", r)
	}
	if err := f.syncSessions([]entry{{Original: called(4000, shared+":80").key(), Ended: 1}, {Original: opening("10.0.1.9", 4000).key(), Ended: 1}}); err != nil {
		t.Fatal(err)
	}
	full["entry 203.0.113.11 80/6"], full["elastic IP 203.0.113.11"], full["host 10.0.1.9"] = [2]uint64{1, 2}, [2]uint64{2, 1}, [2]uint64{1, 1}
	f.wantCounters(t, full)
	f.run(t, switchIngress, hairpin.frame())
	full["entry 203.0.113.11 80/6"], full["elastic IP 203.0.113.11"] = [2]uint64{2, 2}, [2]uint64{3, 1}
	f.wantCounters(t, full)
	if s := f.session(hairpin.key()); s == nil || s.Flow != flowInbound|flowKernel|flowByPort || uint32(s.Kind) != kindDNAT {
		t.Errorf("session of the neighbour's: %+v", s)
	}
	f.want(t, opening("10.0.1.9", 4002), tcNext)
}

// The bounds are exact, however many CPUs ask at once.
func TestBoundsAtOnce(t *testing.T) {
	const most, askers, each = 50, 4, 60
	f := boundedBy(t, func(s *configured) { s.PerEntry, s.PerElasticIp = most, most+20 })
	program := f.program(uplinkIngress)
	var all sync.WaitGroup
	for asker := range askers {
		all.Go(func() {
			for i := range each {
				p := called(4000+asker*each+i, shared+":80")
				if asker%2 == 1 {
					p = asked(4000+asker*each+i, shared+":53")
				}
				if _, err := program.Run(&ebpf.RunOptions{Data: p.frame()}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := f.counters()
	tcp, udp, both := got["entry 203.0.113.11 80/6"], got["entry 203.0.113.11 53/17"], got["elastic IP 203.0.113.11"]
	if both[0] != most+20 || tcp[0]+udp[0] != most+20 || tcp[0] > most || udp[0] > most || tcp[1]+udp[1]+both[1] != askers*each-most-20 {
		t.Errorf("%+v", got)
	}
	if c := f.counts(); c.Open[kindDNAT] != most+20 || c.Pending != most+20 {
		t.Errorf("%+v", c)
	}
}

// A closed connection has no place, and takes one when it begins anew.
func TestBoundsRenewed(t *testing.T) {
	f := boundedBy(t, func(s *configured) { s.PerEntry = 1 })
	again := called(4000, shared+":80")
	f.wantInbound(t, again, tcNext)
	known := f.track(t, unix.IPPROTO_TCP, again.from, again.to)
	known.ProtoInfo.TCP.State = tcpTimeWait
	if err := f.conntrack(t).Update(known); err != nil {
		t.Fatal(err)
	}
	if err := f.syncSessions([]entry{{Original: again.key()}}); err != nil {
		t.Fatal(err)
	}
	f.wantCounters(t, map[string][2]uint64{"entry 203.0.113.11 80/6": {0, 0}, "elastic IP 203.0.113.11": {0, 0}})
	f.wantInbound(t, called(4001, shared+":80"), tcNext)
	f.wantInbound(t, again, tcShot, refusedEntry)
	f.wantCounters(t, map[string][2]uint64{"entry 203.0.113.11 80/6": {1, 1}, "elastic IP 203.0.113.11": {1, 0}})
	if err := f.syncSessions([]entry{{Original: called(4001, shared+":80").key(), Ended: 1}}); err != nil {
		t.Fatal(err)
	}
	f.wantInbound(t, again, tcNext)
	f.wantCounters(t, map[string][2]uint64{"entry 203.0.113.11 80/6": {1, 1}, "elastic IP 203.0.113.11": {1, 0}})
}

// What conntrack has already is not new, and what answers a host is not called.
func TestBoundsLeaveKnown(t *testing.T) {
	f := boundedBy(t, func(s *configured) { s.PerEntry = 1 })
	f.wantInbound(t, asked(3999, shared+":53"), tcNext)
	f.track(t, unix.IPPROTO_UDP, outside+":4000", shared+":53")
	f.track(t, unix.IPPROTO_UDP, elasticIP+":5000", outside+":53")
	f.wantInbound(t, asked(4000, shared+":53"), tcNext)
	f.wantInbound(t, udp(outside+":53", elasticIP+":5000", "answer"), tcNext)
	if f.session(udp(outside+":53", elasticIP+":5000", "").key()) != nil {
		t.Error("an answer made a session")
	}
	gre := func(from, to string) packet {
		return udp(from+":0", to+":0", "").with(func(p *packet) { p.protocol = unix.IPPROTO_GRE })
	}
	f.want(t, gre("10.0.1.9", outside), tcNext)
	f.wantInbound(t, gre(outside, elasticIP), tcNext)
	if f.session(gre(outside, elasticIP).key()) != nil {
		t.Error("an answer without ports made a session")
	}
	f.wantCounters(t, map[string][2]uint64{
		"entry 203.0.113.11 53/17": {2, 0}, "elastic IP 203.0.113.11": {2, 0}, "host 10.0.1.9": {1, 0},
	})
}

// Each class has its share of the table, and what nobody's share needs is for
// whoever comes first.
func TestTableShares(t *testing.T) {
	set := func(s *configured) {
		s.Entries = 100
		s.Share = [4]uint32{bpf.GatewayClassCLASS_OTHERS: 10, bpf.GatewayClassCLASS_SNAT: 40, bpf.GatewayClassCLASS_ELASTIC: 10, bpf.GatewayClassCLASS_INBOUND: 10}
	}
	within := func(port int) packet {
		return udp(fmt.Sprintf("10.0.1.6:%d", port), "10.0.2.7:53", "")
	}
	for name, c := range map[string]struct {
		packet  func(i int) packet
		program string
		open    int // of the flood
	}{
		"from outside":     {func(i int) packet { return asked(4000+i, shared+":53") }, uplinkIngress, 40},
		"by an elastic IP": {func(i int) packet { return opening("10.0.1.9", 4000+i) }, switchIngress, 40},
		"SNAT":             {func(i int) packet { return opening("10.0.1.6", 4000+i) }, switchIngress, 70},
	} {
		t.Run(name, func(t *testing.T) {
			f := boundedBy(t, set)
			open := 0
			for i := range 150 {
				r := f.run(t, c.program, c.packet(i).frame())
				if r.Verdict == tcNext {
					open++
				} else if r.Stats[refusedTable] != 1 {
					t.Fatalf("%+v", r)
				}
			}
			if open != c.open {
				t.Errorf("%d are open, want %d", open, c.open)
			}
			// All others find their shares.
			for i := range 10 {
				for other, o := range map[string]packet{
					"from outside": asked(8000+i, elasticIP+":53"), "by an elastic IP": opening("10.0.1.9", 8000+i), "SNAT": opening("10.0.1.7", 8000+i),
				} {
					if other == name {
						continue
					}
					program := switchIngress
					if other == "from outside" {
						program = uplinkIngress
					}
					if r := f.run(t, program, o.frame()); r.Verdict != tcNext {
						t.Errorf("%s, the %dth: %+v", other, i, r)
					}
				}
			}
			f.want(t, within(4000), tcNext)
		})
	}

	// What is not translated is what the table has besides.
	f := boundedBy(t, func(s *configured) { set(s); s.Others = 40 })
	f.track(t, unix.IPPROTO_UDP, "10.0.1.6:4000", "10.0.2.7:53")
	f.want(t, within(4001), tcShot, refusedTable)
	f.want(t, within(4000), tcNext) // conntrack has it
	ping := icmp("10.0.1.6", "10.0.2.7", 1, echo)
	if r := f.run(t, switchIngress, ping.frame()); r.Verdict != tcNext || r.Mark != markCrowded {
		t.Errorf("ICMP: %+v", r)
	}
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	f.wantInbound(t, asked(4000, shared+":53"), tcNext)

	// Unsupervised, those that are not translated stay off the share of SNAT.
	g, err := f.state()
	if err != nil {
		t.Fatal(err)
	}
	g.Heartbeat -= f.settings().Patience + 1
	f.put("gateway", uint32(0), g)
	f.want(t, opening("10.0.1.6", 4001), tcNext)
	f.want(t, within(4001), tcNext)
	f.rebound(func(s *configured) { set(s); s.Others = 60 })
	f.want(t, opening("10.0.1.6", 4002), tcNext)
	f.want(t, within(4001), tcShot, refusedTable)
	f.wantInbound(t, asked(4001, shared+":53"), tcShot, refusedTable)
}

// The number of entries that the programs go by is the kernel's own.
func TestTableIsTheKernels(t *testing.T) {
	f := boundedBy(t, func(s *configured) { s.Entries = 20; s.Share[bpf.GatewayClassCLASS_SNAT] = 10 })
	part, err := findPart(f.program("locate"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := countAt(f.program("locate"), f.ns, part); err != nil || n != 0 {
		t.Fatalf("%d entries, %v", n, err)
	}
	if g, err := f.state(); err != nil || g.CountAt == 0 {
		t.Fatalf("%+v, %v", g, err)
	}
	for i := range 10 {
		f.want(t, udp(fmt.Sprintf("10.0.1.6:%d", 4000+i), "10.0.2.7:53", ""), tcNext)
		f.track(t, unix.IPPROTO_UDP, fmt.Sprintf("10.0.1.6:%d", 4000+i), "10.0.2.7:53")
	}
	f.want(t, udp("10.0.1.6:4010", "10.0.2.7:53", ""), tcShot, refusedTable)
	f.want(t, opening("10.0.1.6", 4000), tcNext)
	if _, err := countAt(f.program("locate"), f.ns, 0); err != nil {
		t.Fatal(err)
	}
	f.want(t, udp("10.0.1.6:4010", "10.0.2.7:53", ""), tcNext) // nobody says how many there are
}

// Counters of entries that are gone stay as long as something is open.
func TestBoundsAreDropped(t *testing.T) {
	f := boundedBy(t, func(*configured) {})
	f.wantInbound(t, called(4000, shared+":80"), tcNext)
	f.wantInbound(t, asked(4000, shared+":53"), tcNext)
	f.want(t, opening("10.0.1.9", 4000), tcNext)
	f.rules = &rules{}
	if err := f.dropBounds(); err != nil {
		t.Fatal(err)
	}
	if got := f.counters(); len(got) != 4 {
		t.Errorf("%v", got)
	}
	ended := []entry{{Original: called(4000, shared+":80").key(), Ended: 1}, {Original: opening("10.0.1.9", 4000).key(), Ended: 1}}
	if err := f.syncSessions(ended); err != nil {
		t.Fatal(err)
	}
	if err := f.dropBounds(); err != nil {
		t.Fatal(err)
	}
	f.wantCounters(t, map[string][2]uint64{"entry 203.0.113.11 53/17": {1, 0}, "elastic IP 203.0.113.11": {1, 0}})
	f.rules = &rules{elastic: map[uint32]uint32{word(addrOf(shared)): 0}}
	if err := f.syncSessions([]entry{{Original: asked(4000, shared+":53").key(), Ended: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := f.dropBounds(); err != nil {
		t.Fatal(err)
	}
	f.wantCounters(t, map[string][2]uint64{"elastic IP 203.0.113.11": {0, 0}})
}

// Where a connection is closed it makes room when that is asked for, and only then.
func TestSpare(t *testing.T) {
	f := boundedBy(t, func(*configured) {})
	c := f.conntrack(t)
	open, closed := called(4000, shared+":80"), called(4001, shared+":80")
	f.track(t, unix.IPPROTO_TCP, open.from, open.to)
	known := f.track(t, unix.IPPROTO_TCP, closed.from, closed.to)
	known.ProtoInfo.TCP.State = tcpTimeWait
	if err := c.Update(known); err != nil {
		t.Fatal(err)
	}
	if err := f.syncSessions([]entry{{Original: open.key(), Spare: 1}, {Original: closed.key(), Spare: 1}}); err != nil {
		t.Fatal(err)
	}
	flows, err := c.Dump(nil)
	if err != nil || len(flows) != 1 || keyOf(&flows[0].TupleOrig) != open.key() {
		t.Errorf("left: %v, %v", flows, err)
	}
}

func TestShares(t *testing.T) {
	const entries = 80_000
	all := &rules{snat: true, elasticHosts: true, mapped: map[uint32]uint32{0: 0}}
	all.connections = 40_000
	large := &rules{snat: true, mapped: all.mapped}
	large.connections = 200_000
	type list = [4]uint32
	const others, snat, elastic, inbound = bpf.GatewayClassCLASS_OTHERS, bpf.GatewayClassCLASS_SNAT, bpf.GatewayClassCLASS_ELASTIC, bpf.GatewayClassCLASS_INBOUND
	for name, c := range map[string]struct {
		rules *rules
		want  list
	}{
		"all":             {all, list{snat: 40_000, others: 10_000, elastic: 10_000, inbound: 10_000}},
		"too large":       {large, list{snat: 70_000, others: 2_500, inbound: 2_500}},
		"without a limit": {&rules{snat: true}, list{snat: 40_000, others: 10_000}},
		"elastic IPs":     {&rules{elasticHosts: true, mapped: all.mapped}, list{others: 20_000, elastic: 20_000, inbound: 20_000}},
		"nothing":         {&rules{}, list{others: 20_000}},
	} {
		if got := shares(entries, c.rules); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for most, want := range map[uint32]uint32{0: 0, 8: 7, 1024: 1024 - 128, 1 << 20: 1<<20 - 1<<14} {
		if got := usable(most); got != want && !(most == 1024 && got >= 1024-128 && got < 1024) {
			t.Errorf("of %d: %d, want %d", most, got, want)
		}
	}
}

// Entries are compiled as nftables has them.
func TestCompileEntries(t *testing.T) {
	n := &dataplane.Network{
		Prefix:   netip.MustParsePrefix("10.0.0.0/16"),
		Mappings: []dataplane.Mapping{{External: addrOf(elasticIP), Internal: addrOf("10.0.1.9")}},
		DNAT: sorted.Of(
			dataplane.DNAT{External: addrOf(shared), Protocol: 6, ExternalPort: 80, Internal: addrOf("10.0.2.7"), InternalPort: 8080},
			dataplane.DNAT{External: addrOf("203.0.113.13"), Internal: addrOf("10.0.2.8")},
		),
		Bounds: dataplane.Bounds{PerEntry: 1},
	}
	r := compile(n, nil)
	want := map[boundKey]uint32{
		{Addr: word(addrOf(elasticIP))}:                           word(addrOf("10.0.1.9")),
		{Addr: word(addrOf(shared)), Proto: 6, Port: order16(80)}: word(addrOf("10.0.2.7")),
		{Addr: word(addrOf("203.0.113.13"))}:                      word(addrOf("10.0.2.8")),
	}
	if !cmp.Equal(r.entries(), want) || r.bounds.PerEntry != 1 || r.snat || !r.elasticHosts {
		t.Errorf("%+v", r)
	}
}
