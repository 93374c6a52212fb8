package engine

import (
	"context"
	"errors"
	"fmt"

	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// Remove takes away everything of a network, in the namespace and outside, and
// gives devices that were moved in back under their old names. It succeeds
// where there is nothing (any more), and can be repeated after an error.
func (e *Engine) Remove(ctx context.Context, id string) error {
	if err := checkNames(&dataplane.Network{ID: id}); err != nil {
		return fmt.Errorf("remove network: %w", err)
	}
	n, err := e.lock(id)
	if err != nil {
		return fmt.Errorf("remove network %s: %w", id, err)
	}
	defer n.mu.Unlock()
	e.announcer.Cancel(id)
	if err := e.remove(ctx, n); err != nil {
		n.stale.Or(staleAll)
		return fmt.Errorf("remove network %s: %w", id, err)
	}
	n.close()
	e.mu.Lock()
	delete(e.networks, id)
	e.mu.Unlock()
	e.events.forget(id)
	e.log.Info("network removed", "network", id)
	return nil
}

// remove, where it is interrupted, leaves a namespace with fewer links, or a
// name without a namespace, or a mark alone: always one that Networks lists.
func (e *Engine) remove(ctx context.Context, n *network) error {
	name := dataplane.Namespace(n.id)
	// What it held is not known any more, whatever happens.
	n.release()
	n.wanted.Store(nil)
	if err := errors.Join(e.shaper.Withdraw(n.id), e.withdrawLine(ctx, n.id)); err != nil {
		return err
	}
	ns, err := netns.Open(name)
	if err == nil {
		err = errors.Join(e.removeVPN(ctx, n.id, ns), e.empty(ctx, ns))
		ns.Close()
	} else if errors.Is(err, netns.ErrNotExist) {
		err = e.removeVPN(ctx, n.id, nil)
	}
	if err != nil {
		return err
	}
	if e.sessions != nil {
		if err := e.sessions.Remove(n.id); err != nil {
			return err
		}
	}
	if err := e.groups.Remove(n.id); err != nil {
		return err
	}
	if err := netns.Delete(name); err != nil {
		return err
	}
	// Another process may keep a namespace alive that has lost its name.
	if outer, err := e.marked(n.id); err == nil {
		err := errors.Join(link.RemoveOuterEnd(e.self, outer.uplink, n.id), link.RemoveClassicEnd(e.self, outer.classic, n.id))
		if err != nil {
			return err
		}
	}
	return e.unmark(n.id)
}

// empty takes the links out of a namespace. It forwards nothing from the first
// moment on, so that nothing passes while the parts go one by one.
func (e *Engine) empty(ctx context.Context, ns *netns.Namespace) error {
	if err := ns.Set(forwarding(false)); err != nil {
		return err
	}
	return link.New(ns, e.self).RemoveAll(ctx)
}
