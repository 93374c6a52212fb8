package session

import (
	"cmp"
	"slices"
	"time"

	"sluice/bpf"

	"github.com/ti-mo/conntrack"
)

// Conntrack remembers a connection for minutes after it was closed (TIME_WAIT,
// CLOSE). Where the table fills up, those go first, the oldest of them first, as
// the kernel would have them go if its own limit were reached. Nothing that is
// open ever goes.
const (
	crowdedAt   = 0.75 // of the table: closed connections go
	reclaimedTo = 0.60 // of the table: until so much is left, if there are enough
	// reclaimPause is between two goes at it, at least; in all they take a tenth
	// of the time at most.
	reclaimPause = 2 * time.Second
)

// lookAtTable notes how large conntrack's table is and how far it is filled, and
// has the programs go by it. It reports whether it fills up.
func (n *Network) lookAtTable(g *bpf.GatewayGatewayState) (crowded bool, err error) {
	t, err := n.readTable()
	if err != nil {
		return false, err
	}
	others := uint32(max(0, int64(t.entries)-int64(held(g))))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rules == nil {
		return false, nil
	}
	// Where the kernel's own number is read, others is not.
	changed := t.most != n.table.most || g.CountAt == 0 && others != n.others
	n.table, n.others = t, others
	if changed {
		if err := n.putSettings(); err != nil {
			return false, err
		}
	}
	var s settings
	n.bounds(&s, n.rules)
	return s.Entries > 0 && float64(t.entries) > crowdedAt*float64(s.Entries), nil
}

// reclaim removes closed connections from conntrack's table.
func (w *watch) reclaim() error {
	began := time.Now()
	if began.Before(w.reclaimAgain) {
		return nil
	}
	n := w.n
	n.mu.Lock()
	var s settings
	n.bounds(&s, n.rules)
	n.mu.Unlock()
	flows, err := n.conntrackFlows() // which also removes what has timed out
	if err != nil {
		return err
	}
	defer func() { w.reclaimAgain = time.Now().Add(max(reclaimPause, 10*time.Since(began))) }()
	most := len(flows) - int(reclaimedTo*float64(s.Entries))
	if most <= 0 {
		return nil
	}
	flows = slices.DeleteFunc(flows, func(f conntrack.Flow) bool { return !closedOf(&f) })
	slices.SortFunc(flows, func(a, b conntrack.Flow) int { return cmp.Compare(a.Timeout, b.Timeout) })
	var gone []entry
	for i := range flows[:min(most, len(flows))] {
		if e, ok := entryOf(&flows[i]); ok {
			e.Spare = spareClosed
			gone = append(gone, e)
		}
	}
	if err := n.syncSessions(gone); err != nil {
		return err
	}
	return n.expire()
}
