package engine

import (
	"sluice/dataplane"
	"sluice/dataplane/change"
	"sluice/dataplane/guard"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// planGuard compares what guards the uplink, if there is one. What needs the
// uplink, its start first of all, waits for the guard.
func (e *Engine) planGuard(ns *netns.Namespace, s *link.State, want *dataplane.Network) *change.Plan {
	const name = dataplane.UplinkName
	if e.guard == nil || want.Uplink == nil || s.Index(name) == 0 {
		return &change.Plan{}
	}
	p, err := e.guard.Plan(ns, name, s.Index(name), guard.Params{
		Public: want.Uplink.Prefix, Private: want.Prefix, Elastic: want.Elastic,
	})
	if err != nil {
		return &change.Plan{Err: err}
	}
	return p
}
