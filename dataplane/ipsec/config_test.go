package ipsec

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
)

// What charon is given of a connection, on each path.
func TestConnection(t *testing.T) {
	local := netip.MustParseAddr(gatewayAddr)
	for _, v := range []struct {
		name   string
		path   dataplane.VPNPath
		change func(c *dataplane.VPNConnection)
		want   []string
		not    []string
	}{
		{"usual", dataplane.VPNByXFRM, func(*dataplane.VPNConnection) {},
			[]string{`"vco-t":{`, `"version":"2"`, `"aggressive":"no"`, `"encap":"no"`, `"mobike":"no"`, `"reauth_time":"0s"`, `"proposals":["aes128-sha1-modp1024"]`,
				`"esp_proposals":["aes128-sha1-modp1024"]`, `"if_id_in":"65536"`, `"if_id_out":"65536"`, `"reqid":"65537"`, `"start_action":"none"`, `"close_action":"none"`,
				`"rekey_time":"77760s"`, `"over_time":"8640s"`, `"life_time":"86400s"`, `"dpd_delay":"5s"`, `"dpd_timeout":"35s"`, `"dpd_action":"clear"`, `"keyingtries":"1"`},
			[]string{testKey}},
		{"libipsec", dataplane.VPNByLibipsec, func(c *dataplane.VPNConnection) { c.Start = false },
			[]string{`"encap":"yes"`, `"start_action":"none"`, `"close_action":"none"`, `"if_id_in":"65536"`, `"reqid":"65536"`}, nil},
		{"libipsec, IKEv1", dataplane.VPNByLibipsec, func(c *dataplane.VPNConnection) { c.IKE.Version = 1 },
			[]string{`"version":"1"`}, []string{"if_id"}},
		{"waits for traffic", dataplane.VPNByXFRM, func(c *dataplane.VPNConnection) { c.Start = false },
			[]string{`"start_action":"trap"`, `"close_action":"trap"`}, nil},
		{"no limits", dataplane.VPNByXFRM, func(c *dataplane.VPNConnection) { c.IKE.Lifetime, c.ESP.Lifetime, c.DPD = 0, 0, false },
			[]string{`"rekey_time":"0s"`, `"over_time":"0s"`, `"life_time":"0s"`, `"dpd_delay":"0s"`}, []string{"dpd_timeout"}},
		{"IKEv1", dataplane.VPNByXFRM, func(c *dataplane.VPNConnection) {
			c.IKE.Version, c.IKE.Aggressive = 1, true
			c.Policies = dataplane.Product(prefixes("10.0.0.0/24", "10.3.0.0/24"), prefixes("10.1.0.0/24", "10.2.0.0/24"))
			c.ESP.Proposal.Group = 0
		}, []string{`"aggressive":"yes"`, `"vco-t-1":{`, `"vco-t-4":{`, `"local_ts":["10.3.0.0/24"]`, `"esp_proposals":["aes128-sha1"]`}, []string{`"vco-t-5"`}},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := usual()
			v.change(&c)
			b, err := json.Marshal(connection(local, v.path, usualWaits, given(v.path, c), &c))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range v.want {
				if !strings.Contains(string(b), w) {
					t.Errorf("%s\nlacks %s", b, w)
				}
			}
			for _, w := range v.not {
				if strings.Contains(string(b), w) {
					t.Errorf("%s\nhas %s", b, w)
				}
			}
		})
	}
}

// given returns the numbers that a connection gets where there is no other.
func given(path dataplane.VPNPath, c dataplane.VPNConnection) numbers {
	n := &identifiers{}
	n.number(path, []dataplane.VPNConnection{c}, nil)
	return n.of(&c)
}

