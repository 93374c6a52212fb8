package ipsec

import (
	"fmt"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// Whatever somebody takes from the way of IKE and ESP between the public side and a
// site's charon, at either end, is put back, and said.
func TestHomeIsCutOff(t *testing.T) {
	t.Parallel()
	l := newLab(t, dataplane.VPNByLibipsec)
	c := usual()
	l.answer(c)
	l.apply(c)
	l.carries("10.1.0.2")
	g := l.holder(c.ID)
	before := spis(l.swanctl("--list-sas"))
	for _, v := range []struct {
		name     string
		home     bool
		commands []string
		apply    bool // found by the engine, which hears of nftables
		says     string
	}{
		{"link down", false, []string{"ip link set " + g.ikeLink() + " down"}, false, "set ike0 up"},
		{"address gone", false, []string{"ip address flush dev " + g.ikeLink()}, false, "added address " + homeEnd.String()},
		{"route gone", false, []string{"ip route flush dev " + g.ikeLink()}, false, "added a route to " + homeAddress(g.slot).String()},
		{"link of the home down", true, []string{"ip link set " + outerLink + " down"}, false, "set outer up"},
		{"address of the home gone", true, []string{"ip address flush dev " + outerLink}, false, "added address " + homeAddress(g.slot).String()},
		{"default route of the home gone", true, []string{"ip route del default"}, false, "added the default route"},
		{"all of it", true, []string{"ip address flush dev " + outerLink, "ip link set " + outerLink + " down"}, false, "set outer up, added a route"},
		{"table deleted", false, []string{"nft delete table ip " + outerTable}, true, outerTable},
		{"set flushed", false, []string{"nft flush set ip " + outerTable + " sites"}, true, outerTable},
		{"map flushed", false, []string{"nft flush map ip " + outerTable + " homes"}, true, outerTable},
		{"rule inserted", false, []string{"nft insert rule ip " + outerTable + " in udp dport 4500 drop"}, true, outerTable},
	} {
		t.Run(v.name, func(t *testing.T) {
			l.t = t
			if l.m.Misled(l.gw, network) {
				t.Error("misled before anything was done")
			}
			ns := l.gw
			if v.home {
				ns = g.home
			}
			said := len(l.log.String())
			for _, command := range v.commands {
				args := strings.Fields(command)
				nstest.Command(t, ns, args[0], args[1:]...)
			}
			if v.apply {
				if !l.m.Misled(l.gw, network) {
					t.Error("not found")
				}
				l.apply(c)
			} else {
				g.nudge()
			}
			l.eventually(func() error {
				if now := l.log.String()[said:]; !strings.Contains(now, v.says) {
					return fmt.Errorf("the log does not say %q: %s", v.says, now)
				}
				return nil
			})
			l.carries("10.1.0.2")
		})
	}
	l.t = t
	if now := spis(l.swanctl("--list-sas")); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("negotiated anew: %v, was %v", now, before)
	}
}
