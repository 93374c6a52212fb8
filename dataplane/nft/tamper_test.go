package nft

import (
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
)

// tamper changes the table behind the package's back.
func tamper(t testing.TB, ns netns.NsHandle, f func(c *nftables.Conn, table *nftables.Table)) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(int(ns)))
	if err != nil {
		t.Fatal(err)
	}
	f(c, kernelTable())
	if err := c.Flush(); err != nil {
		t.Fatalf("tamper with the table: %v", err)
	}
}

func TestTampering(t *testing.T) {
	fixed := map[string]func(c *nftables.Conn, table *nftables.Table){
		"flush ruleset": func(c *nftables.Conn, _ *nftables.Table) { c.FlushRuleset() },
		"delete table":  func(c *nftables.Conn, table *nftables.Table) { c.DelTable(table) },
		"flush table":   func(c *nftables.Conn, table *nftables.Table) { c.FlushTable(table) },
		"flush a chain": func(c *nftables.Conn, table *nftables.Table) {
			c.FlushChain(&nftables.Chain{Table: table, Name: "egress"})
		},
		"delete a rule":  func(c *nftables.Conn, table *nftables.Table) { c.DelRule(nthRule(t, c, table, "forward", 3)) },
		"delete a chain": func(c *nftables.Conn, table *nftables.Table) { deleteChain(c, table, "input") },
		"add a rule": func(c *nftables.Conn, table *nftables.Table) {
			c.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: "forward"}, Exprs: []expr.Any{accept()}})
		},
		"insert a rule": func(c *nftables.Conn, table *nftables.Table) {
			c.InsertRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: "egress"}, Exprs: []expr.Any{accept()}})
		},
		"replace a rule, keeping its comment": func(c *nftables.Conn, table *nftables.Table) {
			r := nthRule(t, c, table, "egress", 0)
			r.Exprs[1].(*expr.Cmp).Data = ifname("nowhere")
			c.ReplaceRule(r)
		},
		"swap two rules": func(c *nftables.Conn, table *nftables.Table) {
			first, second := nthRule(t, c, table, "forward", 0), nthRule(t, c, table, "forward", 1)
			c.DelRule(first)
			c.AddRule(&nftables.Rule{Table: table, Chain: second.Chain, Position: second.Handle, Exprs: first.Exprs, UserData: first.UserData})
		},
		"change a policy": func(c *nftables.Conn, table *nftables.Table) {
			p := nftables.ChainPolicyAccept
			c.AddChain(&nftables.Chain{Table: table, Name: "input", Type: nftables.ChainTypeFilter,
				Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &p})
		},
		"add a chain": func(c *nftables.Conn, table *nftables.Table) {
			c.AddChain(&nftables.Chain{Table: table, Name: "foreign"})
		},
		"add a set": func(c *nftables.Conn, table *nftables.Table) {
			c.AddSet(&nftables.Set{Table: table, Name: "foreign", KeyType: nftables.TypeIPAddr}, nil)
		},
		"half an interval": func(c *nftables.Conn, table *nftables.Table) {
			c.SetDeleteElements(kernelSet(table, SetSNAT), []nftables.SetElement{{Key: []byte{10, 0, 1, 0}}})
		},
	}
	for name, change := range fixed {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t)
			table := newTable(t, ns)
			want := mustCompile(t, sample())
			mustApply(t, table, nil, want)
			tamper(t, ns, change)
			got := mustRead(t, table)
			if got.Skeleton != "" || got.Equal(want) {
				t.Fatalf("not detected; the table reads as\n%s", got)
			}
			t.Logf("detected: %s", strings.TrimSpace(got.String()))
			mustApply(t, table, got, want)
			mustApply(t, table, nil, want)
		})
	}

	element := map[string]struct {
		changes int
		change  func(c *nftables.Conn, table *nftables.Table)
	}{
		"delete an element": {1, func(c *nftables.Conn, table *nftables.Table) {
			c.SetDeleteElements(kernelSet(table, SetElastic), []nftables.SetElement{{Key: []byte{203, 0, 113, 10}}})
		}},
		"foreign map element": {1, func(c *nftables.Conn, table *nftables.Table) {
			c.SetAddElements(kernelSet(table, SetDNATAddr), []nftables.SetElement{{Key: []byte{203, 0, 113, 99}, Val: []byte{10, 0, 1, 1}}})
		}},
		"foreign interval": {1, func(c *nftables.Conn, table *nftables.Table) {
			c.SetAddElements(kernelSet(table, SetSNAT), []nftables.SetElement{
				{Key: []byte{10, 9, 0, 0}, Val: []byte{203, 0, 113, 10}}, {Key: []byte{10, 9, 1, 0}, IntervalEnd: true}})
		}},
		"a map emptied": {3, func(c *nftables.Conn, table *nftables.Table) {
			c.FlushSet(kernelSet(table, SetDNATPort))
			c.FlushSet(kernelSet(table, SetSNAT))
		}},
	}
	for name, test := range element {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t)
			table := newTable(t, ns)
			want := mustCompile(t, sample())
			mustApply(t, table, nil, want)
			tamper(t, ns, test.change)
			got := mustRead(t, table)
			if got.Skeleton != want.Skeleton || got.Equal(want) {
				t.Fatalf("not detected as a difference of elements; the table reads as\n%s", got)
			}
			if changes := mustApply(t, table, got, want); changes != test.changes {
				t.Errorf("repaired by %d changes, not %d", changes, test.changes)
			}
		})
	}
}