// Two equal connections have one digest, and others another.
func TestDigest(t *testing.T) {
	sum := func(change func(c *dataplane.VPNConnection)) string {
		c := usual()
		change(&c)
		s, err := digest(connection(netip.MustParseAddr(gatewayAddr), dataplane.VPNByXFRM, usualWaits, given(dataplane.VPNByXFRM, c), &c))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := sum(func(*dataplane.VPNConnection) {})
	if sum(func(c *dataplane.VPNConnection) { c.PSK = "another" }) != same {
		t.Error("the key is in the digest, which is in a file")
	}
	if sum(func(c *dataplane.VPNConnection) { c.ESP.Lifetime = 3600 }) == same {
		t.Error("a change has the same digest")
	}
}

// Volumes only grow, whatever order charon tells of an SA's end in.
func TestCount(t *testing.T) {
	s := &states{}
	s.set(&dataplane.VPNGateway{Connections: []dataplane.VPNConnection{usual()}})
	tell := func(id string, packets uint64) {
		v := dataplane.Volume{Bytes: 100 * packets, Packets: packets}
		s.update([]ikeSA{{connection: "vco-t", id: "1", state: "ESTABLISHED", children: []childSA{{name: "vco-t", id: id, state: "INSTALLED", inbound: v, outbound: v}}}})
	}
	want := func(packets uint64) {
		t.Helper()
		got := s.status()["vco-t"]
		if v := (dataplane.Volume{Bytes: 100 * packets, Packets: packets}); got.Inbound != v || got.Outbound != v {
			t.Errorf("counted %+v, %+v, want %+v", got.Inbound, got.Outbound, v)
		}
	}
	tell("1", 5)
	want(5)
	tell("2", 1)
	want(6)
	tell("1", 7) // the last of the old one
	want(8)
	tell("1", 7)
	want(8)
	s.lost()
	tell("1", 2) // of another charon
	want(10)
}

// IKE_SAs that another one of the same connection makes superfluous are told, once
// both are at rest.
func TestRedundant(t *testing.T) {
	sa := func(id, spi string, age time.Duration, change func(*ikeSA)) ikeSA {
		s := ikeSA{connection: "vco-t", id: id, spi: spi, state: "ESTABLISHED", age: age, answered: true, children: []childSA{
			{name: "vco-t", state: "INSTALLED", selectors: "[10.0.0.0/24] [10.1.0.0/24]"}}}
		if change != nil {
			change(&s)
		}
		return s
	}
	const old = time.Hour
	empty := func(s *ikeSA) { s.children = nil }
	begun := func(s *ikeSA) { s.children, s.state, s.age, s.answered = nil, "CONNECTING", 0, false }
	for _, v := range []struct {
		name string
		sas  []ikeSA
		ids  []string
		next time.Duration
	}{
		{"one", []ikeSA{sa("1", "a", old, nil)}, nil, settle},
		{"two", []ikeSA{sa("1", "b", old, nil), sa("2", "a", old, nil)}, []string{"2"}, settle},
		{"three", []ikeSA{sa("1", "b", old, nil), sa("2", "a", old, nil), sa("3", "c", old, nil)}, []string{"1", "2"}, settle},
		{"young", []ikeSA{sa("1", "b", old, nil), sa("2", "a", 3*time.Second, nil)}, nil, 7 * time.Second},
		{"another connection", []ikeSA{sa("1", "b", old, nil), sa("2", "a", old, func(s *ikeSA) { s.connection = "vco-u" })}, nil, settle},
		{"other subnets", []ikeSA{sa("1", "b", old, nil), sa("2", "a", old, func(s *ikeSA) { s.children[0].selectors = "[10.0.0.0/24] [10.2.0.0/24]" })}, nil, settle},
		{"carries more", []ikeSA{sa("1", "b", old, nil), sa("2", "a", old, func(s *ikeSA) {
			s.children = append(s.children, childSA{name: "vco-t-2", state: "INSTALLED"})
		})}, nil, settle},
		{"carries nothing", []ikeSA{sa("1", "a", old, nil), sa("2", "b", old, empty)}, []string{"2"}, settle},
		{"carries nothing yet", []ikeSA{sa("1", "a", old, nil), sa("2", "b", time.Second, empty)}, nil, time.Second},
		{"carries nothing, and is busy", []ikeSA{sa("1", "a", old, nil), sa("2", "b", old, func(s *ikeSA) { empty(s); s.busy = true })}, nil, settle},
		{"none carries anything", []ikeSA{sa("1", "b", old, empty), sa("2", "a", old, empty), sa("3", "c", old, empty)}, []string{"1", "2"}, settle},
		{"empty one of another connection", []ikeSA{sa("1", "a", old, nil), sa("2", "b", old, func(s *ikeSA) { empty(s); s.connection = "vco-u" })}, nil, settle},
		{"empty one beside one that is begun", []ikeSA{sa("1", "a", old, empty), sa("2", "b", old, begun)}, nil, settle},
		{"not answered", []ikeSA{sa("1", "a", old, nil), sa("2", "b", old, begun)}, []string{"2"}, settle},
		{"not answered yet", []ikeSA{sa("1", "a", 4*time.Second, nil), sa("2", "b", old, begun)}, nil, 6 * time.Second},
		{"answered", []ikeSA{sa("1", "a", old, nil), sa("2", "b", old, func(s *ikeSA) { begun(s); s.answered = true })}, nil, settle},
		{"rekeyed", []ikeSA{sa("1", "b", old, nil), sa("2", "a", old, func(s *ikeSA) { s.state = "REKEYED" })}, nil, settle},
		{"busy", []ikeSA{sa("1", "b", old, func(s *ikeSA) { s.busy = true }), sa("2", "a", old, nil)}, nil, settle},
		{"child rekeyed", []ikeSA{sa("1", "b", old, func(s *ikeSA) { s.children[0].state = "REKEYING" }), sa("2", "a", old, nil)}, nil, settle},
	} {
		gone, next := redundant(v.sas)
		var ids []string
		for _, s := range gone {
			ids = append(ids, s.id)
		}
		slices.Sort(ids)
		if !slices.Equal(ids, v.ids) || next != v.next {
			t.Errorf("%s: %v, look again after %s, want %v, %s", v.name, ids, next, v.ids, v.next)
		}
	}
}

// A peer is found dead though its SA's end has been heard of before charon's line
// that says why; one that was never there is not.
func TestDeadPeerIsHeardOfLate(t *testing.T) {
	s := &states{}
	s.set(&dataplane.VPNGateway{Connections: []dataplane.VPNConnection{usual()}})
	s.update([]ikeSA{{connection: "vco-t", id: "1", state: "ESTABLISHED"}})
	s.update(nil)
	for _, v := range []struct {
		id   string
		want uint64
	}{{"1", 1}, {"2", 1}} {
		m := vici.NewMessage()
		for key, value := range map[string]string{"ikesa-name": "vco-t", "ikesa-uniqueid": v.id, "msg": "giving up after 3 retransmits"} {
			if err := m.Set(key, value); err != nil {
				t.Fatal(err)
			}
		}
		s.hear(vici.Event{Name: "log", Message: m})
		if got := s.status()["vco-t"].DPDEvents; got != v.want {
			t.Errorf("after SA %s: %d dead peers, want %d", v.id, got, v.want)
		}
	}
}

// What is heard late does not stand as a fault: of a connection that was another one
// when charon began the IKE_SA, and of an IKE_SA that another one has replaced.
func TestLateLines(t *testing.T) {
	s := &states{partial: partialTime}
	c := usual()
	s.set(&dataplane.VPNGateway{Connections: []dataplane.VPNConnection{c}})
	say := func(id, line string) {
		t.Helper()
		m := vici.NewMessage()
		for key, value := range map[string]string{"ikesa-name": c.ID, "ikesa-uniqueid": id, "msg": line} {
			if err := m.Set(key, value); err != nil {
				t.Fatal(err)
			}
		}
		s.hear(vici.Event{Name: "log", Message: m})
	}
	want := func(kind string) {
		t.Helper()
		got := s.status()[c.ID]
		if (got.Error != "") != (kind != "") || kind != "" && got.Fault.Kind != kind {
			t.Errorf("%+v, want %q", got, kind)
		}
	}
	const auth, subnets = "received AUTHENTICATION_FAILED notify error", "received TS_UNACCEPTABLE notify, no CHILD_SA built"
	say("1", "initiating IKE_SA vco-t[1] to 192.0.2.2")
	s.forgive(c.ID)
	say("1", auth)
	want("")
	say("2", auth)
	want(kindAuth)
	up := ikeSA{connection: c.ID, id: "4", state: "ESTABLISHED", told: dataplane.VPNSA{ID: "4"}, children: []childSA{{
		name: c.ID, id: "1", state: "INSTALLED", local: texts(c.Policies.Locals()), remote: texts(c.Policies.Remotes()),
	}}}
	s.update([]ikeSA{up})
	want("")
	say("3", "IKE_SA vco-t[3] established between 192.0.2.1[192.0.2.1]...192.0.2.2[192.0.2.2]")
	say("3", subnets)
	want("")
	say("4", subnets)
	want(kindSubnets)
	up.children[0].id = "2" // a rekeying that succeeded
	s.update([]ikeSA{up})
	want("")
	// Charon's numbers begin anew with it.
	s.forgive(c.ID)
	s.lost()
	say("1", auth)
	want(kindAuth)
}
