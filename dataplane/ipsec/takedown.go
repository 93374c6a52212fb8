package ipsec

import (
	"slices"
	"strings"
)

// takeDown ends all SAs of a connection. The peer is told, but not waited for.
func (g *gateway) takeDown(id string) error {
	sas, err := g.charon.list()
	if err != nil {
		return err
	}
	for i := range sas {
		if sas[i].connection != id {
			// Its CHILD_SAs may be in the IKE_SA of another connection.
			for _, kid := range sas[i].children {
				if !owns(id, kid.name) {
					continue
				}
				_, err := g.charon.do("terminate", section{"child-id": kid.id, "timeout": "-1"})
				if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
					return err
				}
			}
			continue
		}
		if slices.Contains(g.closing[id], sas[i].id) {
			continue
		}
		for _, kid := range sas[i].children {
			// What goes with it, and belongs to another connection (see share), is not
			// to blame: its next attempt is a first one.
			if !owns(id, kid.name) {
				delete(g.tries, kid.name)
			}
		}
		g.closing[id] = append(g.closing[id], sas[i].id)
		_, err := g.charon.do("terminate", section{"ike-id": sas[i].id, "force": "yes", "timeout": "-1"})
		if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
			return err
		}
	}
	g.tell(g.states.update(g.staying(sas)), false)
	return nil
}

// staying returns the SAs that are not being taken down.
func (g *gateway) staying(sas []ikeSA) []ikeSA {
	return slices.DeleteFunc(slices.Clone(sas), func(sa ikeSA) bool { return slices.Contains(g.closing[sa.connection], sa.id) })
}

// stillClosing forgets SAs that are gone.
func (g *gateway) stillClosing(sas []ikeSA) {
	for id, closing := range g.closing {
		closing = slices.DeleteFunc(closing, func(sa string) bool {
			return !slices.ContainsFunc(sas, func(s ikeSA) bool { return s.id == sa })
		})
		if len(closing) == 0 {
			delete(g.closing, id)
		} else {
			g.closing[id] = closing
		}
	}
}
