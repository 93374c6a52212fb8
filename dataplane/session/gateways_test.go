package session

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// twoGateways is a network with two NAT gateways: hosts of 10.0.1.0/24 go by ngw-1, those
// of 10.0.2.0/24 by ngw-2, and 10.0.1.9 by an elastic IP of its own. Port 80 of one
// address of each leads to 10.0.1.7.
func twoGateways() *dataplane.Network {
	entry := func(external string) dataplane.DNAT {
		return dataplane.DNAT{External: addrOf(external), Protocol: unix.IPPROTO_TCP, ExternalPort: 80, Internal: addrOf("10.0.1.7"), InternalPort: 80}
	}
	return &dataplane.Network{
		ID: "vpc-fixture", Prefix: prefixOf("10.0.0.0/16"),
		Uplink:   &dataplane.Uplink{Prefix: prefixOf("203.0.113.0/24"), Gateway: addrOf("203.0.113.1")},
		Routes:   []dataplane.Route{{Destination: prefixOf("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}},
		Elastic:  []netip.Addr{addrOf("203.0.113.10"), addrOf("203.0.113.11"), addrOf(elasticIP), addrOf("203.0.113.20"), addrOf("203.0.113.21")},
		Mappings: []dataplane.Mapping{{External: addrOf(elasticIP), Internal: addrOf("10.0.1.9")}},
		DNAT:     sorted.Of(entry("203.0.113.11"), entry("203.0.113.21")),
		SNAT: []dataplane.SNAT{
			{Source: prefixOf("10.0.1.0/24"), Pool: []netip.Addr{addrOf("203.0.113.10")}},
			{Source: prefixOf("10.0.2.0/24"), Pool: []netip.Addr{addrOf("203.0.113.20")}},
		},
		NATGateways: []dataplane.NATGateway{
			{ID: "ngw-1", Limits: dataplane.Limits{Connections: 2}, Elastic: []netip.Addr{addrOf("203.0.113.10"), addrOf("203.0.113.11")}},
			{ID: "ngw-2", Limits: dataplane.Limits{Connections: 3}, Elastic: []netip.Addr{addrOf("203.0.113.20"), addrOf("203.0.113.21")}},
		},
		Bounds: dataplane.Bounds{PerEntry: 1000, PerElasticIP: 1000, PerHost: 1000},
	}
}

// applied is a fixture that holds a network.
func applied(t testing.TB, n *dataplane.Network) *fixture {
	t.Helper()
	f := newFixture(t)
	f.s = &Sessions{opt: Options{Lifetime: Lifetime}}
	f.apply(t, n)
	return f
}

func (f *fixture) apply(t testing.TB, n *dataplane.Network) {
	t.Helper()
	if err := f.Apply(n, uplink); err != nil {
		t.Fatal(err)
	}
}

// restart has the fixture forget what a process knows.
func (f *fixture) restart(t testing.TB, n *dataplane.Network) {
	t.Helper()
	f.rules, f.known, f.numbers, f.slots.known = nil, nil, nil, nil
	if err := f.recoverSlots(); err != nil {
		t.Fatal(err)
	}
	if err := f.readNumbers(); err != nil {
		t.Fatal(err)
	}
	f.apply(t, n)
}

// ofGateway is what was counted of a gateway, in a form to compare.
type ofGateway struct {
	Open, Opened string // SNAT, DNAT, elastic
	Refused      map[string]uint64
	Packets      uint64 // outbound
	Hosts        map[string]uint64
}

func (f *fixture) gateways(t testing.TB) map[string]ofGateway {
	t.Helper()
	traffic := f.read(t)
	out := map[string]ofGateway{}
	for _, g := range traffic.Gateways {
		v := ofGateway{Refused: map[string]uint64{}, Packets: g.Outbound.Packets, Hosts: map[string]uint64{}}
		for i, s := range g.Sessions {
			if s.Kind != dataplane.SessionKinds()[i] {
				t.Fatalf("sessions %+v", g.Sessions)
			}
			v.Open += fmt.Sprintf("%d ", s.Open)
			v.Opened += fmt.Sprintf("%d ", s.Opened)
		}
		for _, c := range g.Refused {
			if c.Count > 0 {
				v.Refused[c.Reason] = c.Count
			}
		}
		for _, a := range traffic.Addresses {
			if a.Gateway == g.ID {
				v.Hosts[a.Address.String()] = a.Open
			}
		}
		out[g.ID] = v
	}
	return out
}

// Each gateway has its own limits, and counts for itself: one that is full leaves the
// other alone.
func TestGatewaysHaveLimitsOfTheirOwn(t *testing.T) {
	f := applied(t, twoGateways())
	const refused = bpf.GatewayStatSTAT_REFUSED_CONNECTIONS
	open := func(host string, n, fit int) {
		t.Helper()
		for i := range n {
			verdict, stats := int32(tcNext), []bpf.GatewayStat(nil)
			if i >= fit {
				verdict, stats = tcShot, []bpf.GatewayStat{refused}
			}
			f.want(t, opening(host, 4000+i), verdict, stats...)
		}
	}
	open("10.0.1.6", 5, 2)
	open("10.0.2.6", 4, 3)
	open("10.0.1.9", 6, 6)
	f.wantInbound(t, called(5000, "203.0.113.11:80"), tcNext)
	f.wantInbound(t, called(5000, "203.0.113.21:80"), tcNext)
	f.wantInbound(t, called(5001, "203.0.113.21:80"), tcNext)
	f.wantInbound(t, called(5000, elasticIP+":80"), tcNext)
	want := map[string]ofGateway{
		"":      {Open: "0 0 7 ", Opened: "0 0 0 ", Refused: map[string]uint64{}, Hosts: map[string]uint64{"10.0.1.9": 7}},
		"ngw-1": {Open: "2 1 ", Opened: "0 0 ", Refused: map[string]uint64{"connections": 3}, Hosts: map[string]uint64{"10.0.1.6": 2, "10.0.1.7": 1}},
		"ngw-2": {Open: "3 2 ", Opened: "0 0 ", Refused: map[string]uint64{"connections": 1}, Hosts: map[string]uint64{"10.0.2.6": 3, "10.0.1.7": 2}},
	}
	if d := cmp.Diff(want, f.gateways(t)); d != "" {
		t.Errorf("gateways (-want +got):\n%s", d)
	}
	traffic := f.read(t)
	if open := traffic.Sessions; open[0].Open != 5 || open[1].Open != 3 || open[2].Open != 7 {
		t.Errorf("sessions in all: %+v", open)
	}

	// A larger specification of one holds for it alone, also after a restart.
	n := twoGateways()
	n.NATGateways[0].Limits.Connections = 3
	f.restart(t, n)
	f.want(t, opening("10.0.2.6", 4009), tcShot, refused)
	f.want(t, opening("10.0.1.6", 4009), tcNext)
	f.want(t, opening("10.0.1.6", 4010), tcShot, refused)
	if g := f.gateways(t); g["ngw-1"].Refused["connections"] != 4 || g["ngw-2"].Refused["connections"] != 2 {
		t.Errorf("gateways %+v", g)
	}
	counts, err := f.refusals()
	if err != nil || counts[refusedFor{reason: "connections", gateway: "ngw-1"}] != 4 || counts[refusedFor{reason: "connections", gateway: "ngw-2"}] != 2 || counts.sum() != 6 {
		t.Errorf("what is logged is %v, %v", counts, err)
	}
}

// The rate of one gateway leaves the other's alone.
func TestGatewaysHaveRatesOfTheirOwn(t *testing.T) {
	n := twoGateways()
	n.NATGateways[0].Limits, n.NATGateways[1].Limits = dataplane.Limits{NewPerSecond: 1}, dataplane.Limits{}
	f := applied(t, n)
	hour := natLimits{Interval: uint64(time.Hour), Burst: uint64(time.Hour)} // so that the test's time does not matter
	f.put("limits", f.numbers["ngw-1"], &hour)
	for i := range 6 {
		verdict, stats := int32(tcNext), []bpf.GatewayStat(nil)
		if i >= 2 {
			verdict, stats = tcShot, []bpf.GatewayStat{bpf.GatewayStatSTAT_REFUSED_RATE}
		}
		f.want(t, opening("10.0.1.6", 4000+i), verdict, stats...)
		f.want(t, opening("10.0.2.6", 4000+i), tcNext)
	}
	if g := f.gateways(t); g["ngw-1"].Open != "2 0 " || g["ngw-1"].Refused["rate"] != 4 || g["ngw-2"].Open != "6 0 " || len(g["ngw-2"].Refused) > 0 {
		t.Errorf("gateways %+v", g)
	}
}

// A host that moves from one gateway to the other goes on counting with the one by which
// its sessions began, and with the other for new ones. One that goes away is not told of
// any more, and what is open of it does no harm.
func TestHostMovesToAnotherGateway(t *testing.T) {
	f := applied(t, twoGateways())
	first, second := opening("10.0.1.6", 4000), opening("10.0.1.6", 4001)
	f.want(t, first, tcNext)
	moved := twoGateways()
	moved.SNAT[0].Pool = moved.SNAT[1].Pool
	f.apply(t, moved)
	f.want(t, second, tcNext)
	f.want(t, first.with(flags(flagACK)), tcNext)
	if a, b := f.session(first.key()).Slot, f.session(second.key()).Slot; a == b {
		t.Errorf("both sessions count in slot %d", a)
	}
	g := f.gateways(t)
	if g["ngw-1"].Open != "1 0 " || g["ngw-2"].Open != "1 0 " || g["ngw-1"].Hosts["10.0.1.6"] != 1 || g["ngw-2"].Hosts["10.0.1.6"] != 1 {
		t.Errorf("gateways %+v", g)
	}
	f.end(t, "10.0.1.6", 4000)
	if g := f.gateways(t); g["ngw-1"].Open != "0 0 " || g["ngw-2"].Open != "1 0 " {
		t.Errorf("after the first has ended: %+v", g)
	}

	gone := twoGateways()
	gone.NATGateways, gone.SNAT, gone.Elastic = gone.NATGateways[:1], gone.SNAT[:1], gone.Elastic[:3]
	f.apply(t, gone)
	if g := f.gateways(t); len(g) != 2 || len(g["ngw-1"].Hosts) != 1 {
		t.Errorf("without ngw-2: %+v", g)
	}
	if traffic := f.read(t); traffic.Sessions[0].Open != 1 {
		t.Errorf("in all %+v", traffic.Sessions)
	}
	f.end(t, "10.0.1.6", 4001)
	if traffic := f.read(t); traffic.Sessions[0].Open != 0 {
		t.Errorf("in all %+v", traffic.Sessions)
	}
}

// When all slots are taken, an address counts with the others of its gateway, also on the
// kernel's path, and what is open there with its limits.
func TestGatewaysOthers(t *testing.T) {
	f := newFixture(t)
	f.s = &Sessions{opt: Options{Lifetime: Lifetime, Addresses: 1}}
	f.apply(t, twoGateways())
	for i, host := range []string{"10.0.1.6", "10.0.1.8", "10.0.2.6", "10.0.2.7"} {
		slot := f.send(t, host, 4000)
		if want := []uint32{gatewayNumbers, f.numbers["ngw-1"], f.numbers["ngw-2"], f.numbers["ngw-2"]}[i]; slot != want {
			t.Errorf("%s is counted in slot %d, want %d", host, slot, want)
		}
	}
	want := map[string]ofGateway{
		"":      {Open: "0 0 0 ", Opened: "0 0 0 ", Refused: map[string]uint64{}, Hosts: map[string]uint64{}},
		"ngw-1": {Open: "2 0 ", Opened: "0 0 ", Refused: map[string]uint64{}, Packets: 2, Hosts: map[string]uint64{"10.0.1.6": 1}},
		"ngw-2": {Open: "2 0 ", Opened: "0 0 ", Refused: map[string]uint64{}, Packets: 2, Hosts: map[string]uint64{}},
	}
	if d := cmp.Diff(want, f.gateways(t)); d != "" {
		t.Errorf("gateways (-want +got):\n%s", d)
	}
	if all := f.read(t); all.Outbound.Packets != 4 {
		t.Errorf("%d packets in all", all.Outbound.Packets)
	}
	for _, host := range []string{"10.0.1.8", "10.0.2.6", "10.0.2.7"} {
		f.end(t, host, 4000)
	}
	if g := f.gateways(t); g["ngw-1"].Open != "1 0 " || g["ngw-2"].Open != "0 0 " {
		t.Errorf("after they have ended: %+v", g)
	}
}

// Whatever gateways come and go, and however often the daemon is started anew: each one
// that is there has a number of its own as long as it is, what is counted of it begins at
// 0 and only grows, and the network's totals are what was sent.
func TestGatewayNumbers(t *testing.T) {
	f := applied(t, twoGateways())
	r := rand.New(rand.NewPCG(7, 7))
	now, sent, next := time.Now(), uint64(0), 3
	numbers, packets, since := map[string]uint32{}, map[string]uint64{}, map[string]uint64{} // since: sent before it was there
	n := twoGateways()
	n.NATGateways[0].Limits, n.NATGateways[1].Limits = dataplane.Limits{}, dataplane.Limits{}
	open := map[[2]int]bool{}
	for step := range 400 {
		switch k := r.IntN(10); {
		case k < 4: // another gateway in the place of one
			i := r.IntN(2)
			n.NATGateways = slices.Clone(n.NATGateways)
			delete(numbers, n.NATGateways[i].ID)
			delete(packets, n.NATGateways[i].ID)
			n.NATGateways[i].ID = fmt.Sprintf("ngw-%d", next)
			since[n.NATGateways[i].ID] = sent
			next++
			f.apply(t, n)
		case k < 5:
			f.restart(t, n)
		case k < 6:
			now = now.Add(silentForFull)
			f.sweep(t, now)
		case k < 7:
			for o := range open {
				f.end(t, fmt.Sprintf("10.0.%d.6", o[0]), o[1])
				delete(open, o)
			}
		default:
			i, port := r.IntN(2), 4000+r.IntN(3)
			began := f.session(opening(fmt.Sprintf("10.0.%d.6", 1+i), port).key()) == nil
			f.send(t, fmt.Sprintf("10.0.%d.6", 1+i), port)
			open[[2]int{1 + i, port}] = true
			sent++
			if began { // else it goes on counting with the gateway of its session
				packets[n.NATGateways[i].ID]++
			}
		}
		all := f.read(t)
		if all.Outbound.Packets != sent {
			t.Fatalf("step %d: %d packets in all, want %d", step, all.Outbound.Packets, sent)
		}
		for _, g := range n.NATGateways {
			number, known := numbers[g.ID]
			is := f.numbers[g.ID]
			if known && number != is || is < firstGateway {
				t.Fatalf("step %d: %s has the number %d, after %d", step, g.ID, is, number)
			}
			numbers[g.ID] = is
		}
		if numbers[n.NATGateways[0].ID] == numbers[n.NATGateways[1].ID] {
			t.Fatalf("step %d: both have the number %d", step, numbers[n.NATGateways[0].ID])
		}
		for _, g := range all.Gateways[1:] {
			if least, most := packets[g.ID], sent-since[g.ID]; g.Outbound.Packets < least || g.Outbound.Packets > most {
				t.Fatalf("step %d: %s has sent %d packets, want %d to %d", step, g.ID, g.Outbound.Packets, least, most)
			}
			packets[g.ID] = g.Outbound.Packets
		}
	}
	if next < 2*gatewayNumbers {
		t.Errorf("only %d gateways were there", next)
	}

	// There are not more of them at once than numbers.
	n.NATGateways = nil
	for i := range dataplane.MostNATGateways + 1 {
		n.NATGateways = append(n.NATGateways, dataplane.NATGateway{ID: fmt.Sprintf("ngw-many-%d", i)})
	}
	if err := f.Apply(n, uplink); err == nil {
		t.Error("there are more gateways than there can be")
	}
	n.NATGateways = n.NATGateways[1:]
	f.apply(t, n)
	for _, id := range []string{"", string(make([]byte, 65))} {
		n.NATGateways[0].ID = id
		if err := f.Apply(n, uplink); err == nil {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

// Where a host has two gateways, by one of which the outside calls it, its answers count
// with that one, and so do ICMP errors about them; between hosts of the VPC each counts
// with its own.
func TestPacketsCountWithTheirSession(t *testing.T) {
	f := applied(t, twoGateways())
	f.wantInbound(t, called(5000, "203.0.113.21:80"), tcNext)
	inbound := f.session(called(5000, "203.0.113.21:80").key())
	f.send(t, "10.0.1.7", 4000)
	own := f.session(opening("10.0.1.7", 4000).key())
	if f.gatewayOfSlot(t, inbound.Slot) != f.numbers["ngw-2"] || f.gatewayOfSlot(t, own.Slot) != f.numbers["ngw-1"] {
		t.Fatalf("sessions %+v and %+v", inbound, own)
	}
	// As it answers, conntrack's entry has told of the way back.
	reply := tcp("10.0.1.7:80", outside+":5000", "")
	k := reply.key()
	f.put("sessions", &k, &bpf.GatewaySession{Slot: inbound.Slot, Kind: inbound.Kind, Flow: flowReply, State: stateConfirmed})
	if index := f.pass(t, switchIngress, reply.frame(), 0); index&indexSlot != uint32(inbound.Slot) {
		t.Errorf("an answer has the index %#x, want slot %d", index, inbound.Slot)
	}
	// To another host by way of an elastic IP: who calls counts with its own gateway, who is called with that of the address.
	hairpin := opening("10.0.2.6", 4000).with(func(p *packet) { p.to = "203.0.113.11:80" })
	if index := f.pass(t, switchIngress, hairpin.frame(), 0); index&indexHairpin == 0 || f.gatewayOfSlot(t, uint16(index&indexSlot)) != f.numbers["ngw-2"] {
		t.Errorf("hairpin: index %#x", index)
	}
	if s := f.session(hairpin.key()); s == nil || f.gatewayOfSlot(t, s.Slot) != f.numbers["ngw-1"] {
		t.Errorf("hairpin: session %+v", s)
	}
}

func (f *fixture) gatewayOfSlot(t testing.TB, slot uint16) uint32 {
	t.Helper()
	s, err := f.readSlots()
	if err != nil {
		t.Fatal(err)
	}
	return s.gateway(int(slot))
}
