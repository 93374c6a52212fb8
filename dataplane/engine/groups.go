package engine

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/plan"
	"sluice/dataplane/securitygroup"
	"sluice/dataplane/session"
)

// groups is what the engine remembers of a network's security groups.
type groups struct {
	held   *securitygroup.Network // nil without members, or where the kernel cannot run the programs
	gate   *securitygroup.Gate    // what the kernel's tables hold, nil where that is not known
	failed bool                   // the last Apply could not hold them

	expired time.Time // when flows that are over were removed last
}

// groupDrops is what security groups of a network had dropped when that was read last, by reason.
type groupDrops struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// GroupDrops returns how many packets the security groups of a network have dropped, by reason
// (securitygroup.Reasons), since its programs were loaded first; nil where it has none. While the
// network is being applied, it is what was read before.
func (e *Engine) GroupDrops(id string) map[string]uint64 {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return nil
	}
	if n.mu.TryLock() {
		e.readGroupDrops(n)
		n.mu.Unlock()
	}
	n.groupDrops.mu.Lock()
	defer n.groupDrops.mu.Unlock()
	return maps.Clone(n.groupDrops.counts)
}

// readGroupDrops reads them, with n.mu held.
func (e *Engine) readGroupDrops(n *network) {
	var counts map[string]uint64
	if n.groups.held != nil {
		var err error
		if counts, err = n.groups.held.Drops(); err != nil {
			e.log.Debug("what security groups have dropped cannot be read", "network", n.id, "error", err)
			return
		}
	}
	n.groupDrops.mu.Lock()
	defer n.groupDrops.mu.Unlock()
	n.groupDrops.counts = counts
}

// openGroups prepares what holds security groups, for all networks.
func (e *Engine) openGroups() error {
	dir := e.cfg.Sessions.Dir
	if dir == "" {
		dir = session.DefaultDir
	}
	var err error
	e.groups, err = securitygroup.New(filepath.Join(dir, "groups"), !e.cfg.Sessions.WithoutTCX && session.HaveTCX())
	return err
}

// closeFirst has nothing pass that a group may bar by links of VSwitches that are about to be made,
// until the programs are in place.
func (j *job) closeFirst(making []plan.Change) error {
	if len(j.want.Members) == 0 {
		return nil
	}
	bridged, links := false, []string{}
	for i := range j.want.Switches {
		sw := &j.want.Switches[i]
		bridged = bridged || sw.Attachment.Kind == dataplane.AttachBridge
		if slices.ContainsFunc(making, func(c plan.Change) bool { return c.Makes == sw.Link() }) {
			links = append(links, sw.Link())
		}
	}
	if len(links) == 0 {
		return nil
	}
	have, err := j.gate()
	if err != nil {
		return err
	}
	return j.setGate(have.Closing(j.want, bridged, links))
}

// gate returns what the tables hold.
func (j *job) gate() (*securitygroup.Gate, error) {
	if g := &j.n.groups; g.gate != nil {
		return g.gate, nil
	}
	return securitygroup.ReadGate(j.n.ns)
}

// closed is the gate of a network whose programs are nowhere.
func (j *job) closed() *securitygroup.Gate {
	bridged, links := false, []string{}
	for i := range j.want.Switches {
		bridged = bridged || j.want.Switches[i].Attachment.Kind == dataplane.AttachBridge
		links = append(links, j.want.Switches[i].Link())
	}
	return securitygroup.GateOf(j.want, nil, bridged, links)
}

// setGate makes the tables that stop what the programs do not see what they should be.
func (j *job) setGate(want *securitygroup.Gate) error {
	g := &j.n.groups
	if g.gate == nil || j.stale&(staleRules|staleLinks) != 0 && !g.failed {
		have, err := securitygroup.ReadGate(j.n.ns)
		if err != nil {
			return err
		}
		if g.gate != nil && !have.Equal(g.gate) {
			j.logRepairs([]string{"put nftables tables sluice-groups right"})
		}
		g.gate = have
	}
	changes, err := securitygroup.ApplyGate(j.n.ns, g.gate, want)
	j.changes += changes
	if err != nil {
		g.gate = nil
		return err
	}
	g.gate = want
	if changes > 0 && want.Open() {
		// The shortcut goes past the tables.
		j.n.renewPaths()
	}
	return nil
}

// groupsToHold reports whether there may be something to do for security groups.
func (j *job) groupsToHold() bool {
	n := j.n
	return n.applied == nil || n.groups.failed || j.stale&(staleRules|staleLinks) != 0 && (len(j.want.Members) > 0 || n.groups.gate != nil) ||
		!dataplane.SameGroups(n.applied, j.want) || n.applied.Timeouts != j.want.Timeouts || !slices.Equal(n.applied.Switches, j.want.Switches)
}

