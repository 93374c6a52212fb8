package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
	"sluice/dataplane/plan"
	"sluice/dataplane/route"
)

// Apply makes the kernel hold network want, which must not be changed
// afterwards. It returns the revision that the kernel holds completely, and
// how many kernel objects it added, changed or removed.
//
// Where something cannot be done, everything that does not depend on it is
// done all the same, the error names each thing that failed, and the next
// Apply compares with the kernel and tries again. Nothing forwards before
// translation is in place.
func (e *Engine) Apply(ctx context.Context, want *dataplane.Network) (dataplane.Observed, error) {
	if err := checkNames(want); err != nil {
		return dataplane.Observed{}, fmt.Errorf("apply network %q: %w", want.ID, err)
	}
	n, err := e.lock(want.ID)
	if err != nil {
		return dataplane.Observed{}, fmt.Errorf("apply network %s: %w", want.ID, err)
	}
	defer n.mu.Unlock()
	j := &job{e: e, n: n, want: want, stale: n.stale.Swap(0)}
	err = j.run(ctx)
	var observed dataplane.Observed
	if err == nil {
		n.applied = want
	} else {
		n.stale.Or(staleAll)
		err = fmt.Errorf("apply network %s: %w", want.ID, err)
	}
	if n.applied != nil {
		observed.Revision = n.applied.Revision
	}
	observed.Changes, observed.Followed = j.changes+j.runner.Done, j.follows()
	observed.Repeated = j.repaired > 0 && !j.told
	return observed, err
}

// checkNames refuses what cannot be a link's name; the packages for each
// facility say what else is wrong.
func checkNames(n *dataplane.Network) error {
	names := []string{n.ID}
	for i := range n.Switches {
		names = append(names, n.Switches[i].ID)
	}
	for _, name := range names {
		if len(name) < 1 || len(name) > 15 || name == dataplane.UplinkName || name == "lo" || name[0] == '.' ||
			slices.ContainsFunc([]byte(name), func(c byte) bool { return c <= ' ' || c == '/' || c == ':' || c > '~' }) {
			return fmt.Errorf("id %q cannot be a link's name; it must have 1 to 15 visible ASCII characters, without slash and colon", name)
		}
	}
	return nil
}

// job is one Apply.
type job struct {
	e     *Engine
	n     *network
	want  *dataplane.Network
	stale uint32 // parts to read

	runner   plan.Runner
	changes  int // besides the runner's
	fresh    bool
	repaired int  // things that somebody else had changed
	told     bool // a line in the log tells of one of them
	turned   bool // the tunnels are other than the routes were made for

	links    *link.Links
	plan     *link.Plan
	programs *plan.Plan // of sessions
	routes   *plan.Plan
	rules    *nft.Ruleset // wanted
}

func (j *job) run(ctx context.Context) error {
	n := j.n
	if n.applied == nil {
		j.stale = staleAll
	}
	topology := j.stale&(staleLinks|staleSysctls|staleTunnels) != 0 || !sameTopology(n.applied, j.want)
	translation := j.stale&staleRules != 0 || n.rules == nil || !sameTranslation(n.applied, j.want)
	if err := j.open(); err != nil {
		return err
	}
	first := false
	if translation {
		var err error
		if first, err = j.compareRules(ctx); err != nil {
			return err
		}
	}
	if j.fresh {
		// A namespace takes over settings of the first one, forwarding among
		// them. A crash before this leaves a namespace without links.
		if err := n.ns.Set(forwarding(false)); err != nil {
			return err
		}
	}
	if topology {
		j.setSysctls(earlySysctls())
	}
	if translation && first {
		// A crash after this leaves a table without links: nothing to translate.
		if err := j.applyRules(ctx); err != nil {
			return errors.Join(err, j.runner.Err())
		}
	}
	if topology {
		// A crash in here leaves some links, without forwarding if they are
		// the first.
		if err := j.addTopology(ctx); err != nil {
			return errors.Join(err, j.runner.Err())
		}
	}
	// Whose connections count is known before they are translated.
	j.runner.Add(n.applySessions(j.want))
	if translation && !first {
		if err := j.applyRules(ctx); err != nil {
			// What is withdrawn must not lose its address while it translates.
			return errors.Join(err, j.runner.Err())
		}
	}
	if topology {
		// Only without the routes and rules that are not wanted is decided what
		// becomes of a connection. Links and addresses go last.
		j.runner.Run(ctx, j.routes.Remove)
	}
	j.follow(ctx)
	if topology {
		j.setSysctls(lateSysctls(j.want, j.wantedLinks(), j.e.tracking(n, j.want)))
		// A crash in here leaves addresses and links too many. The next
		// process finds them by comparing.
		j.removeTopology(ctx)
		if j.runner.Done > 0 {
			n.renewPaths()
		}
	}
	if err := j.announce(); err != nil {
		// The addresses work all the same, as soon as neighbours ask.
		j.e.log.Warn("elastic IPs not announced", "network", n.id, "error", err)
	}
	err := j.runner.Err()
	if err == nil {
		j.logDone()
	}
	return err
}

