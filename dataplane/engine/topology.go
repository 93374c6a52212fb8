package engine

import (
	"context"
	"fmt"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
	"sluice/dataplane/route"
)

// addTopology makes and starts what is missing of links, egress filter, addresses,
// routes and rules.
func (j *job) addTopology(ctx context.Context) error {
	n := j.n
	j.links = j.e.linksOf(n)
	state, err := j.links.Read(ctx, j.want)
	if err != nil {
		return err
	}
	if n.applied == nil {
		j.runner.Add(j.links.BoundLearning(state, j.want))
		j.runner.Add(j.e.detachStrays(n))
	}
	j.plan = j.links.Plan(state, j.want)
	j.runner.Add(j.plan.Err)
	if err := j.closeFirst(j.plan.Make); err != nil {
		return err
	}
	j.runner.Run(ctx, j.plan.Make)
	if len(j.plan.Make) > 0 {
		if state, err = j.links.Read(ctx, j.want); err != nil {
			return err
		}
	}
	whats := j.plan.Whats()
	p := j.e.planFilter(n.ns, state, j.want)
	j.runner.Add(p.Err)
	j.runner.Run(ctx, p.Add)
	whats = append(whats, p.Whats()...)
	if err := j.e.openSessions(n, j.want, state); err != nil {
		j.runner.Add(err)
	}
	j.programs = j.e.planSessions(n, state, j.want, nil)
	j.runner.Add(j.programs.Err)
	j.runner.Run(ctx, j.programs.Add)
	added := &plan.Plan{Add: j.programs.Add}
	whats = append(whats, added.Whats()...)
	j.runner.Run(ctx, j.plan.Start)
	whats = append(whats, j.applyVPN(ctx)...)
	if len(j.want.VPNGateways) > 0 {
		// Tunnels' links come and go with what carries the tunnels.
		if state, err = j.links.Read(ctx, j.want); err != nil {
			return err
		}
		j.programs = j.e.planSessions(n, state, j.want, n.tunnelsIn(state))
		j.runner.Add(j.programs.Err)
		j.runner.Run(ctx, j.programs.Add)
		added = &plan.Plan{Add: j.programs.Add}
		whats = append(whats, added.Whats()...)
	}
	// Only of this plan is removed, and only now it is known where programs are too
	// many.
	tooMany := &plan.Plan{Remove: j.programs.Remove}
	whats = append(whats, tooMany.Whats()...)
	// Routes are read now: some came with addresses, some went with links.
	if j.routes, err = j.planRoutes(ctx); err != nil {
		return err
	}
	j.runner.Add(j.routes.Err)
	j.runner.Run(ctx, j.routes.Add)
	if j.repairing() {
		j.logRepairs(append(whats, j.routes.Whats()...))
	}
	return nil
}

func (j *job) planRoutes(ctx context.Context) (*plan.Plan, error) {
	names, err := linkNames(j.n.ns)
	if err != nil {
		return nil, err
	}
	routes, err := route.Read(ctx, j.n.ns, names)
	if err != nil {
		return nil, err
	}
	return route.Plan(j.n.ns, routes, j.want, j.n.tunnels), nil
}

// linkNames returns the names of a namespace's links by index.
func linkNames(ns *netns.Namespace) (func(int) string, error) {
	list, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links in %s: %w", ns, err)
	}
	names := make(map[int]string, len(list))
	for _, l := range list {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	return func(index int) string { return names[index] }, nil
}

func (j *job) removeTopology(ctx context.Context) {
	// Another network may have an elastic IP as soon as it is gone from here.
	j.e.announcer.Keep(j.n.id, j.want.Elastic)
	j.runner.Run(ctx, j.programs.Remove)
	j.runner.Run(ctx, j.plan.Remove)
	if len(j.plan.Remove) == 0 {
		return
	}
	// A link's routes go with its last address, though the link stays.
	p, err := j.planRoutes(ctx)
	if err != nil {
		j.runner.Add(err)
		return
	}
	j.runner.Run(ctx, p.Add)
}

// linksThere returns the names of those links that are there and should be.
func (n *network) linksThere(want *dataplane.Network) []string {
	var out []string
	names := []string{}
	for i := range want.Switches {
		names = append(names, want.Switches[i].Link())
	}
	for _, s := range want.AllSSL() {
		names = append(names, s.Link())
	}
	for i := range want.RouterInterfaces {
		names = append(names, want.RouterInterfaces[i].Link())
	}
	if want.Classic != nil {
		names = append(names, dataplane.ClassicName)
	}
	if want.Uplink != nil {
		names = append(names, dataplane.UplinkName)
	}
	for _, name := range names {
		if _, err := n.ns.Netlink().LinkByName(name); err == nil {
			out = append(out, name)
		}
	}
	return out
}
