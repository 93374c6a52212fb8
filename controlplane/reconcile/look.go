package reconcile

import (
	"context"
	"fmt"
	"time"

	"sluice/controlplane/compile"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// look makes the dataplane match one network as it is wanted now.
func (r *Reconciler) look(ctx context.Context, id string, why reason) {
	v := r.db.View()
	n, wanted := v.Network(id)
	owner := r.db.Observed.Owner(id) // also of one that is to go
	if wanted {
		owner = n.Carrier()
	}
	if owner != "" && owner != r.settings.Machine {
		return // another machine's: neither is it made here, nor is what its owner reports another's to tell
	}
	var err error
	if wanted {
		err = r.apply(ctx, v, id, why)
	} else {
		err = r.remove(ctx, v, id)
	}
	if ctx.Err() != nil && err != nil {
		return // not the network's fault: the daemon is stopping
	}
	r.outcome(id, wanted, err)
}

func (r *Reconciler) apply(ctx context.Context, v *state.View, id string, why reason) error {
	began := r.now()
	n, err := r.compilerOf(id).Network(v, r.db.Changes)
	var observed dataplane.Observed
	if err == nil {
		if observed, err = r.dp.Apply(ctx, n); err != nil {
			// Where it stopped is not known: the next attempt reads the kernel.
			r.dp.Invalidate(id)
			err = fmt.Errorf("apply network %s at revision %d: %w", id, n.Revision, err)
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			r.db.Observed.Report(id, v.Revision, err, r.now())
		}
		return err
	}
	ended := r.now()
	r.db.Observed.Report(id, n.Revision, nil, ended)
	r.logApplied(n, observed, why, ended.Sub(began))
	return nil
}

// logApplied writes one line for what has changed in the kernel, and none in
// the log proper when nothing has.
func (r *Reconciler) logApplied(n *dataplane.Network, o dataplane.Observed, why reason, took time.Duration) {
	attrs := []any{"network", n.ID, "revision", n.Revision, "why", why.String(), "changes", o.Changes, "took", took,
		"vswitches", len(n.Switches), "routes", len(n.Routes), "elasticIPs", len(n.Elastic), "dnat", n.DNAT.Len(), "snat", len(n.SNAT)}
	switch {
	case o.Changes == 0:
		r.log.Debug("network unchanged", attrs...)
	case why&(started|changed|retried) == 0 && o.Repeated:
		r.log.Debug("network repaired again", attrs...)
	case why&(started|changed|retried) == 0 && !o.Followed:
		// Nobody asked for a change, and there was something to change.
		r.log.Warn("network repaired: something else had changed it", attrs...)
	default:
		r.log.Info("network applied", attrs...)
	}
}

// remove takes away a network whose resource is gone, and then forgets it: after
// that nothing of it is left to wait for.
func (r *Reconciler) remove(ctx context.Context, v *state.View, id string) error {
	if err := r.dp.Remove(ctx, id); err != nil {
		err = fmt.Errorf("remove network %s: %w", id, err)
		if ctx.Err() == nil {
			r.db.Observed.Report(id, v.Revision, err, r.now())
		}
		return err
	}
	r.db.Observed.Forget(id, v.Revision)
	r.mu.Lock()
	n := r.networks[id]
	known := n != nil && n.present
	r.mu.Unlock()
	if known {
		r.log.Info("network removed", "network", id)
	}
	return nil
}

// network returns what is remembered of a network. r.mu is held.
func (r *Reconciler) network(id string) *network {
	n := r.networks[id]
	if n == nil {
		n = &network{backoff: newBackOff()}
		r.networks[id] = n
	}
	return n
}

// compilerOf returns what compiles a network, of which the dataplane may have something
// from now on.
func (r *Reconciler) compilerOf(id string) *compile.Compiler {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.network(id)
	n.present = true
	if n.compiler == nil {
		n.compiler = compile.New(r.settings, id, r.opt.Open)
	}
	return n.compiler
}

// outcome keeps book of an attempt at a network that was wanted or was to go,
// and arranges for another attempt if it failed.
func (r *Reconciler) outcome(id string, wanted bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.network(id)
	if n.retry != nil {
		n.retry.Stop()
		n.retry = nil
	}
	if err == nil {
		if n.attempts > 0 {
			r.log.Info("network is well again", "network", id, "attempts", n.attempts, "failing", r.now().Sub(n.since))
		}
		n.attempts = 0
		n.backoff.Reset()
		if !wanted {
			delete(r.networks, id)
		}
		return
	}
	if n.attempts == 0 {
		n.since = r.now()
		r.log.Error("network can't be brought up to date; trying again until it can", "network", id, "error", err)
	} else {
		r.log.Debug("network still can't be brought up to date", "network", id, "attempts", n.attempts, "error", err)
	}
	n.attempts++
	n.retry = time.AfterFunc(n.backoff.NextBackOff(), func() { r.queue.add(id, retried) })
}

func (r *Reconciler) stopRetries() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.networks {
		if n.retry != nil {
			n.retry.Stop()
		}
	}
}
