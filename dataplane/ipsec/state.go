package ipsec

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
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
	want dataplane.VPNConnection
	// Ids of the CHILD_SAs that carry packets: now, and when Error was set.
	up, before string
	said       map[string]time.Time // faults that the log has, since it was last whole
	// The last IKE_SA before charon was given the connection as it is: what the log
	// says of that and older ones is of another one, and may be heard of late.
	older     uint64
	partSince time.Time // only a part of the pairs is carried; zero: all, or none
}

// states holds those of a gateway's connections.
type states struct {
	mu     sync.Mutex
	links  map[string]string // of tunnels, by connection
	by     map[string]*state
	remote map[string]string // connections by the peer's address
	notes  map[string]*notes // by the id of an IKE_SA
	newest uint64            // of the ids that charon has given so far

	address netip.Addr    // the gateway's, in the place of which charon knows its home's
	partial time.Duration // partialTime, but in tests
	news    []*failure    // what update has found
}

// mostIDs is how many ids of IKE_SAs are kept that may be gone.
const mostIDs = 1000

// set makes it hold the connections of a gateway, and forget others.
func (s *states) set(want *dataplane.VPNGateway) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connections := want.Connections
	s.address = want.Address
	old := s.by
	s.by, s.remote = map[string]*state{}, map[string]string{}
	for i := range connections {
		c := &connections[i]
		one := old[c.ID]
		if one == nil {
			one = &state{seen: map[string][2]dataplane.Volume{}, said: map[string]time.Time{}}
			one.Connection, one.Since = c.ID, time.Now()
		}
		one.want = *c
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
		is := one.VPNStatus // its slices are not written to again
		if s.links[id] == "" {
			is.Child = false
			is.Pairs = slices.Clone(is.Pairs)
			for i := range is.Pairs {
				is.Pairs[i].Up = false
			}
		}
		is.SAs = slices.Clone(is.SAs)
		for i := range is.SAs {
			if end := &is.SAs[i].Local; dataplane.VPNHomes.Contains(end.Addr()) {
				*end = netip.AddrPortFrom(s.address, end.Port())
			}
		}
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

// forgive forgets why a connection failed, as charon has been given another one now.
func (s *states) forgive(connection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.by[connection]; one != nil {
		one.mended()
		one.older = s.newest
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
		one.older = 0
	}
	clear(s.notes)
	s.newest = 0
	return turns
}

// told returns what update has found since it was last asked.
func (s *states) told() []*failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.news
	s.news = nil
	return news
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
	for i := range sas {
		if sas[i].established() {
			n := s.note(sas[i].id)
			n.established = true
			n.carried = n.carried || slices.ContainsFunc(sas[i].children, func(kid childSA) bool { return kid.carries() })
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
		if f := one.takePairs(sas, time.Now(), s.partial); f != nil {
			s.news = append(s.news, f)
		}
		one.take(sas)
	}
	slices.SortFunc(turns, func(a, b turn) int {
		if a.connection < b.connection {
			return -1
		}
		return 1
	})
	return turns
}

// take notes what the SAs say of a connection besides IKE and Child. What failed is
// mended when all its pairs are carried, by a CHILD_SA that is new; or when
// they are, and it is not heard of again, as a line of the log may come after the
// list with what has become of it.
func (one *state) take(sas []ikeSA) {
	var up []string
	one.SAs = nil
	for i := range sas {
		sa := &sas[i]
		ours := sa.connection == one.Connection
		for k := range sa.children {
			kid := &sa.children[k]
			if !owns(one.Connection, kid.name) {
				continue
			}
			ours = true
			if sa.established() && kid.carries() {
				up = append(up, kid.id)
			}
			one.LastIn, one.LastOut = latest(one.LastIn, kid.usedIn), latest(one.LastOut, kid.usedOut)
		}
		if ours {
			one.SAs = append(one.SAs, sa.told)
		}
	}
	slices.SortFunc(one.SAs, func(a, b dataplane.VPNSA) int { return byNumber(a.ID, b.ID) })
	slices.Sort(up)
	one.up = strings.Join(up, " ")
	if one.whole() && (one.up != one.before || time.Since(one.Fault.Last) > lingers) {
		one.mended()
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mended forgets why the connection failed; Fault stays.
func (one *state) mended() {
	one.Error, one.before = "", one.up
	clear(one.said)
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

// hear takes in an event. It returns whether charon's SAs may have changed, and
// what has failed, if that is news.
func (s *states) hear(e vici.Event) (changed bool, news *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Name == "log" {
		return s.log(e.Message)
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
	return true, nil
}
