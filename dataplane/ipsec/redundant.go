package ipsec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/dataplane"
)

const (
	settle = 10 * time.Second // how long two SAs for the same are left alone
	// How long an IKE_SA that the peer has begun may be without a CHILD_SA: with IKEv1
	// that is asked for afterwards.
	follow = 2 * time.Second
)

// deleteRedundant takes down IKE_SAs that a connection has besides one that does as well. It
// returns when to look again.
func (g *gateway) deleteRedundant(sas []ikeSA) (time.Duration, error) {
	gone, next := redundant(sas)
	for _, sa := range gone {
		if err := g.end(sa.id, sa.state == "CONNECTING"); err != nil {
			return 0, err
		}
		g.m.log.Info("took down an IKE_SA beside another one", "network", g.network, "connection", sa.connection, "ike_sa", sa.id, "reason", sa.why)
	}
	return min(next, lookEvery), nil
}

// end takes down an IKE_SA. By force no answer of the peer is awaited.
func (g *gateway) end(id string, force bool) error {
	_, err := g.charon.do("terminate", section{"ike-id": id, "force": yes(force), "timeout": "-1"})
	if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
		return fmt.Errorf("take down an IKE_SA: %w", err)
	}
	return nil
}

// spare is an IKE_SA that is not needed.
type spare struct{ id, connection, state, why string }

// redundant returns the IKE_SAs that another one of the same connection makes
// superfluous, and when there may be others:
//
//   - both carry the same. When both ends begin at once, both succeed, and would
//     rekey for ever. A peer that is about to replace an SA (RFC 7296, section
//     2.8.3) has some time for that. The one with the larger SPI stays, so that both
//     ends choose the same one.
//   - it carries nothing: its CHILD_SA was refused, deleted, or moved.
//   - the peer has never answered it, and has begun itself meanwhile, as one behind
//     a NAT does.
func redundant(sas []ikeSA) (gone []spare, next time.Duration) {
	next = settle
	for i := range sas {
		for k := range sas {
			a, b := &sas[i], &sas[k]
			if i == k || a.connection != b.connection {
				continue
			}
			why, wait := "", time.Duration(0)
			switch {
			case a.idle() && b.idle() && a.spi < b.spi && a.within(b):
				why, wait = "the other one carries the same", settle-min(a.age, b.age)
			case a.idle() && a.empty() && b.idle() && (!b.empty() || a.spi < b.spi):
				why, wait = "it carries nothing", follow-min(a.age, b.age)
			case a.state == "CONNECTING" && !a.answered && b.idle() && !b.empty():
				why, wait = "the peer does not answer it", settle-b.age
			default:
				continue
			}
			if wait > 0 {
				next = min(next, wait)
			} else if !slices.ContainsFunc(gone, func(s spare) bool { return s.id == a.id }) {
				gone = append(gone, spare{a.id, a.connection, a.state, why})
			}
		}
	}
	return gone, next
}

// idle reports whether nothing is about to change.
func (s *ikeSA) idle() bool { return s.state == "ESTABLISHED" && !s.busy }

// empty reports whether it has no CHILD_SA, in no state.
func (s *ikeSA) empty() bool { return len(s.children) == 0 }

// within reports whether another SA carries all that this one does, and it does
// carry something.
func (s *ikeSA) within(other *ikeSA) bool {
	for i := range s.children {
		same := func(c childSA) bool {
			return c.name == s.children[i].name && c.selectors == s.children[i].selectors && c.state == "INSTALLED"
		}
		if s.children[i].state != "INSTALLED" || !slices.ContainsFunc(other.children, same) {
			return false
		}
	}
	return len(s.children) > 0
}

// spent returns the ids of IKE_SAs in which c, one of the connections, shall not
// ask for a CHILD_SA (again), as none came of it: they carry nothing, for nobody,
// and this is not the first attempt, or charon has logged a refusal. Another
// IKE_SA may be another matter: to the peer, whose configuration may have been
// mended since; and with IKEv2 its first CHILD_SA needs no agreement on perfect
// forward secrecy (RFC 7296, section 1.2).
func spent(c *dataplane.VPNConnection, connections []dataplane.VPNConnection, sas []ikeSA, again bool, refused func(id string) bool) []string {
	var ids []string
	for i := range sas {
		sa := &sas[i]
		if sa.idle() && sa.empty() && (again || refused(sa.id)) && sharedBy(c, connections, sa) {
			ids = append(ids, sa.id)
		}
	}
	return ids
}

// sharedBy reports whether c, one of the connections, may have its CHILD_SAs in an
// IKE_SA.
func sharedBy(c *dataplane.VPNConnection, connections []dataplane.VPNConnection, sa *ikeSA) bool {
	return slices.ContainsFunc(connections, func(other dataplane.VPNConnection) bool { return other.ID == sa.connection && share(c, &other) })
}