// holdGroups makes the maps, the programs at the ports and the gate what they should be. Where
// something of that fails, what it was for is kept from passing.
func (j *job) holdGroups() (err error) {
	n := j.n
	defer func() { n.groups.failed = err != nil }()
	if len(j.want.Members) == 0 {
		return j.dropGroups()
	}
	places, err := securitygroup.PlacesOf(n.ns, j.want)
	if err != nil {
		return errors.Join(err, j.setGate(j.closed()))
	}
	attached, err := j.attachGroups(places)
	has := func(p securitygroup.Port) bool { return slices.Contains(attached, p) }
	var ports []securitygroup.Port
	for _, p := range places.Ports {
		if has(p) {
			ports = append(ports, p)
		}
	}
	var open []string // whether or not their links are there
	for i := range j.want.Switches {
		name := j.want.Switches[i].Link()
		if !slices.ContainsFunc(places.Links, func(p securitygroup.Port) bool { return p.Name == name && has(p) }) {
			open = append(open, name)
		}
	}
	if err := errors.Join(err, j.setGate(securitygroup.GateOf(j.want, ports, places.Bridged, open))); err != nil {
		return fmt.Errorf("hold security groups (the addresses that they are for are cut off where they cannot be held): %w", err)
	}
	return nil
}

// attachGroups makes maps and programs what they should be, and returns the ports that have
// them.
func (j *job) attachGroups(places *securitygroup.Places) (attached []securitygroup.Port, err error) {
	g := &j.n.groups
	if g.held == nil {
		if err := session.EnsureBPFFS(j.e.groups.Dir()); err != nil {
			return nil, err
		}
		if g.held, err = j.e.groups.Open(j.n.id, j.n.ns); err != nil {
			g.held = nil
			return nil, err
		}
	} else if j.stale&staleAll == staleAll {
		whats, err := g.held.Differences()
		if err != nil {
			return nil, err
		}
		j.logRepairs(whats)
		g.held.Doubt()
	}
	changes, err := g.held.Apply(j.want)
	j.changes += changes
	if err != nil {
		// What is in the maps may be neither.
		g.held.Close()
		g.held = nil
		return nil, err
	}
	errs := []error{g.held.Tidy(places)}
	for _, p := range places.Links {
		if !g.held.Attached(p) {
			changes++
		}
	}
	for _, p := range slices.Concat(places.Links, places.Ports) {
		if !g.held.Attached(p) {
			if err := g.held.Attach(p, len(places.Ports)); err != nil {
				errs = append(errs, err)
				continue
			}
			j.changes++
		}
		attached = append(attached, p)
	}
	if changes > 0 {
		// What takes the shortcut is not decided on. Packets that have passed as things were before
		// have left when the paths that they may have taught become void.
		securitygroup.AwaitPackets()
		j.n.renewPaths()
	}
	return attached, errors.Join(errs...)
}

// dropGroups takes away what is there of security groups.
func (j *job) dropGroups() error {
	n, g := j.n, &j.n.groups
	there := j.e.groups.Exists(n.id)
	if g.held == nil && !there && g.gate != nil && g.gate.Equal(&securitygroup.Gate{}) {
		return nil
	}
	if g.held != nil {
		g.held.Close()
		g.held = nil
	}
	// What members there are no more may pass, before the programs go.
	if err := j.setGate(&securitygroup.Gate{}); err != nil || !there {
		return err
	}
	changes, err := j.e.groups.Detach(n.id, n.ns)
	j.changes += changes
	if err != nil {
		return err
	}
	return j.e.groups.Remove(n.id)
}

// groupsDiffer says what is other at the ports and in the gate than it should be.
func (e *Engine) groupsDiffer(n *network) (whats []string) {
	g := &n.groups
	if len(n.applied.Members) == 0 || g.held == nil || g.gate == nil {
		return nil
	}
	places, err := securitygroup.PlacesOf(n.ns, n.applied)
	if err != nil {
		return []string{unread}
	}
	for _, p := range slices.Concat(places.Ports, places.Links) {
		if !g.held.Attached(p) {
			whats = append(whats, "attach security groups to "+p.Name)
		}
	}
	if have, err := securitygroup.ReadGate(n.ns); err != nil || !have.Equal(g.gate) {
		whats = append(whats, "put nftables tables sluice-groups right")
	}
	return whats
}

// expireEvery is how often flows of security groups that are over are removed.
const expireEvery = 30 * time.Second

// expireGroups removes flows that are over, now and then.
func (e *Engine) expireGroups(n *network) {
	g := &n.groups
	if g.held == nil || time.Since(g.expired) < expireEvery {
		return
	}
	g.expired = time.Now()
	if err := g.held.Expire(); err != nil {
		e.log.Warn("flows of security groups that are over keep their places", "network", n.id, "error", err)
	}
}

func (n *network) closeGroups() {
	if n.groups.held != nil {
		n.groups.held.Close()
	}
	n.groups = groups{}
}
