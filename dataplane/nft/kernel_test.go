package nft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"

	"sluice/dataplane"
	"sluice/dataplane/networktest"
	"sluice/dataplane/sorted"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addrs(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, s := range list {
		out[i] = addr(s)
	}
	return out
}

// sample is a network with an entry of every kind.
func sample() *dataplane.Network {
	return &dataplane.Network{
		ID:       "vpc-sample",
		Prefix:   prefix("10.0.0.0/16"),
		Uplink:   &dataplane.Uplink{Mode: dataplane.UplinkBridge, Device: "br-public", Prefix: prefix("203.0.113.0/24")},
		Elastic:  addrs("203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.14"),
		Mappings: []dataplane.Mapping{{External: addr("203.0.113.12"), Internal: addr("10.0.1.20")}},
		DNAT: sorted.Of(
			dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 6, ExternalPort: 80, Internal: addr("10.0.1.10"), InternalPort: 8080},
			dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 17, ExternalPort: 53, Internal: addr("10.0.1.11"), InternalPort: 53},
			dataplane.DNAT{External: addr("203.0.113.13"), Internal: addr("10.0.2.30")},
		),
		SNAT: []dataplane.SNAT{
			{Source: prefix("10.0.1.0/24"), Pool: addrs("203.0.113.11")},
			{Source: prefix("10.0.2.0/24"), Pool: addrs("203.0.113.11", "203.0.113.14")},
		},
		Timeouts: dataplane.DefaultTimeouts(),
	}
}

