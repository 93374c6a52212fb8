package engine

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/egressfilter"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// planFilter compares what guards the uplink, if there is one. What needs the
// uplink, its start first of all, waits for the egress filter.
func (e *Engine) planFilter(ns *netns.Namespace, s *link.State, want *dataplane.Network) *plan.Plan {
	const name = dataplane.UplinkName
	if e.filter == nil || want.Uplink == nil || s.Index(name) == 0 {
		return &plan.Plan{}
	}
	params := egressfilter.Params{Public: want.Uplink.Prefix, Private: want.Blocks(), Elastic: want.Elastic}
	for g, server := range want.AllSSL() {
		if server.Protocol == unix.IPPROTO_TCP {
			params.Servers = append(params.Servers, netip.AddrPortFrom(g.Address, server.Port))
		}
		params.Private = append(params.Private, server.Pool)
	}
	p, err := e.filter.Plan(ns, name, s.Index(name), params)
	if err != nil {
		return &plan.Plan{Err: err}
	}
	return p
}
