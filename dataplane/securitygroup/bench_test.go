package securitygroup

import (
	"fmt"
	"net/netip"
	"testing"

	"sluice/dataplane"
)

// many is a network with so many rules in each direction, of which the last one alone lets
// anything pass, and 100 members.
func many(rules int) *dataplane.Network {
	p := dataplane.GroupPolicy{ID: "sg"}
	for i := range rules - 1 {
		p.Egress = append(p.Egress, dataplane.GroupRule{Accept: i%2 == 0, Remotes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}), 32)},
			Services: []dataplane.GroupService{{Protocol: udp, First: uint16(1 + i), Last: uint16(1 + 2*i)}}})
	}
	p.Egress = append(p.Egress, dataplane.GroupRule{Accept: true, Remotes: blocks("0.0.0.0/0"), Services: []dataplane.GroupService{{}}})
	p.Ingress = p.Egress
	n := &dataplane.Network{Policies: []dataplane.GroupPolicy{p}}
	for i := range 100 {
		n.Members = append(n.Members, dataplane.GroupMember{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Policy: "sg"})
	}
	return n
}

// BenchmarkPackets measures a program, without its way there: for packets of an open flow, and
// for those that are decided on by the rules, as they are of no flow and may not pass.
func BenchmarkPackets(b *testing.B) {
	n := open(b)
	for _, rules := range []int{1, 100, 1000, dataplane.MostGroupRules} {
		mustApplyGroups(b, n, many(rules))
		for name, p := range map[string]packet{
			"open":    {out: true, local: addr("10.0.0.1"), remote: addr("198.51.100.1"), protocol: udp, lport: 4000, rport: 53},
			"decided": {out: true, local: addr("10.0.0.1"), remote: addr("198.51.100.1"), protocol: icmp, icmp: 3, lport: 9},
			"nobody":  {out: true, local: addr("10.0.9.9"), remote: addr("198.51.100.1"), protocol: udp, lport: 4000, rport: 53},
		} {
			b.Run(fmt.Sprintf("%s-%d", name, rules), func(b *testing.B) {
				answer := p
				answer.out = false
				n.passes(b, &p)
				n.passes(b, &answer)
				n.passes(b, &p)
				_, took, err := n.prog["from_host"].Benchmark(p.bytes(), max(b.N, 1), b.ResetTimer)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(took.Nanoseconds()), "ns/packet")
			})
		}
	}
}

// BenchmarkChange measures a change of one rule of so many.
func BenchmarkChange(b *testing.B) {
	n := open(b)
	for _, rules := range []int{10, 100, 1000} {
		a, c := many(rules), many(rules)
		c.Policies[0].Ingress = c.Policies[0].Ingress[1:]
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			for i := range b.N {
				mustApplyGroups(b, n, []*dataplane.Network{a, c}[i%2])
			}
		})
	}
}
