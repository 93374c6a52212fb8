package ipsec

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// quarrel is a connection on which the two ends do not agree.
type quarrel struct {
	name  string
	c     dataplane.VPNConnection // this end
	there dataplane.VPNConnection // what the peer has
	both  bool                    // the peer begins, too
	kinds []string                // any of which says what is wrong; the log has no other
	later bool                    // with IKEv2 it is refused when it is rekeyed only
}

// quarrels is the product of what can be wrong, the versions of IKE, and who begins. A
// short one has IKEv2 only, and that peer begins only with whom all is well.
func quarrels() []quarrel {
	same := func(*dataplane.VPNConnection) {}
	var all []quarrel
	for _, v := range []struct {
		what        string
		here, there func(c *dataplane.VPNConnection)
		kinds       []string
		later       bool
	}{
		{"subnets", same, func(c *dataplane.VPNConnection) {
			c.Policies = dataplane.Product(c.Policies.Locals(), prefixes("10.9.0.0/24"))
		}, []string{kindSubnets}, false},
		{"algorithms of phase 1", same, func(c *dataplane.VPNConnection) { c.IKE.Proposal.Integrity = dataplane.MD5 }, []string{kindPhase1}, false},
		{"group of phase 1", same, func(c *dataplane.VPNConnection) { c.IKE.Proposal.Group = 14 }, []string{kindPhase1}, false},
		{"algorithms of phase 2", same, func(c *dataplane.VPNConnection) { c.ESP.Proposal.Encryption = dataplane.AES256 }, []string{kindPhase2}, false},
		{"group of phase 2", same, func(c *dataplane.VPNConnection) { c.ESP.Proposal.Group = 14 }, []string{kindPhase2, kindPFS}, true},
		{"no PFS there", same, func(c *dataplane.VPNConnection) { c.ESP.Proposal.Group = 0 }, []string{kindPhase2, kindPFS}, true},
		{"no PFS here", func(c *dataplane.VPNConnection) { c.ESP.Proposal.Group = 0 }, same, []string{kindPhase2, kindPFS}, true},
		{"key", same, func(c *dataplane.VPNConnection) { c.PSK = "another" }, []string{kindAuth, kindKey}, false},
		{"peer's identity", same, func(c *dataplane.VPNConnection) { c.RemoteID = "someone.example" }, []string{kindAuth, kindIdentity}, false},
		{"own identity", same, func(c *dataplane.VPNConnection) { c.LocalID = "someone.example" }, []string{kindAuth, kindIdentity}, false},
		{"nothing", same, same, nil, false},
	} {
		for _, version := range []int{1, 2} {
			if testing.Short() && version == 1 {
				continue
			}
			for _, both := range []bool{false, true} {
				if testing.Short() && both != (v.kinds == nil) {
					continue
				}
				i := len(all)
				q := quarrel{name: fmt.Sprintf("%s, IKEv%d, both begin: %v", v.what, version, both), c: usual(), both: both, kinds: v.kinds}
				q.c.ID = fmt.Sprintf("vco-%d", i)
				q.c.Remote = netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
				q.c.RemoteID = q.c.Remote.String()
				q.c.Policies = dataplane.Product(q.c.Policies.Locals(), prefixes(fmt.Sprintf("10.%d.0.0/24", 100+i)))
				q.c.IKE.Version = version
				q.later = v.later
				q.there = q.c
				v.here(&q.c)
				v.there(&q.there)
				all = append(all, q)
			}
		}
	}
	return all
}

