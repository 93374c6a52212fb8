package ipsec

import (
	"fmt"
	"testing"
	"time"

	"sluice/dataplane/internal/nstest"
)

// A tunnel whose link somebody takes away, or sets down, is not said to work, and
// comes back by itself, also when nobody looked at that moment. SAs of the kernel's
// are not negotiated anew.
func TestLinkGoes(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		sas := spis(l.swanctl("--list-sas"))
		there := func(name string) bool {
			link, err := l.gw.Netlink().LinkByName(name)
			return err == nil && link.Attrs().Flags&1 != 0
		}
		for _, v := range []struct {
			name   string
			damage []string
			away   bool
		}{
			{"deleted", []string{"link", "del"}, false},
			{"down", []string{"link", "set", "down"}, false},
			{"deleted while no Gateways are there", []string{"link", "del"}, true},
			{"down while no Gateways are there", []string{"link", "set", "down"}, true},
		} {
			t.Run(v.name, func(t *testing.T) {
				l.t = t
				name, up := l.m.Link(network, c.ID)
				if !up {
					t.Fatalf("%q is not up", name)
				}
				if v.away {
					l.m.Close()
				}
				began := time.Now()
				nstest.Command(t, l.gw, "ip", append(v.damage, name)...)
				if v.away {
					l.open()
					l.apply(c)
				}
				said := false
				l.eventually(func() error {
					s := l.m.Status(network)[c.ID]
					if s.Child && !there(name) && !there(name) { // twice: it may have been made since
						said = true
					}
					return l.route()
				})
				if said {
					t.Errorf("said to be up without its link")
				}
				l.carries("10.1.0.2")
				t.Logf("back after %s", time.Since(began))
				if now := spis(l.swanctl("--list-sas")); l.path == "xfrm" && fmt.Sprint(now) != fmt.Sprint(sas) {
					t.Errorf("negotiated anew: %v, was %v", now, sas)
				}
			})
		}
		l.t = t
	})
}