func mustCompile(t testing.TB, n *dataplane.Network) *Ruleset {
	t.Helper()
	r, err := RulesetOf(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustApply applies want over have and checks that the kernel then holds it.
func mustApply(t testing.TB, table *Table, have, want *Ruleset) int {
	t.Helper()
	changes, err := table.Apply(t.Context(), have, want)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, table, want)
	return changes
}

func mustRead(t testing.TB, table *Table) *Ruleset {
	t.Helper()
	r, err := table.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustHold(t testing.TB, table *Table, want *Ruleset) {
	t.Helper()
	if got := mustRead(t, table); !got.Equal(want) {
		t.Fatalf("the kernel holds something else (-want +got):\n%s", cmp.Diff(want.String(), got.String()))
	}
}

func TestAbsentTable(t *testing.T) {
	table := newTable(t, newNamespace(t))
	got := mustRead(t, table)
	if got.Skeleton != "" || got.Damage != "" || got.Len() != 0 {
		t.Fatalf("an empty namespace reads as %q", got)
	}
	counters, err := table.Counters(t.Context())
	if err != nil || len(counters) != 0 {
		t.Fatalf("counters of an absent table: %v, %v", counters, err)
	}
}

func TestBuildAndReadBack(t *testing.T) {
	table := newTable(t, newNamespace(t))
	want := mustCompile(t, sample())
	changes := mustApply(t, table, mustRead(t, table), want)
	if changes <= want.Len() {
		t.Errorf("building counted %d changes for %d elements and a table", changes, want.Len())
	}
	if changes := mustApply(t, table, mustRead(t, table), want); changes != 0 {
		t.Errorf("applying the same again made %d changes", changes)
	}
	empty := mustCompile(t, &dataplane.Network{ID: "vpc-empty"})
	if changes := mustApply(t, table, want, empty); changes != want.Len() {
		t.Errorf("emptying made %d changes, not %d", changes, want.Len())
	}
	counters, err := table.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range counterNames() {
		if c, ok := counters[name]; !ok || c != (Counter{}) {
			t.Errorf("counter %s of a new table: %+v, present %t", name, c, ok)
		}
	}
}

// Rules are compared with what they say in nft's own words.
func TestRulesReadAsWritten(t *testing.T) {
	ns := newNamespace(t)
	table := newTable(t, ns)
	mustApply(t, table, nil, mustCompile(t, sample()))
	listing := ""
	for _, c := range chains() {
		listing += nftCommand(t, ns, "list", "chain", "ip", tableName, c.name)
	}
	normal := strings.NewReplacer(`"`, "", "dnat ip to", "dnat to", "snat ip to", "snat to",
		"@th,16,16", "th dport").Replace
	for _, c := range chains() {
		for i, r := range c.rules {
			want := normal(r.text) + fmt.Sprintf(" comment %s %s %d", skeletonHash(), c.name, i)
			if !strings.Contains(normal(listing), want) {
				t.Errorf("chain %s rule %d: nft does not list\n%s\nin\n%s", c.name, i, want, listing)
			}
		}
	}
}

func TestIncrementalChanges(t *testing.T) {
	table := newTable(t, newNamespace(t))
	have := mustCompile(t, sample())
	mustApply(t, table, nil, have)
	for _, step := range []struct {
		name    string
		changes int // 0: not checked
		edit    func(n *dataplane.Network)
	}{
		{"add a DNAT entry", 1, func(n *dataplane.Network) {
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 6, ExternalPort: 443, Internal: addr("10.0.1.10"), InternalPort: 8443})
		}},
		{"replace what a DNAT entry leads to", 1, func(n *dataplane.Network) {
			networktest.EditDNAT(n, 0, func(d *dataplane.DNAT) { d.Internal = addr("10.0.1.99") })
		}},
		{"replace the address behind Any", 1, func(n *dataplane.Network) {
			networktest.EditDNAT(n, 2, func(d *dataplane.DNAT) { d.Internal = addr("10.0.2.31") })
		}},
		{"delete a DNAT entry", 1, func(n *dataplane.Network) { n.DNAT = n.DNAT.Without(n.DNAT.Slice()[0]) }},
		{"replace the address of an SNAT entry", 1, func(n *dataplane.Network) { n.SNAT[0].Pool = addrs("203.0.113.10") }},
		{"halve a source block", 2, func(n *dataplane.Network) { n.SNAT[0].Source = prefix("10.0.1.0/25") }},
		{"move a source block by half", 2, func(n *dataplane.Network) { n.SNAT[0].Source = prefix("10.0.1.128/25") }},
		{"widen a source block", 2, func(n *dataplane.Network) { n.SNAT[0].Source = prefix("10.0.0.0/23") }},
		{"add neighbours of a source block", 2, func(n *dataplane.Network) {
			n.SNAT = append(n.SNAT, dataplane.SNAT{Source: prefix("10.0.3.0/24"), Pool: addrs("203.0.113.10")},
				dataplane.SNAT{Source: prefix("10.0.4.0/24"), Pool: addrs("203.0.113.11")})
		}},
		{"delete a source block", 1, func(n *dataplane.Network) { n.SNAT = n.SNAT[1:] }},
		{"delete one of two neighbours, widen the other", 0, func(n *dataplane.Network) {
			n.SNAT = []dataplane.SNAT{{Source: prefix("10.0.0.0/22"), Pool: addrs("203.0.113.11")}}
		}},
		{"one address to a pool", 0, func(n *dataplane.Network) { n.SNAT[0].Pool = addrs("203.0.113.10", "203.0.113.11") }},
		{"enlarge a pool", 0, func(n *dataplane.Network) { n.SNAT[1].Pool = addrs("203.0.113.10", "203.0.113.11", "203.0.113.14") }},
		{"a pool to one address", 0, func(n *dataplane.Network) { n.SNAT[0].Pool = addrs("203.0.113.10") }},
		{"every address a source", 0, func(n *dataplane.Network) {
			n.SNAT = []dataplane.SNAT{{Source: prefix("0.0.0.0/0"), Pool: addrs("203.0.113.10")}}
		}},
		{"the ends of the address space", 0, func(n *dataplane.Network) {
			n.SNAT = []dataplane.SNAT{{Source: prefix("0.0.0.0/32"), Pool: addrs("203.0.113.10")}, {Source: prefix("255.255.255.255/32"), Pool: addrs("203.0.113.11")}}
		}},
		{"rebind a mapping", 5, func(n *dataplane.Network) { n.Mappings[0].Internal = addr("10.0.1.21") }},
		{"unbind", 3, func(n *dataplane.Network) { n.Mappings = nil }},
		{"everything back", 0, func(n *dataplane.Network) { *n = *sample() }},
	} {
		n := sample()
		step.edit(n)
		want := mustCompile(t, n)
		// Each step starts from the sample, so that steps do not build on each
		// other, and goes back to it.
		t.Run(step.name, func(t *testing.T) {
			if got := mustApply(t, table, have, want); step.changes != 0 && got != step.changes {
				t.Errorf("made %d changes, not %d", got, step.changes)
			}
			mustApply(t, table, want, have)
		})
	}
}

// Random walks over sources and pools: whatever interval goes and comes in one
// batch, the kernel ends up with exactly what was asked for.
func TestRandomSourceChanges(t *testing.T) {
	table := newTable(t, newNamespace(t))
	rng := rand.New(rand.NewPCG(1, 2))
	elastic := addrs("203.0.113.10", "203.0.113.11", "203.0.113.12")
	var have *Ruleset
	changes := 150
	if testing.Short() {
		changes = 40
	}
	for range changes {
		n := &dataplane.Network{ID: "vpc-walk", Elastic: elastic}
		for block := 0; block < 256; {
			bits := rng.IntN(4) // 1, 2, 4 or 8 of the 256 blocks
			size := 1 << bits
			block = (block + size - 1) &^ (size - 1)
			if block < 256 && rng.IntN(3) > 0 {
				pool := elastic[rng.IntN(3):]
				n.SNAT = append(n.SNAT, dataplane.SNAT{
					Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(block), 0}), 24-bits), Pool: pool[:1+rng.IntN(len(pool))]})
			}
			block += size
		}
		want := mustCompile(t, n)
		mustApply(t, table, have, want)
		have = want
	}
}

