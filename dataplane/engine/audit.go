package engine

import (
	"context"
)

// Audit looks whether a network is other than it was made, for what no event tells of
// (sysctls, BPF programs) and for events that were lost, and reports whether the next
// Apply has, or may have, something to put right. It reads everything but nftables'
// table, of which it asks only whether the kernel has counted a change that is not ours;
// that costs a millisecond. With full, the next Apply compares everything.
//
// Of a network that is being applied it says nothing (seen is false), unless full is
// asked for.
func (e *Engine) Audit(ctx context.Context, id string, full bool) (differs, seen bool) {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	switch {
	case n == nil:
		return true, false // not ours yet: an Apply finds out
	case full:
		n.stale.Or(staleAll)
		return true, false
	case !n.mu.TryLock():
		return false, false
	}
	defer n.mu.Unlock()
	e.readClaims(n)
	if n.over || n.ns == nil || n.applied == nil {
		return true, false
	}
	e.expireGroups(n)
	parts := e.audit(ctx, n)
	n.stale.Or(parts)
	return parts != 0, true
}

// audit returns the parts of a network that are other than remembered.
func (e *Engine) audit(ctx context.Context, n *network) uint32 {
	parts := uint32(staleName | staleLinks)
	if changed, err := n.table.Changed(ctx); changed || err != nil {
		parts |= staleRules
	}
	differs, _ := e.differing(n, parts)
	if e.sysctlsDiffer(n) {
		differs |= staleSysctls
	}
	if len(n.applied.VPNGateways) > 0 {
		// What charons hold is asked of them, which takes an Apply.
		differs |= staleTunnels | staleLinks
	}
	return differs
}

// sysctlsDiffer reports whether sysctls are other than they should be, or cannot be read.
func (e *Engine) sysctlsDiffer(n *network) bool {
	want := append(earlySysctls(), lateSysctls(n.applied, n.linksThere(n.applied), e.tracking(n, n.applied))...)
	differ, _, err := n.ns.Differing(want)
	return err != nil || len(differ) > 0
}
