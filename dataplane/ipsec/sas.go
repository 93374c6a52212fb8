package ipsec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	initiator  bool // this end began it
	answered   bool // the peer has answered, once at least
	version    int
	children   []childSA
	told       dataplane.VPNSA // for who asks
}

// childSA is a CHILD_SA as charon tells of it.
type childSA struct {
	name, id, state   string
	selectors         string // as negotiated
	local, remote     []string
	proposal          string
	inbound, outbound dataplane.Volume
	usedIn, usedOut   time.Time // zero: never
}

func (s *ikeSA) established() bool {
	return s.state == "ESTABLISHED" || s.state == "REKEYING" || s.state == "REKEYED"
}

// carries reports whether packets pass.
func (s *childSA) carries() bool {
	return slices.Contains([]string{"INSTALLED", "UPDATING", "REKEYING", "REKEYED"}, s.state)
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
			initiator:  text(part, "initiator") == "yes",
			answered:   strings.Trim(text(part, "responder-spi"), "0") != "",
			version:    int(number(part, "version")),
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
		sa.told = tell(part, &sa, kids)
		sas = append(sas, sa)
	}
	return sas
}

func readChild(m *vici.Message) childSA {
	used := func(key string) (at time.Time) {
		if m.Get(key) != nil {
			at = time.Now().Add(-time.Duration(number(m, key)) * time.Second).Truncate(time.Second)
		}
		return at
	}
	local, _ := m.Get("local-ts").([]string)
	remote, _ := m.Get("remote-ts").([]string)
	return childSA{
		local: local, remote: remote,
		name:      text(m, "name"),
		id:        text(m, "uniqueid"),
		state:     text(m, "state"),
		selectors: fmt.Sprint(m.Get("local-ts"), m.Get("remote-ts")),
		proposal:  algorithms(m, "encr-alg", "encr-keysize", "integ-alg", "dh-group"),
		inbound:   dataplane.Volume{Bytes: number(m, "bytes-in"), Packets: number(m, "packets-in")},
		outbound:  dataplane.Volume{Bytes: number(m, "bytes-out"), Packets: number(m, "packets-out")},
		usedIn:    used("use-in"),
		usedOut:   used("use-out"),
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
