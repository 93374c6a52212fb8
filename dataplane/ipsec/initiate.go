package ipsec

import (
	"fmt"
	"slices"
	"time"

	"sluice/dataplane"
)

const (
	// Between attempts at a CHILD_SA. One that the peer does not answer lasts longer
	// (retransmitTries) than the longest, so that the next follows at once.
	retryFirst = time.Second
	retryMost  = 20 * time.Second
)

// attempt is how a CHILD_SA is brought up.
type attempt struct {
	count       int
	begun, next time.Time
	pause       time.Duration
}

// maintain takes in charon's SAs and initiates what is missing. It returns when to
// look again. The caller holds g.mu.
func (g *gateway) maintain() (time.Duration, error) {
	sas, err := g.charon.list()
	if err != nil {
		g.drop()
		return 0, err
	}
	if err := g.finishDeletes(sas); err != nil {
		return 0, err
	}
	moved := g.states.setLinks(g.links())
	g.tell(g.states.update(g.remaining(sas)), moved)
	next, err := g.deleteRedundant(g.remaining(sas))
	if err != nil {
		return 0, err
	}
	if g.leaves("") {
		next = min(next, deleteLook)
	}
	now := time.Now()
	g.forget(sas, now)
	for i := range g.want.Connections {
		c := &g.want.Connections[i]
		if _, ok := g.loaded[c.ID]; !ok {
			continue
		}
		split := g.numbers.of(c).split
		if !split && mixed(c, sas) {
			if err := g.split(c); err != nil {
				return 0, err
			}
			continue
		}
		if g.leaves(c.ID) {
			continue
		}
		if sas, err = g.giveUp(c, sas, now); err != nil {
			return 0, err
		}
		turn := g.turn(c, sas)
		names, beside, wait := missing(c, split, g.want.Connections, sas)
		if !starts(g.m.path, c) {
			names = nil // traffic begins them
		}
		for i, name := range names {
			t := g.tries[name]
			if other := instead(c, name, g.states.refusesSubnets(c.ID), t.count); other != name && wait == 0 && now.After(t.next) {
				t.count++
				g.tries[name] = t
				names[i] = other
			}
		}
		names = append(names, beside...)
		if len(names) > 0 && wait > 0 {
			next = min(next, wait)
			for _, name := range names { // when giveUp may have something to do
				if wait := g.tries[name].next.Sub(now); wait > 0 {
					next = min(next, wait)
				}
			}
			continue
		}
		for _, name := range names {
			t := g.tries[name]
			if wait := max(t.next.Sub(now), turn.Sub(now)); wait > 0 {
				next = min(next, wait)
				continue
			}
			for _, id := range spent(c, g.want.Connections, sas, t.pause > 0, g.states.refused) {
				if err := g.end(id, false); err != nil {
					return 0, err
				}
				sas = slices.DeleteFunc(sas, func(sa ikeSA) bool { return sa.id == id })
			}
			t.begun, t.count = now, t.count+1
			t.pause = max(g.m.retryFirst, min(2*t.pause, g.m.retryMost))
			t.next = now.Add(t.pause)
			g.tries[name] = t
			next = min(next, t.pause)
			_, err := g.charon.do("initiate", section{"child": name, "ike": c.ID, "timeout": "-1", "init-limits": "no"})
			if err != nil {
				return 0, fmt.Errorf("initiate IPsec connection %s: %w", c.ID, err)
			}
		}
	}
	return next, nil
}

// giveUp takes down the IKE_SAs that were begun for a connection, and of which it is
// known that they cannot come about, when it is time for the next attempt. Charon
// goes on until they are given up as unanswered, as with IKEv1 and another key. It
// returns the others.
func (g *gateway) giveUp(c *dataplane.VPNConnection, sas []ikeSA, now time.Time) ([]ikeSA, error) {
	for name := range children(c) {
		if now.Before(g.tries[name].next) {
			return sas, nil
		}
	}
	var rest []ikeSA
	for i := range sas {
		sa := &sas[i]
		if sa.connection != c.ID || !sa.initiator || sa.state != "CONNECTING" || !g.states.failed(sa.id) {
			rest = append(rest, *sa)
		} else if err := g.end(sa.id, true); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// turn returns when a connection may be initiated at the earliest. Connections with
// one peer take turns until the first is established: to a peer with which it has no
// IKE_SA, charon says so (INITIAL_CONTACT; RFC 7296, section 2.4), and what another
// connection has just established is then dropped by the peer without a word.
func (g *gateway) turn(c *dataplane.VPNConnection, sas []ikeSA) time.Time {
	var turn time.Time
	for i := range g.want.Connections {
		other := &g.want.Connections[i]
		if other.ID == c.ID || !samePeer(c, other) {
			continue
		}
		patience := retryFirst // charon may not have begun yet, or have failed
		for k := range sas {
			if sas[k].connection != other.ID {
				continue
			}
			if sas[k].established() {
				return time.Time{}
			}
			if sas[k].state != "DELETING" {
				patience = settle
			}
		}
		for name := range children(other) {
			if t, ok := g.tries[name]; ok && t.begun.Add(patience).After(turn) {
				turn = t.begun.Add(patience)
			}
		}
	}
	return turn
}

// forget forgets the attempts at CHILD_SAs that have lasted: when one of them goes,
// the next attempt is a first one again.
func (g *gateway) forget(sas []ikeSA, now time.Time) {
	for i := range sas {
		for _, kid := range sas[i].children {
			if t, ok := g.tries[kid.name]; ok && kid.carries() && now.After(t.next) {
				delete(g.tries, kid.name)
			}
		}
	}
}

// missing returns the CHILD_SAs of c, one of the connections, that are not there and
// to be asked for, those for pairs that lack beside others apart; and how long to
// wait before they are asked for, as charon, or the peer, may be about to make them.
func missing(c *dataplane.VPNConnection, split bool, connections []dataplane.VPNConnection, sas []ikeSA) (first, beside []string, wait time.Duration) {
	there := map[string]bool{}
	for i := range sas {
		sa := &sas[i]
		// What is on its way out is waited for by nobody, nor has it any use, whatever is
		// there of it: the peer may never answer.
		if sa.state == "DELETING" || !sharedBy(c, connections, sa) {
			continue
		}
		switch {
		case sa.busy && sa.state != "REKEYED" || !sa.established():
			wait = max(wait, lookEvery) // charon tells when it is done
		case sa.idle() && sa.empty() && !sa.initiator && sa.age < follow:
			wait = max(wait, follow-sa.age)
		}
		for k := range sa.children {
			if kid := &sa.children[k]; kid.carries() || kid.state == "CREATED" || kid.state == "INSTALLING" || kid.state == "RETRYING" {
				there[kid.name] = true
			}
		}
	}
	first, beside = askFor(c, split, there, sas)
	some := len(beside) > 0 || c.IKE.Version != 1 && slices.ContainsFunc(pairsOf(c, sas), func(p dataplane.VPNPair) bool { return p.Up })
	for i := range sas {
		// A peer that begins has a moment for its other CHILD_SAs.
		if sa := &sas[i]; some && len(first)+len(beside) > 0 && sa.established() && sa.age < follow && sharedBy(c, connections, sa) {
			wait = max(wait, follow-sa.age)
		}
	}
	return first, beside, wait
}
