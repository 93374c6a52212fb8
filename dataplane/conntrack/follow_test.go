package conntrack

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/route"
	"sluice/dataplane/sorted"
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomly returns network n with some of its parts made anew, and tunnels
// likewise.
func randomly(r *rand.Rand, n *dataplane.Network, tunnels route.Tunnels) (*dataplane.Network, route.Tunnels) {
	next := *n
	next.VPNGateways = slices.Clone(n.VPNGateways)
	v := &next.VPNGateways[0]
	v.Connections = slices.Clone(v.Connections)
	anew := func() bool { return r.IntN(3) == 0 }
	elastic := network().Elastic
	prefix := netip.MustParsePrefix
	blocks := []string{"0.0.0.0/0", "198.51.100.0/24", "198.51.100.0/26", "192.168.0.0/16", "192.168.1.0/24", "203.0.113.0/24"}
	if anew() {
		next.Routes = nil
		for _, b := range blocks {
			hops := []dataplane.NextHop{{Via: ip("10.0.3.20")}, {Via: ip("10.0.2.20")}, {Uplink: true}}
			switch c := r.IntN(12); {
			case c < 3 || c < 6 && b == "0.0.0.0/0":
				by(&next, b, pick(r, append(hops, dataplane.NextHop{VPN: "vpn-1"}, dataplane.NextHop{Uplink: true})...))
			case c == 7:
				by(&next, b, hops[r.IntN(2):]...)
			}
		}
	}
	if anew() {
		v.Routes = nil
		for range r.IntN(5) {
			x := into(pick(r, "vco-a", "vco-b"), pick(r, "", "", "10.0.1.0/24", "10.0.1.0/25", "10.0.0.0/16"), pick(r, blocks...))
			x.Published, x.Standby = r.IntN(4) > 0, r.IntN(4) == 0
			v.Routes = append(v.Routes, x)
		}
	}
	if anew() {
		tunnels = route.Tunnels{}
		for _, c := range []string{"vco-a", "vco-b"} {
			t := route.Tunnel{Up: r.IntN(2) == 0}
			if r.IntN(4) > 0 {
				t.Link = c
			}
			if r.IntN(3) == 0 {
				t.Learned = []netip.Prefix{prefix(pick(r, blocks[1:]...))}
			}
			tunnels[c] = t
		}
		v.Propagate = r.IntN(2) == 0
	}
	if anew() {
		v.SSL = []dataplane.SSLServer{{ID: "ssl-t", Protocol: udp, Port: 1194, Pool: prefix("10.8.0.0/24")}}
		for _, p := range []string{"10.0.0.0/16", "10.0.1.0/25", "10.8.0.0/24", "192.168.0.0/16", "198.51.100.0/26", "198.51.100.0/24", "203.0.113.0/24"} {
			if r.IntN(2) == 0 {
				v.SSL[0].Reach = append(v.SSL[0].Reach, prefix(p))
			}
		}
	}
	if anew() {
		next.SNAT = nil
		for _, source := range []string{"10.0.1.0/25", "10.0.1.128/25", "10.0.2.0/24", "10.8.0.0/25"} {
			if r.IntN(3) > 0 {
				first := r.IntN(3)
				next.SNAT = append(next.SNAT, dataplane.SNAT{Source: prefix(source), Pool: elastic[first : first+1+r.IntN(3-first)]})
			}
		}
	}
	if anew() {
		next.Mappings, next.DNAT = nil, sorted.Set[dataplane.DNAT]{}
		if r.IntN(2) == 0 {
			next.Mappings = []dataplane.Mapping{{External: elastic[3], Internal: ip(pick(r, "10.0.2.7", "10.0.1.7"))}}
		}
		for i, a := range elastic[:2] {
			internal := ip(pick(r, "10.0.1.7", "10.0.1.8", "10.0.2.7"))
			if r.IntN(3) == 0 {
				next.DNAT = next.DNAT.With(dataplane.DNAT{External: a, Internal: internal})
			}
			for _, port := range []uint16{1001, 2000 + uint16(i)} {
				if r.IntN(2) == 0 {
					next.DNAT = next.DNAT.With(dataplane.DNAT{External: a, Protocol: udp, ExternalPort: port, Internal: internal, InternalPort: port + uint16(r.IntN(2))})
				}
			}
		}
	}
	next.Elastic = elastic
	return &next, tunnels
}

