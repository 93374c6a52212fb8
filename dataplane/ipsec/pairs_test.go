package ipsec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// fourPairs is a connection with two subnets at each end.
func fourPairs() dataplane.VPNConnection {
	c := usual()
	c.Policies = dataplane.Product(prefixes("10.0.0.0/24", "10.77.0.0/24"), prefixes("10.1.0.0/24", "10.2.0.0/24"))
	return c
}

// onePer returns what a peer has that knows a part of a connection's subnets a
// CHILD_SA: each local one with some remote ones.
func onePer(c dataplane.VPNConnection, remote ...[]netip.Prefix) []dataplane.VPNConnection {
	var all []dataplane.VPNConnection
	for _, l := range c.Policies.Locals() {
		for _, r := range remote {
			one := c
			one.ID = fmt.Sprintf("p%d", len(all))
			one.Policies = dataplane.Product([]netip.Prefix{l}, r)
			all = append(all, one)
		}
	}
	return all
}

// reachesFrom is reaches with a source.
func reachesFrom(ns *netns.Namespace, source, to string) error {
	var c net.Conn
	err := ns.Do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
		c, err = d.Dial("udp4", to+":9")
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = nstest.Ask(c); errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return fmt.Errorf("no answer from %s to %s: %v", to, source, err)
}

// pairsLab gives a lab an address in each of the subnets of fourPairs.
func pairsLab(l *lab) {
	nstest.Address(l.t, l.a, "eth0", "10.77.0.2/24")
	nstest.Address(l.t, l.gw, "inside", "10.77.0.1/24")
	// The answers are ICMP errors, of which a host sends one a second to another.
	if err := l.b.Set(netns.Sysctl{Path: "ipv4/icmp_ratelimit", Value: "0"}); err != nil {
		l.t.Fatal(err)
	}
	l.hurry()
}

// hurry makes the Gateways try again sooner.
func (l *lab) hurry() { l.m.retryFirst, l.m.retryMost = 200*time.Millisecond, time.Second }

// allPairs waits until packets of all pairs pass, besides those that lack.
func (l *lab) allPairs(c dataplane.VPNConnection, lack ...string) {
	l.t.Helper()
	l.eventually(func() error {
		if err := l.route(); err != nil {
			return err
		}
		for _, p := range l.m.Status(network)[c.ID].Pairs {
			pair := fmt.Sprintf("%s === %s", p.Local, p.Remote)
			if p.Up == slices.Contains(lack, pair) {
				return fmt.Errorf("%s is up: %v", pair, p.Up)
			}
			if !p.Up {
				continue
			}
			host := func(p netip.Prefix) string { return p.Masked().Addr().Next().Next().String() }
			if err := reachesFrom(l.a, host(p.Local), host(p.Remote)); err != nil {
				return err
			}
		}
		return nil
	})
}

// rests waits until the peer's SAs have been the same for a while, and returns how
// many IKE_SAs and CHILD_SAs it has.
func (l *lab) rests() (ikes, kids int) {
	l.t.Helper()
	var was sas
	since := time.Now()
	l.eventually(func() error {
		if now := l.sas(); now != was {
			was, since = now, time.Now()
		}
		if time.Since(since) < 3*time.Second {
			return fmt.Errorf("SAs come and go: %+v", was)
		}
		return nil
	})
	return len(strings.Fields(was.ike)), len(strings.Fields(was.esp)) / 2
}

// A peer that takes one pair a CHILD_SA gets one for each, whoever begins, also
// after they are rekeyed, and when charon is lost.
func TestPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		pairsLab(l)
		c := fourPairs()
		there := onePer(c, prefixes("10.1.0.0/24"), prefixes("10.2.0.0/24"))
		l.answer(there[0], there[1:]...)
		l.apply(c)
		l.allPairs(c)
		if ikes, kids := l.rests(); ikes != 1 || kids != 4 {
			t.Errorf("the gateway begins: %d IKE_SAs, %d CHILD_SAs", ikes, kids)
		}
		before := l.sas().esp
		for _, p := range there {
			l.swanctl("--rekey", "--child", p.ID)
		}
		l.eventually(func() error {
			for spi := range strings.FieldsSeq(before) {
				if strings.Contains(l.sas().esp, spi) {
					return fmt.Errorf("%s is not rekeyed", spi)
				}
			}
			return nil
		})
		l.allPairs(c)
		g := l.holder(c.ID)
		g.mu.Lock()
		_, err := g.charon.do("rekey", section{"ike": c.ID, "child": c.ID})
		g.mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		l.allPairs(c)

		// The peer begins with each of its own.
		l.apply()
		l.eventually(func() error {
			if at := l.sas(); at.ike != "" {
				return fmt.Errorf("the peer still has %q", at.ike)
			}
			return nil
		})
		begun := make(chan struct{}, len(there))
		for _, p := range there {
			go func() {
				// It fails where the gateway has been faster.
				_, _ = l.trySwanctl("--initiate", "--ike", "peer", "--child", p.ID, "--timeout", "20")
				begun <- struct{}{}
			}()
		}
		l.apply(c)
		for range there {
			<-begun
		}
		l.allPairs(c)
		if s := l.m.Status(network)[c.ID]; s.Error != "" {
			t.Errorf("status %+v", s)
		}
		old := l.pid()
		l.kill()
		l.eventually(func() error {
			g := l.holder(c.ID)
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.charon == nil || g.charon.process.PID == old {
				return errors.New("there is no other charon")
			}
			return nil
		})
		l.allPairs(c)
	})
}

