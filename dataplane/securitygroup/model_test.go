package securitygroup

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// open opens the groups of a network in a namespace of the test's own.
func open(t testing.TB) *Network {
	t.Helper()
	return openWith(t, func(*Filters) {})
}

func openWith(t testing.TB, change func(*Filters)) *Network {
	t.Helper()
	f, err := New("/sys/fs/bpf/sluice-test-"+nstest.Random(8), true)
	if err != nil {
		t.Fatal(err)
	}
	change(f)
	n, err := f.Open("vpc-model", nstest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if err := f.Remove(""); err != nil {
			t.Error(err)
		}
	})
	return n
}

// packet is one as a host's interface sees it.
type packet struct {
	out           bool // the host sends it
	local, remote netip.Addr
	protocol      uint8
	lport, rport  uint16 // ICMP: lport is the identifier
	flags         uint8  // of TCP
	icmp          uint8  // type
	quote         *packet
	fragment      uint16 // field of flags and offset
	id            uint16
	ether         uint16 // 0: IPv4
	from, to      string // Ethernet addresses; empty: nobody's
}

const (
	fin, syn, rst, ack = 1, 2, 4, 16
	tcp, udp, icmp     = 6, 17, 1
)

func (p *packet) bytes() []byte {
	mac := func(s string) []byte {
		if s == "" {
			return []byte{2, 9, 9, 9, 9, 9}
		}
		return []byte(s)
	}
	b := append(append([]byte{}, mac(p.to)...), mac(p.from)...)
	ether := p.ether
	if ether == 0 {
		ether = 0x0800
	}
	b = binary.BigEndian.AppendUint16(b, ether)
	if p.ether != 0 {
		return append(b, make([]byte, 50)...)
	}
	b = append(b, p.ip()...)
	return append(b, make([]byte, max(0, 64-len(b)))...)
}

func (p *packet) ip() []byte {
	src, dst, sport, dport := p.remote, p.local, p.rport, p.lport
	if p.out {
		src, dst, sport, dport = p.local, p.remote, p.lport, p.rport
	}
	var l4 []byte
	switch p.protocol {
	case tcp:
		l4 = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), dport)
		l4 = append(l4, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, p.flags, 1, 0, 0, 0, 0, 0)
	case udp:
		l4 = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), dport)
		l4 = append(l4, 0, 8, 0, 0)
	case icmp:
		l4 = append(l4, p.icmp, 0, 0, 0)
		if p.quote != nil {
			l4 = append(append(l4, 0, 0, 0, 0), p.quote.ip()...)
		} else {
			l4 = binary.BigEndian.AppendUint16(l4, p.lport)
			l4 = append(l4, 0, 0)
		}
	}
	b := []byte{0x45, 0, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(l4)))
	b = binary.BigEndian.AppendUint16(b, p.id)
	b = binary.BigEndian.AppendUint16(b, p.fragment)
	b = append(b, 64, p.protocol, 0, 0)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, l4...)
}

// passes runs a packet through the program at its side.
func (n *Network) passes(t testing.TB, p *packet) bool {
	t.Helper()
	prog := n.prog["to_host"]
	if p.out {
		prog = n.prog["from_host"]
	}
	verdict, err := prog.Run(&ebpf.RunOptions{Data: p.bytes()})
	if err != nil {
		t.Fatal(err)
	}
	switch int32(verdict) {
	case -1:
		return true
	case 2:
		return false
	}
	t.Fatalf("the verdict is %d", int32(verdict))
	return false
}

func mustApplyGroups(t testing.TB, n *Network, want *dataplane.Network) int {
	t.Helper()
	changes, err := n.Apply(want)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func blocks(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// randomRules draws rules over few addresses, ports and protocols, so that they overlap.
func randomRules(r *rand.Rand, most int) (rules []dataplane.GroupRule) {
	for range r.IntN(most + 1) {
		g := dataplane.GroupRule{Accept: r.IntN(3) > 0}
		for range 1 + r.IntN(3) {
			s := dataplane.GroupService{Protocol: []uint8{0, tcp, tcp, udp, udp, icmp, 47}[r.IntN(7)]}
			if s.Protocol == tcp || s.Protocol == udp {
				a, b := uint16(r.IntN(24)), uint16(r.IntN(24))
				s.First, s.Last = min(a, b), max(a, b)
				if r.IntN(4) == 0 {
					s.First, s.Last = 0, 65535
				}
			}
			g.Services = append(g.Services, s)
		}
		for range 1 + r.IntN(3) {
			a := netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(16))})
			p, _ := a.Prefix([]int{32, 32, 30, 29, 28, 24, 0}[r.IntN(7)])
			g.Remotes = append(g.Remotes, p)
		}
		rules = append(rules, g)
	}
	return rules
}

// flow is what the model knows of one.
type flow struct {
	out bool // the host began it
}

