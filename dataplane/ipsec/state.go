package ipsec

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
)

// state is what is known of one connection.
type state struct {
	dataplane.VPNStatus
	// CHILD_SAs by id: what was counted of them. Those that are gone stay, as the
	// event that says so may come after a list without them.
	seen map[string][2]dataplane.Volume
}

// states holds those of a gateway's connections.
type states struct {
	mu      sync.Mutex
	links   map[string]string // of tunnels, by connection
	by      map[string]*state
	remote  map[string]string // connections by the peer's address
	callers map[string]string // connections by the id of an IKE_SA that charon has no name for
	known   map[string]bool   // ids of IKE_SAs that have been established
}

// mostIDs is how many ids of IKE_SAs are kept that may be gone.
const mostIDs = 1000

// set makes it hold those connections, and forget others.
func (s *states) set(connections []dataplane.VPNConnection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.by
	s.by, s.remote, s.callers = map[string]*state{}, map[string]string{}, map[string]string{}
	for i := range connections {
		c := &connections[i]
		one := old[c.ID]
		if one == nil {
			one = &state{seen: map[string][2]dataplane.Volume{}}
			one.Connection, one.Since = c.ID, time.Now()
		}
		s.by[c.ID], s.remote[c.Remote.String()] = one, c.ID
	}
}

// status returns a copy. A CHILD_SA that no link leads to carries nothing, whatever
// charon says of it.
func (s *states) status() map[string]dataplane.VPNStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]dataplane.VPNStatus, len(s.by))
	for id, one := range s.by {
		is := one.VPNStatus
		is.Child = is.Child && s.links[id] != ""
		out[id] = is
	}
	return out
}

// tunnel returns the link of a connection, empty while there is none, and whether
// it carries packets.
func (s *states) tunnel(connection string) (link string, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[connection]
	if one == nil {
		return "", false
	}
	link = s.links[connection]
	return link, one.Child && link != ""
}

// setLinks notes the links of tunnels and returns whether they are others.
func (s *states) setLinks(links map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := !maps.Equal(s.links, links)
	s.links = links
	return moved
}

// forgive forgets why a connection failed, as it is another one now.
func (s *states) forgive(connection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.by[connection]; one != nil {
		one.Error = ""
	}
}

// lost is update when there is no charon any more: the next one begins its ids
// anew.
func (s *states) lost() []turn {
	turns := s.update(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.by {
		clear(one.seen)
	}
	clear(s.callers)
	clear(s.known)
	return turns
}

// turn is a connection whose CHILD_SA went up or down.
type turn struct {
	connection string
	up         bool
	proposal   string
}

// update takes in all SAs that charon has, and returns what has changed.
func (s *states) update(sas []ikeSA) []turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) > mostIDs {
		s.known = map[string]bool{}
	}
	for i := range sas {
		if sas[i].established() {
			s.known[sas[i].id] = true
		}
	}
	var turns []turn
	for id, one := range s.by {
		ike, child, ikeProposal, espProposal := false, false, "", ""
		for i := range sas {
			sa := &sas[i]
			if sa.connection == id && sa.established() {
				ike, ikeProposal = true, sa.proposal
			}
			for k := range sa.children {
				kid := &sa.children[k]
				if !owns(id, kid.name) {
					continue
				}
				one.count(kid)
				if sa.established() && kid.carries() {
					ike, ikeProposal = true, sa.proposal
					child, espProposal = true, kid.proposal
				}
			}
		}
		if ike != one.IKE || child != one.Child {
			one.Since = time.Now()
		}
		if child != one.Child {
			turns = append(turns, turn{id, child, espProposal})
		}
		one.IKE, one.Child = ike, child
		one.IKEProposal, one.ESPProposal = ikeProposal, espProposal
		if child {
			one.Error = ""
		}
	}
	slices.SortFunc(turns, func(a, b turn) int {
		if a.connection < b.connection {
			return -1
		}
		return 1
	})
	return turns
}

// count adds what a CHILD_SA has carried since it was last looked at.
func (one *state) count(kid *childSA) {
	before := one.seen[kid.id]
	one.Inbound = grow(one.Inbound, before[0], kid.inbound)
	one.Outbound = grow(one.Outbound, before[1], kid.outbound)
	one.seen[kid.id] = [2]dataplane.Volume{most(before[0], kid.inbound), most(before[1], kid.outbound)}
}

func grow(total, before, now dataplane.Volume) dataplane.Volume {
	now = most(before, now)
	total.Bytes += now.Bytes - before.Bytes
	total.Packets += now.Packets - before.Packets
	return total
}

func most(a, b dataplane.Volume) dataplane.Volume {
	return dataplane.Volume{Bytes: max(a.Bytes, b.Bytes), Packets: max(a.Packets, b.Packets)}
}

// hear takes in an event. It returns whether charon's SAs have changed, and the
// connection that has failed, with the reason, if that is news.
func (s *states) hear(e vici.Event) (changed bool, connection, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Name == "log" {
		connection, why = s.log(e.Message)
		return false, connection, why
	}
	for _, sa := range readSAs(e.Message) {
		for id, one := range s.by {
			heard := false
			// The last that is heard of an SA that is gone.
			for i := range sa.children {
				if owns(id, sa.children[i].name) {
					one.count(&sa.children[i])
					heard = true
				}
			}
			if heard && e.Name == "child-rekey" {
				one.Rekeys++
			}
		}
	}
	if e.Name == "ike-rekey" {
		for name := range sections(e.Message) {
			if one := s.by[name]; one != nil {
				one.Rekeys++
			}
		}
	}
	return true, "", ""
}

func (s *states) log(m *vici.Message) (connection, why string) {
	line, sa := text(m, "msg"), text(m, "ikesa-uniqueid")
	if at := caller.FindStringSubmatch(line); at != nil && sa != "" {
		if id, ok := s.remote[at[1]]; ok {
			if len(s.callers) > mostIDs {
				clear(s.callers)
			}
			s.callers[sa] = id
		}
	}
	name := text(m, "ikesa-name")
	one := s.by[name]
	if one == nil {
		if one = s.by[s.callers[sa]]; one == nil {
			return "", ""
		}
	}
	// Not one.IKE: that may have been heard of before this line.
	if deadPeer(line, s.known[sa]) {
		one.DPDEvents++
	}
	r, why := explain(line)
	if r == nil || r.early && one.IKE {
		return "", ""
	}
	if r.last {
		one.Failures++
	}
	if one.Child || r.weak && one.Error != "" || one.Error == why {
		return "", ""
	}
	one.Error = why
	return one.Connection, why
}
