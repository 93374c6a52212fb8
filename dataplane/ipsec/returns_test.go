package ipsec

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
)

// A peer that is started anew has its tunnel back: one that has taken leave, one
// that was killed and is back before anybody misses it, one that was away until it
// was found dead.
func TestPeerReturns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		labs := map[int]*lab{1: l, 2: newLab(t, l.path)} // both wait at the same time
		c := map[int]dataplane.VPNConnection{}
		for version, l := range labs {
			v := usual()
			v.IKE.Version = version
			c[version] = v
			l.answer(v)
			l.apply(v)
			l.carries("10.1.0.2")
		}
		back := func(version int) {
			t.Helper()
			l := labs[version]
			l.eventually(func() error {
				if err := l.route(); err != nil { // the peer's device is another one than before
					return err
				}
				return reaches(l.a, "10.1.0.2")
			})
			if s := l.m.Status(network)[usual().ID]; !s.Child || s.Error != "" {
				t.Errorf("IKEv%d: status %+v", version, s)
			}
		}
		again := func(version int) {
			t.Helper()
			labs[version].startPeer()
			labs[version].answer(c[version])
		}
		for version, l := range labs {
			l.endPeer()
			l.eventually(func() error {
				if s := l.m.Status(network)[usual().ID]; s.IKE || s.Child {
					return fmt.Errorf("status %+v", s)
				}
				return nil
			})
			again(version)
			back(version)
		}
		for _, l := range labs {
			l.stopPeer()
		}
		again(2)
		labs[1].eventually(func() error {
			if s := labs[1].m.Status(network)[usual().ID]; s.IKE || s.Child || !strings.Contains(s.Error, "does not answer") {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
		again(1)
		back(1)
		back(2)
	})
}

// What becomes of one of two connections to one peer is nothing to the other one:
// with IKEv2 not a packet, with IKEv1, where both are in one IKE_SA, no more than
// its next first attempt.
func TestOtherConnectionGoesOn(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		if testing.Short() && version == 1 {
			continue
		}
		t.Run(fmt.Sprintf("IKEv%d", version), func(t *testing.T) {
			each(t, func(t *testing.T, l *lab) { otherConnectionGoesOn(t, l, version) })
		})
	}
}

func otherConnectionGoesOn(t *testing.T, l *lab, version int) {
	other := usual()
	other.IKE.Version = version
	c := other
	c.ID, c.Policies = "vco-s", dataplane.Product(c.Policies.Locals(), prefixes("10.2.0.0/24")) // first in any order, so that the IKE_SA is its own
	l.answer(c, other)
	l.apply(c, other)
	l.carries("10.2.0.2", "10.1.0.2")
	before := l.sas().esp
	stop := l.steady("10.1.0.2:7")
	both := func() {
		t.Helper()
		l.apply(c, other)
		l.eventually(l.route)
		for _, host := range []string{"10.1.0.2", "10.2.0.2"} {
			l.eventually(func() error { return reaches(l.a, host) })
		}
		if pause := l.pause(other); pause > l.m.retryFirst {
			t.Errorf("the other connection's next attempt would wait for %s", pause)
		}
	}
	for _, remote := range []string{"10.2.0.0/25", "10.2.0.0/24"} {
		l.apply(other) // c goes
		both()
		c.Policies = dataplane.Product(c.Policies.Locals(), prefixes(remote))
		l.answer(c, other)
		both()
	}
	sent, lost := stop()
	t.Logf("%d of %d datagrams were lost", lost, sent)
	if version == 2 && (lost > 0 || sent < 50) {
		t.Errorf("%d of %d datagrams were lost", lost, sent)
	}
	kept := 0
	for spi := range strings.FieldsSeq(l.sas().esp) {
		if strings.Contains(before, spi) {
			kept++
		}
	}
	if want := []int{1: 0, 2: 2}[version]; kept != want {
		t.Errorf("%d SPIs are what they were, not %d", kept, want)
	}
	if s := l.m.Status(network)[other.ID]; !s.Child || s.Error != "" {
		t.Errorf("status %+v", s)
	}
}

// pause returns the longest time between attempts at a connection's CHILD_SAs.
func (l *lab) pause(c dataplane.VPNConnection) (longest time.Duration) {
	g := l.holder(c.ID)
	g.mu.Lock()
	defer g.mu.Unlock()
	for name := range children(&c) {
		longest = max(longest, g.tries[name].pause)
	}
	return longest
}

// An IKE_SA that is being deleted, and whose peer does not know it any more and so never
// answers, holds up nothing: the tunnel is made anew beside it.
func TestDeletingIsNotWaitedFor(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		old := established(l.m, network)[0].id
		l.stopPeer()
		dir := filepath.Join(l.dir, network)
		if _, err := swanctlAt(dir, "--terminate", "--ike-id", old, "--timeout", "-1"); err != nil {
			t.Fatal(err)
		}
		l.startPeer()
		l.answer(c)
		l.carries("10.1.0.2")
		list, err := swanctlAt(dir, "--list-sas")
		if err != nil || !strings.Contains(list, "#"+old+", DELETING") {
			t.Errorf("the tunnel came back only when the old IKE_SA was gone: %v\n%s", err, list)
		}
	})
}
