package ipsec

import (
	"slices"
	"strings"
	"time"

	"github.com/strongswan/govici/vici"
)

// What is taken down goes when the peer has answered. By force charon sends DELETE
// once, and not at all while another exchange is under way, nor for an IKE_SA that is
// being established, which the peer may have established already: it would keep it.
const (
	deleteTime       = 3 * time.Second        // then it goes by force: a message that is lost is sent again once before (retransmitTimeout)
	deleteUnanswered = 500 * time.Millisecond // likewise, where the peer has never answered
	deleteLook       = 50 * time.Millisecond  // how often is looked meanwhile
)

// deletion is of an IKE_SA that is being taken down.
type deletion struct {
	connection    string
	since         time.Time
	asked, forced bool
	gone          time.Time // zero: it is there
}

// takeDown ends all SAs of a connection. The peer is told, but not waited for: maintain
// sees to it that they go. Meanwhile the connection has none, as far as the status
// says, and is not initiated.
func (g *gateway) takeDown(id string) error {
	sas, err := g.charon.list()
	if err != nil {
		return err
	}
	for i := range sas {
		if sas[i].connection == id {
			g.beginDelete(&sas[i])
			continue
		}
		// Its CHILD_SAs may be in the IKE_SA of another connection.
		for _, kid := range sas[i].children {
			if !owns(id, kid.name) {
				continue
			}
			if err := g.endChild(kid.id); err != nil {
				return err
			}
		}
	}
	err = g.finishDeletes(sas)
	g.tell(g.states.update(g.remaining(sas)), false)
	return err
}

// beginDelete notes that an IKE_SA is to be taken down.
func (g *gateway) beginDelete(sa *ikeSA) *deletion {
	if l := g.deleting[sa.id]; l != nil {
		return l
	}
	for _, kid := range sa.children {
		// What goes with it, and belongs to another connection (see share), is not
		// to blame: its next attempt is a first one.
		if !owns(sa.connection, kid.name) {
			delete(g.tries, kid.name)
		}
	}
	l := &deletion{connection: sa.connection, since: time.Now()}
	g.deleting[sa.id] = l
	return l
}

// finishDeletes takes down what is being deleted, as far as it can be now, and what belongs to no
// connection: what was under way when that went, or its Gateways was not there.
func (g *gateway) finishDeletes(sas []ikeSA) error {
	now, there := time.Now(), map[string]bool{}
	for i := range sas {
		sa := &sas[i]
		there[sa.id] = true
		l := g.deleting[sa.id]
		if l == nil && !g.wanted(sa.connection) && (sa.established() || sa.initiator) {
			l = g.beginDelete(sa) // one that the peer has just begun has no name yet, and will be refused
		}
		if l == nil {
			if err := g.endStrangers(sa); err != nil {
				return err
			}
			continue
		}
		patience := deleteTime
		if !sa.answered {
			patience = deleteUnanswered
		}
		force := now.Sub(l.since) >= patience
		switch {
		case force && !l.forced:
			l.forced = true
		case !force && sa.established() && (!l.asked || !sa.busy):
			l.asked = true
		default:
			continue // it is being established, or charon waits for the peer's answer
		}
		if err := g.end(sa.id, force); err != nil {
			return err
		}
	}
	for id, l := range g.deleting {
		switch {
		case there[id]:
		case l.gone.IsZero():
			l.gone = now
		case now.Sub(l.gone) > deleteTime: // an event about it may come late
			delete(g.deleting, id)
		}
	}
	return nil
}

// endStrangers takes down the CHILD_SAs in an IKE_SA that belong to no connection.
func (g *gateway) endStrangers(sa *ikeSA) error {
	if !sa.idle() || !g.wanted(sa.connection) {
		return nil
	}
	for _, kid := range sa.children {
		known := func(id string) bool { return owns(id, kid.name) }
		if kid.state != "INSTALLED" || slices.ContainsFunc(g.connections(), known) {
			continue
		}
		if err := g.endChild(kid.id); err != nil {
			return err
		}
	}
	return nil
}

func (g *gateway) endChild(id string) error {
	_, err := g.charon.do("terminate", section{"child-id": id, "timeout": "-1"})
	if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
		return err
	}
	return nil
}

// connections returns the ids of those that there shall be.
func (g *gateway) connections() []string {
	ids := make([]string, len(g.want.Connections))
	for i := range g.want.Connections {
		ids[i] = g.want.Connections[i].ID
	}
	return ids
}

// succeed takes in that charon has rekeyed an IKE_SA. One that takes the place of
// another that is leaving leaves, too.
func (g *gateway) succeed(m *vici.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, part := range sections(m) {
		before, _ := part.Get("old").(*vici.Message)
		after, _ := part.Get("new").(*vici.Message)
		if before == nil || after == nil {
			continue
		}
		if l, id := g.deleting[text(before, "uniqueid")], text(after, "uniqueid"); l != nil && g.deleting[id] == nil {
			g.deleting[id] = &deletion{connection: name, since: l.since}
		}
	}
}

// leaves reports whether a connection, or any if it is empty, has an IKE_SA that is
// being taken down.
func (g *gateway) leaves(connection string) bool {
	for _, l := range g.deleting {
		if l.gone.IsZero() && (connection == "" || l.connection == connection) {
			return true
		}
	}
	return false
}

// remaining returns the SAs that are not being taken down.
func (g *gateway) remaining(sas []ikeSA) []ikeSA {
	return slices.DeleteFunc(slices.Clone(sas), func(sa ikeSA) bool { return g.deleting[sa.id] != nil })
}