// A batch with one bad message changes nothing.
func TestBatchIsAtomic(t *testing.T) {
	table := newTable(t, newNamespace(t))
	base := mustCompile(t, sample())
	mustApply(t, table, nil, base)

	n := sample()
	networktest.EditDNAT(n, 0, func(d *dataplane.DNAT) { d.Internal = addr("10.0.1.99") })
	n.SNAT = nil
	n.Elastic = append(n.Elastic, addr("203.0.113.15"))
	n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.15"), Internal: addr("10.0.1.5")})
	want := mustCompile(t, n)

	wrong := *base // claims an element that the kernel does not hold
	wrong.Sets[SetDNATAddr] = base.Sets[SetDNATAddr].With(pair(addr("203.0.113.1"), addr("10.0.1.1")))
	changes, err := table.Apply(t.Context(), &wrong, want)
	if !errors.Is(err, ErrOutdated) || changes != 0 {
		t.Fatalf("deleting an absent element: %d changes, error %v", changes, err)
	}
	if !strings.Contains(err.Error(), "dnat_addr has no element 203.0.113.1 : 10.0.1.1") {
		t.Errorf("the error does not name the element: %v", err)
	}
	mustHold(t, table, base)

	wrong = *base // does not know of an element that the kernel holds
	wrong.Sets[SetDNATAddr] = base.Sets[SetDNATAddr].Without(base.Sets[SetDNATAddr].Slice()[0])
	n.DNAT = n.DNAT.Without(n.DNAT.Slice()[2])
	n.Mappings[0].Internal = addr("10.0.1.77") // its key is there with another value
	changes, err = table.Apply(t.Context(), &wrong, mustCompile(t, n))
	if !errors.Is(err, ErrOutdated) || changes != 0 {
		t.Fatalf("adding a key that is taken: %d changes, error %v", changes, err)
	}
	mustHold(t, table, base)

	// A change of several batches is undone as a whole.
	wrong = *base
	wrong.Sets[SetDNATAddr] = base.Sets[SetDNATAddr].With(pair(addr("203.0.113.1"), addr("10.0.1.1")))
	n = sample()
	n.SNAT[0].Pool = addrs("203.0.113.10", "203.0.113.11", "203.0.113.14")
	if _, err = table.Apply(t.Context(), &wrong, mustCompile(t, n)); !errors.Is(err, ErrOutdated) {
		t.Fatalf("deleting an absent element and adding a pool: %v", err)
	}
	mustHold(t, table, base)

	mustApply(t, table, mustRead(t, table), want)
}

// The kernel counts batches.
func TestNumberOfBatches(t *testing.T) {
	table := newTable(t, newNamespace(t))
	have := mustCompile(t, sample())
	mustApply(t, table, nil, have)
	for _, test := range []struct {
		name    string
		batches uint32
		edit    func(n *dataplane.Network)
	}{
		{"nothing", 0, func(*dataplane.Network) {}},
		{"DNAT, mapping, elastic IP and SNAT address", 1, func(n *dataplane.Network) {
			n.DNAT = n.DNAT.Without(n.DNAT.Slice()[0])
			n.Mappings[0].Internal = addr("10.0.1.21")
			n.Elastic = append(n.Elastic, addr("203.0.113.15"))
			n.SNAT[0].Pool = addrs("203.0.113.15")
		}},
		{"an entry takes the pool of another", 2, func(n *dataplane.Network) { n.SNAT[0].Pool = n.SNAT[1].Pool }},
		{"a pool for another", 3, func(n *dataplane.Network) { n.SNAT[1].Pool = addrs("203.0.113.10", "203.0.113.14") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := sample()
			test.edit(n)
			before := generation(t, table)
			if _, err := table.Apply(t.Context(), have, mustCompile(t, n)); err != nil {
				t.Fatal(err)
			}
			if got := generation(t, table) - before; got != test.batches {
				t.Errorf("sent %d batches, not %d", got, test.batches)
			}
			mustApply(t, table, mustCompile(t, n), have)
		})
	}
}

func generation(t testing.TB, table *Table) (g uint32) {
	t.Helper()
	if err := table.do(t.Context(), func(c *conn) (err error) { g, err = c.generation(); return err }); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestApplyRefusesForeignRulesets(t *testing.T) {
	table := newTable(t, newNamespace(t))
	for _, want := range []*Ruleset{nil, {}, {Skeleton: "0123456789abcdef"}} {
		if _, err := table.Apply(t.Context(), nil, want); err == nil {
			t.Errorf("applied %v", want)
		}
	}
	if got := mustRead(t, table); got.Skeleton != "" {
		t.Errorf("the kernel now holds %s", got)
	}
}

func TestContext(t *testing.T) {
	table := newTable(t, newNamespace(t))
	want := mustCompile(t, sample())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := table.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Read with a cancelled context: %v", err)
	}
	if _, err := table.Apply(ctx, nil, want); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply with a cancelled context: %v", err)
	}
	if _, err := table.Counters(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Counters with a cancelled context: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := table.Apply(ctx, nil, want); err != nil {
		t.Errorf("Apply with a deadline ahead: %v", err)
	}
	if _, err := New(netns.NsHandle(-1)).Read(t.Context()); err == nil {
		t.Error("Read of a closed namespace did not fail")
	}
}
