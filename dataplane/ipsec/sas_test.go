package ipsec

import (
	"testing"
	"time"
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
