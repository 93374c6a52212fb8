package route

import (
	"net/netip"

	"sluice/dataplane"
)

// interfaceTables is a bit that the numbers of the tables of public router interfaces have,
// beside a hash of the id.
const interfaceTables = 1 << 28

// Priorities of the rules of public router interfaces: before all that chooses a way for
// what a host sends.
const (
	answerErrors = 1006 // what the gateway itself sends about packets that came in by one
	answerBack   = 1011
)

// answers adds a table for each public router interface, with nothing but the way back, and
// returns the rules for what answers: it leaves by the interface or not at all.
func answers(s *routes, n *dataplane.Network, tunnels Tunnels) (rules []Rule) {
	for i := range n.RouterInterfaces {
		r := &n.RouterInterfaces[i]
		if !r.Public {
			continue
		}
		table := interfaceTables | hashed(r.ID)&(interfaceTables-1)
		var hops []Hop
		if t := tunnels[r.ID]; t.Link != "" && t.Up {
			hops = []Hop{{Link: t.Link, Via: Neighbour, Weight: 1, OnLink: true}}
		}
		s.through(table, everything, hops, netip.Addr{})
		rules = append(rules,
			Rule{Priority: answerErrors, Mark: r.Mark() | 1, From: loopback, Table: table},
			Rule{Priority: answerBack, Mark: r.Mark(), Table: table})
	}
	return rules
}
