package session

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sluice/bpf"
)

// What entry.Spare asks for (SPARE_ in bpf/types.h).
const (
	spareClosed     = 1
	spareUnanswered = 2
)

// Where a gateway has almost as many connections by SNAT entries as it may, those that
// nobody has ever answered go, the oldest first, whatever timeouts RFC 4787 and RFC 5382
// give them: a host that sends to where nobody answers keeps no other one out.
const (
	fullAt    = 0.90 // of the connections that it may have
	emptiedTo = 0.80

	// answerAfter is how long there is time for an answer. A host that gets none asks
	// again after a second.
	answerAfter = 3 * time.Second
)

// giveUpUnanswered ends connections that were never answered, of gateways that are full.
// sessions is how many of any kind the network has.
func (w *watch) giveUpUnanswered(sessions uint64) error {
	began := time.Now()
	if began.Before(w.giveUpAgain) {
		return nil
	}
	over, err := w.n.fullGateways(sessions)
	if err != nil || len(over) == 0 {
		return err
	}
	// In all a tenth of the time at most.
	defer func() { w.giveUpAgain = time.Now().Add(10 * time.Since(began)) }()
	list, err := w.n.unansweredOf(over)
	if err != nil {
		return err
	}
	var gone []entry
	for _, u := range list {
		if over[u.gateway] > 0 {
			over[u.gateway]--
			u.entry.Spare = spareUnanswered
			gone = append(gone, u.entry)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := w.n.syncSessions(gone); err != nil {
		return err
	}
	return w.n.expire()
}

// fullGateways returns the gateways that are full, by number, with how many connections
// they have too many. sessions is how many the network has in all.
func (n *Network) fullGateways(sessions uint64) (map[uint32]int, error) {
	n.mu.Lock()
	r := n.rules
	n.mu.Unlock()
	if r == nil {
		return nil, nil
	}
	over := map[uint32]int{}
	for number, l := range r.limits {
		if l.Connections == 0 || float64(sessions) <= fullAt*float64(l.Connections) {
			continue
		}
		var s bpf.GatewayNatState
		if err := n.maps["nat_states"].Lookup(number, &s); err != nil {
			return nil, fmt.Errorf("read the state of a NAT gateway of network %s: %w", n.id, err)
		}
		if open := float64(s.Open[kindSNAT]); open > fullAt*float64(l.Connections) {
			over[number] = max(1, int(open-emptiedTo*float64(l.Connections)))
		}
	}
	return over, nil
}

// unansweredConnection is one that nobody has answered.
type unansweredConnection struct {
	entry   entry
	gateway uint32
	age     uint32 // ticks
}

// unansweredOf returns the connections by SNAT entries of gateways that nobody has
// answered, and that had the time for it, the oldest first.
func (n *Network) unansweredOf(gateways map[uint32]int) ([]unansweredConnection, error) {
	now, err := n.now()
	if err != nil {
		return nil, err
	}
	n.slots.mu.Lock()
	slots, err := n.readSlots()
	n.slots.mu.Unlock()
	if err != nil {
		return nil, err
	}
	type made struct{ gateway, age uint32 }
	sessions := map[flowKey]made{}
	err = n.each(func(k flowKey, s *bpf.GatewaySession) {
		if s.Kind != uint8(kindSNAT) || s.Flow&flowReply != 0 || s.Generation != 0 || int(s.Slot) >= len(slots.addresses) {
			return // one that has a path was answered
		}
		gateway := slots.gateway(int(s.Slot))
		if _, full := gateways[gateway]; full && int32(now-s.Until) >= int32(bpf.Ticks(answerAfter)) {
			sessions[k] = made{gateway, now - s.Until}
		}
	})
	if err != nil || len(sessions) == 0 {
		return nil, err
	}
	flows, err := n.conntrackFlows()
	if err != nil {
		return nil, err
	}
	var list []unansweredConnection
	for i := range flows {
		if flows[i].Status.Value&statusSeenReply != 0 {
			continue
		}
		e, ok := entryOf(&flows[i])
		if m, there := sessions[e.Original]; ok && there {
			list = append(list, unansweredConnection{e, m.gateway, m.age})
		}
	}
	slices.SortFunc(list, func(a, b unansweredConnection) int { return cmp.Compare(b.age, a.age) })
	return list, nil
}