// A peer that takes some pairs a CHILD_SA, and begins itself, would have charon's
// one CHILD_SA twice for different subnets.
func TestPairsInPart(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		pairsLab(l)
		c := fourPairs()
		there := onePer(c, c.Policies.Remotes())
		l.answer(there[0], there[1:]...)
		l.apply(c)
		for _, p := range there {
			_, _ = l.trySwanctl("--initiate", "--ike", "peer", "--child", p.ID, "--timeout", "20")
		}
		l.allPairs(c)
		l.rests()
		l.allPairs(c)
		// What was found out is known to the next Gateways.
		before := l.sas()
		l.m.Close()
		l.open()
		l.hurry()
		l.apply(c)
		l.allPairs(c)
		if now := l.sas(); now != before {
			t.Errorf("negotiated again: %+v, was %+v", now, before)
		}
	})
}

// Pairs that the peer does not want are told, and the others work.
func TestPairMissing(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		pairsLab(l)
		l.m.waits.partial = time.Second
		c := fourPairs()
		there := onePer(c, prefixes("10.1.0.0/24"), prefixes("10.2.0.0/24"))
		l.answer(there[0], there[1:3]...)
		l.apply(c)
		const lacks = "10.77.0.0/24 === 10.2.0.0/24"
		l.allPairs(c, lacks)
		l.eventually(func() error {
			if s := l.m.Status(network)[c.ID]; !s.Child || !strings.Contains(s.Error, lacks) || s.Fault.Kind != kindPairs {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
		if !strings.Contains(l.log.String(), lacks) {
			t.Error("the log does not say which pair lacks")
		}
		l.answer(there[0], there[1:]...)
		l.allPairs(c)
		l.eventually(func() error {
			if s := l.m.Status(network)[c.ID]; s.Error != "" {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
	})
}

// A peer that takes all pairs is asked for them at once, and for nothing else.
func TestAllPairsInOne(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		pairsLab(l)
		c := fourPairs()
		l.answer(c)
		l.apply(c)
		l.allPairs(c)
		if ikes, kids := l.rests(); ikes != 1 || kids != 1 {
			t.Errorf("%d IKE_SAs, %d CHILD_SAs", ikes, kids)
		}
	})
}

// Pairs that wait for traffic are all there as soon as it comes for one.
func TestPairsOnDemand(t *testing.T) {
	l := newLab(t, dataplane.VPNByXFRM)
	pairsLab(l)
	c := fourPairs()
	c.Start = false
	there := onePer(c, prefixes("10.1.0.0/24"), prefixes("10.2.0.0/24"))
	l.answer(there[0], there[1:]...)
	l.apply(c)
	for _, p := range c.Policies.Remotes() {
		if err := lead(l.gw, p, c.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	l.eventually(func() error {
		_ = reachesFrom(l.a, "10.77.0.2", "10.2.0.2")
		return l.route()
	})
	l.allPairs(c)
}

// Random sets of CHILD_SAs: what is asked for is what lacks, and nothing twice.
func TestAskFor(t *testing.T) {
	type pair [2]netip.Prefix
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := usual()
		c.IKE.Version = 1 + r.IntN(2)
		var locals, remotes []netip.Prefix
		for i := range 1 + r.IntN(3) {
			locals = append(locals, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24))
		}
		for i := range 1 + r.IntN(3) {
			remotes = append(remotes, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i), 0}), 24))
		}
		c.Policies = dataplane.Product(locals, remotes)
		if r.IntN(2) == 0 { // not each with each
			for i := range c.Policies {
				r.Shuffle(len(remotes), func(i, j int) { remotes[i], remotes[j] = remotes[j], remotes[i] })
				c.Policies[i].Remotes = slices.Clone(remotes[:1+r.IntN(len(remotes))])
			}
		}
		split := r.IntN(2) == 0
		all := configured(&c, split)
		carried, there := map[pair]bool{}, map[string]bool{}
		sa := ikeSA{connection: c.ID, state: "ESTABLISHED"}
		for name, ts := range all {
			if r.IntN(2) == 0 {
				continue
			}
			part := func(side []string) []string {
				if r.IntN(2) == 0 { // narrowed
					i := r.IntN(len(side))
					side = side[i : i+1]
				}
				switch r.IntN(6) {
				case 0:
					return []string{side[0] + "[tcp/80]"}
				case 1:
					return []string{strings.Replace(side[0], "/24", "/25", 1)}
				}
				return side
			}
			kid := childSA{name: name, state: "INSTALLED", local: part(ts[0]), remote: part(ts[1])}
			there[name] = true
			sa.children = append(sa.children, kid)
			for _, near := range kid.local {
				for _, far := range kid.remote {
					if strings.HasSuffix(near, "/24") && strings.HasSuffix(far, "/24") {
						carried[pair{netip.MustParsePrefix(near), netip.MustParsePrefix(far)}] = true
					}
				}
			}
		}
		first, beside := askFor(&c, split, there, []ikeSA{sa})
		names := slices.Concat(first, beside)
		for i, name := range names {
			ts, ok := all[name]
			if !ok || there[name] || slices.Contains(names[:i], name) {
				t.Fatalf("seed %d: %s is asked for; there are %v", seed, name, there)
			}
			if slices.Contains(beside, name) && (len(ts[0]) > 1 || len(ts[1]) > 1 || carried[pair{netip.MustParsePrefix(ts[0][0]), netip.MustParsePrefix(ts[1][0])}]) {
				t.Fatalf("seed %d: %s is asked for, its pair is there", seed, name)
			}
			for _, j := range joints(&c) {
				some := there[j.name]
				for _, k := range j.pairs {
					some = some || pairsOf(&c, []ikeSA{sa})[k].Up
				}
				for _, k := range j.pairs {
					if name == pairName(&c, k) && some != slices.Contains(beside, name) {
						t.Fatalf("seed %d: %s is beside others: %v", seed, name, some)
					}
				}
			}
		}
		for _, p := range pairsOf(&c, []ikeSA{sa}) {
			if p.Up != carried[pair{p.Local, p.Remote}] {
				t.Fatalf("seed %d: %s === %s is up: %v", seed, p.Local, p.Remote, p.Up)
			}
			has := func(name string) bool {
				return slices.Contains(all[name][0], p.Local.String()) && slices.Contains(all[name][1], p.Remote.String())
			}
			own := slices.ContainsFunc(sa.children, func(kid childSA) bool { _, several := jointNamed(&c, kid.name); return !several && has(kid.name) })
			if !p.Up && !own && !slices.ContainsFunc(names, has) {
				t.Fatalf("seed %d: nobody asks for %s === %s; there are %v, asked for are %v", seed, p.Local, p.Remote, there, names)
			}
		}
	}
}