// traffic is a flow of the test: packets that come in by a link.
type traffic struct {
	protocol            uint8
	from                string
	source, destination netip.AddrPort
	answered            bool
	site                bool // from a site or by an instance, to a host

	first seen // what its last packet became
	over  bool // it has begun anew from the other side
}

func (f *traffic) String() string {
	return fmt.Sprintf("protocol %d, %s > %s from %s, answered: %v", f.protocol, f.source, f.destination, f.from, f.answered)
}

// twin is a flow that differs in its port only, of which conntrack knows nothing.
func (f *traffic) twin(change int) traffic {
	t := *f
	t.source = netip.AddrPortFrom(f.source.Addr(), f.source.Port()+20_000*uint16(1+change))
	if f.protocol == icmp {
		t.destination = netip.AddrPortFrom(f.destination.Addr(), t.source.Port())
	}
	return t
}

func (w *wire) next(f *traffic) seen {
	return w.pass(f.from, f.protocol, f.source, f.destination, false)
}

// other is the flow that the host at the end of one from a site would begin.
func (f *traffic) other(m *Model) traffic {
	return traffic{protocol: f.protocol, from: m.inside(f.destination.Addr()), source: f.destination, destination: f.source}
}

// answer sends an answer to a packet that came out, from where that went.
func (w *wire) answer(f *traffic, s seen) seen {
	return w.pass(s.link, f.protocol, s.destination, s.source, true)
}

// flows returns random flows, in both directions between hosts and the outside or
// sites.
func flows(r *rand.Rand, m *Model) []traffic {
	var out []traffic
	for i := range 40 {
		protocol := pick[uint8](r, udp, udp, tcp, icmp)
		host := ip(pick(r, "10.0.1.7", "10.0.1.8", "10.0.1.200", "10.0.2.7", "10.0.2.8", "10.0.3.7", "10.8.0.5"))
		peer := ip(pick(r, "10.8.0.7", "198.51.100.1", "198.51.100.99", "192.168.1.7", "192.168.9.9", "203.0.113.50"))
		f := traffic{protocol: protocol, from: m.inside(host), answered: r.IntN(4) > 0}
		f.source, f.destination = netip.AddrPortFrom(host, uint16(1000+i)), netip.AddrPortFrom(peer, pick[uint16](r, 53, 5060))
		if r.IntN(6) == 0 {
			f.source = netip.AddrPortFrom(host, 1001) // one that DNAT entries may lead to
		}
		switch r.IntN(5) {
		case 0: // from a site, or by an instance
			f.source, f.destination = f.destination, f.source
			f.source = netip.AddrPortFrom(peer, uint16(1000+i))
			f.site = true
			if f.from = m.comesFrom(peer, host); f.from == "" || f.from == "public" {
				continue
			}
		case 1: // from outside, by an elastic IP
			f.source, f.from = netip.AddrPortFrom(peer, uint16(1000+i)), "public"
			f.destination = netip.AddrPortFrom(pick(r, m.network.Elastic[:4]...), pick[uint16](r, 1001, 2000, 2001))
		case 2: // from a host to an elastic IP
			f.destination = netip.AddrPortFrom(pick(r, m.network.Elastic[:4]...), pick[uint16](r, 1001, 2000, 2001))
		}
		if protocol == icmp {
			f.destination = netip.AddrPortFrom(f.destination.Addr(), f.source.Port())
		}
		same := func(o traffic) bool {
			return o.protocol == f.protocol && o.source == f.source && o.destination == f.destination
		}
		if !slices.ContainsFunc(out, same) {
			out = append(out, f)
		}
	}
	return out
}

// tuple is what tells flows apart.
type tuple struct {
	protocol            uint8
	source, destination netip.AddrPort
}

func (f *traffic) tuple() tuple { return tuple{f.protocol, f.source, f.destination} }

