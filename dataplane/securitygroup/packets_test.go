package securitygroup

import (
	"slices"
	"testing"

	"sluice/dataplane"
)

// one is a network with a member, which may call TCP port 80 and UDP port 53 of 10.0.0.0/8, and is
// called at TCP port 22 by 10.0.0.9.
func one() *dataplane.Network {
	return &dataplane.Network{
		Policies: []dataplane.GroupPolicy{{ID: "sg",
			Egress: []dataplane.GroupRule{{Accept: true, Remotes: blocks("10.0.0.0/8"), Services: []dataplane.GroupService{
				{Protocol: tcp, First: 80, Last: 80}, {Protocol: udp, First: 53, Last: 53}}}},
			Ingress: []dataplane.GroupRule{{Accept: true, Remotes: blocks("10.0.0.9/32"), Services: []dataplane.GroupService{{Protocol: tcp, First: 22, Last: 22}}}},
		}},
		Members: []dataplane.GroupMember{{Address: addr("10.0.0.1"), MAC: "02:00:00:00:00:01", Policy: "sg"}},
	}
}

const (
	memberMAC = "\x02\x00\x00\x00\x00\x01"
	everybody = "\xff\xff\xff\xff\xff\xff"
)

// call is a packet of the member's to or from 10.0.0.9.
func call(out bool, protocol uint8, lport, rport uint16, flags uint8) packet {
	return packet{out: out, local: addr("10.0.0.1"), remote: addr("10.0.0.9"), protocol: protocol, lport: lport, rport: rport, flags: flags}
}

func with(p packet, change func(*packet)) packet {
	change(&p)
	return p
}

