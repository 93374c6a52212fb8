package reconcile

import (
	"context"
	"time"
)

// Audits are spread over their interval, one network after the other. With so many networks that they would
// take more than a three-hundredth of one processor's time, they come less often, down to a third as often; and
// with so many that they would take more than a twentieth then, even less often.
const (
	auditShare   = 300
	auditStretch = 3
	mostShare    = 20
	auditPause   = time.Second // at most for mostShare, however long one took
)

// auditRest returns how long no other network is audited after the beginning of an audit that took so long, if step
// is how long a network's share of the interval is.
func auditRest(took, step time.Duration) time.Duration {
	return max(step, min(auditShare*took, auditStretch*step), min(mostShare*took, auditPause))
}

// audit compares the networks with the kernel in turns, for what watch may have
// missed: quickly each time, and wholly when it is time for that.
func (r *Reconciler) audit(ctx context.Context) {
	full := make(map[string]time.Time) // when a network is next to be compared wholly
	for {
		var ids []string
		for n := range r.db.View().Networks() {
			ids = append(ids, n.Network())
		}
		full = r.planFull(full, ids)
		step := r.opt.Audit / time.Duration(max(1, len(ids)))
		for i := range max(1, len(ids)) {
			spread := 0.9 + 0.2*r.opt.Random()
			if !pause(ctx, time.Duration(spread*float64(step))) {
				return
			}
			if i == len(ids) {
				continue // there are none
			}
			began := time.Now()
			due := !began.Before(full[ids[i]])
			if due {
				full[ids[i]] = began.Add(r.opt.Full)
			}
			r.auditOne(ctx, ids[i], due)
			if rest := auditRest(time.Since(began), step); rest > step && !pause(ctx, rest-step) {
				return
			}
		}
	}
}

// planFull plans when networks are to be compared wholly. One that is new has just
// been: its turn comes within the interval, at a random time, so that those which
// were started together are not compared together.
func (r *Reconciler) planFull(old map[string]time.Time, ids []string) map[string]time.Time {
	next := make(map[string]time.Time, len(ids))
	for _, id := range ids {
		at, known := old[id]
		if !known {
			at = time.Now().Add(time.Duration(r.opt.Random() * float64(r.opt.Full)))
		}
		next[id] = at
	}
	return next
}

// auditOne audits one network, and waits until it has been put right, if it had to
// be; not for long, since others are to have their turn.
func (r *Reconciler) auditOne(ctx context.Context, id string, full bool) {
	select {
	case <-r.audited: // of an earlier one, that took too long
	default:
	}
	if _, wanted := r.db.View().Network(id); !wanted {
		return // it has gone since the round began
	}
	if differs, seen := r.dp.Audit(ctx, id, full); !differs {
		if seen {
			r.db.Observed.Seen(id, r.now())
		}
		return
	}
	r.queue.add(id, audited)
	patience := time.NewTimer(auditPause)
	defer patience.Stop()
	select {
	case <-r.audited:
	case <-patience.C:
	case <-ctx.Done():
	}
}