// open opens or makes the namespace. A crash after the mark and before the
// namespace leaves a mark, which Networks lists and Remove takes away.
func (j *job) open() error {
	n := j.n
	if n.ns == nil || n.applied == nil || (j.want.Uplink != nil && !sameTopology(n.applied, j.want)) {
		if err := j.e.mark(j.want); err != nil {
			return err
		}
	}
	if n.ns == nil {
		ns, made, err := netns.Create(dataplane.Namespace(n.id))
		if err != nil {
			return err
		}
		w, err := j.e.watchNetwork(n, ns)
		if err != nil {
			ns.Close()
			return err
		}
		n.ns, n.watch, n.table = ns, w, nft.New(ns.Handle())
		j.fresh = made
		if made {
			j.changes++
		}
		return nil
	}
	if j.stale&staleName != 0 && !n.ns.Bound() {
		// Everything in it still works, as long as we hold it.
		if err := n.ns.Bind(); err != nil {
			return err
		}
		j.changes++
		j.logRepairs([]string{nameAgain(n)})
	}
	return nil
}

func nameAgain(n *network) string { return "give network namespace " + n.ns.Name() + " its name again" }

// setSysctls writes those that differ. It is tried for each on its own.
func (j *job) setSysctls(want []netns.Sysctl) {
	differ, have, err := j.n.ns.Differing(want)
	if err != nil {
		j.runner.Add(err)
		return
	}
	for i, s := range differ {
		if err := j.n.ns.Set(s); err != nil {
			j.runner.Add(err)
			continue
		}
		j.changes++
		if j.repairing() {
			j.logRepairs([]string{fmt.Sprintf("set sysctl %s, was %s", s, have[i])})
		}
	}
}

