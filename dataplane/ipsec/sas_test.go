package ipsec

import (
	"testing"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
)

func TestTorn(t *testing.T) {
	child := []childSA{{name: "a", state: "INSTALLED"}}
	for _, c := range []struct {
		name string
		sas  []ikeSA
		want bool
	}{
		{"one", []ikeSA{{connection: "a", id: "1", state: "ESTABLISHED", children: child}}, false},
		{"rekeyed, without the new one", []ikeSA{{connection: "a", id: "1", state: "REKEYED"}, {connection: "b", id: "2", state: "ESTABLISHED"}}, true},
		{"rekeyed", []ikeSA{{connection: "a", id: "1", state: "REKEYED"}, {connection: "a", id: "2", state: "ESTABLISHED", children: child}}, false},
		{"rekeyed and being deleted, without the new one", []ikeSA{{connection: "a", id: "1", state: "DELETING"}}, true},
		{"being deleted", []ikeSA{{connection: "a", id: "1", state: "DELETING", children: child}}, false},
	} {
		if got := torn(c.sas); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// An attempt counts until what came of it has outlived the pause after it.
func TestAttemptsAreForgotten(t *testing.T) {
	now := time.Now()
	up := []ikeSA{{connection: "vco-t", state: "ESTABLISHED", children: []childSA{{name: "vco-t", state: "INSTALLED"}}}}
	for _, v := range []struct {
		name string
		next time.Time
		sas  []ikeSA
		kept bool
	}{
		{"lasts", now.Add(-time.Second), up, false},
		{"just up", now.Add(time.Second), up, true},
		{"down", now.Add(-time.Second), nil, true},
	} {
		g := &gateway{tries: map[string]attempt{"vco-t": {next: v.next, pause: retryMost}}}
		g.forget(v.sas, now)
		if _, kept := g.tries["vco-t"]; kept != v.kept {
			t.Errorf("%s: kept %v", v.name, kept)
		}
	}
}

// A message that cannot be decrypted tells of a wrong key as long as the right one has
// not been used: one that was under way to an IKE_SA that is gone does not.
func TestUndecryptable(t *testing.T) {
	say := func(s *states, id, line string) *failure {
		m := vici.NewMessage()
		for k, v := range map[string]string{"ikesa-name": "vco-t", "ikesa-uniqueid": id, "msg": line} {
			if err := m.Set(k, v); err != nil {
				t.Fatal(err)
			}
		}
		_, f := s.log(m)
		return f
	}
	const line = "could not decrypt payloads"
	s := &states{}
	s.set(&dataplane.VPNGateway{Connections: []dataplane.VPNConnection{usual()}})
	say(s, "1", "IKE_SA vco-t[1] established between 192.0.2.1[192.0.2.1]...192.0.2.2[192.0.2.2]")
	if f := say(s, "1", line); f != nil {
		t.Errorf("of an IKE_SA that was established: %v", f)
	}
	if f := say(s, "2", line); f == nil || f.Kind != kindKey {
		t.Errorf("of another: %v", f)
	}
}
