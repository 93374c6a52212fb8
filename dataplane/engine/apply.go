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
	"sluice/dataplane/portsecurity"
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
	n.wanted.Store(want)
	observed, err := e.apply(ctx, n)
	return observed, errors.Join(err, e.followLinked(ctx, want))
}

// apply is Apply for what is wanted of a network that is locked, and unlocks it.
func (e *Engine) apply(ctx context.Context, n *network) (observed dataplane.Observed, err error) {
	defer n.mu.Unlock()
	want := n.wanted.Load()
	n.following.Store(true) // before what is stale is forgotten
	defer n.following.Store(false)
	j := &job{e: e, n: n, want: want, stale: n.stale.Swap(0)}
	n.following.Store(j.stale&staleLinked != 0)
	err = j.run(ctx)
	if err == nil {
		n.applied = want
	} else {
		n.stale.Or(staleAll | j.stale&staleLinked)
		err = fmt.Errorf("apply network %s: %w", want.ID, err)
	}
	if n.applied != nil {
		observed.Revision = n.applied.Revision
	}
	observed.Changes, observed.Followed = j.changes+j.runner.Done, j.follows()
	observed.Repeated = j.repaired > 0 && !j.told
	return observed, err
}

// mostID is how long an id may be: a link's alias has room for two and a device, and a file's
// name for one and what comes with it.
const mostID = 100

// checkNames refuses what cannot be in the name of a namespace or file, and two of a
// network's links with one name; the packages for each facility say what else is wrong.
func checkNames(n *dataplane.Network) error {
	ids := []string{}
	for i := range n.Switches {
		ids = append(ids, n.Switches[i].ID)
	}
	for _, c := range n.AllConnections() {
		ids = append(ids, c.ID)
	}
	for _, s := range n.AllSSL() {
		ids = append(ids, s.ID)
	}
	for i := range n.RouterInterfaces {
		ids = append(ids, n.RouterInterfaces[i].ID)
	}
	for _, id := range append(ids, n.ID) {
		if len(id) < 1 || len(id) > mostID || id == dataplane.UplinkName || id == "lo" || id[0] == '.' ||
			slices.ContainsFunc([]byte(id), func(c byte) bool { return c <= ' ' || c == '/' || c == ':' || c > '~' }) {
			return fmt.Errorf("id %q cannot be in a name; it must have 1 to %d visible ASCII characters, without slash and colon", id, mostID)
		}
	}
	links := map[string]string{}
	for _, id := range ids {
		name := dataplane.LinkName(id)
		if other, taken := links[name]; taken {
			return fmt.Errorf("%s and %s would both have the link %s; one of them must have another id", other, id, name)
		}
		links[name] = id
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
	translation := j.stale&staleRules != 0 || n.rules == nil || !nft.Same(n.applied, j.want)
	if err := j.open(); err != nil {
		return err
	}
	if topology && j.nameTunnels() {
		translation = true
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
	if translation {
		// What is to be a tunnel is known as one before it can carry anything.
		before := n.rules.WithLinks(j.rules)
		if first {
			// A crash after this leaves a table without links: nothing to translate.
			before = j.rules.WithLinks(n.rules)
		}
		if before != n.rules {
			if err := j.applyRules(ctx, before); err != nil {
				return errors.Join(err, j.runner.Err())
			}
		}
	}
	hold := j.stale&(staleRules|staleLinks) != 0 || n.held == nil || !portsecurity.Same(n.applied, j.want)
	if topology {
		j.raiseLine()
		// A crash in here leaves some links, without forwarding if they are
		// the first.
		if err := j.addTopology(ctx); err != nil {
			return errors.Join(err, j.runner.Err())
		}
	}
	if hold {
		// After the links, of which some are looked at one by one.
		j.runner.Add(j.holdAddresses())
	}
	if j.groupsToHold() {
		// Likewise, and before what is translated comes to hosts that are new.
		j.runner.Add(j.holdGroups())
	}
	if err := j.followHaVips(); err != nil {
		// Packets follow what is announced all the same; who announces it is not known.
		j.e.log.Warn("who has the HaVips of a network is not known", "network", n.id, "error", err)
	}
	if err := j.serveDHCP(topology); err != nil {
		j.runner.Add(err)
	}
	if err := j.place(); err != nil {
		j.e.log.Warn("packets may go to where an address was", "network", n.id, "error", err)
	}
	// Whose connections count is known before they are translated, and so is what elastic
	// IPs may send.
	j.runner.Add(n.applySessions(j.want))
	j.holdBandwidths()
	j.holdLine(ctx)
	if translation && !first {
		if err := j.applyRules(ctx, j.rules.WithLinks(n.rules)); err != nil {
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
		j.setSysctls(lateSysctls(j.want, n.linksThere(j.want), j.e.tracking(n, j.want)))
		// A crash in here leaves addresses and links too many. The next
		// process finds them by comparing.
		j.removeTopology(ctx)
		if j.runner.Done > 0 {
			n.renewPaths()
		}
	}
	if translation && n.rules != j.rules && j.runner.Err() == nil {
		// Without the links that are gone now.
		if err := j.applyRules(ctx, j.rules); err != nil {
			j.runner.Add(err)
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
	if n.ns == nil || n.applied == nil || ((j.want.Uplink != nil || j.want.Classic != nil) && !sameTopology(n.applied, j.want)) {
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
		n.ns, n.watch, n.table = ns, w, w.rules.Table(ns.Handle())
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

// follows reports whether routes may differ because tunnels do, or a link because another
// network has made it, which is nobody's doing. An audit may be the first to see that.
func (j *job) follows() bool {
	return j.turned || j.stale&staleLinked != 0 || j.stale&(staleLinks|staleTunnels) == staleTunnels
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