// The nft command leaves traces of its own in interval maps; they are harmless.
func TestRepairAfterNftCommand(t *testing.T) {
	ns := newNamespace(t)
	table := newTable(t, ns)
	want := mustCompile(t, sample())
	mustApply(t, table, nil, want)
	nftCommand(t, ns, "add", "element", "ip", tableName, "snat_addr", "{ 172.16.0.0/12 : 203.0.113.10 }")
	nftCommand(t, ns, "delete", "element", "ip", tableName, "snat_addr", "{ 10.0.1.0/24 : 203.0.113.11 }")
	if changes := mustApply(t, table, mustRead(t, table), want); changes != 2 {
		t.Errorf("repaired by %d changes, not 2", changes)
	}
	nftCommand(t, ns, "add", "table", "ip", tableName, "{ flags dormant; }")
	got := mustRead(t, table)
	if got.Skeleton != "" {
		t.Fatal("a dormant table was not detected")
	}
	mustApply(t, table, got, want)
}

func nthRule(t testing.TB, c *nftables.Conn, table *nftables.Table, chain string, n int) *nftables.Rule {
	t.Helper()
	rules, err := c.GetRules(table, &nftables.Chain{Table: table, Name: chain})
	if err != nil || len(rules) <= n {
		t.Fatalf("rule %d of chain %s: %d rules, %v", n, chain, len(rules), err)
	}
	return rules[n]
}

func deleteChain(c *nftables.Conn, table *nftables.Table, name string) {
	chain := &nftables.Chain{Table: table, Name: name}
	c.FlushChain(chain)
	c.DelChain(chain)
}

// Counters survive the repair of a chain.
func TestRepairKeepsCounters(t *testing.T) {
	l := newLab(t)
	must(t, write(dialUDP(t, l.c, "10.0.3.40", "203.0.113.1:7")))
	l.countsAbove(t, CounterPrivateSource, 0)
	tamper(t, l.gateway, func(c *nftables.Conn, table *nftables.Table) { deleteChain(c, table, "input") })
	mustApply(t, l.table, mustRead(t, l.table), l.current)
	if got := l.count(t, CounterPrivateSource); got != 1 {
		t.Errorf("the counter is %d after the repair, not 1", got)
	}
}