// Where the CHILD_SA for all pairs is refused, each pair has its turn, and that for
// all keeps every other one.
func TestInstead(t *testing.T) {
	c := fourPairs()
	var got []string
	for n := range 10 {
		got = append(got, instead(&c, c.ID, true, n))
	}
	want := []string{"vco-t", "vco-t-1", "vco-t", "vco-t-2", "vco-t", "vco-t-3", "vco-t", "vco-t-4", "vco-t", "vco-t-1"}
	if !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	one := usual()
	for _, v := range []string{instead(&c, c.ID, false, 1), instead(&one, one.ID, true, 1)} {
		if v != "vco-t" {
			t.Errorf("asked for %v", v)
		}
	}
}

// The CHILD_SA for all pairs must not be there twice with other subnets.
func TestMixed(t *testing.T) {
	c := fourPairs()
	kid := func(name, state, selectors string) childSA {
		return childSA{name: name, state: state, selectors: selectors}
	}
	for _, v := range []struct {
		kids []childSA
		want bool
	}{
		{[]childSA{kid(c.ID, "INSTALLED", "a")}, false},
		{[]childSA{kid(c.ID, "INSTALLED", "a"), kid(c.ID, "INSTALLED", "a")}, false},
		{[]childSA{kid(c.ID, "INSTALLED", "a"), kid(c.ID, "INSTALLED", "b")}, true},
		{[]childSA{kid(c.ID, "REKEYED", "a"), kid(c.ID, "INSTALLED", "b")}, false},
		{[]childSA{kid(c.ID+"-1", "INSTALLED", "a"), kid(c.ID, "INSTALLED", "b")}, false},
	} {
		if got := mixed(&c, []ikeSA{{connection: c.ID, children: v.kids}}); got != v.want {
			t.Errorf("%+v: %v", v.kids, got)
		}
	}
}
