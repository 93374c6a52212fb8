package ipsec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever somebody else has charon unload or change, by swanctl as operators do, what
// is established goes on, and can be negotiated again.
func TestOthersReload(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		// Of a connection: other addresses, and no more of its subnets.
		altered := fmt.Sprintf("connections { %s {\nversion = 2\nlocal_addrs = 198.51.100.1\nremote_addrs = 198.51.100.2\nlocal {\nauth = psk\n}\nremote {\nauth = psk\n}\nchildren { lan {\n} }\n} }\n", c.ID)
		for _, v := range []struct {
			name, file string
			args       []string
			away       bool
			drops      bool // what is established goes, too
		}{
			{"connections unloaded", "connections {\n}\n", []string{"--load-conns"}, false, false},
			{"keys unloaded", "connections {\n}\n", []string{"--load-creds", "--clear"}, false, false},
			{"all unloaded", "connections {\n}\n", []string{"--load-all", "--clear"}, false, false},
			{"a connection changed", altered, []string{"--load-conns"}, false, true},
			{"all unloaded while no Gateways are there", "connections {\n}\n", []string{"--load-all", "--clear"}, true, false},
			{"a connection changed while no Gateways are there", altered, []string{"--load-conns"}, true, true},
		} {
			t.Run(v.name, func(t *testing.T) {
				l.t = t
				gateway := filepath.Join(l.dir, network)
				if v.away {
					l.m.Close()
				}
				before := spis(l.swanctl("--list-sas"))
				file := filepath.Join(t.TempDir(), "swanctl.conf")
				if err := os.WriteFile(file, []byte(v.file), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := swanctlAt(gateway, append(v.args, "--file", file)...); err != nil {
					t.Fatal(err, out)
				}
				if v.away {
					l.open()
					l.apply(c)
				} else {
					l.holder(c.ID).nudge()
				}
				l.eventually(func() error {
					conns, err := swanctlAt(gateway, "--list-conns")
					if err == nil && (!strings.Contains(conns, peerAddr) || !strings.Contains(conns, c.Policies.Remotes()[0].String())) {
						err = fmt.Errorf("charon has %s", conns)
					}
					return err
				})
				if !v.drops {
					if now := spis(l.swanctl("--list-sas")); fmt.Sprint(now) != fmt.Sprint(before) {
						t.Errorf("negotiated anew: %v, was %v", now, before)
					}
				}
				l.carries("10.1.0.2")
				l.swanctl("--terminate", "--ike", "peer")
				l.carries("10.1.0.2")
			})
		}
		l.t = t
		if log := l.log.String(); !strings.Contains(log, "pre-shared key of an IPsec connection") || !strings.Contains(log, "changed or unloaded") {
			t.Errorf("the log does not say what was done:\n%s", log)
		}
	})
}
