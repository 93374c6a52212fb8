package engine

import (
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
	p, err := e.filter.Plan(ns, name, s.Index(name), egressfilter.Params{
		Public: want.Uplink.Prefix, Private: want.Blocks(), Elastic: want.Elastic,
	})
	if err != nil {
		return &plan.Plan{Err: err}
	}
	return p
}
