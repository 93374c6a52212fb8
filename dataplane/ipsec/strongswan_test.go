package ipsec

import (
	"slices"
	"strings"
	"testing"

	"sluice/dataplane"
)

// What strongSwan says of itself is what connections are refused by.
func TestExamine(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		s, err := Examine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", s)
		if !strings.Contains(s.Version, ".") || s.Program == "" || !slices.Contains(s.Plugins, "vici") {
			t.Errorf("%+v", s)
		}
		for version, lacks := range map[int]bool{1: slices.Contains(s.Lacks, "IKEv1"), 2: false} {
			c := usual()
			c.IKE.Version = version
			if err := l.m.Refuses(&c); (err != nil) != lacks {
				t.Errorf("IKEv%d is lacking: %v, and refused: %v", version, lacks, err)
			}
		}
	})
}

func TestLacks(t *testing.T) {
	all := abilities{
		kindVersion:    {"1": true, "2": true},
		kindEncryption: {"AES_CBC": true, "3DES_CBC": true, "DES_CBC": true},
		kindIntegrity:  {},
		kindGroup:      {},
	}
	for _, i := range integrities {
		all[kindIntegrity][i.charon] = true
	}
	for _, g := range groups {
		all[kindGroup][g[1]] = true
	}
	if got := all.lacks(); len(got) > 0 {
		t.Errorf("lacks %q", got)
	}
	delete(all[kindVersion], "1")
	delete(all[kindEncryption], "DES_CBC")
	delete(all[kindIntegrity], integrities[dataplane.MD5].charon)
	delete(all[kindGroup], groups[24][1])
	if got, want := all.lacks(), []string{"IKEv1", "encryption des", "hash md5", "Diffie-Hellman group 24"}; !slices.Equal(got, want) {
		t.Errorf("lacks %q, want %q", got, want)
	}
}