// forget has the programs forget what they have seen.
func (n *Network) forget(t *testing.T) {
	t.Helper()
	for _, name := range []string{"flows", "crowd", "shares", "fragments", "ports"} {
		m := n.maps[name]
		for key := make([]byte, m.KeySize()); m.NextKey(nil, &key) == nil; {
			if err := m.Delete(key); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What is near counts for its generation.
	n.settings.Generation++
	if err := n.maps["settings"].Put(uint32(0), n.settings); err != nil {
		t.Fatal(err)
	}
}

// What belongs to a flow passes with it: answers, ICMP errors that quote it, later fragments. What is
// no packet of an interface's does not pass past the rules.
func TestPackets(t *testing.T) {
	query := call(true, udp, 4000, 53, 0)
	sent := call(true, tcp, 4000, 80, syn)
	first := with(query, func(p *packet) { p.fragment, p.id = 0x2000, 7 })
	later := with(query, func(p *packet) { p.fragment, p.id = 0x00b9, 7 })
	quoting := func(typ uint8, q packet) packet {
		return packet{local: addr("10.0.0.1"), remote: addr("10.0.0.254"), protocol: icmp, icmp: typ, quote: &q}
	}
	n := open(t)
	mustApplyGroups(t, n, one())
	n.settle(t)
	type step struct {
		what   string
		packet packet
		passes bool
	}
	for name, steps := range map[string][]step{
		"TCP": {
			{"an answer to nothing", call(false, tcp, 4000, 80, syn|ack), false},
			{"a call", sent, true},
			{"its answer", call(false, tcp, 4000, 80, syn|ack), true},
			{"what follows", call(true, tcp, 4000, 80, ack), true},
			{"the same ports the other way round", call(false, tcp, 80, 4000, syn), false},
			{"the end", call(false, tcp, 4000, 80, fin|ack), true},
			{"the end of the other side", call(true, tcp, 4000, 80, fin|ack), true},
			{"the same ports again", sent, true},
			{"to another port", call(true, tcp, 4000, 81, syn), false},
			{"called", call(false, tcp, 22, 4000, syn), true},
			{"its answer", call(true, tcp, 22, 4000, syn|ack), true},
			{"called by another", with(call(false, tcp, 22, 4000, syn), func(p *packet) { p.remote = addr("10.0.0.8") }), false},
			{"in the middle of what nobody saw", call(true, tcp, 4001, 80, ack), false},
		},
		"UDP": {
			{"an answer to nothing", with(query, func(p *packet) { p.out = false }), false},
			{"a query", query, true},
			{"its answer", with(query, func(p *packet) { p.out = false }), true},
			{"another's answer", with(query, func(p *packet) { p.out, p.remote = false, addr("10.0.0.8") }), false},
		},
		"fragments": {
			{"a later one alone", later, false},
			{"the first", first, true},
			{"a later one", later, true},
			{"of another datagram", with(later, func(p *packet) { p.id = 8 }), false},
			{"of the same number the other way", with(later, func(p *packet) { p.out = false }), false},
			{"the first of what may not pass", with(first, func(p *packet) { p.rport, p.id = 54, 9 }), false},
			{"what follows it", with(later, func(p *packet) { p.rport, p.id = 54, 9 }), false},
			{"that writes TCP's flags anew", with(call(true, tcp, 4000, 80, syn), func(p *packet) { p.fragment = 1 }), false},
		},
		"ICMP errors": {
			{"about nothing", quoting(3, query), false},
			{"a query", query, true},
			{"unreachable, or too large, about it", quoting(3, query), true},
			{"time exceeded about it", quoting(11, query), true},
			{"an echo request", call(false, icmp, 5, 0, 0), false},
			{"about what another has sent", quoting(3, with(query, func(p *packet) { p.local = addr("10.0.0.2") })), false},
			{"about what it was sent, from itself", with(packet{out: true, local: addr("10.0.0.1"), remote: addr("10.0.0.9"), protocol: icmp, icmp: 3},
				func(p *packet) { q := with(query, func(p *packet) { p.out = false }); p.quote = &q }), true},
		},
		"other than IPv4": {
			{"ARP", packet{out: true, ether: 0x0806}, true},
			{"IPv6", packet{out: true, ether: 0x86dd}, false},
			{"a tag within a tag", packet{ether: 0x88a8}, false},
		},
		"DHCP": {
			{"its request", packet{out: true, local: addr("0.0.0.0"), remote: addr("255.255.255.255"), protocol: udp, lport: 68, rport: 67, from: memberMAC, to: everybody}, true},
			{"the gateway's answer", packet{local: addr("10.0.0.1"), remote: addr("10.0.0.253"), protocol: udp, lport: 68, rport: 67}, true},
			{"as a server", packet{out: true, local: addr("10.0.0.1"), remote: addr("10.0.0.253"), protocol: udp, lport: 67, rport: 68}, false},
		},
		"other addresses": {
			{"for all, before it was heard", packet{local: addr("10.0.0.255"), remote: addr("10.0.0.9"), protocol: udp, rport: 99, to: everybody}, true},
			{"what is nobody's", packet{out: true, local: addr("10.0.0.77"), remote: addr("10.0.0.9"), protocol: udp, rport: 99}, true},
			{"the same from the member's card", packet{out: true, local: addr("10.0.0.77"), remote: addr("10.0.0.9"), protocol: udp, rport: 99, from: memberMAC}, false},
			{"to the member's card", packet{local: addr("10.0.0.77"), remote: addr("10.0.0.9"), protocol: udp, rport: 99, to: memberMAC}, false},
			{"what it may send", with(query, func(p *packet) { p.from = memberMAC }), true},
			{"for all at its port", packet{local: addr("10.0.0.255"), remote: addr("10.0.0.9"), protocol: udp, rport: 99, to: everybody}, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n.forget(t)
			for _, s := range steps {
				if got := n.passes(t, &s.packet); got != s.passes {
					t.Errorf("%s passes: %t, want %t", s.what, got, s.passes)
				}
			}
		})
	}
}

// A flow that is cut stays so whoever goes on with it, until it is begun anew; TCP that was open
// before an address became a member is taken up, as if it had begun under the rules.
func TestCutAndTakenUp(t *testing.T) {
	n, want := open(t), one()
	mustApplyGroups(t, n, want)
	in, answer := call(false, tcp, 22, 4000, ack), call(true, tcp, 22, 4000, ack)
	if !n.passes(t, &answer) || !n.passes(t, &in) {
		t.Error("TCP that was open before is not taken up")
	}
	if p := call(true, tcp, 22, 4001, syn); n.passes(t, &p) {
		t.Error("a beginning passes as if it had been there before")
	}
	everything := []dataplane.GroupRule{{Accept: true, Remotes: blocks("0.0.0.0/0"), Services: []dataplane.GroupService{{}}}}
	next := *want
	next.Policies = []dataplane.GroupPolicy{{ID: "sg", Egress: everything}}
	mustApplyGroups(t, n, &next)
	if n.passes(t, &answer) || n.passes(t, &in) || n.passes(t, &answer) {
		t.Error("a flow whose rule is gone goes on")
	}
	drops, err := n.Drops()
	if err != nil || drops["cut"] != 3 {
		t.Errorf("dropped was %v: %v", drops, err)
	}
	if p := call(true, tcp, 22, 4000, syn); !n.passes(t, &p) || !n.passes(t, &in) {
		t.Error("it cannot be begun anew")
	}
}

// What somebody changes in the maps is seen and put right, and a network that is opened again
// finds all as it was.
func TestMapsArePutRight(t *testing.T) {
	n, want := open(t), one()
	mustApplyGroups(t, n, want)
	if changes := mustApplyGroups(t, n, want); changes != 0 {
		t.Errorf("once more the same: %d changes", changes)
	}
	for _, name := range []string{"classes", "chunks", "policies", "members", "stations"} {
		m := n.maps[name]
		key := make([]byte, m.KeySize())
		if err := m.NextKey(nil, &key); err != nil {
			t.Fatal(err)
		}
		if err := m.Delete(key); err != nil {
			t.Fatal(err)
		}
		if whats, err := n.Differences(); err != nil || len(whats) != 1 {
			t.Errorf("%s: %q %v", name, whats, err)
		}
		n.Doubt()
		if changes := mustApplyGroups(t, n, want); changes != 1 {
			t.Errorf("%s: %d changes", name, changes)
		}
		if whats, err := n.Differences(); err != nil || len(whats) != 0 {
			t.Errorf("%s afterwards: %q %v", name, whats, err)
		}
	}
	// Another process: with the same, and with other rules than it finds.
	for _, other := range []bool{false, true} {
		again, err := n.f.Open(n.id, n.ns)
		if err != nil {
			t.Fatal(err)
		}
		next := *want
		if other {
			next.Policies = []dataplane.GroupPolicy{{ID: "sg"}}
		}
		if changes := mustApplyGroups(t, again, &next); (changes != 0) != other {
			t.Errorf("with other rules %t: %d changes", other, changes)
		}
		if whats, err := again.Differences(); err != nil || len(whats) > 0 {
			t.Errorf("with other rules %t: %q %v", other, whats, err)
		}
		again.Close()
	}
}

// TestServicePrefixes: ports are covered by prefixes, each once.
func TestServicePrefixes(t *testing.T) {
	for _, s := range []dataplane.GroupService{
		{Protocol: tcp, First: 0, Last: 65535}, {Protocol: tcp, First: 1, Last: 65535}, {Protocol: udp, First: 80, Last: 80}, {Protocol: tcp, First: 65535, Last: 65535},
		{Protocol: tcp, First: 8000, Last: 8010}, {Protocol: udp, First: 0, Last: 1}, {Protocol: tcp, First: 3, Last: 60000},
	} {
		list := servicePrefixes(s)
		for port := range 1 << 16 {
			at := prefix{uint32(s.Protocol)<<24 | uint32(port)<<8, 32}
			n := 0
			for _, p := range list {
				if p.covers(at) {
					n++
				}
			}
			if want := s.Covers(s.Protocol, uint16(port)); n > 1 || (n == 1) != want {
				t.Fatalf("port %d of %+v is in %d of %v", port, s, n, list)
			}
		}
	}
	if !slices.Equal(servicePrefixes(dataplane.GroupService{}), []prefix{{}}) {
		t.Error("any service is not all")
	}
}
