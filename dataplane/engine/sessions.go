package engine

import (
	"context"
	"errors"
	"fmt"

	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/dataplane/plan"
	"sluice/dataplane/session"
)

// ErrNotCounted says that a network's traffic is not counted: it has no public
// side, is not there, or the kernel cannot count it.
var ErrNotCounted = errors.New("its traffic is not counted")

// openSessions opens the sessions of a network that has a public side or router interfaces, and
// removes those of one that has neither.
func (e *Engine) openSessions(n *network, want *dataplane.Network, s *link.State) error {
	if e.sessions == nil {
		return nil
	}
	if want.Uplink == nil && len(want.RouterInterfaces) == 0 {
		if n.sessions != nil {
			if err := n.sessions.Detach(); err != nil {
				return err
			}
			n.closeSessions()
		}
		return e.sessions.Remove(n.id)
	}
	opened, err := n.sessions, error(nil)
	if opened == nil {
		opened, err = e.sessions.Open(n.id, n.ns)
	}
	if err == nil {
		err = opened.Load(want.Uplink != nil, len(want.RouterInterfaces) > 0)
	}
	if err != nil {
		return e.withoutSessions(n, opened, err)
	}
	n.setSessions(opened)
	if err := n.sessions.ApplyInterfaces(interfacesFor(want, s.Index)); err != nil {
		return err
	}
	return n.sessions.Apply(want, s.Index(dataplane.UplinkName))
}

// withoutSessions has a network go without what could not be opened, or loaded then. That the
// kernel cannot run the programs is no error: nftables translates without them.
func (e *Engine) withoutSessions(n *network, opened *session.Network, err error) error {
	unsupported := errors.Is(err, session.ErrUnsupported)
	switch {
	case opened == nil:
	case n.sessions == nil:
		opened.Close()
	case unsupported:
		if err := errors.Join(n.sessions.Detach(), e.sessions.Remove(n.id)); err != nil {
			return err
		}
		n.closeSessions()
	}
	if !unsupported {
		return err
	}
	if !n.unsupported {
		e.log.Warn("no limits, no traffic counters and no shortcut: nftables alone translates", "network", n.id, "error", err)
	}
	n.unsupported = true
	return nil
}

// planSessions compares the programs on the network's links, of which tunnels lead
// into tunnels.
func (e *Engine) planSessions(n *network, s *link.State, want *dataplane.Network, tunnels []string) *plan.Plan {
	if n.sessions == nil {
		return &plan.Plan{}
	}
	places := session.Links(want, tunnels, s.Index)
	n.sessionsMu.Lock()
	n.places, n.shortcut = places, want.Shortcut
	n.sessionsMu.Unlock()
	return n.sessions.Plan(places, want.Shortcut)
}

// tunnelsIn returns the links into tunnels that are there.
func (n *network) tunnelsIn(s *link.State) (names []string) {
	for _, name := range n.tunnelLinks {
		if s.Index(name) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// applySessions tells the programs of a change that is none of the topology.
func (n *network) applySessions(want *dataplane.Network) error {
	if n.sessions == nil {
		return nil
	}
	return n.sessions.Apply(want, n.sessions.Uplink())
}

// tracking says what conntrack sees of a network. What the programs of another
// version have done, which these cannot take the place of, is not known.
func (e *Engine) tracking(n *network, want *dataplane.Network) tracking {
	switch {
	case n.sessions == nil:
		return tracking{alone: (e.sessions == nil || n.unsupported) && !session.HasPrograms(e.cfg.Sessions.Dir, n.id)}
	case want.Shortcut:
		return tracking{unseen: e.sessions.Lifetime()}
	}
	return tracking{}
}

// renewPaths makes void what the shortcut has learned. It may be called without
// n.mu held.
func (n *network) renewPaths() {
	n.sessionsMu.Lock()
	defer n.sessionsMu.Unlock()
	if n.sessions == nil {
		return
	}
	if err := n.sessions.Renew(); err != nil {
		// The paths end by themselves within session.Lifetime.
		n.stale.Or(staleAll)
	}
}

func (n *network) setSessions(s *session.Network) {
	n.sessionsMu.Lock()
	defer n.sessionsMu.Unlock()
	n.sessions = s
}

func (n *network) closeSessions() {
	if s := n.sessions; s != nil {
		n.setSessions(nil)
		s.Close()
	}
}

// Traffic returns what has been counted of a network. The error wraps
// ErrNotCounted where that is nothing.
func (e *Engine) Traffic(_ context.Context, id string) (*dataplane.Traffic, error) {
	var t *dataplane.Traffic
	err := e.withSessions(id, func(n *network) (err error) {
		t, err = n.sessions.Traffic()
		return err
	})
	return t, err
}

// Programs returns how the BPF programs of a network's links are attached, by
// link. The error wraps ErrNotCounted where there are none.
func (e *Engine) Programs(_ context.Context, id string) ([]dataplane.Programs, error) {
	var p []dataplane.Programs
	err := e.withSessions(id, func(n *network) error {
		p = n.sessions.Attachments(n.places, n.shortcut)
		return nil
	})
	return p, err
}

// withSessions calls fn with a network that has sessions, and n.sessionsMu held.
func (e *Engine) withSessions(id string, fn func(*network) error) error {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return fmt.Errorf("network %s: %w", id, ErrNotCounted)
	}
	n.sessionsMu.Lock()
	defer n.sessionsMu.Unlock()
	if n.sessions == nil {
		return fmt.Errorf("network %s: %w", id, ErrNotCounted)
	}
	return fn(n)
}

// detachStrays takes off the links of a network what is attached there and nobody looks after.
func (e *Engine) detachStrays(n *network) error {
	if e.sessions == nil {
		return nil
	}
	var pins []string
	if e.groups != nil {
		pins = append(pins, e.groups.Pins(n.id))
	}
	found, err := e.sessions.DetachStrays(n.id, n.ns, pins...)
	if len(found) > 0 {
		e.log.Warn("BPF programs were taken off links: an earlier process attached them, and their pins are not where they belong; is another file system mounted over them?",
			"network", n.id, "programs", found)
	}
	return err
}