// Whatever the ends do not agree on, and whatever the peer takes down: each
// connection has one IKE_SA at either end, two while one takes the place of another,
// one reason is told, and it is up as soon as the peer is mended.
func TestQuarrels(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		all := quarrels()
		l.m.retryFirst, l.m.retryMost = 200*time.Millisecond, 3*time.Second
		var here, wrong, right []dataplane.VPNConnection
		for _, q := range all {
			nstest.Address(t, l.peer, "public", q.c.Remote.String()+"/24")
			nstest.Address(t, l.peer, "inside", q.c.Policies.Remotes()[0].Addr().Next().String()+"/24")
			here, wrong, right = append(here, q.c), append(wrong, q.there), append(right, q.c)
		}
		nstest.Address(t, l.peer, "inside", "10.9.0.1/24")
		l.answers(wrong)
		peer := l.speak()
		stop := l.watch(peer, all)
		l.apply(here...)
		const failures, ends = uint64(3), 4
		for round := range failures {
			for _, q := range all {
				if q.both {
					// It fails, or is there already.
					_, _ = peer.do("initiate", section{"child": q.child(), "ike": q.c.ID, "timeout": "-1"})
				}
			}
			for _, q := range all {
				if q.refusedLater() {
					l.rekeyRefused(peer, q)
					continue
				}
				l.eventually(func() error {
					s := l.m.Status(network)[q.c.ID]
					switch {
					case s.Child != (q.kinds == nil):
						return fmt.Errorf("%s: %+v", q.name, s)
					case q.kinds != nil && (s.Failures <= round || s.Error == "" || !slices.Contains(q.kinds, s.Fault.Kind)):
						return fmt.Errorf("%s: %+v", q.name, s)
					}
					return nil
				})
			}
		}
		l.told(all)
		l.answers(right)
		began := time.Now()
		l.allUp(peer)
		t.Logf("all up %s after the peer was mended", time.Since(began))
		for round := range ends {
			for _, q := range all {
				what := section{"child": q.child(), "timeout": "-1"}
				if round%2 == 1 {
					what = section{"ike": q.c.ID, "timeout": "-1"}
				}
				if _, err := peer.do("terminate", what); err != nil {
					t.Error(err)
				}
			}
			l.allUp(peer)
		}
		stop()
		// A peer that has forgotten all begins anew.
		l.stopPeer()
		if err := os.Remove(filepath.Join(l.peerDir, socketFile)); err != nil {
			t.Fatal(err)
		}
		l.startPeer()
		l.answers(right)
		peer = l.speak()
		for _, q := range all {
			if _, err := peer.do("initiate", section{"child": q.child(), "ike": q.c.ID, "timeout": "-1"}); err != nil {
				t.Error(err)
			}
		}
		l.allUp(peer)
	})
}

// child returns the name of the only CHILD_SA.
func (q *quarrel) child() string {
	for name := range children(&q.c) {
		return name
	}
	panic("none")
}

// refusedLater reports whether it is up, and refused when it is rekeyed: with IKEv2
// nobody has asked for a group until then.
func (q *quarrel) refusedLater() bool { return q.later && q.c.IKE.Version == 2 }

// rekeyRefused has a CHILD_SA rekeyed, which is refused, and ended. Another one has
// to come.
func (l *lab) rekeyRefused(peer *charon, q quarrel) {
	l.t.Helper()
	l.eventually(func() error {
		if s := l.m.Status(network)[q.c.ID]; !s.Child {
			return fmt.Errorf("%s: %+v", q.name, s)
		}
		return nil
	})
	before := l.m.Status(network)[q.c.ID].Failures
	by := peer.do
	if !q.both {
		by = func(command string, arguments section) (*vici.Message, error) {
			g := l.holder(q.c.ID)
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.charon.do(command, arguments)
		}
	}
	looks := 0
	l.eventually(func() error {
		// It may be about something else when it is told to.
		if looks++; looks%20 == 1 {
			if _, err := by("rekey", section{"child": q.child()}); err != nil {
				return err
			}
		}
		s := l.m.Status(network)[q.c.ID]
		if s.Failures <= before || s.Error == "" || !slices.Contains(q.kinds, s.Fault.Kind) {
			return fmt.Errorf("%s: %+v", q.name, s)
		}
		return nil
	})
	if _, err := peer.do("terminate", section{"child": q.child(), "timeout": "-1"}); err != nil {
		l.t.Error(err)
	}
}

