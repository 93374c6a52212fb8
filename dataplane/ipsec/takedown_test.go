package ipsec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// loses makes the gateway take the next n packets of the peer's IKE, and no more.
func (l *lab) loses(n int) {
	l.t.Helper()
	rule := "counter drop"
	if n > 0 {
		rule = fmt.Sprintf("limit rate over 1/day burst %d packets counter drop", n)
	}
	nstest.Command(l.t, l.gw, "nft", "add table ip lossy; add chain ip lossy in { type filter hook prerouting priority -400; }; "+
		"add rule ip lossy in iifname public udp sport { 500, 4500 } "+rule)
}

// lost reports whether one was not taken.
func (l *lab) lost() bool {
	l.t.Helper()
	return !strings.Contains(nstest.Command(l.t, l.gw, "nft", "list table ip lossy"), "counter packets 0 ")
}

func (l *lab) losesNothing() {
	l.t.Helper()
	nstest.Command(l.t, l.gw, "nft", "delete table ip lossy")
}

// midway is what a gateway and its peer are about when the connection goes.
type midway struct {
	name    string
	version int
	packets int // of the peer's, at most
	pairs   bool
	begin   func(l *lab, c *dataplane.VPNConnection) // nil: the connection is new
}

// rekeys has the gateway rekey.
func rekeys(s section) func(*lab, *dataplane.VPNConnection) {
	return func(l *lab, c *dataplane.VPNConnection) {
		l.t.Helper()
		g := l.holder(c.ID)
		g.mu.Lock()
		defer g.mu.Unlock()
		if _, err := g.charon.do("rekey", s); err != nil {
			l.t.Fatal(err)
		}
	}
}

func rekeyIKE(l *lab, c *dataplane.VPNConnection) { rekeys(section{"ike": c.ID})(l, c) }

func rekeyChild(l *lab, c *dataplane.VPNConnection) {
	for name := range children(c) {
		rekeys(section{"child": name})(l, c)
		return
	}
}

var midways = []midway{
	{"a new connection", 2, 2, false, nil},
	{"a new connection with pairs", 2, 6, true, nil},
	{"a new connection", 1, 5, false, nil},
	{"CHILD_SA rekeyed", 2, 2, false, rekeyChild},
	{"CHILD_SA rekeyed", 1, 1, false, rekeyChild},
	{"IKE_SA rekeyed", 2, 2, false, rekeyIKE},
	{"CHILD_SA rekeyed by the peer", 2, 2, false, func(l *lab, c *dataplane.VPNConnection) {
		l.swanctl("--rekey", "--child", c.ID)
	}},
	{"IKE_SA rekeyed by the peer", 2, 2, false, func(l *lab, c *dataplane.VPNConnection) {
		l.swanctl("--rekey", "--ike", "peer")
	}},
}

// Whatever charon and the peer are about when a connection goes, its gateway does, or
// it is changed, and whichever answer is lost on the way: neither has an IKE_SA
// of before afterwards, and it can be brought back at once. SLUICE_ROUNDS is how often, SLUICE_SEED what is tried.
func TestRemovedMidway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	rounds, seed := 5, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("SLUICE_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SLUICE_SEED"), 10, 64); err == nil {
		seed = n
	}
	each(t, func(t *testing.T, l *lab) {
		t.Logf("SLUICE_SEED=%d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		pairsLab(l)
		for range rounds {
			m := midways[r.IntN(len(midways))]
			at := r.IntN(m.packets + 1)
			how := []string{"removed", "changed", "removed with its gateway"}[r.IntN(3)]
			t.Logf("%s, IKEv%d, %s after %d packets of the peer", m.name, m.version, how, at)
			l.goesMidway(&m, at, how)
		}
	})
}

func (l *lab) goesMidway(m *midway, at int, how string) {
	l.t.Helper()
	c := usual()
	c.IKE.Version = m.version
	there := []dataplane.VPNConnection{c}
	if m.pairs {
		c.Policies = dataplane.Product(fourPairs().Policies.Locals(), fourPairs().Policies.Remotes())
		there = onePer(c, prefixes("10.1.0.0/24"), prefixes("10.2.0.0/24"))
	}
	l.answer(there[0], there[1:]...)
	up := func() error {
		s := l.m.Status(network)[c.ID]
		for _, p := range s.Pairs {
			if !s.Child || !p.Up {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	}
	if m.begin == nil {
		l.loses(at)
		l.apply(c)
	} else {
		l.apply(c)
		l.eventually(up)
		l.rests()
		l.loses(at)
		m.begin(l, &c)
	}
	// Either a packet is lost, or all is done with fewer.
	l.eventually(func() error {
		if l.lost() || m.begin == nil && up() == nil {
			return nil
		}
		if g := l.holder(c.ID); m.begin != nil && at == m.packets {
			g.mu.Lock()
			defer g.mu.Unlock()
			if sas, err := g.charon.list(); err != nil || len(sas) != 1 || !sas[0].idle() {
				return fmt.Errorf("busy: %+v, %v", sas, err)
			}
			return nil
		}
		return errors.New("nothing is lost")
	})
	l.losesNothing()
	switch how {
	case "changed":
		old := l.sas().ike
		c.ESP.Lifetime -= 3600
		l.apply(c)
		l.eventually(func() error {
			if err := up(); err != nil {
				return err
			}
			return l.haveOneNewer(old)
		})
		l.apply()
	case "removed":
		l.apply()
	default:
		if err := l.m.Apply(l.t.Context(), l.gw, network, nil); err != nil {
			l.t.Fatal(err)
		}
	}
	l.eventually(l.neitherHas)
	l.apply(c)
	l.eventually(up)
	l.apply()
	l.eventually(l.neitherHas)
}

// haveOneNewer fails unless the gateway and the peer have one IKE_SA, which is none of
// those.
func (l *lab) haveOneNewer(old string) error {
	here := established(l.m, network)
	if len(here) != 1 || strings.Contains(old, here[0].spi) {
		return fmt.Errorf("the gateway has %+v; before, the peer had %s", here, old)
	}
	if said := l.swanctl("--list-sas"); strings.Count(said, "ESTABLISHED") != 1 || !strings.Contains(said, here[0].spi) {
		return fmt.Errorf("the gateway has %s, the peer %s", here[0].spi, said)
	}
	return nil
}

// neitherHas fails while the gateway has an IKE_SA, or the peer one that is
// established. What it is still establishing it gives up by itself.
func (l *lab) neitherHas() error {
	if err := l.hasNone(); err != nil {
		return err
	}
	if said := l.swanctl("--list-sas"); strings.Contains(said, "ESTABLISHED") || strings.Contains(said, "INSTALLED") {
		return fmt.Errorf("the peer still has %s", said)
	}
	return nil
}

// A peer that is gone keeps nobody from being removed, or changed.
func TestRemovedWithoutPeer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		l.hurry()
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		l.stopPeer()
		l.apply()
		l.eventually(l.hasNone)
		l.startPeer()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		l.stopPeer()
		c.ESP.Lifetime -= 3600
		l.apply(c)
		l.startPeer()
		l.answer(c)
		l.carries("10.1.0.2")
	})
}

// hasNone fails while the gateway has an IKE_SA.
func (l *lab) hasNone() error {
	for _, g := range l.m.of(network) {
		g.mu.Lock()
		sas, err := g.charon.list()
		g.mu.Unlock()
		if err != nil || len(sas) > 0 {
			return fmt.Errorf("the gateway still has %+v, %v", sas, err)
		}
	}
	return nil
}
