package nft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"sluice/dataplane"
)

// withLinks is labNetwork with its VSwitches.
func withLinks() *dataplane.Network {
	n := labNetwork()
	for _, id := range []string{"vsw-a", "vsw-b", "vsw-c"} {
		n.Switches = append(n.Switches, dataplane.Switch{ID: id})
	}
	return n
}

// What comes out of a tunnel with the address of a VSwitch's host is dropped, and TCP
// into it is clamped, by the set that its link is in, whatever the name.
func TestTunnelsAreASet(t *testing.T) {
	l := newLab(t)
	name := dataplane.LinkName("connection-with-a-long-id")
	site := newNamespace(t)
	plug(t, l.gateway, name, []string{"192.168.7.1/24"}, site, []string{"192.168.7.5/24", "10.0.1.77/32"})
	route(t, site, "", "192.168.7.1", 0)
	serveUDP(t, l.b, "10.0.2.30:7")
	plain, tunnel := mustCompile(t, withLinks()), func() *Ruleset {
		r, err := RulesetOf(withLinks(), nil, name)
		must(t, err)
		return r
	}()
	mustApply(t, l.table, l.current, plain)
	before := l.count(t, CounterSpoofed)
	wantSeen(t, "a link that is no tunnel", seenUDP(t, site, "192.168.7.5", "10.0.2.30:7"), "192.168.7.5")
	must(t, write(dialUDP(t, site, "10.0.1.77", "10.0.2.30:7")))
	wantSeen(t, "the packet after it", seenUDP(t, site, "192.168.7.5", "10.0.2.30:7"), "192.168.7.5")
	if got := l.count(t, CounterSpoofed); got != before {
		t.Fatalf("%d packets dropped that came from no tunnel", got-before)
	}
	if changes := mustApply(t, l.table, plain, tunnel); changes != 1 {
		t.Errorf("%d changes for one tunnel", changes)
	}
	wantSeen(t, "a site's own address", seenUDP(t, site, "192.168.7.5", "10.0.2.30:7"), "192.168.7.5")
	must(t, write(dialUDP(t, site, "10.0.1.77", "10.0.2.30:7")))
	l.countsAbove(t, CounterSpoofed, before)
	for set, want := range map[string]string{"tunnels": `"` + name + `"`, "switches": `"vsw-a"`} {
		if text := nftCommand(t, l.gateway, "list", "set", "ip", tableName, set); !strings.Contains(text, want) {
			t.Errorf("the nft command shows no %s in\n%s", want, text)
		}
	}
}

// A table of a version that knew less keeps its sets and counters, and loses no flow.
func TestOlderTableIsCompleted(t *testing.T) {
	l := newLab(t)
	want, err := RulesetOf(withLinks(), nil, "vco-t")
	must(t, err)
	mustApply(t, l.table, l.current, want)
	before := l.count(t, CounterUnsolicited)
	must(t, write(dialUDP(t, l.internet, "", "203.0.113.10:8080")))
	must(t, handle(t, l.internet).RouteAdd(routeOf(t, "10.0.0.0/16", "203.0.113.10", 0)))
	must(t, write(dialUDP(t, l.internet, "", "10.0.1.10:8080")))
	l.countsAbove(t, CounterUnsolicited, before)
	counted := l.count(t, CounterUnsolicited)
	serveUDP(t, l.internet, "203.0.113.1:7")
	stop := l.flows(t, deadline)
	rounds := 20
	if testing.Short() {
		rounds = 6
	}
	for i := range rounds {
		tamper(t, l.gateway, func(c *nftables.Conn, table *nftables.Table) {
			uses := func(e expr.Any) bool {
				switch e := e.(type) {
				case *expr.Lookup:
					return e.SetName == SetTunnels.String() || e.SetName == SetSwitches.String()
				case *expr.Objref:
					return e.Name == CounterSpoofed || i%2 == 0 && e.Name == CounterCrowded
				}
				return false
			}
			for _, chain := range chains() {
				rules, err := c.GetRules(table, &nftables.Chain{Table: table, Name: chain.name})
				must(t, err)
				for _, r := range rules {
					if slices.ContainsFunc(r.Exprs, uses) {
						must(t, c.DelRule(r))
					}
				}
			}
			c.DelSet(&nftables.Set{Table: table, Name: SetTunnels.String()})
			c.DelSet(&nftables.Set{Table: table, Name: SetSwitches.String()})
			if i%2 == 0 {
				c.DeleteObject(&nftables.CounterObj{Table: table, Name: CounterCrowded})
			}
		})
		have := mustRead(t, l.table)
		if have.Skeleton != "" || have.salvage == nil || have.Damage != "set switches is missing" {
			t.Fatalf("the older table reads as %s", have)
		}
		mustApply(t, l.table, have, want)
	}
	all, lost := stop()
	if got := l.count(t, CounterPrivateSource); lost != 0 || got != 0 {
		t.Errorf("%d of %d flows were lost, %d packets came to the uplink untranslated", lost, all, got)
	}
	if got := l.count(t, CounterUnsolicited); got < counted {
		t.Errorf("a counter went from %d to %d: the table was built anew", counted, got)
	}
}

// WithLinks adds what the other has of links, and nothing else.
func TestWithLinks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	compile := func() (*Ruleset, map[string]bool) {
		n := withLinks()
		n.Switches, n.Elastic = nil, n.Elastic[:len(n.Elastic)-r.IntN(2)]
		in := map[string]bool{}
		var tunnels []string
		for i := range 6 {
			switch name := fmt.Sprintf("l-%d", i); r.IntN(3) {
			case 0:
				n.Switches = append(n.Switches, dataplane.Switch{ID: name})
				in["switches "+name] = true
			case 1:
				tunnels = append(tunnels, name)
				in["tunnels "+name] = true
			}
		}
		out, err := RulesetOf(n, nil, tunnels...)
		must(t, err)
		return out, in
	}
	for range 200 {
		a, inA := compile()
		b, inB := compile()
		sum := a.WithLinks(b)
		added := 0
		for name := range inB {
			if !inA[name] {
				added++
				set, link, _ := strings.Cut(name, " ")
				if !strings.Contains(sum.String(), fmt.Sprintf("%s %q\n", set, link)) {
					t.Fatalf("no %s in\n%s", name, sum)
				}
			}
		}
		if sum.Len() != a.Len()+added || (sum == a) != (added == 0) {
			t.Fatalf("%d of %d and %d elements, of which %d are links to add", sum.Len(), a.Len(), b.Len(), added)
		}
		if sum.WithLinks(a) != sum || !a.Equal(sum) && added == 0 {
			t.Fatal("a link of its own is added")
		}
	}
}
