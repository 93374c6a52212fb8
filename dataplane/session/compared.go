package session

import (
	"context"
	"time"

	"github.com/ti-mo/conntrack"

	"sluice/bpf"
)

// compareWholly is how long a comparison holds at most, whatever is known.
const compareWholly = 10 * time.Minute

// comparison is what is remembered of one: enough to tell that conntrack's table has the
// same entries still.
type comparison struct {
	at      time.Time
	entries uint32 // in the table, all of them listed
	opened  uint64 // sessions, so far
	ended   uint64 // connections of whose end conntrack has told, so far
	known   bool   // its entries are such that sessions can be compared one by one
}

// note takes in what conntrack's table is when it has just been listed. An entry that
// was on its way into the table is counted but not listed.
func (n *Network) note(c *comparison, flows []conntrack.Flow) error {
	t, err := n.readTable()
	if err != nil {
		return err
	}
	states, err := n.gatewayStates()
	if err != nil {
		return err
	}
	c.entries, c.opened = t.entries, opened(states)
	c.known = int(t.entries) == len(flows)
	for i := range flows {
		// Conntrack cannot be asked for the others, and shortens what outstays.
		c.known = c.known && hasPorts(flows[i].TupleOrig.Proto.Protocol) && !unansweredFromOutside(&flows[i])
	}
	return nil
}

// opened is how many sessions all gateways have opened.
func opened(states []bpf.GatewayNatState) (sum uint64) {
	for i := range states {
		for _, v := range states[i].Opened {
			sum += v
		}
	}
	return sum
}

func held(g *bpf.GatewayGatewayState) (sum uint64) {
	for _, v := range g.Held {
		sum += v
	}
	return sum
}

// Look is Compare where that costs little: if conntrack's table has the same entries as
// when it was listed last, each session is looked at, and the table is not listed. None
// has come if there are as many, and none has gone: conntrack tells of the end of each,
// and no such event was lost, which would have had the tables compared.
func (n *Network) Look(ctx context.Context) error {
	same, err := n.sameEntries()
	if err != nil {
		return err
	}
	if !same {
		return n.Compare(ctx)
	}
	g, err := n.state()
	if err != nil || held(g) == 0 {
		return err
	}
	var all []entry
	err = n.each(func(k flowKey, s *bpf.GatewaySession) {
		if s.Flow&flowReply == 0 {
			all = append(all, entry{Original: k})
		}
	})
	if err != nil {
		return err
	}
	return n.syncSessions(all)
}

// sameEntries reports whether conntrack's table is known to have the same entries as when
// it was compared last.
func (n *Network) sameEntries() (bool, error) {
	c := n.compared.Load()
	if c == nil || !c.known || time.Since(c.at) > compareWholly {
		return false, nil
	}
	// In this order: what begins in between makes a difference.
	ended := n.ended.Load()
	g, err := n.state()
	if err != nil {
		return false, err
	}
	states, err := n.gatewayStates()
	if err != nil {
		return false, err
	}
	t, err := n.readTable()
	if err != nil {
		return false, err
	}
	return g.Pending == 0 && ended == c.ended && opened(states) == c.opened && t.entries == c.entries, nil
}
