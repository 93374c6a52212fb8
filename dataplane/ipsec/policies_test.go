package ipsec

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"sluice/dataplane"
)

// uneven is a connection of which not each local subnet may talk to each remote one.
func uneven(version int) dataplane.VPNConnection {
	c := fourPairs()
	c.IKE.Version = version
	c.Policies[1].Remotes = c.Policies[1].Remotes[1:]
	return c
}

// Each pair of a connection talks, and a packet of any other is dropped in the tunnel, in
// either direction: also where the peer knows of all with all, and begins itself.
func TestPolicies(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		pairsLab(l)
		for _, version := range []int{1, 2} {
			c := uneven(version)
			all := fourPairs()
			all.IKE.Version = version
			for _, peer := range []dataplane.VPNConnection{c, all} {
				l.apply()
				l.answer(peer)
				l.apply(c)
				if peer.Policies.Len() > c.Policies.Len() {
					_, _ = l.trySwanctl("--initiate", "--child", slices.Sorted(childNames(&peer))[0])
				}
				l.allPairs(c)
				if n := len(l.m.Status(network)[c.ID].Pairs); n != 3 {
					t.Fatalf("IKEv%d: %d pairs", version, n)
				}
				if reachesFrom(l.a, "10.77.0.2", "10.1.0.2") == nil || reachesFrom(l.b, "10.1.0.2", "10.77.0.2") == nil {
					t.Errorf("IKEv%d: a pair that is none of the connection's talks", version)
				}
				l.allPairs(c)
			}
		}
	})
}

func childNames(c *dataplane.VPNConnection) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range children(c) {
			if !yield(name) {
				return
			}
		}
	}
}

// A connection that is reset is negotiated anew, once: not again when it is applied again, or
// by the next Gateways.
func TestReset(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		before := spis(l.swanctl("--list-sas"))
		c.Resets = 1
		l.apply(c)
		l.eventually(func() error {
			if now := spis(l.swanctl("--list-sas")); now == before || !l.m.Status(network)[c.ID].Child || strings.Count(now, " ") != 1 {
				return fmt.Errorf("was %s, is %s", before, now)
			}
			return l.route()
		})
		l.carries("10.1.0.2")
		before = spis(l.swanctl("--list-sas"))
		l.apply(c)
		l.carries("10.1.0.2")
		l.m.Close()
		l.open()
		l.apply(c)
		l.carries("10.1.0.2")
		if now := spis(l.swanctl("--list-sas")); now != before {
			t.Errorf("negotiated again: was %s, is %s", before, now)
		}
	})
}

// ESP without encryption, and a key that is changed after so much traffic.
func TestNullAndTraffic(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		c.ESP.Proposal.Encryption, c.ESP.Traffic = dataplane.Null, 2560
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		if s := l.m.Status(network)[c.ID]; !strings.HasPrefix(s.ESPProposal, "NULL/") {
			t.Errorf("%s", s.ESPProposal)
		}
		var to net.Conn
		err := l.a.Do(func() (err error) { to, err = net.Dial("udp4", "10.1.0.2:9"); return err })
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		packet := make([]byte, 1200)
		l.eventually(func() error {
			for range 200 {
				_, _ = to.Write(packet) // refused: nobody hears there
			}
			if s := l.m.Status(network)[c.ID]; s.Rekeys == 0 {
				return fmt.Errorf("not rekeyed after %+v", s.Outbound)
			}
			return nil
		})
		l.carries("10.1.0.2")
	})
}
