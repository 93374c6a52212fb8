package route

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// classicOnly is the priority of the rule for what comes from the classic network, right after
// that of the table main.
const classicOnly = 1002

// classic adds the routes to the hosts of the classic network that are linked, before all
// entries of route tables; what is for another host there is unreachable, and by no other way
// either. What comes from there reaches what the table main has, VSwitches, and nothing else.
func classic(s *routes, n *dataplane.Network) []Rule {
	c := n.Classic
	if c == nil {
		return nil
	}
	s.add(Route{Table: unix.RT_TABLE_MAIN, Destination: c.Prefix, Metric: HoldMetric})
	for _, h := range c.Linked {
		s.add(Route{
			Table: unix.RT_TABLE_MAIN, Destination: netip.PrefixFrom(h.Address, h.Address.BitLen()),
			Hops: []Hop{{Link: dataplane.ClassicName, Weight: 1}}, Source: c.Address,
		})
	}
	s.add(Route{Table: NowhereTable, Destination: everything})
	return []Rule{{Priority: classicOnly, From: dataplane.ClassicName, Table: NowhereTable}}
}