// key tells flows apart.
type key struct {
	local, remote netip.Addr
	protocol      uint8
	lport, rport  uint16
}

func (p *packet) key() key {
	k := key{p.local, p.remote, p.protocol, p.lport, p.rport}
	if p.protocol != tcp && p.protocol != udp && p.protocol != icmp {
		k.lport, k.rport = 0, 0
	}
	if p.protocol == icmp {
		k.rport = 0
	}
	return k
}

// model is what security groups are to do, rule by rule.
type model struct {
	network *dataplane.Network
	flows   map[key]flow
	cut     map[key]bool
}

func (m *model) policy(a netip.Addr) *dataplane.GroupPolicy {
	i := slices.IndexFunc(m.network.Members, func(g dataplane.GroupMember) bool { return g.Address == a })
	if i < 0 {
		return nil
	}
	id := m.network.Members[i].Policy
	return &m.network.Policies[slices.IndexFunc(m.network.Policies, func(p dataplane.GroupPolicy) bool { return p.ID == id })]
}

func lets(p *dataplane.GroupPolicy, k key, out bool) bool {
	rules, port := p.Ingress, k.lport
	if out {
		rules, port = p.Egress, k.rport
	}
	if k.protocol != tcp && k.protocol != udp {
		port = 0
	}
	return Lets(rules, k.remote, k.protocol, port)
}

func (m *model) passes(p *packet) bool {
	policy := m.policy(p.local)
	if policy == nil {
		return true
	}
	k := p.key()
	if f, ok := m.flows[k]; ok {
		if lets(policy, k, f.out) {
			return true
		}
		delete(m.flows, k)
		m.cut[k] = true
	}
	opens := p.protocol != tcp || p.flags&(syn|ack|rst|fin) == syn
	if !opens || !lets(policy, k, p.out) {
		return false // picking up is for addresses that have just become members
	}
	delete(m.cut, k)
	m.flows[k] = flow{out: p.out}
	return true
}

func randomGroups(r *rand.Rand) *dataplane.Network {
	n := &dataplane.Network{}
	for i := range 1 + r.IntN(3) {
		n.Policies = append(n.Policies, dataplane.GroupPolicy{ID: fmt.Sprintf("sg-%d", i), Ingress: randomRules(r, 12), Egress: randomRules(r, 12)})
	}
	for i := range byte(5) {
		if r.IntN(5) > 0 {
			n.Members = append(n.Members, dataplane.GroupMember{Address: netip.AddrFrom4([4]byte{10, 0, 0, i}), Policy: n.Policies[r.IntN(len(n.Policies))].ID})
		}
	}
	return n
}

// settle makes all members such that nothing is picked up for.
func (n *Network) settle(t testing.TB) {
	t.Helper()
	for k, m := range n.members {
		m.Until = 0
		n.members[k] = m
		if err := n.maps["members"].Put(k, m); err != nil {
			t.Fatal(err)
		}
	}
}

// The programs decide on packets as an evaluation rule by rule does, also on those of flows
// that were open when rules, policies or members changed.
func TestDecisions(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	n := open(t)
	m := &model{flows: map[key]flow{}, cut: map[key]bool{}}
	rounds, each, passed, cuts := 60, 400, 0, 0
	if testing.Short() {
		rounds = 25
	}
	for round := range rounds {
		m.network = randomGroups(r)
		mustApplyGroups(t, n, m.network)
		n.settle(t)
		for range each {
			p := &packet{out: r.IntN(2) == 0, local: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(5))}),
				remote:   netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(16))}),
				protocol: []uint8{tcp, udp, icmp, 47}[r.IntN(4)], lport: uint16(r.IntN(24)), rport: uint16(r.IntN(24)), icmp: 8}
			if len(m.flows) > 0 && r.IntN(2) == 0 { // of one that is open
				for k := range m.flows {
					p.local, p.remote, p.protocol, p.lport, p.rport = k.local, k.remote, k.protocol, k.lport, k.rport
					break
				}
			}
			if p.protocol == tcp {
				p.flags = []uint8{syn, syn, syn | ack, ack, ack}[r.IntN(5)]
			}
			before := len(m.cut)
			want := m.passes(p)
			if len(m.cut) > before {
				cuts++
			}
			if want {
				passed++
			}
			if got := n.passes(t, p); got != want {
				t.Fatalf("seed %d, round %d: packet %+v of %+v passes: %t, want %t", seed, round, *p, m.policy(p.local), got, want)
			}
		}
		if whats, err := n.Differences(); err != nil || len(whats) > 0 {
			t.Fatalf("seed %d: the maps are other than noted: %q %v", seed, whats, err)
		}
	}
	if passed == 0 || passed == rounds*each || cuts == 0 {
		t.Errorf("of %d packets %d passed, %d flows were cut", rounds*each, passed, cuts)
	}
}
