package ipsec

import "testing"

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