// addTopology makes and starts what is missing of links, egress filter, addresses,
// routes and rules.
func (j *job) addTopology(ctx context.Context) error {
	n := j.n
	j.links = link.New(n.ns, j.e.self)
	state, err := j.links.Read(ctx, j.want)
	if err != nil {
		return err
	}
	j.plan = j.links.Plan(state, j.want)
	j.runner.Add(j.plan.Err)
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
	if j.want.VPN != nil {
		// Tunnels' links come and go with what carries the tunnels.
		if state, err = j.links.Read(ctx, j.want); err != nil {
			return err
		}
		j.programs = j.e.planSessions(n, state, j.want, tunnelsIn(state, j.want))
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
	list, err := ns.Netlink().LinkList()
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

// wantedLinks returns the names of those links that are there and should be.
func (j *job) wantedLinks() []string {
	var out []string
	names := []string{}
	for i := range j.want.Switches {
		names = append(names, j.want.Switches[i].ID)
	}
	if j.want.Uplink != nil {
		names = append(names, dataplane.UplinkName)
	}
	for _, name := range names {
		if _, err := j.n.ns.Netlink().LinkByName(name); err == nil {
			out = append(out, name)
		}
	}
	return out
}

// compareRules finds out what the table should hold and, where that is in
// being stale, what it holds. It reports whether the table is missing or damaged, and
// must be made before anything else.
func (j *job) compareRules(ctx context.Context) (first bool, err error) {
	n := j.n
	if j.rules, err = nft.Compile(j.want); err != nil {
		return false, err
	}
	if n.rules == nil || j.stale&staleRules != 0 {
		if err := j.readRules(ctx); err != nil {
			return false, err
		}
	}
	return n.rules.Skeleton != j.rules.Skeleton, nil
}

func (j *job) readRules(ctx context.Context) error {
	n := j.n
	known := n.rules
	n.rules = nil
	have, err := n.table.Read(ctx)
	if err != nil {
		return err
	}
	n.rules = have
	if known != nil && !known.Equal(have) {
		n.followed = nil // connections may have been made by what was there meanwhile
		j.logRepairs([]string{describeRules(known, have)})
	}
	return nil
}

func describeRules(known, have *nft.Ruleset) string {
	switch {
	case have.Damage != "":
		return "build nftables table anew: " + have.Damage
	case have.Skeleton == "":
		return "build nftables table anew: it was absent"
	}
	return fmt.Sprintf("put elements of the nftables table right: there were %d instead of %d, or others", have.Len(), known.Len())
}

// applyRules makes the table hold what is wanted, in one batch.
func (j *job) applyRules(ctx context.Context) error {
	n := j.n
	changes, err := n.table.Apply(ctx, n.rules, j.rules)
	if errors.Is(err, nft.ErrOutdated) {
		// Somebody changed it, and the event has not come round yet.
		if err := j.readRules(ctx); err != nil {
			return err
		}
		changes, err = n.table.Apply(ctx, n.rules, j.rules)
	}
	if err != nil {
		n.rules = nil
		return err
	}
	n.rules = j.rules
	j.changes += changes
	return nil
}

func (j *job) announce() error {
	if j.plan == nil || j.want.Uplink == nil || len(j.plan.Added()) == 0 {
		return nil
	}
	uplink, err := j.n.ns.Netlink().LinkByName(dataplane.UplinkName)
	if err != nil {
		return err
	}
	a := uplink.Attrs()
	if len(a.HardwareAddr) == 0 {
		return nil // a link without neighbours
	}
	addrs := slices.Clone(j.plan.Added())
	slices.SortFunc(addrs, netip.Addr.Compare)
	return j.e.announcer.Announce(j.n.id, j.n.ns, a.Index, a.HardwareAddr, addrs)
}

// repairing reports whether a difference in the topology is somebody else's
// doing: the network was applied before, and nothing else is wanted now.
func (j *job) repairing() bool {
	return j.n.applied != nil && !j.follows() && sameTopology(j.n.applied, j.want)
}

// follows reports whether routes may differ because tunnels do, which is nobody's
// doing. An audit may be the first to see that.
func (j *job) follows() bool {
	return j.turned || j.stale&(staleLinks|staleTunnels) == staleTunnels
}

func (j *job) logRepairs(whats []string) {
	for _, what := range whats {
		j.repaired++
		switch tell, times, within := j.n.repairs.note(what, time.Now()); {
		case !tell:
			continue
		case times <= repairsAtOnce:
			j.e.log.Warn("repaired what somebody else changed", "network", j.n.id, "repair", what)
		default:
			j.e.log.Warn("repaired again; something keeps changing it", "network", j.n.id, "repair", what, "times", times, "within", within.Round(time.Second))
		}
		j.told = true
	}
}

func (j *job) logDone() {
	changes := j.changes + j.runner.Done
	switch {
	case j.fresh:
		j.e.log.Info("network built", "network", j.n.id, "revision", j.want.Revision, "changes", changes)
	case j.n.applied == nil:
		j.e.log.Info("network adopted", "network", j.n.id, "revision", j.want.Revision, "changes", changes)
	case changes > 0:
		j.e.log.Debug("network changed", "network", j.n.id, "revision", j.want.Revision, "changes", changes)
	}
}