// told fails unless the log and the status have one kind of reason for each
// connection, and the right one.
func (l *lab) told(all []quarrel) {
	l.t.Helper()
	kind := regexp.MustCompile(`kind=("[^"]*"|\S*)`)
	for _, q := range all {
		var said []string
		for line := range strings.Lines(l.log.String()) {
			if strings.Contains(line, "cannot be negotiated") && strings.Contains(line, "connection="+q.c.ID+" ") {
				said = append(said, strings.Trim(kind.FindStringSubmatch(line)[1], `"`))
			}
		}
		slices.Sort(said)
		for _, k := range slices.Compact(slices.Clone(said)) {
			if !slices.Contains(q.kinds, k) {
				l.t.Errorf("%s: the log says %q, want %q", q.name, k, q.kinds)
			}
		}
		if q.kinds != nil && len(said) == 0 {
			l.t.Errorf("%s: nothing in the log", q.name)
		}
		f := l.m.Status(network)[q.c.ID].Fault
		l.t.Logf("%s: %s (%s), %d times, %d lines", q.name, f, f.Side, f.Count, len(said))
	}
}

// allUp waits until all is well, at both ends.
func (l *lab) allUp(peer *charon) {
	l.t.Helper()
	l.eventually(func() error {
		here, there := count(established(l.m, network)), map[string]int{}
		if sas, err := peer.list(); err == nil {
			there = count(sas)
		}
		for id, s := range l.m.Status(network) {
			if !s.Child || s.Error != "" || here[id] != 1 || there[id] != 1 {
				return fmt.Errorf("%d IKE_SAs here, %d there: %+v", here[id], there[id], s)
			}
		}
		return nil
	})
}

// speak opens a session with the peer's charon.
func (l *lab) speak() *charon {
	l.t.Helper()
	c := &charon{dir: l.peerDir, answer: answerTimeout}
	if err := c.open(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(c.hangUp)
	return c
}

// count returns how many established IKE_SAs there are of each connection, those
// that have been replaced aside.
func count(sas []ikeSA) map[string]int {
	n := map[string]int{}
	for i := range sas {
		if sas[i].established() && sas[i].state != "REKEYED" {
			n[sas[i].connection]++
		}
	}
	return n
}

// watch counts IKE_SAs of both ends until it is stopped, and then fails if there
// were too many of a connection.
func (l *lab) watch(peer *charon, all []quarrel) (stop func()) {
	most := map[string]int{}
	ended, done := make(chan struct{}), make(chan struct{})
	end := sync.OnceFunc(func() { close(ended); <-done })
	l.t.Cleanup(end)
	go func() {
		defer close(done)
		for {
			there, _ := peer.list()
			for _, n := range []map[string]int{count(established(l.m, network)), count(there)} {
				for id, n := range n {
					most[id] = max(most[id], n)
				}
			}
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() {
		l.t.Helper()
		end()
		for _, q := range all {
			limit := 2
			if q.both {
				limit = 3 // each end makes one, beside that which is there
			}
			if n := most[q.c.ID]; n > limit {
				l.t.Errorf("%s: %d IKE_SAs at a time", q.name, n)
			}
		}
	}
}

// answers makes the peer have those connections.
func (l *lab) answers(all []dataplane.VPNConnection) {
	l.t.Helper()
	var conns, secrets strings.Builder
	for i := range all {
		c := &all[i]
		fmt.Fprintf(&conns, "%s { version = %d\nlocal_addrs = %s\nremote_addrs = %s\nproposals = %s\nencap = %s\nkeyingtries = 1\n"+
			"local { auth = psk\nid = %s\n}\nremote { auth = psk\nid = %s\n}\nchildren {\n",
			c.ID, c.IKE.Version, c.Remote, gatewayAddr, proposal(c.IKE.Proposal), yes(l.path == dataplane.VPNByLibipsec), c.RemoteID, c.LocalID)
		for name, ts := range children(c) {
			fmt.Fprintf(&conns, "%s { local_ts = %s\nremote_ts = %s\nesp_proposals = %s\n}\n", name, strings.Join(ts[1], ","), strings.Join(ts[0], ","), proposal(c.ESP.Proposal))
		}
		conns.WriteString("} }\n")
		fmt.Fprintf(&secrets, "ike-%d { secret = \"%s\"\nid-1 = %s\nid-2 = %s\n}\n", i, string(c.PSK), c.RemoteID, c.LocalID)
	}
	name := filepath.Join(l.peerDir, "swanctl.conf")
	conf := fmt.Sprintf("connections {\n%s}\nsecrets {\n%s}\n", &conns, &secrets)
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.swanctl("--load-all", "--clear", "--file", name)
}
