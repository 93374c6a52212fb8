package ipsec

import (
	"fmt"
	"strings"
	"testing"

	"sluice/dataplane"
)

// awkwardKeys mean something else to one reader of configuration files or another.
var awkwardKeys = []string{
	`0x0123456789abcdef`, `0sc2VjcmV0`, `"quoted"`, `it's`, ` blanks on both sides `, `# no comment`,
	`{ a = b }`, `back\slash\n`, `${HOME} %any $(id)`, `include /etc/passwd`, `~`, strings.Repeat("k", 100),
}

// awkwardIDs are names, and addresses that are nobody's.
var awkwardIDs = []string{
	"198.51.100.77", "@gateway.example", "under_score.example", "UPPER.Example", "1.2.3", "x",
	"a." + strings.Repeat("l", 63) + ".example",
}

// Every key and every identity is taken as it is written.
func TestAwkwardKeysAndIdentities(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		for version := 1; version <= 2; version++ {
			for i, key := range awkwardKeys {
				c := usual()
				c.IKE.Version = version
				// Names are seen by everybody in aggressive mode; in main mode a peer is found by its address.
				c.IKE.Aggressive = version == 1 && i%2 == 0
				c.PSK = dataplane.Secret(key)
				c.LocalID, c.RemoteID = awkwardIDs[i%len(awkwardIDs)], awkwardIDs[(i+3)%len(awkwardIDs)]
				l.answer(c)
				l.apply(c)
				l.eventually(func() error {
					if s := l.m.Status(network)[c.ID]; !s.Child || s.Error != "" {
						return fmt.Errorf("IKEv%d, key %s, identities %s and %s: %+v", version, key, c.LocalID, c.RemoteID, s)
					}
					return nil
				})
				l.apply() // it is negotiated anew, not changed
				l.eventually(func() error {
					if at := l.sas(); at.ike != "" {
						return fmt.Errorf("the peer still has %q", at.ike)
					}
					return nil
				})
			}
		}
	})
}
