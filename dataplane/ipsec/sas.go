package ipsec

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
)

// ikeSA is an IKE_SA as charon tells of it.
type ikeSA struct {
	connection string
	id         string
	spi        string // the initiator's: the same at both ends
	state      string
	age        time.Duration // since it is established
	proposal   string
	busy       bool // charon is about something with the peer, or means to be
	children   []childSA
}

// childSA is a CHILD_SA as charon tells of it.
type childSA struct {
	name, id, state   string
	selectors         string // as negotiated
	proposal          string
	inbound, outbound dataplane.Volume
}

func (s *ikeSA) established() bool {
	return s.state == "ESTABLISHED" || s.state == "REKEYING" || s.state == "REKEYED"
}

// carries reports whether packets pass.
func (s *childSA) carries() bool {
	return slices.Contains([]string{"INSTALLED", "UPDATING", "REKEYING", "REKEYED"}, s.state)
}

// surplus returns the ids of IKE_SAs that only do what another one does, too, and
// when there may be others. When both ends begin at once, both succeed, and would
// rekey for ever. A peer that is about to replace an SA (RFC 7296, section 2.8.3)
// has some time for that. The one with the largest SPI stays, so that both ends
// choose the same one.
func surplus(sas []ikeSA) (ids []string, next time.Duration) {
	next = settle
	for i := range sas {
		for k := range sas {
			a, b := &sas[i], &sas[k]
			if i == k || a.connection != b.connection || a.spi >= b.spi || !a.idle() || !b.idle() || !a.within(b) {
				continue
			}
			if wait := settle - min(a.age, b.age); wait > 0 {
				next = min(next, wait)
			} else if !slices.Contains(ids, a.id) {
				ids = append(ids, a.id)
			}
		}
	}
	return ids, next
}

// settle is how long two SAs for the same are left alone.
const settle = 10 * time.Second

// idle reports whether nothing is about to change.
func (s *ikeSA) idle() bool { return s.state == "ESTABLISHED" && !s.busy }

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

// readSAs reads the IKE_SAs of a list-sa, ike-updown, child-updown or child-rekey
// message.
func readSAs(m *vici.Message) []ikeSA {
	var sas []ikeSA
	for name, part := range sections(m) {
		sa := ikeSA{
			connection: name,
			id:         text(part, "uniqueid"),
			spi:        text(part, "initiator-spi"),
			state:      text(part, "state"),
			age:        time.Duration(number(part, "established")) * time.Second,
			proposal:   algorithms(part, "encr-alg", "encr-keysize", "integ-alg", "prf-alg", "dh-group"),
		}
		for _, key := range []string{"tasks-queued", "tasks-active"} {
			tasks, _ := part.Get(key).([]string)
			sa.busy = sa.busy || len(tasks) > 0
		}
		kids, _ := part.Get("child-sas").(*vici.Message)
		for _, kid := range sections(kids) {
			// In a child-rekey, both are below.
			for _, which := range []string{"old", "new"} {
				if one, ok := kid.Get(which).(*vici.Message); ok {
					sa.children = append(sa.children, readChild(one))
				}
			}
			if kid.Get("uniqueid") != nil {
				sa.children = append(sa.children, readChild(kid))
			}
		}
		sas = append(sas, sa)
	}
	return sas
}

func readChild(m *vici.Message) childSA {
	return childSA{
		name:      text(m, "name"),
		id:        text(m, "uniqueid"),
		state:     text(m, "state"),
		selectors: fmt.Sprint(m.Get("local-ts"), m.Get("remote-ts")),
		proposal:  algorithms(m, "encr-alg", "encr-keysize", "integ-alg", "dh-group"),
		inbound:   dataplane.Volume{Bytes: number(m, "bytes-in"), Packets: number(m, "packets-in")},
		outbound:  dataplane.Volume{Bytes: number(m, "bytes-out"), Packets: number(m, "packets-out")},
	}
}

// algorithms returns the values of the keys, joined as swanctl does:
// AES_CBC-128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024.
func algorithms(m *vici.Message, keys ...string) string {
	s := ""
	for _, key := range keys {
		v := text(m, key)
		switch {
		case v == "":
			continue
		case key == "encr-keysize":
			s += "-"
		case s != "":
			s += "/"
		}
		s += v
	}
	return s
}

func sections(m *vici.Message) map[string]*vici.Message {
	out := map[string]*vici.Message{}
	if m == nil {
		return out
	}
	for _, key := range m.Keys() {
		if part, ok := m.Get(key).(*vici.Message); ok {
			out[key] = part
		}
	}
	return out
}

func text(m *vici.Message, key string) string {
	s, _ := m.Get(key).(string)
	return s
}

func number(m *vici.Message, key string) uint64 {
	n, _ := strconv.ParseUint(text(m, key), 10, 64)
	return n
}