// entries returns the ids of conntrack's entries.
func (w *wire) entries() map[tuple]uint32 {
	w.t.Helper()
	all, err := w.table.Dump(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[tuple]uint32{}
	for i := range all {
		o := &all[i].TupleOrig
		from, to := o.Proto.SourcePort, o.Proto.DestinationPort
		if o.Proto.Protocol == icmp {
			from, to = o.Proto.ICMPID, o.Proto.ICMPID
		}
		if all[i].Mark != markAbsorber {
			out[tuple{o.Proto.Protocol, netip.AddrPortFrom(o.IP.SourceAddress, from), netip.AddrPortFrom(o.IP.DestinationAddress, to)}] = all[i].ID
		}
	}
	return out
}

// alike says whether a flow's packet became what that of a new flow becomes under
// a model: but for the port that it is seen from, another address of the host's pool, and
// an entry for its whole address where there is one for the port now.
func alike(m *Model, f *traffic, got, fresh seen) bool {
	if got.link == "" || fresh.link == "" {
		return got.link == fresh.link
	}
	pool := m.entries.outward(f.source.Addr())
	return got.link == fresh.link &&
		(got.source.Addr() == fresh.source.Addr() || slices.Contains(pool, got.source.Addr()) && slices.Contains(pool, fresh.source.Addr())) &&
		(f.protocol == icmp || got.destination == fresh.destination || m.entries.leadsTo(f.protocol, f.destination, got.destination)) &&
		(f.protocol != icmp || got.destination.Addr() == fresh.destination.Addr())
}

// After a change each flow's packets become what those of a new flow become, also
// if an answer was late for it; and a flow of which nothing else becomes has its
// entry still. What is right is measured, not computed: random networks with real
// packets.
func TestFlowsFollow(t *testing.T) {
	rounds := 12
	if s := os.Getenv("SLUICE_TEST_ROUNDS"); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	w := newWire(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	n := network()
	vpn(n)
	server(n, "10.0.0.0/16", "192.168.0.0/16")
	state := tunnels
	count := map[string]int{}
	for round := range rounds {
		n, state = randomly(r, n, state)
		w.apply(n, state)
		if err := w.table.Flush(); err != nil {
			t.Fatal(err)
		}
		all := flows(r, NewModel(n, state))
		for i := range all {
			f := &all[i]
			if f.first = w.next(f); f.answered && f.first.link != "" {
				w.answer(f, f.first)
			}
		}
		for change := range 3 {
			was := w.entries()
			old, oldState := n, state
			n, state = randomly(r, n, state)
			w.apply(n, state)
			m := NewModel(n, state)
			ended, err := Sweep(t.Context(), w.ns, m)
			if err != nil {
				t.Fatal(err)
			}
			count["ended"] += ended
			is := w.entries()
			for i := range all {
				f := &all[i]
				fail := func(what string, args ...any) {
					t.Helper()
					t.Fatalf("seed %d, round %d: %s: %s\nit was %s\nbefore: %s\nnow: %s", seed, round, f, fmt.Sprintf(what, args...), f.first, text(old, oldState), text(n, state))
				}
				entry, known := was[f.tuple()]
				kept := known && is[f.tuple()] == entry
				if f.first.link != "" && !known {
					f.over = true // it was taken for the answer to another one, or is absorbed
				}
				if f.over {
					continue
				}
				late := f.answered && f.first.link != "" && r.IntN(2) == 0
				twin := f.twin(change)
				turned := false
				if f.site && f.protocol != icmp {
					// What is late for an ended flow comes from the site.
					if late && !kept {
						w.next(f)
					}
					if o := f.other(m); !kept {
						fresh := o.twin(change)
						got, want := w.next(&o), w.next(&fresh)
						if !alike(m, &o, got, want) {
							fail("packets of the host become %s; of a new flow they become %s (late: %v)", got, want, late)
						}
						turned = got.link == dataplane.UplinkName
					}
				} else if late && !kept && f.from != dataplane.UplinkName {
					w.answer(f, f.first)
					count["late"]++
				}
				got, fresh := w.next(f), w.next(&twin)
				before := f.first
				f.first, f.over = got, turned
				if got.source.Addr() == f.source.Addr() && got.source != f.source {
					fail("packets become %s", got)
				}
				if !alike(m, f, got, fresh) {
					fail("packets become %s; of a new flow they become %s (kept: %v, late answer: %v)", got, fresh, kept, late)
				}
				if !known {
					continue
				}
				count["flows"]++
				if same := alike(m, f, before, fresh); same && !kept && !turned && got.link != "" {
					fail("was ended, although new ones become the same, %s", fresh)
				} else if !same {
					count["turned"]++
				}
				if got.link == "" || turned {
					continue
				}
				// Its answers come back, and by the way that is theirs.
				if back := w.answer(f, got); back.link != f.from || back.source.Addr() != f.destination.Addr() || back.destination != f.source {
					if fb := w.answer(&twin, fresh); fb.link == back.link && fb.source.Addr() == back.source.Addr() {
						continue // nor do those of a new one
					}
					fail("an answer to %s becomes %s", got, back)
				}
				count["answers"]++
			}
		}
	}
	t.Logf("seed %d: %v", seed, count)
	for _, what := range []string{"ended", "late", "turned", "answers"} {
		if count[what] < rounds/5 {
			t.Errorf("too few %s to tell: %v", what, count)
		}
	}
}

// What is put in the place of ended flows is in nobody's way when the next change
// comes at once: from the public side into a tunnel, to an instance, and back, each
// flow keeps its port where it is not translated, and is translated where it is.
func TestFlowsFollowBackAndForth(t *testing.T) {
	w := newWire(t)
	at := netip.MustParseAddrPort
	var all []traffic
	for _, host := range []string{"10.0.1.7:1001", "10.0.2.4:1001"} { // with an SNAT entry, with an elastic IP
		for _, protocol := range []uint8{udp, tcp, icmp} {
			f := traffic{protocol: protocol, from: "vsw-a", source: at(host), destination: at("198.51.100.1:5060")}
			if f.source.Addr() == ip("10.0.2.4") {
				f.from = "vsw-b"
			}
			if protocol == icmp {
				f.destination = netip.AddrPortFrom(f.destination.Addr(), f.source.Port())
			}
			all = append(all, f)
		}
	}
	for step := range 12 {
		n := network()
		n.DNAT = n.DNAT.With(dataplane.DNAT{External: n.Elastic[1], Protocol: udp, ExternalPort: 1001, Internal: ip("10.0.1.7"), InternalPort: 1001})
		want := "public"
		switch step % 4 {
		case 1:
			vpn(n, into("vco-a", "", "198.51.100.0/24"))
			want = "vco-a"
		case 3:
			by(n, "198.51.100.0/24", dataplane.NextHop{Via: ip("10.0.3.20")})
			want = "vsw-c"
		}
		w.apply(n, tunnels)
		if _, err := Sweep(t.Context(), w.ns, NewModel(n, tunnels)); err != nil {
			t.Fatal(err)
		}
		for i := range all {
			f := &all[i]
			if (step+i)%3 == 1 {
				f.first = seen{} // it is silent for a while, and so is its peer
				continue
			}
			if f.first.link != "" {
				w.answer(f, f.first) // late
			}
			got := w.next(f)
			if got.link != want || got.source.Addr().IsPrivate() != (want != "public") || want != "public" && got.source != f.source {
				t.Fatalf("step %d: %s becomes %s, not by %s", step, f, got, want)
			}
			if back := w.answer(f, got); back.link != f.from || back.destination != f.source {
				t.Fatalf("step %d: an answer to %s becomes %s", step, got, back)
			}
			f.first = got
		}
	}
}

// text is what a network consists of.
func text(n *dataplane.Network, state route.Tunnels) string {
	return fmt.Sprintf("routes %v, clients reach %v, VPN routes %v, propagated: %v, tunnels %v, SNAT %v, mappings %v, DNAT %v",
		n.Routes, n.VPNGateways[0].SSL[0].Reach, n.VPNGateways[0].Routes, n.VPNGateways[0].Propagate, state, n.SNAT, n.Mappings, n.DNAT.Slice())
}
